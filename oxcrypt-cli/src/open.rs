//! From the command line's arguments to an open vault.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{Locked, UnlockError};
use oxcrypt_core::{Follow, Node, Vault, VaultOptions, VaultPath};

use crate::args::VaultArgs;
use crate::exit::{Failure, Result};
use crate::session::Session;
use crate::source::Source;

/// How often somebody at a terminal may mistype.
pub(crate) const TRIES: usize = 3;

/// Who is to read a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A command that somebody waits for.
    Command,
    /// A process that stays.
    Daemon,
}

/// Finds the vault in a folder, without unlocking it.
pub(crate) fn find(folder: &Path, reader: Reader) -> Result<Locked> {
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

/// Unlocks a vault for a command that reads it.
pub(crate) fn source(args: &VaultArgs, options: &VaultOptions, session: &Session) -> Result<Source> {
    let patience = Duration::from_secs(u64::from(args.give_up_after));
    Source::new(unlock(args, options, Reader::Command, session)?, patience)
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
        let locked = find(&args.vault, reader)?.expect_passphrase()?;
        let passphrase = args.passphrase.get(&session.interrupt)?;
        tries -= 1;
        match locked.unlock(&passphrase, &options) {
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
