//! `oxcrypt create`: a new vault.

use std::fs;
use std::io;
use std::path::Path;

use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{self, NewVault, Passphrase, ScryptParams};
use serde_json::json;

use crate::args::CreateArgs;
use crate::exit::{Failure, Result};
use crate::open;
use crate::session::Session;
use crate::writer_lock::WriterLock;

pub(crate) fn run(args: &CreateArgs, session: &mut Session) -> Result<()> {
    let new = NewVault::default().combo(args.suite.combo()).shortening_threshold(args.shortening_threshold);
    let new = new.scrypt(args.cost.scrypt().unwrap_or_default());
    if new.scrypt.is_weak() {
        session.console.note(
            "warning: such a scrypt cost lets the passphrase be guessed faster than in any other vault",
        );
    }
    let folder = args.vault.clone();
    open::within(open::PATIENCE, move || expect_room(&folder, &new))?;
    let passphrase = args.passphrase.get_new(session)?;
    let is_new = make_folder(&args.vault)?;
    let created = create(&args.vault, &passphrase, &new);
    if created.is_err() && is_new {
        // Only if nothing is in it.
        drop(fs::remove_dir(&args.vault));
    }
    created?;
    say(&args.vault, &new, session)
}

/// What somebody should know before a passphrase is protected so.
pub(super) fn warn_if_weak(scrypt: ScryptParams, session: &Session) {
    if scrypt.is_weak() {
        session.console.note(
            "warning: with this scrypt cost the passphrase is guessed faster than in any vault of the Cryptomator app",
        );
    }
}

fn create(folder: &Path, passphrase: &Passphrase, new: &NewVault) -> Result<()> {
    let _writer = WriterLock::take(folder, "create")?;
    unlock::create(&open(folder)?, passphrase, new)?;
    Ok(())
}

/// Refuses before anybody types a passphrase.
fn expect_room(folder: &Path, new: &NewVault) -> Result<()> {
    match fs::metadata(folder) {
        Ok(_) => Ok(unlock::expect_room(&open(folder)?, new)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(no_folder(folder, &error)),
    }
}

fn open(folder: &Path) -> Result<LocalStorage> {
    LocalStorage::open(folder).map_err(|error| no_folder(folder, &error))
}

/// Makes the folder unless it is there, and tells whether it did.
fn make_folder(folder: &Path) -> Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(no_folder(folder, &error)),
    }
    // It is to be there after a power loss as well, where the system has a way to see to that.
    #[cfg(unix)]
    if let Some(parent) = std::path::absolute(folder).ok().as_deref().and_then(Path::parent) {
        drop(fs::File::open(parent).and_then(|parent| parent.sync_all()));
    }
    Ok(true)
}

fn no_folder(folder: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("{}: no vault can be created there: {error}", folder.display()))
}

fn say(folder: &Path, new: &NewVault, session: &mut Session) -> Result<()> {
    let vault = folder.display().to_string();
    if session.out.is_json() {
        return session.out.object(json!({
            "vault": vault,
            "cipherCombo": new.combo.name(),
            "shorteningThreshold": new.shortening_threshold,
            "scryptCost": new.scrypt.cost,
        }));
    }
    let line = format!("created a vault in {}", session.out.name(&vault));
    session.out.line(line)?;
    session.console.note(
        "note the words of `oxcrypt recovery-key show` and keep them somewhere else: they open it when the passphrase is lost",
    );
    Ok(())
}
