//! A new passphrase for a vault whose key is known: by the old one, or by the recovery key.

use super::create::{check_cost, new_passphrase};
use super::error::confirmed;
use super::{KeyFileError, Locked, UnlockError};
use crate::config::KeySource;
use crate::crypto::MasterKey;
use crate::key_files::{BackedUp, Content, KeyFile};
use crate::masterkey_file::{MasterkeyFile, Passphrase, ScryptParams, VERSION_IN_CONFIG};
use crate::storage::Replace;
use crate::vault::VaultOptions;

impl Locked {
    /// The vault's key, by its passphrase. Costs what [`unlock`](Self::unlock) costs.
    ///
    /// # Errors
    ///
    /// [`UnlockError`]; `ConfigNotSigned` if the key did not sign the vault's config.
    pub fn key(&self, passphrase: &Passphrase, options: &VaultOptions) -> Result<MasterKey, UnlockError> {
        let (key, _) = self.unwrap_key(passphrase, options)?;
        self.expect_key(&key)?;
        Ok(key)
    }

    /// Whether `key` is this vault's.
    ///
    /// # Errors
    ///
    /// `ConfigNotSigned` if it did not sign the config.
    pub fn expect_key(&self, key: &MasterKey) -> Result<(), UnlockError> {
        self.config.verify(key).map_err(UnlockError::ConfigNotSigned)
    }

    /// Whether the vault has a masterkey file, or would have one if it were not lost: others keep their key elsewhere.
    ///
    /// # Errors
    ///
    /// `HubVault`, `UnknownKeySource`.
    pub fn expect_masterkey_file(&self) -> Result<(), UnlockError> {
        match self.config.key_source() {
            KeySource::MasterkeyFile => Ok(()),
            KeySource::Hub { host } => Err(UnlockError::HubVault { host }),
            KeySource::Unknown { scheme } => Err(UnlockError::UnknownKeySource { scheme }),
        }
    }

    /// Makes `passphrase` the one that opens the vault: writes a new masterkey file, also where there is none any more.
    ///
    /// The keys stay as they are, so nothing else in the vault changes, and so does the version. The old file is copied
    /// first, under the name of a backup, and goes on opening the vault by the old passphrase, for whoever has both. The
    /// change itself is one atomic step: at every moment one of the two passphrases opens the vault.
    ///
    /// A derivation costs what it cost before, but no less than official clients choose; or `scrypt`.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]; `ConfigNotSigned` if `key` is another vault's, before anything is changed.
    pub fn set_passphrase(
        &self,
        key: &MasterKey,
        passphrase: &Passphrase,
        scrypt: Option<ScryptParams>,
    ) -> Result<(), KeyFileError> {
        let typed = new_passphrase(passphrase)?;
        self.expect_masterkey_file()?;
        self.expect_key(key)?;
        let old = match KeyFile::Masterkey.read(&*self.storage)? {
            Content::Bytes(bytes) => Some(bytes),
            Content::Missing => None,
            Content::TooLong => return Err(UnlockError::DamagedMasterkeyFile("it is too long").into()),
        };
        let parsed = old.as_ref().and_then(|bytes| MasterkeyFile::parse(bytes).ok());
        let parsed = parsed.filter(|file| file.version_is_authentic(key));
        let scrypt = scrypt.unwrap_or_else(|| {
            let before = parsed.as_ref().map(|file| file.scrypt).filter(|before| check_cost(*before).is_ok());
            let least = ScryptParams::default();
            before.filter(|before| before.memory() > least.memory()).unwrap_or(least)
        });
        check_cost(scrypt)?;
        let version = parsed.map_or(VERSION_IN_CONFIG, |file| file.version);
        let new = MasterkeyFile::create(key, &typed, scrypt, version)
            .map_err(|_| KeyFileError::ScryptCost(scrypt))?;
        if let Some(old) = old
            && KeyFile::Masterkey.back_up(&*self.storage, &old)? == BackedUp::NameTaken
        {
            return Err(KeyFileError::BackupNameTaken(KeyFile::Masterkey.backup_name(&old)));
        }
        let written = KeyFile::Masterkey.write(&*self.storage, new.as_bytes(), Replace::Always)?;
        confirmed(KeyFile::Masterkey, written)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::{BlockStorage, EntryKind, MemoryStorage};
    use crate::testing::{Recipe, VaultBuilder};

    /// The version in the masterkey file after a change of passphrase, where it was `version`, and authentic or not.
    fn version_after(version: u32, is_authentic: bool) -> u32 {
        let (storage, cheap) = (Arc::new(MemoryStorage::default()), ScryptParams { cost: 2, block_size: 8 });
        VaultBuilder::create(&*storage, Recipe::default()).unwrap();
        let key = MasterKey::from_raw(Recipe::default().key);
        let mut file = MasterkeyFile::create(&key, b"passphrase", cheap, version).unwrap();
        if !is_authentic {
            file = file.replace(&format!("\"version\": {version}"), "\"version\": 3");
        }
        let path = crate::CiphertextPath::root().push(KeyFile::Masterkey.name());
        storage.remove(&path, EntryKind::File).unwrap();
        storage.write_new(&path, file.as_bytes()).unwrap();
        let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
        locked.set_passphrase(&key, &Passphrase::new("another"), Some(cheap)).unwrap();
        let Ok(Content::Bytes(bytes)) = KeyFile::Masterkey.read(&*storage) else { panic!("it is there") };
        let file = MasterkeyFile::parse(&bytes).unwrap();
        assert!(file.version_is_authentic(&key));
        file.version
    }

    #[test]
    fn the_version_is_kept_unless_somebody_changed_it() {
        assert_eq!(version_after(999, true), 999);
        // As a migration leaves it that was stopped before its last step.
        assert_eq!(version_after(7, true), 7);
        assert_eq!(version_after(7, false), 999);
    }
}
