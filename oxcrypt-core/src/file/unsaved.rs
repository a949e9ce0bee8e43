//! What memory has of a file that storage does not have yet.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use super::content::{Content, copy_span, to_usize};
use super::flight::Flight;
use super::resident::{Begun, ResidentFile, State};
use crate::cache::{ClearChunk, ContentId};
use crate::chunk::{ChunkIndex, MAX_FILE_LEN, PAYLOAD_LEN, Span};
use crate::cleartext::Cleartext;
use crate::crypto::ContentCipher;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Attributes;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// The changes of one file, to be stored. Every file has this as long as it is open, and most never more than nothing, so
/// what is seldom there lies elsewhere.
#[derive(Default)]
pub(super) struct Unsaved {
    /// Whole chunks, zeros where nothing was written, by their number.
    chunks: BTreeMap<u64, ClearChunk>,
    /// A header that is not in storage yet.
    pub(super) header: Option<Arc<[u8]>>,
    /// Storage has more than counts, and is to be cut before anything is written behind that.
    pub(super) needs_cut: bool,
    /// What storage has, where it has not been cut yet as the file was.
    pub(super) before_cut: Option<Box<Content>>,
    /// The chunk in which storage is cut, or is to be: there it counts once it is stored again.
    pub(super) cut_chunk: Option<u64>,
    /// Something was stored, and storage has not been asked since which file that was.
    pub(super) is_unasked: bool,
    /// What was set on purpose and storing would undo, to be set once all chunks are stored: times, and a mode with bits
    /// that a host takes from a file that is written to.
    pub(super) later: Option<Box<Attributes>>,
    /// When the file was last written to.
    pub(super) written: Option<SystemTime>,
    /// Why storing failed, until it succeeds: nothing more is taken meanwhile.
    pub(super) error: Option<Arc<Error>>,
    /// Whether somebody who has the file open was told so.
    pub(super) is_told: bool,
}

/// Bytes of unsaved chunks of all files of a vault.
#[derive(Default)]
pub(crate) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts so many bytes more until the result is dropped, if all are no more than `most` then.
    pub(super) fn reserve(&self, bytes: usize, most: usize) -> Option<Reserved<'_>> {
        let more = |all: usize| all.checked_add(bytes).filter(|all| *all <= most);
        let reserved = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        reserved.ok().map(|_| Reserved { budget: self, bytes })
    }
}

/// Room for chunks that are about to be taken.
pub(super) struct Reserved<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Chunks that are stored at once: a megabyte.
pub(super) const MAX_RUN: u64 = 32;
/// Bytes that an unsaved chunk takes.
pub(super) const CHUNK: usize = 32_768;
const _: () = assert!(CHUNK as u64 == PAYLOAD_LEN);

impl Unsaved {
    pub(super) fn chunk(&self, index: u64) -> Option<ClearChunk> {
        self.chunks.get(&index).map(Arc::clone)
    }

    /// The first chunk at or behind this one that storage does not have yet.
    pub(super) fn first_from(&self, index: u64) -> Option<u64> {
        self.chunks.range(index..).next().map(|(index, _)| *index)
    }

    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// The chunks that are to be stored next, of a file of `len` bytes of which `valid` are stored: first those that are
    /// written over in place, then those that make it longer, zeros included, from where it ends on.
    pub(super) fn next_run(&self, valid: u64, len: u64) -> Range<u64> {
        let grows = len > valid;
        // The first chunk that is not written over in place.
        let tail = if grows { valid / PAYLOAD_LEN } else { len.div_ceil(PAYLOAD_LEN) };
        match self.chunks.range(..tail).next() {
            Some((first, _)) => {
                let run = self.chunks.range(*first..tail.min(first + MAX_RUN)).zip(*first..);
                let len = run.take_while(|((index, _), expected)| *index == expected).count() as u64;
                *first..first + len
            }
            None if grows => tail..len.div_ceil(PAYLOAD_LEN).min(tail + MAX_RUN),
            None => tail..tail,
        }
    }

    /// Whether nothing is left to be done, but for zeros behind what storage has.
    pub(super) fn is_settled(&self) -> bool {
        self.has_nothing_to_write() && !self.is_unasked && self.later.is_none()
    }

    /// Whether nothing is left that would change the content in storage.
    fn has_nothing_to_write(&self) -> bool {
        self.chunks.is_empty() && self.header.is_none() && !self.needs_cut
    }

    /// Whether no more is to be set than when the file was written to, which nobody asked for.
    pub(super) fn is_when_written(&self, later: &Attributes) -> bool {
        *later == Attributes { modified: self.written, ..Attributes::default() }
    }

