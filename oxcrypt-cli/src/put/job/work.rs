//! The workers: encrypt files.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{ErrorKind, Name, Node, NodeKind};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::origin::{BLOCK_LEN, Origin, Reading};
use super::super::stopped::Stopped;
use super::{Found, Job};
use crate::drafts::Draft;
use crate::printable::printable;
use crate::progress::count;
use crate::queue::{Task, Undecided};
use crate::same_time::same_time;
use crate::source::Buffer;

/// What became of a file.
enum Outcome {
    /// It is there.
    Done,
    /// It is there, but somebody wrote to it while it was read.
    Changed,
    /// It was there already, or something else was that is left alone.
    Skipped,
}

impl Job<'_> {
    pub(super) fn work(&self) {
        let mut buffer: Buffer = Zeroizing::new(vec![0; BLOCK_LEN]);
        while let Some(task) = self.run.queue.next() {
            match task {
                Task::File(found) => self.file(&found, &mut buffer),
                Task::Part(never, _) => match *never {},
            }
            if self.run.is_over() {
                self.run.queue.stop();
            }
        }
    }

    fn file(&self, found: &Found, buffer: &mut Buffer) {
        let _undecided = Undecided::new(&self.run.queue);
        let mut done = 0;
        let outcome = self.bring(found, buffer, &mut done);
        let counts = &self.run.counts;
        counts.passed_bytes.fetch_add(found.len.saturating_sub(done), Ordering::Relaxed);
        match outcome {
            Ok(Outcome::Skipped) => count(&counts.skipped),
            Ok(Outcome::Done) => {
                count(&counts.files);
                self.run.console.detail(format_args!("{}", printable(&found.origin.shown())));
            }
            Ok(Outcome::Changed) => self.run.failed(
                &found.origin.shown(),
                "it was changed while it was read; the vault has what was read of it",
            ),
            Err(stopped) => self.stopped(&found.origin.shown(), &stopped),
        }
    }

    /// Brings a file into the vault. `done` is how many bytes of it were.
    fn bring(&self, found: &Found, buffer: &mut Buffer, done: &mut u64) -> Result<Outcome, Stopped> {
        let old = found.directory.existing(&found.name)?;
        if let Some(old) = &old {
            if self.settings.no_clobber || self.settings.resume && self.is_there(found, old)? {
                return Ok(Outcome::Skipped);
            }
            refuse_directory(old)?;
            if matches!(&found.origin, Origin::Entry(node) if node.id() == old.id()) {
                return Err(Stopped::Refused("it would be copied to itself"));
            }
        }
        let reading = found.origin.open(self.source())?;
        let mut draft = self.filling.drafts.file(found.directory.node())?;
        let mut hash = self.filling.fresh.is_some().then(Sha256::new);
        self.copy(&reading, &draft, buffer, done, &mut hash)?;
        let has_changed = reading.has_changed(*done)?;
        draft.store(old.is_some() || self.filling.syncs_each)?;
        if let Some(modified) = reading.like.modified {
            draft.set_modified(modified);
        }
        if let Some(hash) = hash {
            self.check_content(&found.directory, &draft, *done, &hash.finalize().into(), buffer)?;
        }
        if !self.give_name(&mut draft, &found.name, old.as_deref())? {
            return Ok(Outcome::Skipped);
        }
        self.check_name(&found.directory, &found.name, *done)?;
        Ok(if has_changed { Outcome::Changed } else { Outcome::Done })
    }

    fn copy(
        &self,
        reading: &Reading<'_>,
        draft: &Draft,
        buffer: &mut Buffer,
        done: &mut u64,
        hash: &mut Option<Sha256>,
    ) -> Result<(), Stopped> {
        loop {
            let (len, is_end) = reading.next(*done, buffer)?;
            if let Some(hash) = hash {
                hash.update(buffer.get(..len).unwrap_or_default());
            }
            if len > 0 {
                draft.write_at(*done, buffer, len, !is_end)?;
            }
            *done += len as u64;
            self.run.counts.bytes.fetch_add(len as u64, Ordering::Relaxed);
            self.run.counts.passed_bytes.fetch_add(len as u64, Ordering::Relaxed);
            if self.run.is_over() {
                return Err(Stopped::Asked);
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Whether what is there has the right length and time.
    fn is_there(&self, found: &Found, old: &Arc<Node>) -> Result<bool, Stopped> {
        if old.kind() != NodeKind::File {
            return Ok(false);
        }
        let there = self.source().attributes(old)?;
        let like = found.origin.like(self.source())?;
        Ok(there.torn.is_none() && like.len == Some(there.len) && same_time(like.modified, there.modified))
    }

    /// Gives what is whole its name, in the place of `old`. False if something has that name by now that is to be left
    /// alone.
    pub(super) fn give_name(
        &self,
        draft: &mut Draft,
        name: &Name,
        old: Option<&Node>,
    ) -> Result<bool, Stopped> {
        if let Some(old) = old {
            refuse_directory(old)?;
        } else {
            match draft.give_name(name, Replace::Never) {
                Err(error) if error.kind() == Some(ErrorKind::AlreadyExists) => {
                    if self.settings.no_clobber {
                        return Ok(false);
                    }
                    draft.store(true)?;
                }
                other => return Ok(other.map(|()| true)?),
            }
        }
        draft.give_name(name, Replace::Always)?;
        Ok(true)
    }
}

fn refuse_directory(old: &Node) -> Result<(), Stopped> {
    match old.kind() {
        NodeKind::Directory => Err(Stopped::Refused("the vault has a directory of this name")),
        NodeKind::File | NodeKind::Symlink => Ok(()),
    }
}
