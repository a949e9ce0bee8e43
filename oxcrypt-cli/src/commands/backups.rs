//! `oxcrypt backups`: copies of key files.

use std::path::Path;

use oxcrypt_core::VaultOptions;
use oxcrypt_core::unlock::{self, Backup, Superfluous, UnlockError};
use serde_json::{Value, json};

use crate::args::{BackupsCommand, PruneArgs};
use crate::exit::Result;
use crate::open::{self, Reader};
use crate::output::{exact_time, local_time};
use crate::session::Session;

pub(crate) fn run(command: &BackupsCommand, session: &mut Session) -> Result<()> {
    match command {
        BackupsCommand::List { vault } => list(vault, session),
        BackupsCommand::Prune(args) => prune(args, session),
    }
}

fn list(vault: &Path, session: &mut Session) -> Result<()> {
    let folder = vault.to_owned();
    let backups = open::within(open::PATIENCE, move || {
        let storage = open::folder(&folder)?;
        Ok(unlock::backups(&storage).map_err(UnlockError::from)?)
    })?;
    for backup in &backups {
        if session.out.is_json() {
            session.out.object(as_json(backup, Some(backup.is_current)))?;
        } else {
            let state = if backup.is_current { "current" } else { "old" };
            let (time, name) = (local_time(backup.modified), session.out.name(&backup.name).into_owned());
            session.out.line(format_args!("{time:<16}  {state:<7}  {name}"))?;
        }
    }
    Ok(())
}

fn prune(args: &PruneArgs, session: &mut Session) -> Result<()> {
    let locked = open::find(&args.vault, Reader::Command, open::PATIENCE)?.expect_passphrase()?;
    let _writer = open::become_writer(&args.vault, "backups prune", open::PATIENCE)?;
    let superfluous = superfluous(&locked, args, session)?;
    let names: Vec<&str> = superfluous.backups().iter().map(|backup| backup.name.as_str()).collect();
    if names.is_empty() {
        session.console.note("there is no backup that nobody needs");
        return Ok(());
    }
    args.confirm.ask(format_args!("remove {}", names.join(", ")))?;
    let gone = superfluous.backups().to_vec();
    superfluous.remove()?;
    for backup in &gone {
        if session.out.is_json() {
            session.out.object(as_json(backup, None))?;
        } else {
            let name = session.out.name(&backup.name).into_owned();
            session.out.line(format_args!("removed {name}"))?;
        }
    }
    Ok(())
}

fn superfluous(locked: &unlock::Locked, args: &PruneArgs, session: &Session) -> Result<Superfluous> {
    let mut tries = if args.passphrase.is_asked_for() { open::TRIES } else { 1 };
    loop {
        tries -= 1;
        let passphrase = args.passphrase.get(&session.interrupt)?;
        match locked.superfluous_backups(&passphrase, &VaultOptions::default(), args.keep) {
            Err(error @ UnlockError::WrongPassphrase) if tries > 0 => session.console.error(error),
            other => return Ok(other?),
        }
    }
}

fn as_json(backup: &Backup, is_current: Option<bool>) -> Value {
    let (of, modified) = (backup.key_file.name(), exact_time(backup.modified));
    json!({ "name": backup.name, "of": of, "current": is_current, "modified": modified })
}
