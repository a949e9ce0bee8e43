//! Storing what was changed: whole runs of chunks, one write of the storage each, in an order that a crash survives.
//!
//! What lies within the length that storage has is written over in place. What lies behind goes out in ascending order,
//! one write at a time, from the part of a chunk on at which the stored content ends: stored out of order, that part
//! would count as a whole chunk and not authenticate any more.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::File;
use super::content::{Content, to_usize};
use super::read::Patience;
use super::resident::ResidentFile;
use super::unsaved::Base;
use crate::cache::ClearChunk;
use crate::chunk::{ChunkIndex, PAYLOAD_LEN};
use crate::crypto::ContentCipher;
use crate::error::{Error, Result};
use crate::storage::{Attributes, BlockFile, EntryKind, Metadata};
use crate::tree::Subject;

/// Where a flushed file is. A conflict copy is something to tell people about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Where it was.
    InPlace,
    /// Under another name beside it, as [`node`](File::node) says now: somebody else has put another file in its place,
    /// or has removed it.
    ConflictCopy {
        /// Chunks that could be read neither in memory nor in the file as it was: they are zeros in the copy.
        lost_chunks: u64,
    },
}

/// One step of storing a file.
enum Job {
    /// Read the chunk in which the stored content ends: it is going to be longer, and is stored again first.
    Load(u64),
    /// Cut the ciphertext to this length.
    Cut(u64),
    Write(Write),
}

/// One write of the storage.
pub(super) struct Write {
    pub(super) header: Option<Arc<[u8]>>,
    pub(super) first: u64,
    /// What the chunks hold, zeros for `None` and where one ends before that, and how much of it.
    pub(super) chunks: Vec<(Option<ClearChunk>, usize)>,
    /// How much of the cleartext counts once this is done, if that is more than before.
    pub(super) valid: u64,
}

impl File {
    /// Makes one write to storage, of at most a megabyte, if anything is unsaved. Returns whether more is left. The end
    /// of the work is for [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// What the storage says. What could not be stored stays in memory.
    pub fn store_some(&self) -> Result<bool> {
        self.expect_writable()?;
        let _turn = self.turn();
        let _change = self.context.nodes.begin_content_change(self.node());
        self.store_next(Extent::Chunks)
    }

    /// Stores everything that was written so far, and then asks storage whether the entry is still this file: where
    /// somebody else has put another one in its place, all of the content goes to a copy beside it, and every handle of
    /// this file goes on with that. Nothing is durable yet, see [`sync`](Self::sync).
    ///
    /// Costs nothing where nothing was written.
    ///
    /// # Errors
    ///
    /// What the storage says. What could not be stored stays in memory, refuses further writes, and is tried again by
    /// the next call.
    pub fn flush(&self, now: Instant) -> Result<Stored> {
        if !self.writable {
            return Ok(Stored::InPlace);
        }
        let _turn = self.turn();
        self.flush_in_turn(now)
    }

    /// [Flushes](Self::flush), and makes every byte written so far durable, with the entry and the directories that lead
    /// to it: also what others have written, where this was opened for reading. In a vault that is only read there is nothing
    /// to do.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush), and that of [`expect_kept`](Self::expect_kept). It never reports success for bytes that
    /// it gave up on: where the storage could not make them durable, the host may have dropped them, so every later call
    /// says so, too, until the file is begun anew by cutting it to nothing.
    pub fn sync(&self, now: Instant) -> Result<Stored> {
        if self.context.limits.read_only {
            return Ok(Stored::InPlace);
        }
        let _turn = self.turn();
        // Where anything is unsaved, the handle that all share can be written to.
        let stored = self.flush_in_turn(now)?;
        if self.writable {
            self.expect_kept()?;
        }
        self.resident().expect_durability()?;
        let handle = self.handle(Patience::Waits).map_err(|error| self.name(error))?;
        handle.sync().map_err(|error| {
            let error = self.name(error.into());
            self.resident().lose_durability(&error);
            error
        })?;
        if !self.node().is_gone() {
            self.context.tree.sync_entry(self.node())?;
        }
        Ok(stored)
    }

