//! `oxcrypt config rebuild`: a new `vault.cryptomator` where that is lost.

use oxcrypt_core::CiphertextPath;
use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::storage::{BlockStorage as _, LocalStorage};
use oxcrypt_core::unlock::{self, Evidence, KeyFile, NotAVault, UnlockError};
use serde_json::json;

use crate::args::{ConfigCommand, RebuildArgs, Suite, VaultArgs};
use crate::exit::{Failure, Result};
use crate::open;
use crate::session::Session;

pub(crate) fn run(command: &ConfigCommand, session: &mut Session) -> Result<()> {
    match command {
        ConfigCommand::Rebuild(args) => rebuild(args, session),
    }
}

fn rebuild(args: &RebuildArgs, session: &mut Session) -> Result<()> {
    let folder = args.vault.vault.clone();
    let storage = open::within(args.vault.patience(), move || open::folder(&folder))?;
    let _writer = open::become_writer(&args.vault.vault, "config rebuild", args.vault.patience())?;
    let key = key(&storage, &args.vault, session)?;
    let evidence = Evidence::find(&storage, &key)?;
    if evidence.unread > 0 {
        session.console.note(format_args!(
            "warning: {} folders could not be looked into; names there may tell another threshold",
            evidence.unread
        ));
    }
    let combo = args.suite.map(Suite::combo).or(evidence.combo).ok_or_else(|| {
        Failure::usage(
            "no file of the vault tells how it is encrypted; say --suite (today's vaults are siv-gcm)",
        )
    })?;
    let threshold = args.shortening_threshold.or_else(|| evidence.shortening_threshold()).ok_or_else(|| {
        Failure::usage(
            "the vault's names are in line with no shortening threshold; say --shortening-threshold (220 by default)",
        )
    })?;
    let vault = args.vault.vault.display().to_string();
    if evidence.replaces_config {
        args.confirm.ask(format_args!(
            "replace vault.cryptomator in {vault}, which is damaged or another vault's, and keep a backup of it"
        ))?;
    }
    unlock::rebuild_config(&storage, &key, combo, threshold)?;
    if session.out.is_json() {
        return session.out.object(json!({
            "vault": vault,
            "cipherCombo": combo.name(),
            "shorteningThreshold": threshold,
        }));
    }
    let name = session.out.name(&vault).into_owned();
    session
        .out
        .line(format_args!("rebuilt vault.cryptomator in {name}: {combo}, shortening threshold {threshold}"))
}

/// The vault's key, with no config to say whether it is.
fn key(storage: &LocalStorage, args: &VaultArgs, session: &Session) -> Result<MasterKey> {
    if args.key.is_passphrase() {
        // Nobody types for nothing.
        let file = CiphertextPath::root().join(KeyFile::Masterkey.name());
        let missing = file.is_some_and(|file| {
            storage.metadata(&file).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        });
        if missing {
            session.console.note("without masterkey.cryptomator, the key must come from --recovery-key-file");
            return Err(UnlockError::NotAVault(NotAVault::NoMasterkeyFile).into());
        }
    }
    let mut tries = if args.key.is_asked_for() { open::TRIES } else { 1 };
    loop {
        tries -= 1;
        let passphrase = match args.key.get(&session.interrupt)?.passphrase() {
            Ok(passphrase) => passphrase,
            Err(key) => return Ok(key),
        };
        match unlock::key_without_config(storage, &passphrase, &args.options()) {
            Ok(key) => return Ok(key),
            Err(error @ UnlockError::WrongPassphrase) if tries > 0 => session.console.error(error),
            Err(error) => return Err(error.into()),
        }
    }
}
