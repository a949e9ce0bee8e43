//! From a folder to an open vault: what is there, and what opens it.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::ciphertext_path::{CiphertextPath, DATA_DIR};
use crate::config::{self, UnverifiedConfig};
use crate::crypto::MasterKey;
use crate::error::Error;
use crate::key_files::Content;
use crate::masterkey_file::{MasterkeyFile, MasterkeyFileError, VERSION_IN_CONFIG};
use crate::storage::{BlockStorage, EntryKind};
use crate::vault::{Vault, VaultOptions};

mod backups;
mod create;
mod error;
mod passphrase;
mod rebuild;

pub use backups::{Backup, Superfluous, backups};
pub use create::{NewVault, create, expect_room};
pub use error::KeyFileError;
pub use rebuild::{Evidence, key_without_config, rebuild_config};

pub use crate::config::{ConfigError, KeySource};
pub use crate::key_files::KeyFile;
pub use crate::masterkey_file::{Passphrase, ScryptParams};
pub use crate::recovery_key::{InvalidRecoveryKey, RecoveryKey};
pub use crate::warning::Warning;

/// Why a vault cannot be unlocked. Each case asks something else of people, and its text says what.
#[derive(Debug, Error)]
pub enum UnlockError {
    /// The folder is not a vault, or a part that makes it one is missing.
    #[error("not a vault that can be opened: {0}")]
    NotAVault(NotAVault),
    /// It is a vault, of a kind this program does not open.
    #[error("this vault uses {what}, which oxcrypt does not open{}", migration_hint(.what))]
    UnsupportedFormat {
        /// What it uses: its format, cipher combo or shortening threshold.
        what: String,
    },
    /// Cryptomator Hub keeps the key.
    #[error(
        "this vault is managed by Cryptomator Hub at {host} and has no passphrase; open it with Cryptomator itself"
    )]
    HubVault {
        /// The server, as the unverified config claims.
        host: String,
    },
    /// The config names a key source that this program knows nothing of.
    #[error("the vault's key comes from an unknown source, \"{scheme}\"")]
    UnknownKeySource {
        /// The scheme of its address, as the unverified config claims.
        scheme: String,
    },
    /// `masterkey.cryptomator` holds no key: it is not what any client writes.
    #[error("masterkey.cryptomator is damaged: {0}; a backup of it may lie beside it")]
    DamagedMasterkeyFile(&'static str),
    /// Deriving the key would take more memory than is allowed.
    #[error(
        "masterkey.cryptomator asks for a key derivation that no client would choose (cost {}, block size {}, {} MiB \
         of memory); it is refused",
        .0.cost, .0.block_size, .0.memory() >> 20
    )]
    HostileScrypt(ScryptParams),
    /// No key unwraps.
    #[error("wrong passphrase, or masterkey.cryptomator is damaged")]
    WrongPassphrase,
    /// The config is damaged, was changed, or belongs to another vault.
    #[error("vault.cryptomator cannot be trusted: {0}")]
    ConfigNotSigned(ConfigError),
    /// The storage failed.
    #[error("the vault could not be read: {0}")]
    Storage(#[from] Error),
}

/// What is missing for a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAVault {
    /// Neither config nor masterkey file.
    #[error("there is neither vault.cryptomator nor masterkey.cryptomator in this folder")]
    Nothing,
    /// The masterkey file of a vault with a config, and no config.
    #[error("vault.cryptomator is missing; a backup of it may lie beside it")]
    NoConfig,
    /// The config of a vault that opens by passphrase, and no masterkey file.
    #[error("masterkey.cryptomator is missing; a backup of it may lie beside it")]
    NoMasterkeyFile,
    /// No folder of contents.
    #[error("the folder \"d\" with the vault's contents is missing, perhaps not synced yet")]
    NoContents,
    /// No content directory of the root.
    #[error("the content directory of the vault's root is missing, perhaps not synced yet")]
    NoRoot,
}

fn migration_hint(what: &str) -> &'static str {
    let old = ["format 3", "format 4", "format 5", "format 6", "format 7"];
    if old.iter().any(|old| what.ends_with(old)) {
        "; it must be migrated to format 8 with Cryptomator first"
    } else {
        ""
    }
}

