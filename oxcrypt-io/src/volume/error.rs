//! What a volume says when it has no better answer.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use oxcrypt_core::{CiphertextPath, ErrorKind, Node};

use crate::sched::plan::Verdict;

/// The result of a volume's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request that failed. Everybody who waited for the same operation has the same one.
///
/// Its text names ciphertext paths and chunk numbers, never cleartext names, so it may be logged.
#[derive(Clone, Debug)]
pub struct Error {
    cause: Cause,
    place: Option<CiphertextPath>,
}

/// Why a request failed.
///
/// Exhaustive on purpose, as [`ErrorKind`] is: a front end maps each case to what its system calls it.
#[derive(Clone, Debug)]
pub enum Cause {
    /// Vault or storage say so.
    Vault(Arc<oxcrypt_core::Error>),
    /// There was no answer in time. If the operation had begun it goes on, and a later request may find its result.
    TimedOut,
    /// Too many requests wait already. Nothing was begun.
    Busy,
    /// Its caller took it back.
    Interrupted,
    /// The volume takes no more requests.
    Stopped,
    /// The operation broke off by a mistake of this program.
    Broken,
}

impl Error {
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, place: None }
    }

    /// Says which entry it is about.
    pub(super) fn at(mut self, node: &Node) -> Self {
        self.place = Some(node.ciphertext_path());
        self
    }

    /// What became of a request that has no values.
    pub(super) fn of(verdict: Verdict) -> Self {
        Self::new(match verdict {
            Verdict::TimedOut | Verdict::Stale => Cause::TimedOut,
            Verdict::Shed => Cause::Busy,
            Verdict::Cancelled(_) => Cause::Interrupted,
            Verdict::Drained => Cause::Stopped,
            Verdict::Panicked | Verdict::Done | Verdict::Failed => Cause::Broken,
        })
    }

    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What vault or storage say, if it was they.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match &self.cause {
            Cause::Vault(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether there was no answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::TimedOut)
    }
}

impl From<oxcrypt_core::Error> for Error {
    fn from(error: oxcrypt_core::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<oxcrypt_core::Error>> for Error {
    fn from(error: Arc<oxcrypt_core::Error>) -> Self {
        let kind = error.kind();
        Self::new(if kind == ErrorKind::TimedOut { Cause::TimedOut } else { Cause::Vault(error) })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.cause {
            Cause::Vault(error) => return error.fmt(f),
            Cause::TimedOut => "the storage did not answer in time",
            Cause::Busy => "too many requests wait for the storage",
            Cause::Interrupted => "interrupted",
            Cause::Stopped => "the volume is being closed",
            Cause::Broken => "the operation broke off: this is a mistake in oxcrypt",
        };
        match &self.place {
            Some(place) => write!(f, "{text} ({place})"),
            None => f.write_str(text),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Vault(error) => error.source(),
            _ => None,
        }
    }
}
