//! What opens a vault: its passphrase, or its key itself.

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::unlock::{Passphrase, RecoveryKey};
use zeroize::Zeroizing;

use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::passphrase::{PassphraseArgs, ask, standard_input};

const HEADING: &str = "Key (in place of the passphrase)";

/// More than any recovery key is long, however it is laid out.
const MAX_LEN: usize = 16 << 10;

/// What opens the vault; by default its passphrase.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Take the vault's recovery key, 44 words, from a file; "-" is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "PassphraseArgs", help_heading = HEADING)]
    recovery_key_file: Option<PathBuf>,
    /// Take the vault's key itself from a file: 64 bytes, or 128 hexadecimal digits; "-" is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["PassphraseArgs", "recovery_key_file"], help_heading = HEADING)]
    raw_key_file: Option<PathBuf>,
}

/// Where a recovery key comes from that a command is about.
#[derive(Args, Debug)]
pub(crate) struct RecoveryKeyArgs {
    /// Take the recovery key from a file; "-" is standard input [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    recovery_key_file: Option<PathBuf>,
}

/// What opens a vault. Has no `Debug`, and is wiped when dropped.
pub(crate) enum Secret {
    /// As it was typed.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The vault's key itself.
    Key(MasterKey),
}

impl KeyArgs {
    /// Whether somebody is there to ask again.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.is_passphrase() && self.passphrase.is_asked_for()
    }

    /// Whether it is a passphrase, so that the vault must have a masterkey file.
    pub(crate) fn is_passphrase(&self) -> bool {
        self.recovery_key_file.is_none() && self.raw_key_file.is_none()
    }

    /// Whether standard input is read to its end for it.
    pub(crate) fn takes_stdin(&self) -> bool {
        is_stdin(self.recovery_key_file.as_deref()) || is_stdin(self.raw_key_file.as_deref())
    }

    /// Whether any of it comes from standard input.
    pub(crate) fn is_standard_input(&self) -> bool {
        self.takes_stdin() || self.passphrase.is_standard_input()
    }

    /// The environment variable that has it, if one has: processes that have no use for that are to be without.
    #[cfg(target_os = "linux")]
    pub(crate) fn variable(&self) -> Option<&OsStr> {
        self.passphrase.variable()
    }

    /// Gets it, from wherever it is to come.
    pub(crate) fn get(&self, interrupt: &Interrupt) -> Result<Secret> {
        match (&self.raw_key_file, &self.recovery_key_file) {
            (Some(path), _) => raw_key(path).map(Secret::Key),
            (None, Some(path)) => recovery_key(Some(path), interrupt).map(Secret::Key),
            (None, None) => self.passphrase.bytes(interrupt).map(Secret::Passphrase),
        }
    }
}

impl RecoveryKeyArgs {
    /// Whether standard input is read to its end for it.
    pub(crate) fn takes_stdin(&self) -> bool {
        is_stdin(self.recovery_key_file.as_deref())
    }

    /// Gets the recovery key; by default it is asked for on the terminal.
    pub(crate) fn get(&self, interrupt: &Interrupt) -> Result<MasterKey> {
        recovery_key(self.recovery_key_file.as_deref(), interrupt)
    }
}

impl Secret {
    /// What it is and its bytes, for another process of this program.
    #[cfg(target_os = "linux")]
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Passphrase(bytes) => (b'p', bytes),
            Self::Key(key) => (b'k', key.raw()),
        }
    }

    /// Reads what [`parts`](Self::parts) gave.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_parts(what: u8, bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        match what {
            b'p' => Some(Self::Passphrase(bytes)),
            b'k' => Some(Self::Key(MasterKey::from_raw(bytes.as_slice().try_into().ok()?))),
            _ => None,
        }
    }

    /// The passphrase, if it is one.
    pub(crate) fn passphrase(self) -> Result<Passphrase, MasterKey> {
        match self {
            Self::Passphrase(bytes) => Ok(Passphrase::from_bytes(bytes)),
            Self::Key(key) => Err(key),
        }
    }
}

fn is_stdin(path: Option<&Path>) -> bool {
    path == Some(Path::new("-"))
}

fn recovery_key(path: Option<&Path>, interrupt: &Interrupt) -> Result<MasterKey> {
    let typed = match path {
        Some(path) => from_file(path)?,
        None => ask("Recovery key: ", "--recovery-key-file", interrupt)?,
    };
    let words = std::str::from_utf8(&typed).map_err(|_| Failure::wrong_key("the recovery key is no text"))?;
    RecoveryKey::read(words).map_err(Failure::wrong_key)
}

fn raw_key(path: &Path) -> Result<MasterKey> {
    let content = from_file(path)?;
    let none = || {
        Failure::wrong_key(format_args!(
            "{} holds no raw key: 64 bytes, or 128 hexadecimal digits",
            path.display()
        ))
    };
    if let Ok(raw) = content.as_slice().try_into() {
        return Ok(MasterKey::from_raw(raw));
    }
    let mut raw = Zeroizing::new([0; MasterKey::LEN]);
    let digits = content.trim_ascii();
    if digits.len() != 2 * MasterKey::LEN {
        return Err(none());
    }
    HEXLOWER_PERMISSIVE.decode_mut(digits, &mut *raw).map_err(|_| none())?;
    Ok(MasterKey::from_raw(&raw))
}

fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    if is_stdin(Some(path)) {
        return whole(standard_input()?, "standard input");
    }
    let name = path.display().to_string();
    let file = File::open(path)
        .map_err(|error| Failure::usage(format_args!("cannot read the key from {name}: {error}")))?;
    whole(file, &name)
}

/// Reads a small file to its end.
fn whole(mut from: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    // Never grows, so no copy is left behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_LEN + 1]);
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => {
                bytes.truncate(len);
                return Ok(bytes);
            }
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::usage(format_args!("cannot read the key from {name}: {error}")));
            }
        }
    }
    Err(Failure::usage(format_args!("{name} is too long to hold a key")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Code;

    #[test]
    fn a_raw_key_is_bytes_or_digits() {
        let dir = tempfile::tempdir().unwrap();
        let read = |content: &[u8]| {
            let path = dir.path().join("key");
            std::fs::write(&path, content).unwrap();
            raw_key(&path).map(|key| *key.raw()).map_err(|failure| failure.code())
        };
        assert_eq!(read(&[0xab; 64]), Ok([0xab; 64]));
        assert_eq!(read("aB".repeat(64).as_bytes()), Ok([0xab; 64]));
        assert_eq!(read(format!(" {}\r\n", "ab".repeat(64)).as_bytes()), Ok([0xab; 64]));
        // Bytes that happen to be white space are bytes.
        assert_eq!(read(&[b' '; 64]), Ok([b' '; 64]));
        for none in [&b""[..], &[1; 63], &[1; 65], "xy".repeat(64).as_bytes(), &[b'a'; 127]] {
            assert_eq!(read(none), Err(Code::WrongPassphrase), "{}", none.len());
        }
        assert_eq!(read(&vec![b'a'; MAX_LEN + 1]), Err(Code::Usage));
    }
}
