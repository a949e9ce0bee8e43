//! A new config for a vault that has lost its own.

use std::io;

use data_encoding::BASE64URL;

use super::create::check_threshold;
use super::error::confirmed;
use super::{KeyFileError, UnlockError, read_masterkey_file};
use crate::ciphertext_path::{
    CONTENTS_FILE, CiphertextPath, DATA_DIR, ENTRY_SUFFIX, MAX_NAME_FILE_LEN, MIN_ENTRY_LEN, NAME_FILE,
    SHORTENED_SUFFIX, shortened,
};
use crate::config::{self, ConfigError, DEFAULT_THRESHOLD, MAX_THRESHOLD, MIN_THRESHOLD, UnverifiedConfig};
use crate::content_dir;
use crate::crypto::{CipherCombo, FileHeader, MasterKey, NameCipher};
use crate::error::{Error, Result};
use crate::key_files::{BackedUp, Content, KeyFile};
use crate::masterkey_file::Passphrase;
use crate::name::DirId;
use crate::storage::{BlockStorage, EntryKind, OpenMode, Replace};
use crate::vault::VaultOptions;

/// The key of a vault without a config, by its passphrase. Nothing says yet that it is the key of what lies there.
///
/// # Errors
///
/// `NotAVault` without a masterkey file; `WrongPassphrase`, `DamagedMasterkeyFile`, `HostileScrypt`, `Storage`.
pub fn key_without_config(
    storage: &dyn BlockStorage,
    passphrase: &Passphrase,
    options: &VaultOptions,
) -> Result<MasterKey, UnlockError> {
    Ok(read_masterkey_file(storage)?.unlock(passphrase, options.max_scrypt_memory)?)
}

/// What a vault's contents tell of the config it must have had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// How its files are encrypted; `None` where there is none that decrypts.
    pub combo: Option<CipherCombo>,
    /// Length of the longest name that is not shortened.
    pub longest_name: Option<usize>,
    /// Length that the shortest of the shortened names would have.
    pub shortest_shortened: Option<usize>,
    /// How many folders could not be looked into.
    pub unread: usize,
    /// There is a config, and this key has not signed it.
    pub replaces_config: bool,
}

impl Evidence {
    /// Looks through all of a vault's folders, and reads the header of one file. Changes nothing, and takes as long as the
    /// vault is large.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::AnotherVaultsKey`] if the vault's root directory is not one of this key's; `NothingToRebuild` if
    /// there is a config that this key has signed; `Storage` if the vault's folder cannot be read.
    pub fn find(storage: &dyn BlockStorage, key: &MasterKey) -> Result<Self, KeyFileError> {
        let replaces_config = expect_lost(storage, key)?.is_some();
        let mut evidence = Self { replaces_config, ..Self::default() };
        let data = CiphertextPath::root().push(DATA_DIR);
        for first in folders(storage, &data).map_err(|error| Error::from(error).at(&data))? {
            let Ok(dirs) = folders(storage, &first) else {
                evidence.unread += 1;
                continue;
            };
            for dir in dirs {
                evidence.unread += usize::from(evidence.look_through(storage, key, &dir).is_err());
            }
        }
        Ok(evidence)
    }

    /// The threshold that the names are in line with: 220 if that is, else the nearest. `None` if none is.
    #[must_use]
    pub fn shortening_threshold(&self) -> Option<usize> {
        let least = self.longest_name.unwrap_or(0).max(MIN_THRESHOLD);
        let most =
            self.shortest_shortened.map_or(MAX_THRESHOLD, |len| len.saturating_sub(1).min(MAX_THRESHOLD));
        (least <= most).then(|| DEFAULT_THRESHOLD.clamp(least, most))
    }

    /// Takes down what one content directory tells.
    fn look_through(
        &mut self,
        storage: &dyn BlockStorage,
        key: &MasterKey,
        dir: &CiphertextPath,
    ) -> io::Result<()> {
        for listed in storage.list(dir)? {
            let Ok(name) = listed.name.into_string() else { continue };
            let path = dir.push(&name);
            if let Some(stem) = name.strip_suffix(ENTRY_SUFFIX)
                && name.len() >= MIN_ENTRY_LEN
                && BASE64URL.decode(stem.as_bytes()).is_ok()
            {
                self.longest_name = self.longest_name.max(Some(name.len()));
                if listed.kind == EntryKind::File {
                    self.try_header(storage, key, &path);
                }
            } else if name == content_dir::DIR_ID_FILE {
                self.try_header(storage, key, &path);
            } else if name.ends_with(SHORTENED_SUFFIX) {
                self.note_shortened(storage, &path, &name);
                self.try_header(storage, key, &path.push(CONTENTS_FILE));
            }
        }
        Ok(())
    }

