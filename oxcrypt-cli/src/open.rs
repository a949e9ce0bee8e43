//! From the command line's arguments to an open vault.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{Locked, Passphrase, UnlockError};
use oxcrypt_core::{Follow, Node, Vault, VaultOptions, VaultPath};

use crate::args::VaultArgs;
use crate::exit::{Failure, Result};
use crate::session::Session;
use crate::source::Source;

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

fn find_there(folder: &Path, reader: Reader) -> Result<Locked> {
    let name = folder.display();
    let storage = LocalStorage::open(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::not_opened(format_args!("{name}: there is no such folder")),
        io::ErrorKind::NotADirectory => Failure::not_opened(format_args!(
            "{name} is no folder; a vault is the folder that holds vault.cryptomator"
        )),
        _ => Failure::failed(format_args!("{name} cannot be read: {error}")),
    })?;
    let storage = if reader == Reader::Daemon { storage.read_directly() } else { storage };
    Ok(Locked::read(Arc::new(storage))?)
}

/// Unlocks a vault that was found. The outer error says that there was no answer in time.
pub(crate) fn unlock_found(
    locked: Locked,
    passphrase: Passphrase,
    options: &VaultOptions,
    patience: Duration,
) -> Result<Result<Vault, UnlockError>> {
    let options = options.clone();
    within(patience + DERIVING, move || Ok(locked.unlock(&passphrase, &options)))
}

/// Does what may read storage before there is a volume to do so, and waits for it no longer than `patience`. What comes
/// later is dropped.
pub(crate) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .spawn(move || drop(tell.send(work())))
        .map_err(|error| Failure::failed(format_args!("the system refuses a thread: {error}")))?;
    told.recv_timeout(patience).unwrap_or_else(|error| {
        Err(Failure::failed(match error {
            RecvTimeoutError::Timeout => "the vault cannot be opened: its storage did not answer in time",
            RecvTimeoutError::Disconnected => {
                "this program has failed, which is a mistake in it; please report it"
            }
        }))
    })
}

/// Unlocks a vault for a command that reads it.
pub(crate) fn source(args: &VaultArgs, options: &VaultOptions, session: &Session) -> Result<Source> {
    Source::new(unlock(args, options, Reader::Command, session)?, args.patience())
}

/// Unlocks a vault, asking again at a terminal where the passphrase is wrong.
pub(crate) fn unlock(
    args: &VaultArgs,
    options: &VaultOptions,
    reader: Reader,
    session: &Session,
) -> Result<Vault> {
    let options = options.clone().max_scrypt_memory(u64::from(args.max_scrypt_memory) << 20);
    let mut tries = if args.passphrase.is_asked_for() { TRIES } else { 1 };
    loop {
        let locked = find(&args.vault, reader, args.patience())?.expect_passphrase()?;
        let passphrase = args.passphrase.get(&session.interrupt)?;
        tries -= 1;
        match unlock_found(locked, passphrase, &options, args.patience())? {
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