    /// Keeps what storage has before it is cut, if that is whole.
    fn keep_uncut(&mut self, uncut: Content, was_cut: Option<u64>) {
        if self.needs_cut && self.before_cut.is_none() && was_cut.is_none() {
            self.before_cut = Some(Box::new(uncut));
        }
    }

    /// Takes from `other` the chunk in which storage is cut after `valid` bytes of the file, and no byte of what is behind.
    pub(super) fn take_cut_chunk(&mut self, other: &mut Self, valid: u64) {
        self.cut_chunk = other.cut_chunk;
        if let Some((index, mut chunk)) = other.cut_chunk.and_then(|index| other.chunks.remove_entry(&index))
        {
            Arc::make_mut(&mut chunk).split_at_mut(to_usize(valid % PAYLOAD_LEN)).1.fill(0);
            self.chunks.insert(index, chunk);
        }
    }

    /// Takes note of when something was written. That is later than any time that was set before.
    pub(super) fn wrote(&mut self, now: SystemTime) {
        self.written = Some(now);
        if let Some(later) = &mut self.later {
            later.modified = None;
        }
        self.later.take_if(|later| **later == Attributes::default());
    }

    /// The refusal of everything that would add to what cannot be stored.
    fn refusal(&self) -> Result<()> {
        match &self.error {
            Some(error) => {
                Err(Error::new(error.kind())
                    .because(format!("an earlier write could not be stored: {error}")))
            }
            None => Ok(()),
        }
    }
}

/// What came of writing into a chunk.
pub(super) enum Wrote {
    Done,
    /// The rest of the chunk is in storage only.
    NeedsChunk,
}

/// What a chunk was before it is written to, as it was read for that.
#[derive(Clone, Copy)]
pub(super) struct Base<'b> {
    pub(super) content: ContentId,
    pub(super) flight: &'b Flight,
    pub(super) chunk: &'b ClearChunk,
}

impl<'b> Base<'b> {
    pub(super) fn new(begun: &'b Begun, chunk: &'b ClearChunk) -> Self {
        Self { content: begun.content.id, flight: &begun.flight, chunk }
    }

    /// Whether nobody has changed the chunk since it was read.
    fn is_current(&self, state: &State, index: u64) -> bool {
        self.content == state.content.id && !self.flight.is_struck(index)
    }
}

impl ResidentFile {
    /// Writes into one chunk, in memory alone. `base` is what was read of it where that is needed; it is of no use any
    /// more if the chunk was changed meanwhile.
    pub(super) fn write_chunk(
        &self,
        span: Span,
        bytes: &[u8],
        base: Option<Base<'_>>,
        now: SystemTime,
    ) -> Result<Wrote> {
        let mut state = self.state_mut();
        state.expect_whole()?;
        if span.chunk.0 * PAYLOAD_LEN + span.end > MAX_FILE_LEN {
            return Err(ErrorKind::TooLarge.into());
        }
        if !self.begin_chunk(&mut state, span, base) {
            return Ok(Wrote::NeedsChunk);
        }
        state.put(span, bytes);
        state.unsaved.wrote(now);
        Ok(Wrote::Done)
    }

    /// Has a chunk among those to be stored before a part of it is changed; false if the rest of it is in storage only.
    fn begin_chunk(&self, state: &mut State, span: Span, base: Option<Base<'_>>) -> bool {
        if !state.unsaved.chunks.contains_key(&span.chunk.0) {
            let Some(chunk) = self.before_change(state, span, base) else { return false };
            self.insert_unsaved(state, span.chunk.0, Arc::new(chunk));
        }
        true
    }

    /// What a chunk is before a part of it is changed, zeros where nothing of that stays; `None` if it is in storage only.
    pub(super) fn before_change(
        &self,
        state: &State,
        span: Span,
        base: Option<Base<'_>>,
    ) -> Option<Cleartext> {
        if state.needs_nothing_of(span) {
            return Some(Cleartext::zeroed(CHUNK));
        }
        let clean = self.chunks.get(state.content.id, span.chunk).map(|clean| whole(&clean));
        let base = base.filter(|base| base.is_current(state, span.chunk.0));
        clean.or_else(|| base.map(|base| whole(base.chunk)))
    }

