//! `oxcrypt info`: what a vault says of itself.

use std::fmt::Display;
use std::path::Path;

use oxcrypt_core::unlock::{Info, KeySource, ScryptParams};
use serde_json::json;

use crate::exit::Result;
use crate::open::{self, Reader};
use crate::output::Output;
use crate::printable::printable;
use crate::session::Session;

pub(crate) fn run(folder: &Path, session: &mut Session) -> Result<()> {
    let locked = open::find(folder, Reader::Command, open::PATIENCE)?;
    let info = open::within(open::PATIENCE, move || Ok(locked.info()?))?;
    if session.out.is_json() { session.out.object(as_json(&info)) } else { print(&info, &mut session.out) }
}

fn as_json(info: &Info) -> serde_json::Value {
    let (source, host) = match &info.key_source {
        KeySource::MasterkeyFile => ("passphrase", None),
        KeySource::Hub { host } => ("hub", Some(host)),
        KeySource::Unknown { scheme } => ("unknown", Some(scheme)),
    };
    json!({
        "format": info.format,
        "cipherCombo": info.cipher_combo,
        "shorteningThreshold": info.shortening_threshold,
        "keySource": source,
        "keySourceDetail": host,
        "keyProblem": info.key_problem,
        "scryptCost": info.scrypt.map(|scrypt| scrypt.cost),
        "scryptBlockSize": info.scrypt.map(|scrypt| scrypt.block_size),
        "scryptMemory": info.scrypt.map(ScryptParams::memory),
        "backups": info.backups,
        "warnings": info.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn print(info: &Info, out: &mut Output) -> Result<()> {
    let or_unknown =
        |value: Option<&dyn Display>| value.map_or_else(|| "not said".to_owned(), ToString::to_string);
    let mut line = |name: &str, value: &dyn Display| out.line(format_args!("{name:<22}{value}"));
    line("format", &or_unknown(info.format.as_ref().map(|v| v as _)))?;
    line("cipher combo", &or_unknown(info.cipher_combo.as_ref().map(|v| v as _)))?;
    line("shortening threshold", &or_unknown(info.shortening_threshold.as_ref().map(|v| v as _)))?;
    line("opened by", &info.key_source)?;
    if let Some(problem) = &info.key_problem {
        line("problem", problem)?;
    }
    if let Some(scrypt) = info.scrypt {
        let mib = scrypt.memory().div_ceil(1 << 20);
        line(
            "key derivation",
            &format_args!("scrypt, cost {}, block size {}, {mib} MiB", scrypt.cost, scrypt.block_size),
        )?;
    }
    for warning in &info.warnings {
        line("warning", warning)?;
    }
    if info.backups.is_empty() {
        line("backups", &"none")?;
    }
    for backup in &info.backups {
        line("backup", &printable(backup))?;
    }
    line("note", &"nothing of this is verified before the vault is unlocked")
}