    fn flush_in_turn(&self, now: Instant) -> Result<Stored> {
        if !self.resident().is_unsaved() {
            return Ok(Stored::InPlace);
        }
        let stored = match self.store_all() {
            Err(error) if is_stale(&error) => self.evade(now),
            Err(error) => Err(error),
            Ok(()) => self.settle(now),
        };
        self.context.release(&self.shared);
        stored
    }

    fn store_all(&self) -> Result<()> {
        let _change = self.context.nodes.begin_content_change(self.node());
        while self.store_next(Extent::All)? {}
        Ok(())
    }

    /// Does one step, and remembers whether it failed.
    fn store_next(&self, extent: Extent) -> Result<bool> {
        let result = self.try_store_next(extent).map_err(|error| self.name(error));
        self.resident().remember_failure(result.as_ref().err());
        result
    }

    fn try_store_next(&self, extent: Extent) -> Result<bool> {
        let resident = self.resident();
        if resident.is_unsaved() && resident.needs_header() {
            let (header, cipher) = self.new_header();
            resident.give_header(header, cipher);
        }
        match resident.begin_job(extent) {
            None => return Ok(false),
            Some(Job::Load(index)) => {
                if let Some((begun, chunk)) = self.load_chunk(index)? {
                    resident.take_part_chunk(index, &Base::new(&begun, &chunk));
                }
            }
            Some(Job::Cut(len)) => {
                self.handle(Patience::Waits)?.set_len(len).or_else(|error| {
                    // The answer alone may have got lost: then it is not what it was before the cut.
                    if self.is_of_len(len) { Ok(()) } else { Err(error) }
                })?;
                resident.was_cut(len);
            }
            Some(Job::Write(write)) => {
                let content = resident.content();
                let cipher = self.cipher(&content, &mut content.cipher.clone(), Patience::Waits)?;
                let handle = self.handle(Patience::Waits)?;
                self.encrypt_and_write(&*handle, &cipher, &write).inspect_err(|_| {
                    if write.valid > content.valid {
                        self.take_back(&*handle, &cipher, &content);
                    }
                })?;
                resident.was_written(&write);
            }
        }
        Ok(resident.has_job(extent))
    }

    /// Whether storage says that the ciphertext has this length.
    fn is_of_len(&self, len: u64) -> bool {
        let there = self.node().ciphertext_file().map(|path| self.context.storage.metadata(&path));
        matches!(there, Some(Ok(there)) if there.len == len && self.resident().is_same_file(&there))
    }

    /// What would have made the file longer has failed, perhaps in the middle of the chunk in which it ended before: puts
    /// that back, so that storage has the whole file as it was. A full disk has room for that.
    fn take_back(&self, handle: &dyn BlockFile, cipher: &ContentCipher, content: &Content) {
        let (tail, part) = (content.valid / PAYLOAD_LEN, to_usize(content.valid % PAYLOAD_LEN));
        let chunks = self.resident().chunk(content.id, tail).filter(|_| part > 0);
        let write = Write {
            header: None,
            first: tail,
            chunks: chunks.into_iter().map(|chunk| (Some(chunk), part)).collect(),
            valid: content.valid,
        };
        // An empty chunk that was at the end is not what it was, and nobody needs it.
        let whole_len = content.layout.ciphertext_len(content.valid).min(content.readable_len);
        let done = handle.set_len(whole_len).map_err(Error::from).and_then(|()| {
            if write.chunks.is_empty() { Ok(()) } else { self.encrypt_and_write(handle, cipher, &write) }
        });
        if done.is_ok() {
            self.resident().was_cut(whole_len);
            if !write.chunks.is_empty() {
                self.resident().cut_chunk_was_stored(tail..tail + 1);
            }
        }
    }

