//! Why an entry was not brought into the vault.

use std::fmt;
use std::io;

use oxcrypt_core::ErrorKind;
use oxcrypt_core::chunk::Torn;
use oxcrypt_io::volume::Error;

/// Why an entry was not brought into the vault.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It could not be read on the host.
    Host(io::Error),
    /// What the vault says, as to reading or as to writing.
    Vault(Error),
    /// It is a file of the vault that is cut off.
    CutOff(Torn),
    /// It cannot be, and why.
    Refused(&'static str),
    /// There is no point in going on.
    Asked,
}

impl Stopped {
    /// Whether nothing else can be brought into the vault either.
    pub(crate) fn is_fatal(&self) -> bool {
        let Self::Vault(error) = self else { return false };
        matches!(error.kind(), Some(ErrorKind::NoSpace | ErrorKind::QuotaExceeded | ErrorKind::ReadOnly))
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Vault(error)
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => write!(f, "cannot be read: {error}"),
            Self::Vault(error) => error.fmt(f),
            Self::CutOff(torn) => torn.fmt(f),
            Self::Refused(why) => f.write_str(why),
            Self::Asked => f.write_str("interrupted"),
        }
    }
}
