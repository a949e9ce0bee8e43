//! Backups of key files: which there are, and which nobody needs.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::SystemTime;

use super::{KeyFileError, Locked, UnlockError};
use crate::ciphertext_path::CiphertextPath;
use crate::error::{Error, Result};
use crate::key_files::{Content, KeyFile};
use crate::masterkey_file::Passphrase;
use crate::storage::{BlockStorage, EntryKind};
use crate::vault::{Vault, VaultOptions};

/// A copy of a key file in the vault's root folder, made by whatever client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// What it is called there.
    pub name: String,
    /// What it is a copy of.
    pub key_file: KeyFile,
    /// When it was made, as far as the storage knows.
    pub modified: Option<SystemTime>,
    /// It is a copy of what the key file is now.
    pub is_current: bool,
}

/// All backups in a vault's root folder, by key file, the newest first. Reads each, and changes nothing.
///
/// # Errors
///
/// What the storage says.
pub fn backups(storage: &dyn BlockStorage) -> Result<Vec<Backup>> {
    let root = CiphertextPath::root();
    let listed = storage.list(&root).map_err(Error::from)?;
    let mut current = Vec::new();
    for file in KeyFile::ALL {
        if let Content::Bytes(bytes) = file.read(storage)? {
            current.push((file, bytes));
        }
    }
    let mut backups = Vec::new();
    for listed in listed.into_iter().filter(|listed| listed.kind == EntryKind::File) {
        let Ok(name) = listed.name.into_string() else { continue };
        let Some(key_file) = KeyFile::of_backup(&name) else { continue };
        let path = root.push(&name);
        let metadata = storage.metadata(&path).map_err(|error| Error::from(error).at(&path))?;
        let is_current = match key_file.read_at(storage, &path)? {
            Content::Bytes(bytes) => current.contains(&(key_file, bytes)),
            Content::Missing | Content::TooLong => false,
        };
        backups.push(Backup { name, key_file, modified: metadata.modified, is_current });
    }
    // One of an unknown age counts as new: it is the safer mistake.
    let age = |backup: &Backup| (backup.modified.is_some(), Reverse(backup.modified));
    backups.sort_by(|one, other| {
        (one.key_file, age(one), &one.name).cmp(&(other.key_file, age(other), &other.name))
    });
    Ok(backups)
}

/// Backups that the vault opens without. Nothing is removed before somebody says so.
pub struct Superfluous {
    storage: Arc<dyn BlockStorage>,
    backups: Vec<Backup>,
}

impl Locked {
    /// The backups that nobody needs: all but the `keep` newest of each key file and those of what the key files are now.
    ///
    /// The vault has to be opened for that, because a backup that opens it is worth nothing only where it opens without.
    ///
    /// # Errors
    ///
    /// [`UnlockError`] if the vault does not open as it is.
    pub fn superfluous_backups(
        &self,
        passphrase: &Passphrase,
        options: &VaultOptions,
        keep: usize,
    ) -> Result<Superfluous, UnlockError> {
        self.key(passphrase, options)?;
        let all = backups(&*self.storage)?;
        let mut superfluous = Vec::new();
        for file in KeyFile::ALL {
            let of_file = all.iter().filter(|backup| backup.key_file == file);
            superfluous.extend(of_file.skip(keep).filter(|backup| !backup.is_current).cloned());
        }
        Ok(Superfluous { storage: Arc::clone(&self.storage), backups: superfluous })
    }
}

impl Superfluous {
    /// Which they are.
    #[must_use]
    pub fn backups(&self) -> &[Backup] {
        &self.backups
    }

    /// Removes them, and makes that durable.
    ///
    /// # Errors
    ///
    /// What the storage says; the others stay then.
    pub fn remove(self) -> Result<(), KeyFileError> {
        let root = CiphertextPath::root();
        for backup in &self.backups {
            let path = root.push(&backup.name);
            self.storage.remove(&path, EntryKind::File).map_err(|error| Error::from(error).at(path))?;
        }
        Ok(crate::key_files::sync_dir(&*self.storage, &root).map_err(Error::from)?)
    }
}

impl std::fmt::Debug for Superfluous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.backups).finish()
    }
}

impl Vault {
    /// Sees to it that there is a copy of both key files as they are now. For whoever is going to write to the vault;
    /// one that is only read stays as it is.
    ///
    /// # Errors
    ///
    /// `ReadOnly` if the vault was opened so; else what the storage says. No reason not to go on: a backup whose name is
    /// taken by something else is none.
    pub fn back_up_key_files(&self) -> Result<()> {
        self.expect_writable()?;
        for file in KeyFile::ALL {
            if let Content::Bytes(bytes) = file.read(self.storage())? {
                file.back_up(self.storage(), &bytes)?;
            }
        }
        Ok(())
    }
}
