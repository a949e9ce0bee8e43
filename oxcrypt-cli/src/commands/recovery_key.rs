//! `oxcrypt recovery-key`: 44 words that open a vault whatever its passphrase is.

use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::unlock::{ConfigError, RecoveryKey, UnlockError};
use serde_json::json;

use super::passphrase;
use crate::args::{RecoveryKeyCommand, ResetArgs, ValidateArgs, VaultArgs};
use crate::exit::{Code, Failure, Result};
use crate::open::{self, Reader};
use crate::session::Session;

pub(crate) fn run(command: &RecoveryKeyCommand, session: &mut Session) -> Result<()> {
    match command {
        RecoveryKeyCommand::Show(args) => show(args, session),
        RecoveryKeyCommand::Validate(args) => validate(args, session),
        RecoveryKeyCommand::ResetPassphrase(args) => reset(args, session),
    }
}

fn show(args: &VaultArgs, session: &mut Session) -> Result<()> {
    let locked = open::find_for(&args.key, &args.vault, Reader::Command, args.patience())?;
    let (_, key) = open::key(locked, args, session)?;
    let recovery_key = RecoveryKey::of(&key);
    session.console.note("whoever has these words can open the vault, whatever its passphrase is:");
    if session.out.is_json() {
        return session.out.object(json!({ "recoveryKey": recovery_key.words() }));
    }
    session.out.line(recovery_key.words())
}

fn validate(args: &ValidateArgs, session: &mut Session) -> Result<()> {
    let checked = check(args, session);
    // Only this tells that the words are none: that the vault cannot be read, for one, says nothing of them.
    let invalid = checked.as_ref().err().filter(|failure| failure.code() == Code::WrongPassphrase);
    if session.out.is_json() && (checked.is_ok() || invalid.is_some()) {
        let vault = args.vault.as_ref().filter(|_| checked.is_ok()).map(|vault| vault.display().to_string());
        let error = invalid.and_then(Failure::text);
        session.out.object(json!({ "valid": checked.is_ok(), "vault": vault, "error": error }))?;
        return checked;
    }
    checked?;
    let line = match &args.vault {
        Some(vault) => format!("the recovery key of {}", session.out.name(&vault.display().to_string())),
        None => "a recovery key; with the vault's folder it is told whether it is the vault's".to_owned(),
    };
    session.out.line(line)
}

fn check(args: &ValidateArgs, session: &Session) -> Result<()> {
    let locked =
        args.vault.as_ref().map(|vault| open::find(vault, Reader::Command, open::PATIENCE)).transpose()?;
    let key = args.key.get(&session.interrupt)?;
    match locked.map(|locked| locked.expect_key(&key)) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(UnlockError::ConfigNotSigned(ConfigError::Signature))) => Err(Failure::wrong_key(
            "it is a recovery key, but another vault's; or this vault's config was changed",
        )),
        Some(Err(error)) => Err(error.into()),
    }
}

fn reset(args: &ResetArgs, session: &Session) -> Result<()> {
    if args.key.takes_stdin() && args.new.is_from_stdin() {
        return Err(Failure::usage(
            "the key takes all of standard input; take the new passphrase from elsewhere",
        ));
    }
    let locked = open::find(&args.vault, Reader::Command, open::PATIENCE)?;
    locked.expect_masterkey_file()?;
    let _writer = open::become_writer(&args.vault, "recovery-key reset-passphrase", open::PATIENCE)?;
    let key: MasterKey = args.key.get(&session.interrupt)?;
    locked.expect_key(&key).map_err(|error| match error {
        UnlockError::ConfigNotSigned(ConfigError::Signature) => open::not_its_key(),
        other => other.into(),
    })?;
    args.confirm.ask(format_args!("set a new passphrase for {}", args.vault.display()))?;
    let new = args.new.get(session)?;
    passphrase::set(&locked, &key, &new, args.cost.scrypt(), &args.vault, session)
}
