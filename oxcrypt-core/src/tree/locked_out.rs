//! Modes that keep their owner out, and what nevertheless works where POSIX says so.
//!
//! An empty directory is removed, and a new one made durable, whatever its mode; and a file that may only be written to
//! is written to. With us a directory is never quite empty, because its content directory holds `dirid.c9r`, and to write
//! takes reading. So the mode is another for that moment. A process that is killed then leaves one that allows its owner
//! more, and nobody else.

use std::io;

use super::Tree;
use crate::ciphertext_path::CiphertextPath;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Attributes;

/// Reading, writing and searching, for the owner.
const ALL: u32 = 0o700;
/// Reading and writing, for the owner.
const READ_AND_WRITE: u32 = 0o600;
/// Writing, for the owner.
const WRITE: u32 = 0o200;

impl Tree {
    /// Does `work` in a content directory, whatever its mode. The caller is the only one who changes that now.
    pub(super) fn let_in<T>(&self, folder: &CiphertextPath, work: impl Fn() -> Result<T>) -> Result<T> {
        self.unlocked(folder, |mode| Some(mode | ALL), work)
    }

    /// Opens a file to write to it, also where its mode lets its owner do no more than that. The caller is the only one
    /// who changes that now.
    pub(super) fn let_write<T>(&self, file: &CiphertextPath, open: impl Fn() -> Result<T>) -> Result<T> {
        self.unlocked(file, |mode| (mode & WRITE != 0).then_some(mode | READ_AND_WRITE), open)
    }

    /// Does `work`, and where that is refused once more under another mode, if there is one that helps.
    fn unlocked<T>(
        &self,
        path: &CiphertextPath,
        wanted: impl Fn(u32) -> Option<u32>,
        work: impl Fn() -> Result<T>,
    ) -> Result<T> {
        let refusal = match work() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => error,
            done => return done,
        };
        let owner = self.storage.metadata(path).ok().and_then(|there| there.owner);
        let change = |mode| {
            let change = Attributes { mode: Some(mode), ..Attributes::default() };
            self.storage.set_attributes(path, &change)
        };
        let Some((own, lifted)) = owner.and_then(|owner| Some((owner.mode, wanted(owner.mode)?))) else {
            return Err(refusal);
        };
        // Somebody else's file, or not for lack of permission bits.
        if own == lifted || change(lifted).is_err() {
            return Err(refusal);
        }
        let done = work();
        match change(own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                done.and_then(|_| Err(Error::from(error).at(path)))
            }
            // It may have been removed.
            _ => done,
        }
    }
}