    pub(super) fn encrypt_and_write(
        &self,
        handle: &dyn BlockFile,
        cipher: &ContentCipher,
        write: &Write,
    ) -> Result<()> {
        let layout = self.context.combo.layout();
        let header = write.header.as_deref().unwrap_or_default();
        let (nonce, overhead) = (to_usize(layout.nonce_len()), to_usize(layout.overhead()));
        let chunks_len: usize = write.chunks.iter().map(|(_, len)| len + overhead).sum();
        let offset = if header.is_empty() { layout.chunk_offset(ChunkIndex(write.first)) } else { 0 };
        self.context.scratch.with(header.len() + chunks_len, |buffer| {
            let (head, mut rest) = buffer.split_at_mut(header.len());
            head.copy_from_slice(header);
            for (index, (chunk, len)) in (write.first..).zip(&write.chunks) {
                let (stored, behind) = rest.split_at_mut(len + overhead);
                rest = behind;
                let payload = stored.split_at_mut(nonce).1.split_at_mut(*len).0;
                let chunk = chunk.as_deref().map_or(&[][..], |chunk| chunk.split_at(chunk.len().min(*len)).0);
                let (there, behind) = payload.split_at_mut(chunk.len());
                there.copy_from_slice(chunk);
                behind.fill(0);
                cipher.encrypt_in_place(ChunkIndex(index), stored);
            }
            handle.write_at(offset, buffer)
        })?;
        Ok(())
    }

    /// Asks storage whether the entry is still this file, and takes its length and times over.
    fn settle(&self, now: Instant) -> Result<Stored> {
        let (context, node) = (&self.context, self.node());
        {
            // Nobody moves it meanwhile.
            let _entry = context.tree.turns.shared(Subject::Entry(node.id()));
            let _change = context.nodes.begin_content_change(node);
            let Some(path) = node.ciphertext_file() else {
                self.resident().settle_unseen();
                return Ok(Stored::InPlace);
            };
            let is_it =
                |there: &Metadata| there.kind == EntryKind::File && self.resident().is_same_file(there);
            let ask = || match context.storage.metadata(&path) {
                Ok(metadata) if is_it(&metadata) => Ok(Some(metadata)),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::from(error).at(&path)),
            };
            let (mut metadata, later) = (ask()?, self.resident().to_set_later());
            let mut refusal = None;
            if metadata.is_some()
                && let Some(later) = &later
            {
                match context.storage.set_attributes(&path, later) {
                    Ok(set) if is_it(&set) => metadata = Some(set),
                    Ok(_) => metadata = None,
                    // A store without times has none to set.
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                    // Who may write to a file of another may not say when that was.
                    Err(error)
                        if error.kind() == io::ErrorKind::PermissionDenied
                            && self.resident().state().unsaved.is_when_written(later) => {}
                    // Said once: all else is stored, and to ask again would not help.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refusal = Some(error),
                    Err(error) => return Err(Error::from(error).at(&path)),
                }
            }
            if let Some(metadata) = metadata {
                // First what storage tells, and then that memory has nothing to add: nobody is told what was before.
                context.nodes.adopt_attributes(node, &context.tree.attributes_from(node, &metadata), now);
                self.resident().settle(&metadata, later.as_ref());
                return refusal.map_or(Ok(Stored::InPlace), |error| Err(Error::from(error).at(&path)));
            }
        }
        self.evade(now)
    }
}

/// How far a step of storing goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Chunks,
    /// The header of an empty file, too.
    All,
}

impl ResidentFile {
    /// What is to be done next. Chunks that are about to be written are struck off all reads under way.
    fn begin_job(&self, extent: Extent) -> Option<Job> {
        let mut state = self.state_mut();
        let state = &mut *state;
        let (valid, len) = (state.content.valid, state.content.len);
        if state.unsaved.needs_cut {
            state.unsaved.is_unasked = true;
            return Some(Job::Cut(state.content.readable_len));
        }
        let run = state.unsaved.next_run(valid, len);
        if run.is_empty() && (extent == Extent::Chunks || state.unsaved.header.is_none()) {
            return None;
        }
        let is_part_of_chunk = run.start == valid / PAYLOAD_LEN && !valid.is_multiple_of(PAYLOAD_LEN);
        if is_part_of_chunk && len > valid && !self.takes_cached_chunk(state, run.start) {
            return Some(Job::Load(run.start));
        }
        let content = &mut state.content;
        let end = run.end.saturating_mul(PAYLOAD_LEN).min(content.len);
        let chunks = run.clone().map(|index| {
            let len = (content.len - index * PAYLOAD_LEN).min(PAYLOAD_LEN);
            (state.unsaved.chunk(index), to_usize(len))
        });
        let write = Write {
            header: state.unsaved.header.clone(),
            first: run.start,
            chunks: chunks.collect(),
            valid: end.max(content.valid),
        };
        for flight in &state.flights {
            flight.strike(run.clone());
        }
        // Also where it fails.
        content.stored_len = content.stored_len.max(content.layout.ciphertext_len(end));
        state.unsaved.is_unasked = true;
        Some(Job::Write(write))
    }

