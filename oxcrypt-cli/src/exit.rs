//! From errors to messages and exit codes: the only place where a code is chosen.

use std::fmt;
use std::io;
use std::process::ExitCode;

use oxcrypt_core::unlock::{KeyFileError, NotAVault, UnlockError};
use oxcrypt_core::{ErrorKind, VaultPath};
use oxcrypt_io::volume::{Cause, Error};

use crate::printable::printable;

/// How the program ends. The numbers are part of its interface and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// All well.
    Done = 0,
    /// Done, but some entries could not be. Each has been named.
    Partial = 1,
    /// The command line makes no sense, or there is no passphrase to be had.
    Usage = 2,
    /// Wrong passphrase, or a recovery key or raw key that is none or another vault's.
    WrongPassphrase = 3,
    /// Not a vault, or not one that can be opened.
    NotOpened = 4,
    /// The storage or the destination failed.
    Failed = 5,
    /// Another process writes to the vault.
    OtherWriter = 6,
    /// What was asked for would do harm, or nobody said yes. Nothing was changed.
    Refused = 7,
    /// What was written to a mount could not be stored. Each file has been named.
    Unsaved = 8,
    /// Ctrl-C, or a signal that asks to end.
    Interrupted = 130,
}

#[cfg(target_os = "linux")]
impl Code {
    /// Reads a code as another process of this program told it.
    pub(crate) fn read(text: &str) -> Self {
        let codes = [Self::Done, Self::Partial, Self::Usage, Self::WrongPassphrase, Self::NotOpened];
        let told = text.trim().parse();
        let known =
            codes.into_iter().chain([Self::OtherWriter, Self::Refused, Self::Unsaved, Self::Interrupted]);
        known.into_iter().find(|code| told == Ok(*code as i32)).unwrap_or(Self::Failed)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    text: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    fn new(code: Code, text: impl fmt::Display) -> Self {
        Self { code, text: Some(text.to_string()) }
    }

    /// All that there was to say has been said.
    pub(crate) fn said(code: Code) -> Self {
        Self { code, text: None }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Code::Usage, text)
    }

    /// Something in the vault is not there, or is not what it has to be.
    pub(crate) fn not_there(text: impl fmt::Display) -> Self {
        Self::new(Code::Partial, text)
    }

    /// The folder is not a vault.
    pub(crate) fn not_opened(text: impl fmt::Display) -> Self {
        Self::new(Code::NotOpened, text)
    }

    /// The storage or the destination failed.
    pub(crate) fn failed(text: impl fmt::Display) -> Self {
        Self::new(Code::Failed, text)
    }

    /// Somebody else writes to the vault.
    pub(crate) fn other_writer(who: impl fmt::Display) -> Self {
        Self::new(
            Code::OtherWriter,
            format_args!("{who} writes to this vault already; only one may at a time"),
        )
    }

    /// Nothing was changed, because it would do harm or nobody said yes.
    pub(crate) fn refused(text: impl fmt::Display) -> Self {
        Self::new(Code::Refused, text)
    }

    /// Storage has not taken what was written to a mount.
    #[cfg(target_os = "linux")]
    pub(crate) fn unsaved(text: impl fmt::Display) -> Self {
        Self::new(Code::Unsaved, text)
    }

    /// The key that was given is none, or another vault's.
    pub(crate) fn wrong_key(text: impl fmt::Display) -> Self {
        Self::new(Code::WrongPassphrase, text)
    }

    /// Somebody uses what was to end.
    #[cfg(target_os = "linux")]
    pub(crate) fn busy(text: impl fmt::Display) -> Self {
        Self::new(Code::Partial, text)
    }

