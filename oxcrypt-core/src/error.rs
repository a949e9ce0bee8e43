//! The one error of this crate: what a caller can do about it, and what happened.
//!
//! Unlocking has its own, [`UnlockError`](crate::unlock::UnlockError), because its cases ask other things of people.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
///
/// Exhaustive on purpose: a front end that maps kinds to `errno` or exit codes stops building when one is added,
/// instead of answering something vague.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The entry definitely does not exist. Never used for "could not be read".
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A directory was needed.
    NotADirectory,
    /// Anything but a directory was needed.
    IsADirectory,
    /// Only symbolic links have a target.
    NotASymlink,
    /// The directory holds entries, or files that are not ours to delete.
    NotEmpty,
    /// No entry can have this name.
    InvalidName,
    /// No entry of this vault can have a name this long.
    NameTooLong,
    /// No file can be this long.
    TooLarge,
    /// Symbolic links lead round in a circle, or too far.
    SymlinkLoop,
    /// The request makes no sense.
    InvalidArgument,
    /// Ciphertext does not authenticate, or the vault's structure is broken here. Other entries are not affected.
    Damaged,
    /// Something that should be there is not, as where a sync client has not finished. Later it may be.
    Incomplete,
    /// The storage is full.
    NoSpace,
    /// The owner's quota of the storage is used up.
    QuotaExceeded,
    /// The storage refuses.
    PermissionDenied,
    /// The storage, or the vault as it was opened, cannot be written to.
    ReadOnly,
    /// The storage gave no answer in time.
    TimedOut,
    /// As many files are open as this process, or the system, may have.
    TooManyFiles,
    /// The storage cannot do this.
    Unsupported,
    /// The storage failed otherwise.
    Storage,
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "no such entry",
            Self::AlreadyExists => "the name is taken",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "is a directory",
            Self::NotASymlink => "not a symbolic link",
            Self::NotEmpty => "directory not empty",
            Self::InvalidName => "not a possible name",
            Self::NameTooLong => "name too long",
            Self::TooLarge => "file too large",
            Self::SymlinkLoop => "too many symbolic links",
            Self::InvalidArgument => "invalid argument",
            Self::Damaged => "damaged",
            Self::Incomplete => "not complete, perhaps not synced yet",
            Self::NoSpace => "no space left on the storage",
            Self::QuotaExceeded => "quota of the storage exceeded",
            Self::PermissionDenied => "permission denied by the storage",
            Self::ReadOnly => "read-only",
            Self::TimedOut => "the storage did not answer in time",
            Self::TooManyFiles => "too many open files",
            Self::Unsupported => "not supported by the storage",
            Self::Storage => "the storage failed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// An operation on a vault that failed.
///
/// Its text names ciphertext paths and chunk numbers, never cleartext names, so it may be logged.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    detail: Option<String>,
    place: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with nothing more to say.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, detail: None, place: None, source: None }))
    }

    /// Damage, and what is wrong. `detail` must hold no secrets and no cleartext names.
    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged).because(detail)
    }

    /// What storage said of a place where a vault has a file or a folder of its own. That something else lies there is
    /// damage, whatever the host calls it.
    pub(crate) fn of_structure(error: io::Error) -> Self {
        let found = match error.kind() {
            io::ErrorKind::IsADirectory => "a folder where the vault has a file",
            io::ErrorKind::NotADirectory => "no folder where the vault has one",
            io::ErrorKind::InvalidInput => "neither a file nor a folder on the storage",
            _ => return error.into(),
        };
        Self::damaged(found).caused_by(error)
    }

    /// Says what is wrong, without secrets and cleartext names.
    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says which ciphertext it is about, unless that is known already.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place.get_or_insert_with(|| place.to_string());
        self
    }

    /// Keeps what happened below.
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The ciphertext path it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.detail {
            Some(detail) => f.write_str(detail)?,
            None => write!(f, "{}", self.0.kind)?,
        }
        match &self.0.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<io::Error> for Error {
    /// What storage said. Only a definite "not found" becomes [`ErrorKind::NotFound`].
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::NotADirectory => ErrorKind::NotADirectory,
            Io::IsADirectory => ErrorKind::IsADirectory,
            Io::DirectoryNotEmpty => ErrorKind::NotEmpty,
            Io::InvalidFilename => ErrorKind::NameTooLong,
            Io::InvalidInput => ErrorKind::InvalidArgument,
            Io::StorageFull => ErrorKind::NoSpace,
            Io::QuotaExceeded => ErrorKind::QuotaExceeded,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            Io::TimedOut => ErrorKind::TimedOut,
            Io::Unsupported => ErrorKind::Unsupported,
            Io::FileTooLarge => ErrorKind::TooLarge,
            // A server has put another file in the place of the open one. To open it again may help.
            Io::StaleNetworkFileHandle => ErrorKind::Incomplete,
            _ if is_link(&error) => ErrorKind::Damaged,
            _ if is_want_of_handles(&error) => ErrorKind::TooManyFiles,
            _ => ErrorKind::Storage,
        };
        let detail = format!("{}: {error}", kind.text());
        Self::new(kind).because(detail).caused_by(error)
    }
}

/// Whether a symbolic link of the host is in the way, which no store follows and no vault has. The kind that the
/// standard library gives to this error cannot be named yet.
fn is_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// Whether no file can be opened because too many are. The standard library has no kind for that.
fn is_want_of_handles(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        let wants = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
        error.raw_os_error().is_some_and(|errno| wants.contains(&errno))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_and_where_and_keeps_the_first_place() {
        let error = Error::damaged("chunk 3 does not authenticate").at("d/AB/x.c9r").at("elsewhere");
        assert_eq!(error.to_string(), "chunk 3 does not authenticate (d/AB/x.c9r)");
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }

    #[test]
    fn only_a_definite_not_found_is_not_found() {
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::NotFound)).kind(), ErrorKind::NotFound);
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::PermissionDenied, io::ErrorKind::Other] {
            assert_ne!(Error::from(io::Error::from(kind)).kind(), ErrorKind::NotFound);
        }
    }

    #[test]
    fn what_a_server_and_a_small_file_system_say_has_a_kind_that_helps() {
        for (io, kind) in [
            (io::ErrorKind::StaleNetworkFileHandle, ErrorKind::Incomplete),
            (io::ErrorKind::FileTooLarge, ErrorKind::TooLarge),
        ] {
            assert_eq!(Error::from(io::Error::from(io)).kind(), kind);
        }
    }

    #[test]
    fn what_no_vault_has_in_a_place_is_damage() {
        use io::ErrorKind as Io;
        for kind in [Io::IsADirectory, Io::NotADirectory, Io::InvalidInput] {
            assert_eq!(Error::of_structure(kind.into()).kind(), ErrorKind::Damaged);
        }
        for kind in [Io::NotFound, Io::TimedOut, Io::PermissionDenied] {
            assert_ne!(Error::of_structure(kind.into()).kind(), ErrorKind::Damaged);
        }
    }
}