    /// Makes the file longer, by zeros that take no memory.
    pub(super) fn extend(&self, len: u64, now: SystemTime) -> Result<()> {
        let mut state = self.state_mut();
        state.expect_whole()?;
        if len > MAX_FILE_LEN {
            return Err(ErrorKind::TooLarge.into());
        }
        state.content.len = state.content.len.max(len);
        state.unsaved.wrote(now);
        if state.content.len <= state.content.valid && state.unsaved.has_nothing_to_write() {
            // It was as long before. Storage would never know that this was a change.
            state.unsaved.later.get_or_insert_default().modified = Some(now);
        }
        Ok(())
    }

    /// The chunk that has to be read before the file can be cut to `len`: that at the new end, if it is stored, in part
    /// beyond it, and not in memory.
    pub(super) fn chunk_at_new_end(&self, len: u64) -> Option<u64> {
        let state = self.state();
        let index = len / PAYLOAD_LEN;
        let is_cut_in_two = !len.is_multiple_of(PAYLOAD_LEN) && len < state.content.valid;
        let is_known = state.unsaved.chunk(index).is_some()
            || self.chunks.get(state.content.id, ChunkIndex(index)).is_some();
        (is_cut_in_two && !is_known).then_some(index)
    }

    /// Cuts the file to `len`, more than nothing and less than it has. `end` is the chunk that has the new end, where
    /// that was needed. Returns false if the content has changed since it was read.
    pub(super) fn cut(&self, len: u64, end: Option<Base<'_>>, now: SystemTime) -> Result<bool> {
        let mut state = self.state_mut();
        let state = &mut *state;
        state.unsaved.refusal()?;
        let index = len / PAYLOAD_LEN;
        let behind = to_usize(len % PAYLOAD_LEN);
        if state.content.torn.is_some_and(|torn| len > torn.readable) {
            return Err(Error::damaged("the file is cut off before that"));
        }
        if behind > 0 && len < state.content.valid && !self.takes_cached_chunk(state, index) {
            let Some(base) = end.filter(|base| base.is_current(state, index)) else { return Ok(false) };
            self.insert_unsaved(state, index, Arc::new(whole(base.chunk)));
        }
        let removed = state.unsaved.chunks.split_off(&len.div_ceil(PAYLOAD_LEN));
        self.budget.give_back(removed.len() * CHUNK);
        if behind > 0
            && let Some(chunk) = state.unsaved.chunks.get_mut(&index)
        {
            Arc::make_mut(chunk).split_at_mut(behind).1.fill(0);
        }
        let (uncut, was_cut) = (state.content.clone(), state.unsaved.cut_chunk);
        let content = &mut state.content;
        content.torn = None;
        content.len = len;
        if len < content.valid {
            state.unsaved.cut_chunk = (behind > 0).then_some(index);
        }
        if len < content.valid || uncut.torn.is_some() || content.stored_len > content.readable_len {
            content.valid = content.valid.min(len);
            content.readable_len =
                if state.unsaved.header.is_some() { 0 } else { content.layout.ciphertext_len(content.valid) };
            state.unsaved.needs_cut |= content.stored_len > content.readable_len;
        }
        // What is being read of it was read of a file that was longer.
        content.id = self.chunks.new_content();
        state.unsaved.keep_uncut(uncut, was_cut);
        state.unsaved.wrote(now);
        Ok(true)
    }

    /// Begins the file anew: it is empty, under a new header. Whatever was wrong with it is gone, and why it could not be
    /// stored.
    pub(super) fn restart(&self, header: Arc<[u8]>, cipher: Arc<ContentCipher>, now: SystemTime) {
        let mut state = self.state_mut();
        let state = &mut *state;
        state.unsaved.error = None;
        let removed = mem::take(&mut state.unsaved.chunks);
        self.budget.give_back(removed.len() * CHUNK);
        state.lost_durability = None;
        let (uncut, was_cut) = (state.content.clone(), state.unsaved.cut_chunk.take());
        let content = &mut state.content;
        (content.len, content.valid, content.readable_len, content.torn) = (0, 0, 0, None);
        content.cipher = Some(cipher);
        content.id = self.chunks.new_content();
        state.unsaved.needs_cut = content.stored_len > 0;
        state.unsaved.keep_uncut(uncut, was_cut);
        state.unsaved.header = Some(header);
        state.unsaved.wrote(now);
    }

    /// Whether a header has to be made before anything can be stored: the file has not a single byte in storage.
    pub(super) fn needs_header(&self) -> bool {
        self.state().needs_header()
    }

    /// Takes a header for a file that has none, unless it got one meanwhile.
    pub(super) fn give_header(&self, header: Arc<[u8]>, cipher: Arc<ContentCipher>) {
        let mut state = self.state_mut();
        if state.needs_header() {
            state.content.cipher = Some(cipher);
            state.unsaved.header = Some(header);
        }
    }

