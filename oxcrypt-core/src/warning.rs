//! What is odd about a vault and no reason not to open it.

use thiserror::Error;

/// Something odd about a vault that is no reason not to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Warning {
    /// The config names a masterkey file elsewhere, which is never followed.
    #[error("vault.cryptomator names another masterkey file than the vault's own; it was ignored")]
    ForeignMasterkeyFile,
    /// The version in the masterkey file is not the one that was written with this key.
    #[error("the version in masterkey.cryptomator was changed")]
    VersionNotAuthentic,
    /// The passphrase is guessed too fast.
    #[error("the passphrase is protected less than any official client would (scrypt cost too low)")]
    WeakScrypt,
}
