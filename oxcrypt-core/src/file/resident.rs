//! The resident half of a file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use super::content::{Content, Plan, copy_span, span_len};
use super::flight::Flight;
use super::unsaved::{Budget, Unsaved};
use crate::cache::{ChunkCache, ClearChunk, ContentId, Tally};
use crate::chunk::{ChunkIndex, Layout, PAYLOAD_LEN, Torn};
use crate::cleartext::Cleartext;
use crate::crypto::ContentCipher;
use crate::error::{Error, Result};
use crate::node::NodeAttributes;
use crate::probe::Probe;
use crate::storage::{Metadata, Owner};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What memory has of a file: length, content key, chunks that storage does not have yet, and those of the others that
/// are cached.
///
/// It holds no storage handle, so nothing here can block on storage. `Debug` shows lengths only.
pub struct ResidentFile {
    pub(super) layout: Layout,
    pub(super) chunks: Arc<ChunkCache>,
    pub(super) tally: Tally,
    pub(super) budget: Arc<Budget>,
    state: RwLock<State>,
    /// How many have it open with nothing but what memory has.
    pub(super) unopened: AtomicUsize,
}

/// All that changes of a resident file, under one lock that is never held across storage.
pub(super) struct State {
    pub(super) content: Content,
    pub(super) unsaved: Unsaved,
    /// Why what was stored of it may not survive a power loss, although somebody asked for that. Whatever is learnt of
    /// the file later changes nothing about it.
    pub(super) lost_durability: Option<Arc<Error>>,
    /// How often what was unsaved was given up.
    pub(super) losses: u64,
    /// Whether somebody has opened it with what memory has, and storage has not told since what it is.
    pub(super) is_believed: bool,
    /// How often storage told then that others had changed it before.
    pub(super) refutations: u64,
    /// Reads of storage under way.
    pub(super) flights: Vec<Arc<Flight>>,
    /// What the file is like, apart from what is unsaved, since it has no name any more.
    pub(super) gone: Option<Box<NodeAttributes>>,
}

/// A read of storage that has begun, with the content as it was then.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) content: Content,
    pub(super) flight: Arc<Flight>,
}

impl ResidentFile {
    pub(super) fn new(
        layout: Layout,
        chunks: Arc<ChunkCache>,
        budget: Arc<Budget>,
        metadata: &Metadata,
    ) -> Self {
        let content = Content::new(layout, chunks.new_content(), metadata);
        let state = State {
            content,
            unsaved: Unsaved::default(),
            lost_durability: None,
            losses: 0,
            is_believed: false,
            refutations: 0,
            flights: Vec::new(),
            gone: None,
        };
        Self {
            layout,
            chunks,
            tally: Tally::default(),
            budget,
            state: RwLock::new(state),
            unopened: AtomicUsize::new(0),
        }
    }

