//! Why the keys of a vault cannot be made or changed.

use thiserror::Error;

use super::UnlockError;
use crate::config::MIN_THRESHOLD;
use crate::error::Error;
use crate::key_files::{KeyFile, Written};
use crate::masterkey_file::ScryptParams;

/// Why the key files of a vault were not made or changed. Each case asks something else of people, and its text says
/// what. Nothing was changed, but for [`Unconfirmed`](Self::Unconfirmed).
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It is no vault, or not opened by this.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// Nothing protects a vault with an empty passphrase.
    #[error("the new passphrase is empty")]
    EmptyPassphrase,
    /// Other clients could never type it.
    #[error("the new passphrase is not UTF-8")]
    PassphraseNotText,
    /// No client would make or open such a vault.
    #[error("the shortening threshold must be {MIN_THRESHOLD} to {most}, not {threshold}")]
    ShorteningThreshold {
        /// What was asked for.
        threshold: usize,
        /// The highest that is possible here.
        most: usize,
    },
    /// No client would open such a vault.
    #[error(
        "a scrypt cost of {} is none that a vault could be opened with (a power of two, 2 to 1048576, and at most 1 GiB \
         of memory)",
        .0.cost
    )]
    ScryptCost(ScryptParams),
    /// There is a vault in the folder.
    #[error("there is a vault in this folder already")]
    IsAVault,
    /// There is something in the folder that is no part of a new vault.
    #[error("the folder is not empty: there is \"{0}\" in it")]
    NotEmpty(String),
    /// There is a masterkey file without a config, and the passphrase is another one.
    #[error(
        "there is a masterkey.cryptomator in this folder that this passphrase does not open; if the vault was never \
         finished, remove that file and begin again; if vault.cryptomator was lost, rebuild it"
    )]
    HalfAVault,
    /// Something that is no copy of the key file has the name of its copy.
    #[error("{0} has the name of a backup and is none; nothing is changed before it is moved away")]
    BackupNameTaken(String),
    /// The config is there, and the key has signed it.
    #[error("vault.cryptomator is sound; there is nothing to rebuild")]
    NothingToRebuild,
    /// The key is another vault's.
    #[error(
        "the key is not that of this vault, or the content directory of the vault's root is missing, perhaps not synced yet"
    )]
    AnotherVaultsKey,
    /// The change is made, and might be lost if the machine stopped now.
    #[error("{file} was changed, but the storage did not confirm that this will last ({reason})")]
    Unconfirmed {
        /// What was changed.
        file: KeyFile,
        /// What the storage said.
        reason: std::io::ErrorKind,
    },
    /// The storage failed.
    #[error("the vault's folder could not be worked in: {0}")]
    Storage(#[from] Error),
}

/// Ends a change of a key file.
pub(super) fn confirmed(file: KeyFile, written: Written) -> Result<(), KeyFileError> {
    match written {
        Written::Durable => Ok(()),
        Written::Unconfirmed(reason) => Err(KeyFileError::Unconfirmed { file, reason }),
    }
}