/// What a vault says of itself before it is unlocked. Nobody has vouched for any of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The vault format.
    pub format: Option<u64>,
    /// The cipher combo, as the config spells it.
    pub cipher_combo: Option<String>,
    /// Encrypted names longer than this are shortened.
    pub shortening_threshold: Option<u64>,
    /// Where the key comes from.
    pub key_source: KeySource,
    /// Why no passphrase can open it as it is: its masterkey file is missing or damaged.
    pub key_problem: Option<String>,
    /// The cost of deriving the key, where the masterkey file tells.
    pub scrypt: Option<ScryptParams>,
    /// The names of key file backups in the vault's root folder.
    pub backups: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

/// A vault that was found, and needs its key.
pub struct Locked {
    storage: Arc<dyn BlockStorage>,
    config: UnverifiedConfig,
    /// Read only where the config says that there is one.
    masterkey_file: Option<Result<MasterkeyFile, UnlockError>>,
}

impl Locked {
    /// Looks at a folder: reads the config and the masterkey file, nothing else, and changes nothing.
    ///
    /// # Errors
    ///
    /// `NotAVault`, `UnsupportedFormat`, `ConfigNotSigned` where the config cannot even be read, `Storage`. Anything
    /// about the key waits for [`unlock`](Self::unlock), so that what the vault says of itself can be shown.
    pub fn read(storage: Arc<dyn BlockStorage>) -> Result<Self, UnlockError> {
        let config = match KeyFile::Config.read(&*storage)? {
            Content::Bytes(bytes) => UnverifiedConfig::parse(&bytes).map_err(UnlockError::ConfigNotSigned)?,
            Content::TooLong => {
                return Err(UnlockError::ConfigNotSigned(ConfigError::Malformed("it is too long")));
            }
            Content::Missing => return Err(without_config(&*storage)),
        };
        if let Some(format) = config.alleged_format().filter(|format| *format != config::FORMAT) {
            return Err(UnlockError::UnsupportedFormat { what: format!("format {format}") });
        }
        match storage.metadata(&CiphertextPath::root().push(DATA_DIR)) {
            Ok(metadata) if metadata.kind == EntryKind::Directory => {}
            Ok(_) => return Err(UnlockError::NotAVault(NotAVault::NoContents)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(UnlockError::NotAVault(NotAVault::NoContents));
            }
            Err(error) => return Err(Error::from(error).at(DATA_DIR).into()),
        }
        let masterkey_file = match config.key_source() {
            KeySource::MasterkeyFile => Some(read_masterkey_file(&*storage)),
            KeySource::Hub { .. } | KeySource::Unknown { .. } => None,
        };
        Ok(Self { storage, config, masterkey_file })
    }