    /// Length of the cleartext, as [`File::len`](super::File::len).
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state().content.len
    }

    /// Whether the cleartext has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Set where the ciphertext is cut off.
    #[must_use]
    pub fn torn(&self) -> Option<Torn> {
        self.state().content.torn
    }

    /// Reads cleartext at `offset` into `buf` if memory holds all of it; then as
    /// [`File::read_at`](super::File::read_at).
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Probe<usize> {
        if buf.is_empty() {
            return Probe::Ready(0);
        }
        let state = self.state();
        let content = &state.content;
        let Ok(plan) = content.plan(offset, buf.len()) else { return Probe::Absent };
        if content.is_unvouched() {
            return Probe::Absent;
        }
        let mut rest = buf;
        let mut behind = plan.start;
        for span in content.spans(offset, plan.len) {
            let Some(chunk) = self.chunk_in(&state, span.chunk) else { return Probe::Absent };
            let (part, next) = rest.split_at_mut(span_len(span));
            copy_span(&chunk, span, part);
            rest = next;
            behind = span.chunk.next();
        }
        // A read that meets the end wants the trailing empty chunk, too.
        if behind < plan.end && self.chunk_in(&state, behind).is_none() {
            return Probe::Absent;
        }
        Probe::Ready(plan.len)
    }

    /// Which state of the content this is: another number after every change that was noticed and was not our own, and
    /// after every cut.
    #[must_use]
    pub fn content_id(&self) -> ContentId {
        self.state().content.id
    }

    /// Whether memory has all of the file. Looks no further than the first chunk that is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let state = self.state();
        // Behind what storage has there are zeros, and what is in memory alone: of a sparse file, no end of them.
        let chunks = state.content.valid.div_ceil(PAYLOAD_LEN);
        state.content.torn.is_none()
            && !state.content.is_unvouched()
            && (0..chunks).all(|index| self.chunk_in(&state, ChunkIndex(index)).is_some())
    }

    /// Whether somebody has it open and storage has not opened it for anybody: see
    /// [`Vault::open_in_storage`](crate::Vault::open_in_storage).
    #[must_use]
    pub fn is_unopened(&self) -> bool {
        self.unopened.load(Ordering::Acquire) > 0
    }

    /// Whether memory has anything of it that the next one to open it would have to ask storage for, but for its length.
    pub(super) fn is_known(&self) -> bool {
        let state = self.state();
        !state.content.is_unvouched() || state.lost_durability.is_some()
    }

    /// Whether memory has any chunk of it, but for what is unsaved.
    pub(super) fn has_chunks(&self) -> bool {
        self.tally.has_any()
    }

    /// Whether anything of it is not in storage yet, or storage has not been asked since whether it is still the same
    /// file.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        self.state().is_unsaved()
    }

    /// Bytes that changed chunks take in memory until storage has them.
    #[must_use]
    pub fn unsaved_bytes(&self) -> usize {
        self.state().unsaved.bytes()
    }

    /// Bytes of zeros, behind what storage has, that no memory is taken for and that are to be stored: what a file was made
    /// longer by. Chunks that hold a few other bytes count as zeros.
    #[must_use]
    pub fn unsaved_zeros(&self) -> u64 {
        let state = self.state();
        if state.content.torn.is_some() { 0 } else { state.content.len.saturating_sub(state.content.valid) }
    }

    /// Whether anything else is to be stored than more than `zeros` such bytes and what lies behind them.
    #[must_use]
    pub fn is_unsaved_before(&self, zeros: u64) -> bool {
        let state = self.state();
        let end = state.content.valid.saturating_add(zeros);
        state.unsaved.needs_cut || state.unsaved.first_from(0).is_some_and(|first| first * PAYLOAD_LEN <= end)
    }

    /// When it was last written to, as long as anything of that is unsaved.
    #[must_use]
    pub fn written(&self) -> Option<SystemTime> {
        let state = self.state();
        state.unsaved.written.filter(|_| state.is_unsaved())
    }

    /// What the file is like: as long as anything of it is unsaved, what memory knows of it, and else what storage told.
    pub(crate) fn as_written(&self, told: NodeAttributes) -> NodeAttributes {
        self.state().as_written(told)
    }

    pub(super) fn content(&self) -> Content {
        self.state().content.clone()
    }

    /// A plan of a read, with what memory has of it at this moment.
    pub(super) fn look(&self, offset: u64, want: usize) -> Result<(Content, Plan, Vec<Option<ClearChunk>>)> {
        let state = self.state();
        let plan = state.content.plan(offset, want)?;
        let chunks = plan.start.0..plan.end.0.max(plan.start.0);
        let held = chunks.map(|index| self.chunk_in(&state, ChunkIndex(index))).collect();
        Ok((state.content.clone(), plan, held))
    }

    /// What memory has of a chunk, if the content is still that of `id`.
    pub(super) fn chunk(&self, id: ContentId, index: u64) -> Option<ClearChunk> {
        let state = self.state();
        (state.content.id == id).then(|| self.chunk_in(&state, ChunkIndex(index)))?
    }

    /// A chunk that storage does not have yet.
    pub(super) fn unsaved_chunk(&self, index: u64) -> Option<ClearChunk> {
        self.state().unsaved.chunk(index)
    }

    fn chunk_in(&self, state: &State, index: ChunkIndex) -> Option<ClearChunk> {
        if let Some(chunk) = state.unsaved.chunk(index.0) {
            return Some(chunk);
        }
        if state.content.is_gap(index.0) {
            return Some(Arc::new(Cleartext::zeroed(0)));
        }
        self.chunks.get(state.content.id, index)
    }

    /// Begins to read chunks of storage; `None` if the content has become another one than that of `id`. Chunks that
    /// storage does not have, or has an old version of, are struck off from the beginning.
    pub(super) fn begin_flight(&self, id: ContentId, run: &Range<u64>) -> Option<Begun> {
        let mut state = self.state_mut();
        if state.content.id != id {
            return None;
        }
        let flight = Arc::new(Flight::new(run.start));
        for index in run.clone() {
            if state.unsaved.chunk(index).is_some() || state.content.is_gap(index) {
                flight.strike(index..index + 1);
            }
        }
        // Those that only this list holds have come to their end.
        state.flights.retain(|flight| Arc::strong_count(flight) > 1);
        state.flights.push(Arc::clone(&flight));
        Some(Begun { content: state.content.clone(), flight })
    }

    /// Whether chunks that are read may be found again.
    #[must_use]
    pub fn caches_chunks(&self) -> bool {
        self.chunks.is_enabled()
    }

    /// Keeps a chunk that was read, and returns whether it counts: not where it was changed meanwhile.
    pub(super) fn keep(&self, begun: &Begun, index: ChunkIndex, chunk: Option<&ClearChunk>) -> bool {
        let state = self.state();
        if state.content.id != begun.content.id || begun.flight.is_struck(index.0) {
            return false;
        }
        if let Some(chunk) = chunk.filter(|_| self.chunks.is_enabled()) {
            self.chunks.insert(&self.tally, state.content.id, index, ClearChunk::clone(chunk));
        }
        true
    }

    /// Keeps the cipher of this state of the content.
    pub(super) fn keep_cipher(&self, id: ContentId, cipher: &Arc<ContentCipher>) {
        let mut state = self.state_mut();
        if state.content.id == id {
            state.content.cipher = Some(Arc::clone(cipher));
        }
    }

    /// Whether this is still the file that storage has under the path. Where the storage cannot tell files apart, one
    /// that looks otherwise is another, unless we have changed it ourselves: two files must never share what memory has
    /// of one.
    pub(super) fn is_same_file(&self, metadata: &Metadata) -> bool {
        let state = self.state();
        let content = &state.content;
        match (content.identity, metadata.identity) {
            (Some(was), Some(is)) => was == is,
            _ => state.is_unsaved() || (!content.is_apart && content.looks_like(metadata)),
        }
    }

    /// Whether storage says for certain that it is another file.
    pub(super) fn is_another_file(&self, metadata: &Metadata) -> bool {
        matches!((self.state().content.identity, metadata.identity), (Some(was), Some(is)) if was != is)
    }

    /// Compares with what storage says now, and forgets all content if somebody else has changed it. What we have not
    /// stored yet stands.
    pub(super) fn observe(&self, metadata: &Metadata) {
        let mut state = self.state_mut();
        if !state.is_unsaved() && !state.is_as_believed(metadata) {
            state.content = self.new_content(metadata);
        }
    }

    /// Takes over a time that we have set ourselves.
    pub(super) fn touched(&self, metadata: &Metadata) {
        let mut state = self.state_mut();
        let content = &mut state.content;
        if content.identity == metadata.identity && content.stored_len == metadata.len {
            content.modified = metadata.modified;
        }
    }

    /// As [`observe`](Self::observe), for a file that was opened: where the storage knows no times, nobody can say what
    /// was done to it before.
    pub(super) fn opened(&self, metadata: &Metadata) {
        let mut state = self.state_mut();
        if !state.is_unsaved() && (!state.is_as_believed(metadata) || metadata.modified.is_none()) {
            state.content = self.new_content(metadata);
        }
    }

    /// Whether `content`, of which something made no sense, is no longer what storage has. There is another then.
    pub(super) fn has_changed(&self, content: &Content, metadata: &Metadata) -> bool {
        let mut state = self.state_mut();
        if state.content.id != content.id {
            return true;
        }
        let is_known = match (state.content.identity, metadata.identity) {
            // The handle reads what it always did; nobody can say whether that was changed.
            (Some(was), Some(is)) if was != is => return false,
            (Some(_), Some(_)) => true,
            _ => false,
        };
        let has_changed =
            !state.is_unsaved() && (!state.is_as_believed(metadata) || metadata.modified.is_none());
        if has_changed {
            state.content = Content { is_apart: !is_known, ..self.new_content(metadata) };
        }
        has_changed
    }

    pub(super) fn new_content(&self, metadata: &Metadata) -> Content {
        Content::new(self.layout, self.chunks.new_content(), metadata)
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn as_written(&self, told: NodeAttributes) -> NodeAttributes {
        if !self.is_unsaved() {
            return told;
        }
        let written = self.unsaved.written;
        let set = self.unsaved.later.as_ref();
        let mode = set.and_then(|set| set.mode);
        NodeAttributes {
            len: self.content.len,
            torn: self.content.torn,
            modified: set.and_then(|set| set.modified).or(written).or(told.modified),
            // Storage knows of changes of its own, of mode and owner.
            changed: written.max(told.changed),
            accessed: set.and_then(|set| set.accessed).or(told.accessed),
            owner: told.owner.map(|owner| Owner { mode: mode.unwrap_or(owner.mode), ..owner }),
            ..told
        }
    }

    pub(super) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_settled() || self.content.len > self.content.valid && self.content.torn.is_none()
    }

    pub(super) fn needs_header(&self) -> bool {
        self.content.readable_len == 0 && self.unsaved.header.is_none() && self.content.torn.is_none()
    }
}

impl Drop for ResidentFile {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.give_back(state.unsaved.bytes());
        let content = &state.content;
        // Whoever opens the file again gets another state of the content.
        self.chunks.forget(&self.tally, content.id, content.len / PAYLOAD_LEN + 1);
    }
}

impl fmt::Debug for ResidentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content();
        write!(f, "ResidentFile({} bytes, {} stored)", content.len, content.stored_len)
    }
}