    /// Takes the part of a chunk that was read, to be stored again. Of no use if it was changed meanwhile.
    pub(super) fn take_part_chunk(&self, index: u64, base: &Base<'_>) {
        let mut state = self.state_mut();
        let state = &mut *state;
        if base.is_current(state, index) && state.unsaved.chunk(index).is_none() {
            self.insert_unsaved(state, index, Arc::new(whole(base.chunk)));
        }
    }

    /// Takes note of times to be set once all chunks are stored; false if there is nothing to wait for.
    pub(crate) fn set_times_later(&self, times: &Attributes) -> bool {
        let mut state = self.state_mut();
        if !state.is_unsaved() {
            return false;
        }
        let later = state.unsaved.later.get_or_insert_default();
        later.modified = times.modified.or(later.modified);
        later.accessed = times.accessed.or(later.accessed);
        true
    }

    /// Takes note of the mode that is to be set once all chunks are stored, instead of an earlier one, which it returns.
    /// Where nothing is unsaved there is nothing to wait for.
    pub(crate) fn set_mode_later(&self, mode: Option<u32>) -> Option<u32> {
        let mut state = self.state_mut();
        if !state.is_unsaved() {
            return None;
        }
        let later = state.unsaved.later.get_or_insert_default();
        let former = mem::replace(&mut later.mode, mode);
        state.unsaved.later.take_if(|later| **later == Attributes::default());
        former
    }

    /// Takes a stored chunk that memory has, to be stored again; false if it has none.
    pub(super) fn takes_cached_chunk(&self, state: &mut State, index: u64) -> bool {
        if state.unsaved.chunk(index).is_some() {
            return true;
        }
        let Some(clean) = self.chunks.get(state.content.id, ChunkIndex(index)) else { return false };
        self.insert_unsaved(state, index, Arc::new(whole(&clean)));
        true
    }

    pub(super) fn insert_unsaved(&self, state: &mut State, index: u64, chunk: ClearChunk) {
        if state.unsaved.chunks.insert(index, chunk).is_none() {
            self.budget.take(CHUNK);
        }
    }

    /// Takes out a chunk that storage has by now, if it is still the one that was stored.
    pub(super) fn saved(&self, state: &mut State, index: u64, stored: &ClearChunk, len: usize) {
        let is_same = state.unsaved.chunks.get(&index).is_some_and(|chunk| Arc::ptr_eq(chunk, stored));
        if is_same {
            state.unsaved.chunks.remove(&index);
            self.budget.give_back(CHUNK);
        }
        if self.chunks.is_enabled() {
            let clean = if len < CHUNK {
                let mut part = Cleartext::zeroed(len);
                let span = Span { chunk: ChunkIndex(index), start: 0, end: len as u64 };
                copy_span(stored, span, &mut part);
                Arc::new(part)
            } else {
                ClearChunk::clone(stored)
            };
            self.chunks.insert(&self.tally, state.content.id, ChunkIndex(index), clean);
        }
    }
}

impl State {
    /// Refuses to write to what cannot be stored, or is cut off.
    pub(super) fn expect_whole(&self) -> Result<()> {
        self.unsaved.refusal()?;
        match self.content.torn {
            Some(torn) => Err(Error::damaged(torn.to_string())),
            None => Ok(()),
        }
    }

    /// Whether a chunk is written over from its beginning to its end, or has nothing in storage.
    pub(super) fn needs_nothing_of(&self, span: Span) -> bool {
        let start = span.chunk.0 * PAYLOAD_LEN;
        let covers_all = span.start == 0 && (span.end == PAYLOAD_LEN || start + span.end >= self.content.len);
        covers_all || start >= self.content.valid
    }

    /// Writes into a chunk that is to be stored.
    pub(super) fn put(&mut self, span: Span, bytes: &[u8]) {
        if let Some(chunk) = self.unsaved.chunks.get_mut(&span.chunk.0) {
            let range = to_usize(span.start)..to_usize(span.end);
            if let Some(into) = Arc::make_mut(chunk).get_mut(range) {
                into.copy_from_slice(bytes);
            }
        }
        self.content.len = self.content.len.max(span.chunk.0 * PAYLOAD_LEN + span.end);
    }
}

/// A copy of a chunk with room for all of it.
fn whole(chunk: &[u8]) -> Cleartext {
    let mut whole = Cleartext::zeroed(CHUNK);
    let len = chunk.len().min(CHUNK);
    whole.split_at_mut(len).0.copy_from_slice(chunk.split_at(len).0);
    whole
}
