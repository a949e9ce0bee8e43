//! Changes by our own hand.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use oxcrypt_core::{Error, ErrorKind, File, Follow, Name, Node, Result, Stored, Vault, VaultPath};

use crate::operation::{Operation, Outcome};

/// Changes the vault. What is written may stay in memory: see [`Vault::unsaved`].
pub(crate) fn apply(vault: &Vault, operation: &Operation, now: Instant) -> Outcome {
    match perform(vault, operation, now) {
        Ok(()) => Outcome::Done,
        Err(error) => outcome(&error),
    }
}

/// Stores what is left in memory.
pub(crate) fn save(vault: &Vault, now: Instant) {
    for file in vault.unsaved() {
        // Nobody else changes anything meanwhile.
        assert_eq!(file.flush(now).unwrap(), Stored::InPlace);
    }
    assert_eq!(vault.unsaved().len(), 0);
}

fn perform(vault: &Vault, operation: &Operation, now: Instant) -> Result<()> {
    match operation {
        Operation::MakeDir { path } => {
            let (dir, name) = place(vault, path, now)?;
            vault.make_dir(&dir, &name, now).map(drop)
        }
        Operation::MakeSymlink { path, target } => {
            let (dir, name) = place(vault, path, now)?;
            vault.make_symlink(&dir, &name, target, now).map(drop)
        }
        Operation::Write { path, offset, content } => {
            let file = open_or_create(vault, path, now)?;
            let bytes = content.bytes();
            let mut written = 0;
            while written < bytes.len() {
                let (at, rest) = (offset + written as u64, &bytes[written..]);
                written += file.write_at(at, rest, SystemTime::now())?;
            }
            Ok(())
        }
        Operation::Truncate { path, len } => {
            let (dir, name) = place(vault, path, now)?;
            let node = vault.lookup(&dir, &name, now)?;
            vault.open_for_writing(&node, now)?.set_len(*len, SystemTime::now())
        }
        Operation::Rename { from, to, replace } => {
            let ((from_dir, from), (to_dir, to)) = (place(vault, from, now)?, place(vault, to, now)?);
            vault.rename((&from_dir, &from), (&to_dir, &to), *replace, now)
        }
        Operation::Remove { path } => {
            let (dir, name) = place(vault, path, now)?;
            vault.remove(&dir, &name, now)
        }
        Operation::RemoveDir { path } => {
            let (dir, name) = place(vault, path, now)?;
            vault.remove_dir(&dir, &name, now)
        }
    }
}

fn open_or_create(vault: &Vault, path: &str, now: Instant) -> Result<File> {
    let (dir, name) = place(vault, path, now)?;
    match vault.lookup(&dir, &name, now) {
        Ok(node) => vault.open_for_writing(&node, now),
        Err(error) if error.kind() == ErrorKind::NotFound => vault.create(&dir, &name, now),
        Err(error) => Err(error),
    }
}

fn place(vault: &Vault, path: &str, now: Instant) -> Result<(Arc<Node>, Name)> {
    let (dir, name) = path.rsplit_once('/').unwrap();
    let dir = vault.resolve(&VaultPath::parse(&format!("/{dir}")).unwrap(), Follow::NotLast, now)?;
    Ok((dir, Name::new(name).unwrap()))
}

fn outcome(error: &Error) -> Outcome {
    match error.kind() {
        ErrorKind::NotFound => Outcome::Absent,
        ErrorKind::AlreadyExists => Outcome::Exists,
        ErrorKind::NotEmpty => Outcome::NotEmpty,
        ErrorKind::NotADirectory => Outcome::NotADirectory,
        ErrorKind::IsADirectory => Outcome::IsADirectory,
        ErrorKind::InvalidArgument => Outcome::Invalid,
        _ => Outcome::Else(error.to_string()),
    }
}
