//! From the command line's arguments to an open vault.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{ConfigError, Locked, UnlockError};
use oxcrypt_core::{Follow, Node, Vault, VaultOptions, VaultPath};

use crate::args::VaultArgs;
use crate::exit::{Failure, Result};
use crate::key_source::{KeyArgs, Secret};
use crate::patience::{self, NoAnswer};
use crate::session::Session;
use crate::source::Source;
use crate::writer_lock::WriterLock;

/// How often somebody at a terminal may mistype.
pub(crate) const TRIES: usize = 3;

/// What deriving the key may take, besides the answers of storage.
const DERIVING: Duration = Duration::from_mins(1);

/// How long one waits for storage where nobody has said.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Who is to read a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A command that somebody waits for.
    Command,
    /// A process that stays.
    Daemon,
}

/// Finds the vault in a folder, without unlocking it.
pub(crate) fn find(folder: &Path, reader: Reader, patience: Duration) -> Result<Locked> {
    let name = folder.to_owned();
    within(patience, move || find_there(&name, reader))
}

/// Finds the vault in a folder that `key` is to open, before anybody types anything.
pub(crate) fn find_for(key: &KeyArgs, folder: &Path, reader: Reader, patience: Duration) -> Result<Locked> {
    let locked = find(folder, reader, patience)?;
    Ok(if key.is_passphrase() { locked.expect_passphrase()? } else { locked })
}

/// The folder of a vault, which need not be one yet, or any more.
pub(crate) fn folder(folder: &Path) -> Result<LocalStorage> {
    let name = folder.display();
    LocalStorage::open(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::not_opened(format_args!("{name}: there is no such folder")),
        io::ErrorKind::NotADirectory => Failure::not_opened(format_args!(
            "{name} is no folder; a vault is the folder that holds vault.cryptomator"
        )),
        _ => Failure::failed(format_args!("{name} cannot be read: {error}")),
    })
}

fn find_there(folder: &Path, reader: Reader) -> Result<Locked> {
    let storage = self::folder(folder)?;
    let storage = if reader == Reader::Daemon { storage.read_directly() } else { storage };
    Ok(Locked::read(Arc::new(storage))?)
}

/// Unlocks a vault that was found. The outer error says that there was no answer in time.
pub(crate) fn unlock_found(
    locked: Locked,
    secret: Secret,
    options: &VaultOptions,
    patience: Duration,
) -> Result<Result<Vault, UnlockError>> {
    let options = options.clone();
    within(patience + DERIVING, move || match secret.passphrase() {
        Ok(passphrase) => Ok(locked.unlock(&passphrase, &options)),
        Err(key) => match locked.unlock_with_key(key, &options) {
            Err(UnlockError::ConfigNotSigned(ConfigError::Signature)) => Err(not_its_key()),
            unlocked => Ok(unlocked),
        },
    })
}

/// The key of a vault that was found, asking again at a terminal where the passphrase is wrong.
pub(crate) fn key(mut locked: Locked, args: &VaultArgs, session: &Session) -> Result<(Locked, MasterKey)> {
    let mut tries = if args.key.is_asked_for() { TRIES } else { 1 };
    loop {
        let (secret, options) = (args.key.get(&session.interrupt)?, args.options());
        tries -= 1;
        let (found, key) = within(args.patience() + DERIVING, move || {
            let key = match secret.passphrase() {
                Ok(passphrase) => locked.key(&passphrase, &options),
                Err(key) => match locked.expect_key(&key) {
                    Err(UnlockError::ConfigNotSigned(ConfigError::Signature)) => return Err(not_its_key()),
                    expected => expected.map(|()| key),
                },
            };
            Ok((locked, key))
        })?;
        match key {
            Ok(key) => return Ok((found, key)),
            Err(error @ UnlockError::WrongPassphrase) if tries > 0 => session.console.error(error),
            Err(error) => return Err(error.into()),
        }
        locked = found;
    }
}

