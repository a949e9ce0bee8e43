//! `oxcrypt passphrase change`.

use std::path::Path;

use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::unlock::{Locked, Passphrase, ScryptParams};

use super::create::warn_if_weak;
use crate::args::{ChangeArgs, PassphraseCommand};
use crate::exit::{Failure, Result};
use crate::open::{self, Reader};
use crate::session::Session;

pub(crate) fn run(command: &PassphraseCommand, session: &mut Session) -> Result<()> {
    match command {
        PassphraseCommand::Change(args) => change(args, session),
    }
}

fn change(args: &ChangeArgs, session: &Session) -> Result<()> {
    if args.vault.key.takes_stdin() && args.new.is_from_stdin() {
        return Err(Failure::usage(
            "the key takes all of standard input; take the new passphrase from elsewhere",
        ));
    }
    let vault = &args.vault;
    let locked = open::find_for(&vault.key, &vault.vault, Reader::Command, vault.patience())?;
    locked.expect_masterkey_file()?;
    let _writer = open::become_writer(&vault.vault, "passphrase change", vault.patience())?;
    let (locked, key) = open::key(locked, vault, session)?;
    let new = args.new.get(session)?;
    set(&locked, &key, &new, args.cost.scrypt(), &vault.vault, session)
}

/// Sets a new passphrase, and says what becomes of the old one.
pub(super) fn set(
    locked: &Locked,
    key: &MasterKey,
    new: &Passphrase,
    scrypt: Option<ScryptParams>,
    folder: &Path,
    session: &Session,
) -> Result<()> {
    if let Some(scrypt) = scrypt {
        warn_if_weak(scrypt, session);
    }
    // No time limit: who gives up here could not tell which passphrase it is.
    locked.set_passphrase(key, new, scrypt)?;
    session.console.note(format_args!(
        "the new passphrase is set; the old one still opens backups of masterkey.cryptomator, which `oxcrypt backups prune \
         --keep 0 {}` removes",
        folder.display()
    ));
    Ok(())
}