    /// This system has no backend for mounts.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn no_backend() -> Self {
        Self::failed("oxcrypt cannot mount on this system yet: so far it has a backend for Linux alone")
    }

    /// The one entry that a command was about could not be read.
    pub(crate) fn entry(path: &VaultPath, error: &Error) -> Self {
        Self::new(code_of(error), format_args!("{}: {error}", printable(&path.to_string())))
    }

    /// Nothing was found, and a part of the vault could not be searched.
    pub(crate) fn search(error: &oxcrypt_core::Error) -> Self {
        let code = code_of_kind(error.kind());
        Self::new(code, format_args!("not found, but not everything could be searched: {error}"))
    }

    /// Writing to standard output failed. Whoever closed a pipe has seen enough, and that is no failure.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::said(Code::Done),
            _ => Self::failed(format_args!("cannot write to standard output: {error}")),
        }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// What is still to be said.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl From<UnlockError> for Failure {
    fn from(error: UnlockError) -> Self {
        Self::new(code_of_unlocking(&error), format_args!("{error}{}", way_out(&error)))
    }
}

/// What helps where a key file is lost.
fn way_out(error: &UnlockError) -> &'static str {
    match error {
        UnlockError::NotAVault(NotAVault::NoConfig) => "; else `oxcrypt config rebuild` makes a new one",
        UnlockError::NotAVault(NotAVault::NoMasterkeyFile) | UnlockError::DamagedMasterkeyFile(_) => {
            "; else `oxcrypt recovery-key reset-passphrase` makes a new one"
        }
        _ => "",
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let code = match error {
            KeyFileError::Unlock(error) => return error.into(),
            KeyFileError::EmptyPassphrase
            | KeyFileError::PassphraseNotText
            | KeyFileError::ShorteningThreshold { .. }
            | KeyFileError::ScryptCost(_) => Code::Usage,
            KeyFileError::AnotherVaultsKey => Code::WrongPassphrase,
            KeyFileError::IsAVault
            | KeyFileError::NotEmpty(_)
            | KeyFileError::HalfAVault
            | KeyFileError::BackupNameTaken(_)
            | KeyFileError::NothingToRebuild => Code::Refused,
            KeyFileError::Unconfirmed { .. } | KeyFileError::Storage(_) => Code::Failed,
        };
        Self::new(code, error)
    }
}

fn code_of_unlocking(error: &UnlockError) -> Code {
    match error {
        UnlockError::WrongPassphrase => Code::WrongPassphrase,
        UnlockError::NotAVault(_)
        | UnlockError::UnsupportedFormat { .. }
        | UnlockError::HubVault { .. }
        | UnlockError::UnknownKeySource { .. }
        | UnlockError::DamagedMasterkeyFile(_)
        | UnlockError::HostileScrypt(_)
        | UnlockError::ConfigNotSigned(_) => Code::NotOpened,
        UnlockError::Storage(_) => Code::Failed,
    }
}

/// The code for a command about one entry that could not be read.
pub(crate) fn code_of(error: &Error) -> Code {
    match error.cause() {
        Cause::Vault(error) => code_of_kind(error.kind()),
        Cause::TimedOut | Cause::Busy | Cause::Broken => Code::Failed,
        Cause::Interrupted | Cause::Stopped => Code::Interrupted,
    }
}

fn code_of_kind(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::NotASymlink
        | ErrorKind::NotEmpty
        | ErrorKind::InvalidName
        | ErrorKind::NameTooLong
        | ErrorKind::TooLarge
        | ErrorKind::SymlinkLoop
        | ErrorKind::InvalidArgument
        | ErrorKind::Damaged
        | ErrorKind::Incomplete => Code::Partial,
        ErrorKind::NoSpace
        | ErrorKind::QuotaExceeded
        | ErrorKind::TooManyFiles
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnly
        | ErrorKind::TimedOut
        | ErrorKind::Unsupported
        | ErrorKind::Storage => Code::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let closed = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((closed.code(), closed.text()), (Code::Done, None));
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).code(), Code::Failed);
    }

    #[test]
    fn the_numbers_are_those_in_the_readme() {
        let codes = [
            Code::Done,
            Code::Partial,
            Code::Usage,
            Code::WrongPassphrase,
            Code::NotOpened,
            Code::Failed,
            Code::OtherWriter,
            Code::Refused,
            Code::Unsaved,
            Code::Interrupted,
        ];
        assert_eq!(codes.map(|code| code as u8), [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}