/// Becomes the one writer of the vault in a folder, before anybody types anything.
pub(crate) fn become_writer(folder: &Path, what: &str, patience: Duration) -> Result<WriterLock> {
    let (folder, what) = (folder.to_owned(), what.to_owned());
    within(patience, move || WriterLock::take(&folder, &what))
}

/// Backs up the key files of a vault that is about to be written to, as every client that writes does. Where that cannot
/// be done, `warn` is told why.
pub(crate) fn backed_up(vault: Vault, patience: Duration, warn: impl FnOnce(&str)) -> Result<Vault> {
    let (vault, backed_up) = within(patience, move || {
        let backed_up = vault.back_up_key_files();
        Ok((vault, backed_up))
    })?;
    if let Err(error) = backed_up {
        warn(&format!("the vault's key files could not be backed up: {error}"));
    }
    Ok(vault)
}

/// A recovery key or raw key did not sign the vault's config.
pub(crate) fn not_its_key() -> Failure {
    Failure::wrong_key(
        "the key is another vault's, or vault.cryptomator was changed: this key did not sign it",
    )
}

/// Does what may read storage before there is a volume to do so, and waits for it no longer than `patience`. What comes
/// later is dropped.
pub(crate) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    patience::within(patience, work).unwrap_or_else(|none| {
        Err(match none {
            NoAnswer::Late => {
                Failure::failed("the vault cannot be opened: its storage did not answer in time")
            }
            NoAnswer::Broken | NoAnswer::NoThread(_) => Failure::failed(none),
        })
    })
}

/// Unlocks a vault for a command that reads it.
pub(crate) fn source(args: &VaultArgs, options: &VaultOptions, session: &Session) -> Result<Source> {
    let options = options.clone().read_only(true);
    Source::new(unlock(args, &options, Reader::Command, session)?, args.patience())
}

/// Unlocks a vault for a command that changes it, as its one writer; `what` is what others are told that it does. Its key
/// files are backed up first, as every client that writes does. From then on a first signal asks the command to end, which
/// it does when nothing is half done, and soon.
pub(crate) fn writable(
    args: &VaultArgs,
    options: &VaultOptions,
    what: &'static str,
    session: &Session,
) -> Result<Source> {
    let lock = become_writer(&args.vault, what, args.patience())?;
    let vault = unlock(args, options, Reader::Command, session)?;
    let warn = |text: &str| session.console.note(format_args!("warning: {text}"));
    let vault = backed_up(vault, args.patience(), warn)?;
    session.interrupt.on_end(|| ());
    Ok(Source::new(vault, args.patience())?.held_by(lock))
}

/// Unlocks a vault, asking again at a terminal where the passphrase is wrong.
pub(crate) fn unlock(
    args: &VaultArgs,
    options: &VaultOptions,
    reader: Reader,
    session: &Session,
) -> Result<Vault> {
    let options = options.clone().max_scrypt_memory(args.max_scrypt_bytes());
    let mut tries = if args.key.is_asked_for() { TRIES } else { 1 };
    loop {
        let locked = find_for(&args.key, &args.vault, reader, args.patience())?;
        let secret = args.key.get(&session.interrupt)?;
        tries -= 1;
        match unlock_found(locked, secret, &options, args.patience())? {
            Ok(vault) => {
                for warning in vault.warnings() {
                    session.console.note(format_args!("warning: {warning}"));
                }
                return Ok(vault);
            }
            Err(error @ UnlockError::WrongPassphrase) if tries > 0 => session.console.error(error),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads a path in a vault as somebody typed it.
pub(crate) fn parse_path(text: &str) -> Result<VaultPath> {
    if text.is_empty() {
        // A variable of the shell that is not set, most likely; "/" is how to say everything.
        return Err(Failure::usage("an empty path; the vault's root is \"/\""));
    }
    VaultPath::parse(text).map_err(|invalid| Failure::usage(format_args!("{text}: {invalid}")))
}

/// Finds the entry at a path that somebody typed, following links.
pub(crate) fn resolve(source: &Source, text: &str, follow: Follow) -> Result<Arc<Node>> {
    let path = parse_path(text)?;
    source.resolve(&path, follow).map_err(|error| Failure::entry(&path, &error))
}