    fn has_job(&self, extent: Extent) -> bool {
        let state = self.state();
        let run = state.unsaved.next_run(state.content.valid, state.content.len);
        state.unsaved.needs_cut
            || !run.is_empty()
            || (extent == Extent::All && state.unsaved.header.is_some())
    }

    fn was_cut(&self, len: u64) {
        let mut state = self.state_mut();
        (state.unsaved.needs_cut, state.unsaved.before_cut) = (false, None);
        (state.content.readable_len, state.content.stored_len) = (len, len);
    }

    /// Takes note that these chunks are whole in storage.
    fn cut_chunk_was_stored(&self, chunks: Range<u64>) {
        self.state_mut().unsaved.cut_chunk.take_if(|index| chunks.contains(index));
    }

    fn was_written(&self, write: &Write) {
        let mut state = self.state_mut();
        let state = &mut *state;
        for (index, (chunk, len)) in (write.first..).zip(&write.chunks) {
            if let Some(chunk) = chunk {
                self.saved(state, index, chunk, *len);
            }
        }
        let content = &mut state.content;
        let written = write.first..write.first + write.chunks.len() as u64;
        state.unsaved.cut_chunk.take_if(|index| written.contains(index));
        if write.valid > content.valid || write.header.is_some() {
            content.valid = content.valid.max(write.valid);
            content.readable_len = content.layout.ciphertext_len(content.valid);
        }
        if write.header.is_some() {
            state.unsaved.header = None;
        }
    }

    fn to_set_later(&self) -> Option<Attributes> {
        self.state().unsaved.later.as_deref().cloned()
    }

    /// Everything is stored, in the file that storage describes, and what was to be set then is.
    fn settle(&self, metadata: &Metadata, set: Option<&Attributes>) {
        let mut state = self.state_mut();
        let state = &mut *state;
        state.unsaved.is_unasked = false;
        // Something else may have been set meanwhile.
        state.unsaved.later.take_if(|later| Some(&**later) == set);
        (state.content.modified, state.content.is_ours) = (metadata.modified, true);
        if state.is_unsaved() {
            // Somebody has written on meanwhile.
            return;
        }
        state.unsaved.written = None;
        if metadata.len == state.content.readable_len {
            state.content.stored_len = metadata.len;
        } else {
            // Somebody else has changed this very file.
            state.content = self.new_content(metadata);
        }
    }

    /// Everything but what has been written since is stored in another file, under another header. `change_handle` goes
    /// over to that: in the same step, or a read would be judged that took the content of one from the other.
    pub(super) fn moved_to<T>(
        &self,
        copied: &[(u64, ClearChunk)],
        len: u64,
        cipher: Arc<ContentCipher>,
        metadata: &Metadata,
        change_handle: impl FnOnce() -> T,
    ) -> T {
        let mut state = self.state_mut();
        let state = &mut *state;
        state.content.id = self.chunks.new_content();
        for (index, chunk) in copied {
            let stored = len.saturating_sub(index * PAYLOAD_LEN).min(PAYLOAD_LEN);
            self.saved(state, *index, chunk, to_usize(stored));
        }
        let content = &mut state.content;
        content.valid = len;
        content.readable_len = content.layout.ciphertext_len(len);
        content.stored_len = content.readable_len;
        content.torn = None;
        content.cipher = Some(cipher);
        content.identity = metadata.identity;
        content.modified = metadata.modified;
        state.lost_durability = None;
        state.unsaved.header = None;
        (state.unsaved.needs_cut, state.unsaved.before_cut) = (false, None);
        state.unsaved.cut_chunk = None;
        state.unsaved.is_unasked = false;
        state.unsaved.error = None;
        if !state.is_unsaved() {
            state.unsaved.written = None;
        }
        change_handle()
    }
}

/// Whether the server has put another file in the place of the open one, which can be written to no longer.
fn is_stale(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::StaleNetworkFileHandle)
}