    /// What the vault says of itself. Lists the vault's root folder for backups.
    ///
    /// # Errors
    ///
    /// `Storage`, if the vault's root folder cannot be listed.
    pub fn info(&self) -> Result<Info, UnlockError> {
        let (scrypt, key_problem) = match &self.masterkey_file {
            Some(Ok(file)) => (Some(file.scrypt), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let mut warnings = self.warnings();
        warnings.extend(scrypt.filter(|scrypt| scrypt.is_weak()).map(|_| Warning::WeakScrypt));
        Ok(Info {
            format: self.config.alleged_format(),
            cipher_combo: self.config.alleged_combo(),
            shortening_threshold: self.config.alleged_threshold(),
            key_source: self.config.key_source(),
            key_problem,
            scrypt,
            backups: self.backups()?,
            warnings,
        })
    }

    fn warnings(&self) -> Vec<Warning> {
        let foreign = self.config.names_another_masterkey_file();
        foreign.then_some(Warning::ForeignMasterkeyFile).into_iter().collect()
    }

    fn backups(&self) -> Result<Vec<String>, Error> {
        let listed = self.storage.list(&CiphertextPath::root())?;
        let mut backups: Vec<String> = listed
            .into_iter()
            .filter(|listed| listed.kind == EntryKind::File)
            .filter_map(|listed| listed.name.into_string().ok())
            .filter(|name| KeyFile::of_backup(name).is_some())
            .collect();
        backups.sort();
        Ok(backups)
    }

    /// Whether a passphrase can open it at all, so that nobody is asked for one in vain.
    ///
    /// # Errors
    ///
    /// `HubVault`, `UnknownKeySource`, `DamagedMasterkeyFile`, `NotAVault` without a masterkey file, `Storage`.
    pub fn expect_passphrase(self) -> Result<Self, UnlockError> {
        self.expect_masterkey_file()?;
        match self.masterkey_file {
            Some(Err(error)) => Err(error),
            masterkey_file => Ok(Self { masterkey_file, ..self }),
        }
    }

    /// Unlocks the vault. Takes the time and memory that the masterkey file asks for, up to
    /// [`VaultOptions::max_scrypt_memory`], twice where the passphrase is not in Unicode normal form.
    ///
    /// # Errors
    ///
    /// [`UnlockError`]. The vault is as it was, also if it succeeds.
    pub fn unlock(self, passphrase: &Passphrase, options: &VaultOptions) -> Result<Vault, UnlockError> {
        let locked = self.expect_passphrase()?;
        let (key, warnings) = locked.unwrap_key(passphrase, options)?;
        locked.open(key, warnings, options)
    }

    fn unwrap_key(
        &self,
        passphrase: &Passphrase,
        options: &VaultOptions,
    ) -> Result<(MasterKey, Vec<Warning>), UnlockError> {
        let Some(Ok(file)) = &self.masterkey_file else {
            return Err(UnlockError::NotAVault(NotAVault::NoMasterkeyFile));
        };
        let key = file.unlock(passphrase, options.max_scrypt_memory)?;
        let mut warnings = self.warnings();
        warnings.extend((!file.version_is_authentic(&key)).then_some(Warning::VersionNotAuthentic));
        warnings.extend(file.scrypt.is_weak().then_some(Warning::WeakScrypt));
        Ok((key, warnings))
    }

    /// Opens the vault with its masterkey itself.
    ///
    /// # Errors
    ///
    /// `ConfigNotSigned` if it is the key of another vault, `UnsupportedFormat`, `NotAVault`, `Storage`.
    pub fn unlock_with_key(self, key: MasterKey, options: &VaultOptions) -> Result<Vault, UnlockError> {
        let warnings = self.warnings();
        self.open(key, warnings, options)
    }

    fn open(
        self,
        key: MasterKey,
        warnings: Vec<Warning>,
        options: &VaultOptions,
    ) -> Result<Vault, UnlockError> {
        self.config.verify(&key).map_err(UnlockError::ConfigNotSigned)?;
        let config = self.config.verified().map_err(|what| UnlockError::UnsupportedFormat { what })?;
        let vault = Vault::new(self.storage, key, &config, warnings, options);
        if vault.has_root()? { Ok(vault) } else { Err(UnlockError::NotAVault(NotAVault::NoRoot)) }
    }
}

impl std::fmt::Debug for Locked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Locked({:?})", self.storage)
    }
}

impl From<MasterkeyFileError> for UnlockError {
    fn from(error: MasterkeyFileError) -> Self {
        match error {
            MasterkeyFileError::Malformed(why) => Self::DamagedMasterkeyFile(why),
            MasterkeyFileError::Hostile(params) => Self::HostileScrypt(params),
            MasterkeyFileError::WrongPassphrase => Self::WrongPassphrase,
        }
    }
}

fn read_masterkey_file(storage: &dyn BlockStorage) -> Result<MasterkeyFile, UnlockError> {
    match KeyFile::Masterkey.read(storage)? {
        Content::Bytes(bytes) => Ok(MasterkeyFile::parse(&bytes)?),
        Content::TooLong => Err(UnlockError::DamagedMasterkeyFile("it is too long")),
        Content::Missing => Err(UnlockError::NotAVault(NotAVault::NoMasterkeyFile)),
    }
}

/// What a folder without a config is: a vault of an old format says so in its masterkey file.
fn without_config(storage: &dyn BlockStorage) -> UnlockError {
    match read_masterkey_file(storage) {
        Ok(file) if file.version == VERSION_IN_CONFIG => UnlockError::NotAVault(NotAVault::NoConfig),
        Ok(file) => UnlockError::UnsupportedFormat { what: format!("format {}", file.version) },
        Err(UnlockError::NotAVault(NotAVault::NoMasterkeyFile)) => UnlockError::NotAVault(NotAVault::Nothing),
        Err(other) => other,
    }
}