    /// What cannot be read tells nothing.
    fn note_shortened(&mut self, storage: &dyn BlockStorage, folder: &CiphertextPath, name: &str) {
        let Ok(bytes) = storage.read(&folder.push(NAME_FILE), MAX_NAME_FILE_LEN) else { return };
        let Ok(long) = String::from_utf8(bytes) else { return };
        if shortened(&long) == name {
            let known = self.shortest_shortened.unwrap_or(usize::MAX);
            self.shortest_shortened = Some(known.min(long.len()));
        }
    }

    /// Tries both combos on the header of a file, until one is known.
    fn try_header(&mut self, storage: &dyn BlockStorage, key: &MasterKey, path: &CiphertextPath) {
        if self.combo.is_none() {
            let decrypts = |combo: &CipherCombo| {
                let header = read_header(storage, path, *combo).ok()?;
                FileHeader::decrypt(*combo, key, &header).ok()
            };
            self.combo = CipherCombo::ALL.into_iter().find(|combo| decrypts(combo).is_some());
        }
    }
}

/// Writes a new config for a vault that opens by passphrase, in the place of one that is lost or not its own. What is
/// there is copied first, under the name of a backup.
///
/// # Errors
///
/// [`KeyFileError`]: those of [`Evidence::find`], `ShorteningThreshold`, `BackupNameTaken`, `Unconfirmed`.
pub fn rebuild_config(
    storage: &dyn BlockStorage,
    key: &MasterKey,
    combo: CipherCombo,
    shortening_threshold: usize,
) -> Result<(), KeyFileError> {
    check_threshold(shortening_threshold, MAX_THRESHOLD)?;
    let (old, replace) = match expect_lost(storage, key)? {
        Some(old) => (old, Replace::Always),
        None => (Vec::new(), Replace::Never),
    };
    if replace == Replace::Always && KeyFile::Config.back_up(storage, &old)? == BackedUp::NameTaken {
        return Err(KeyFileError::BackupNameTaken(KeyFile::Config.backup_name(&old)));
    }
    let config = config::create(key, combo, shortening_threshold);
    confirmed(KeyFile::Config, KeyFile::Config.write(storage, config.as_bytes(), replace)?)
}

/// The config that is in the place of the lost one, if any. Refuses where none is lost, and where `key` is another
/// vault's: without a config, only the root's content directory can tell.
fn expect_lost(storage: &dyn BlockStorage, key: &MasterKey) -> Result<Option<Vec<u8>>, KeyFileError> {
    let old = match KeyFile::Config.read(storage)? {
        Content::Bytes(bytes) => Some(bytes),
        Content::Missing => None,
        Content::TooLong => {
            return Err(UnlockError::ConfigNotSigned(ConfigError::Malformed("it is too long")).into());
        }
    };
    let is_signed =
        |bytes: &Vec<u8>| UnverifiedConfig::parse(bytes).is_ok_and(|config| config.verify(key).is_ok());
    if old.as_ref().is_some_and(is_signed) {
        return Err(KeyFileError::NothingToRebuild);
    }
    let root = content_dir::path(&NameCipher::new(key), &DirId::root());
    match storage.metadata(&root) {
        Ok(_) => Ok(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyFileError::AnotherVaultsKey),
        Err(error) => Err(Error::from(error).at(root).into()),
    }
}

fn folders(storage: &dyn BlockStorage, dir: &CiphertextPath) -> io::Result<Vec<CiphertextPath>> {
    let listed = storage.list(dir)?.into_iter().filter(|listed| listed.kind == EntryKind::Directory);
    Ok(listed.filter_map(|listed| Some(dir.push(listed.name.to_str()?))).collect())
}

fn read_header(storage: &dyn BlockStorage, path: &CiphertextPath, combo: CipherCombo) -> io::Result<Vec<u8>> {
    let mut header = vec![0; usize::try_from(combo.layout().header_len()).unwrap_or_default()];
    let (file, _) = storage.open(path, OpenMode::Read)?;
    let len = file.read_at(0, &mut header)?;
    header.truncate(len);
    Ok(header)
}
