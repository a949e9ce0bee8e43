//! The two key files in a vault's root folder, and how they are changed: at every moment there is a whole one.

use std::fmt;
use std::io;

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use crate::ciphertext_path::{CiphertextPath, MASTERKEY_FILE, VAULT_CONFIG};
use crate::error::{Error, Result};
use crate::storage::{BlockStorage, EntryKind, OpenMode, Replace};
use crate::{config, masterkey_file};

/// Ends the name of a backup.
const BACKUP_SUFFIX: &str = ".bkup";
/// Ends the name of a key file that is not whole yet, with official clients as well.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// One of the two files that open a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyFile {
    /// `vault.cryptomator`: how the vault is encrypted.
    Config,
    /// `masterkey.cryptomator`: the keys, wrapped by the passphrase.
    Masterkey,
}

/// What was found where a key file should be.
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// Definitely nothing.
    Missing,
    /// More than any client writes.
    TooLong,
}

/// How far a new content of a key file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there and will stay.
    Durable,
    /// It is there; the storage did not confirm that it will stay.
    Unconfirmed(io::ErrorKind),
}

/// Whether a copy of a key file is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackedUp {
    Yes,
    /// Something else has the backup's name.
    NameTaken,
}

impl KeyFile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Config, Self::Masterkey];

    /// Its name in the vault's root folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => VAULT_CONFIG,
            Self::Masterkey => MASTERKEY_FILE,
        }
    }

    /// Which one a file of the vault's root folder is a backup of. Old clients name backups without a hash of their
    /// content, and sync clients add words of their own.
    pub(crate) fn of_backup(name: &str) -> Option<Self> {
        let is_backup = name.ends_with(BACKUP_SUFFIX);
        Self::ALL.into_iter().find(|file| {
            is_backup && name.strip_prefix(file.name()).is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// What the backup of this content is called.
    pub(crate) fn backup_name(self, content: &[u8]) -> String {
        let hash = Sha256::digest(content);
        let id = HEXUPPER.encode(hash.first_chunk::<4>().map_or(&[], |first| first));
        format!("{}.{id}{BACKUP_SUFFIX}", self.name())
    }

    /// What it is called before it is whole.
    pub(crate) fn temporary_name(self) -> String {
        format!("{}{TEMPORARY_SUFFIX}", self.name())
    }

    const fn max_len(self) -> usize {
        match self {
            Self::Config => config::MAX_LEN,
            Self::Masterkey => masterkey_file::MAX_LEN,
        }
    }

    fn path(self) -> CiphertextPath {
        CiphertextPath::root().push(self.name())
    }

    /// Reads it.
    pub(crate) fn read(self, storage: &dyn BlockStorage) -> Result<Content> {
        self.read_at(storage, &self.path())
    }

    /// Reads a file of its kind.
    pub(crate) fn read_at(self, storage: &dyn BlockStorage, path: &CiphertextPath) -> Result<Content> {
        match storage.read(path, self.max_len()) {
            Ok(bytes) => Ok(Content::Bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Content::TooLong),
            Err(error) => Err(Error::from(error).at(path)),
        }
    }

    /// Gives it a new content in one atomic step. A crash leaves what was there or what is there now, and at most a
    /// temporary file.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if it may not be replaced and is there. Nothing was changed if this fails.
    pub(crate) fn write(
        self,
        storage: &dyn BlockStorage,
        content: &[u8],
        replace: Replace,
    ) -> Result<Written> {
        let (path, temporary) = (self.path(), CiphertextPath::root().push(&self.temporary_name()));
        // What somebody left who was killed here.
        match storage.remove(&temporary, EntryKind::File) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::from(error).at(temporary));
            }
            _ => {}
        }
        write_durably(storage, &temporary, content)?;
        if let Err(error) = move_to(storage, &temporary, &path, replace) {
            let _removed_or_left_behind = storage.remove(&temporary, EntryKind::File);
            return Err(Error::from(error).at(path));
        }
        match sync_dir(storage, &CiphertextPath::root()) {
            Ok(()) => Ok(Written::Durable),
            Err(error) => Ok(Written::Unconfirmed(error.kind())),
        }
    }

    /// Makes a copy of its content, durable before this returns. One that is there already is enough; one that was left
    /// unfinished is finished.
    pub(crate) fn back_up(self, storage: &dyn BlockStorage, content: &[u8]) -> Result<BackedUp> {
        let path = CiphertextPath::root().push(&self.backup_name(content));
        match write_durably(storage, &path, content) {
            Ok(()) => {}
            Err(error) if error.kind() == crate::ErrorKind::AlreadyExists => {
                return self.finish_backup(storage, &path, content);
            }
            Err(error) => return Err(error),
        }
        sync_dir(storage, &CiphertextPath::root()).map_err(|error| Error::from(error).at(path))?;
        Ok(BackedUp::Yes)
    }

    fn finish_backup(
        self,
        storage: &dyn BlockStorage,
        path: &CiphertextPath,
        content: &[u8],
    ) -> Result<BackedUp> {
        let Content::Bytes(found) = self.read_at(storage, path)? else { return Ok(BackedUp::NameTaken) };
        if found == content {
            return Ok(BackedUp::Yes);
        }
        // A crash leaves a beginning of it, with zeros where the machine lost power.
        let unfinished = found.len() <= content.len()
            && found.iter().zip(content).all(|(found, byte)| *found == 0 || found == byte);
        if !unfinished {
            return Ok(BackedUp::NameTaken);
        }
        let finish = || {
            let (file, _) = storage.open(path, OpenMode::ReadWrite)?;
            file.write_at(0, content)?;
            file.sync()?;
            sync_dir(storage, &CiphertextPath::root())
        };
        finish().map_err(|error| Error::from(error).at(path))?;
        Ok(BackedUp::Yes)
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Creates a file, durable in its content; its folder is not synced.
pub(crate) fn write_durably(storage: &dyn BlockStorage, path: &CiphertextPath, content: &[u8]) -> Result<()> {
    let (file, created) = storage
        .open(path, OpenMode::CreateNew { mode: None })
        .map_err(|error| Error::from(error).at(path))?;
    let written = file.write_at(0, content).and_then(|()| file.sync());
    // Some hosts remove no open file.
    drop(file);
    written.map_err(|error| {
        if storage.metadata(path).is_ok_and(|there| there.identity == created.identity) {
            let _removed_or_left_behind = storage.remove(path, EntryKind::File);
        }
        Error::from(error).at(path)
    })
}

/// Makes the entries of a folder durable, where the storage has a way to.
pub(crate) fn sync_dir(storage: &dyn BlockStorage, dir: &CiphertextPath) -> io::Result<()> {
    match storage.sync_dir(dir) {
        // Some file systems have none, and say so in either way.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {
            Ok(())
        }
        other => other,
    }
}

fn move_to(
    storage: &dyn BlockStorage,
    from: &CiphertextPath,
    to: &CiphertextPath,
    replace: Replace,
) -> io::Result<()> {
    match storage.rename(from, to, replace) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported && replace == Replace::Never => {
            match storage.metadata(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    storage.rename(from, to, Replace::Always)
                }
                Err(error) => Err(error),
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_told_by_its_name() {
        let of = |name: &str| KeyFile::of_backup(name).map(KeyFile::name);
        assert_eq!(KeyFile::Masterkey.backup_name(b""), "masterkey.cryptomator.E3B0C442.bkup");
        for name in [
            "masterkey.cryptomator.E3B0C442.bkup",
            "masterkey.cryptomator.bkup",
            "masterkey.cryptomator.X (1).bkup",
        ] {
            assert_eq!(of(name), Some("masterkey.cryptomator"), "{name}");
        }
        assert_eq!(of("vault.cryptomator.00000000.bkup"), Some("vault.cryptomator"));
        for name in [
            "vault.cryptomator",
            "vault.cryptomator.tmp",
            "masterkey.cryptomatorbkup",
            "other.bkup",
            "vault.bkup",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
