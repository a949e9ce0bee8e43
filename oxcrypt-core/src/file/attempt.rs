//! Writing into memory, and nowhere else.

use std::sync::Arc;
use std::time::SystemTime;

use super::content::{span_len, to_usize};
use super::unsaved::{CHUNK, Reserved, Unsaved};
use super::{Block, File};
use crate::chunk::{ChunkIndex, MAX_FILE_LEN, PAYLOAD_LEN, Span};
use crate::error::{Error, ErrorKind};

/// So much a file may always hold in memory, so that others that cannot be stored do not stop it.
pub(super) const ALWAYS: usize = CHUNK;

/// What came of a write that memory alone was to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// All of it is in memory, and everybody sees it.
    Done,
    /// Nothing was changed. Of these chunks only a part would be, and the rest is in storage only.
    Needs(Vec<ChunkIndex>),
    /// Nothing was changed. Memory takes not so much before storage has taken some, of this file or others.
    Full,
}

impl File {
    /// Writes all of `bytes` at `offset` or nothing, in memory: never blocks on storage.
    ///
    /// `blocks` have what was read of chunks that an earlier attempt needed. Of what was changed since they are of no use,
    /// and then it is needed again. Nobody looks here whether storage has room for what is written.
    ///
    /// # Errors
    ///
    /// Those of [`write_at`](Self::write_at), but for what storage would say.
    pub fn try_write_at(
        &self,
        offset: u64,
        bytes: &[u8],
        blocks: &[Arc<Block>],
        now: SystemTime,
    ) -> Result<Attempt, Arc<Error>> {
        self.expect_writable()?;
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > MAX_FILE_LEN) {
            return Err(self.name(ErrorKind::TooLarge.into()).into());
        }
        let attempt = self.attempt(offset, bytes, blocks, now)?;
        if attempt == Attempt::Done && !bytes.is_empty() {
            self.context.hold(&self.shared);
        }
        Ok(attempt)
    }

    /// Whether memory would take a write of `len` bytes at `offset`, as far as its room is concerned.
    #[must_use]
    pub fn has_memory(&self, offset: u64, len: usize) -> bool {
        let spans = self.resident().layout.spans(offset, len as u64);
        !self.is_full(&self.resident().state().unsaved, spans)
    }

    /// How many bytes at `offset` memory would take at least, as far as its room is concerned: up to the end of a chunk.
    #[must_use]
    pub fn memory_left(&self, offset: u64) -> usize {
        let chunks = self.room(&self.resident().state().unsaved) / CHUNK;
        (chunks * CHUNK).saturating_sub(to_usize(offset % PAYLOAD_LEN))
    }

    fn attempt(
        &self,
        offset: u64,
        bytes: &[u8],
        blocks: &[Arc<Block>],
        now: SystemTime,
    ) -> Result<Attempt, Arc<Error>> {
        let spans = || self.resident().layout.spans(offset, bytes.len() as u64);
        // One lock for all of it: nobody sees half of a write.
        let mut state = self.resident().state_mut();
        state.expect_whole().map_err(|error| self.name(error))?;
        let Some(_room) = self.reserve(&state.unsaved, spans()) else { return Ok(Attempt::Full) };
        let (mut begun, mut needs) = (Vec::new(), Vec::new());
        for span in spans().filter(|span| state.unsaved.chunk(span.chunk.0).is_none()) {
            let base = match blocks.iter().find_map(|block| block.base(state.content.id, span.chunk.0)) {
                Some(Err(error)) if !state.needs_nothing_of(span) => return Err(Arc::clone(error)),
                base => base.and_then(Result::ok),
            };
            match self.resident().before_change(&state, span, base) {
                Some(chunk) => begun.push((span.chunk.0, chunk)),
                None => needs.push(span.chunk),
            }
        }
        if !needs.is_empty() {
            return Ok(Attempt::Needs(needs));
        }
        for (index, chunk) in begun {
            self.resident().insert_unsaved(&mut state, index, Arc::new(chunk));
        }
        let mut rest = bytes;
        for span in spans() {
            let Some((part, behind)) = rest.split_at_checked(span_len(span)) else { break };
            state.put(span, part);
            rest = behind;
        }
        if !bytes.is_empty() {
            state.unsaved.wrote(now);
        }
        Ok(Attempt::Done)
    }

    /// Whether a write would take more memory than there is for the file.
    fn is_full(&self, unsaved: &Unsaved, spans: impl Iterator<Item = Span>) -> bool {
        new_bytes(unsaved, spans) > self.room(unsaved)
    }

    /// Bytes of chunks more that memory takes of the file.
    fn room(&self, unsaved: &Unsaved) -> usize {
        let left_of_all = self.context.limits.per_vault.saturating_sub(self.context.budget.bytes());
        self.left_of_file(unsaved).min(left_of_all).max(ALWAYS.saturating_sub(unsaved.bytes()))
    }

    fn left_of_file(&self, unsaved: &Unsaved) -> usize {
        self.context.limits.per_file.saturating_sub(unsaved.bytes())
    }

    /// Keeps room for a write against others until the result is dropped; `None` if there is not enough.
    fn reserve(&self, unsaved: &Unsaved, spans: impl Iterator<Item = Span>) -> Option<Reserved<'_>> {
        let (new, own) = (new_bytes(unsaved, spans), unsaved.bytes());
        let budget = &self.context.budget;
        if new == 0 || own + new <= ALWAYS {
            return budget.reserve(0, usize::MAX);
        }
        if new > self.left_of_file(unsaved) {
            None
        } else {
            budget.reserve(new, self.context.limits.per_vault)
        }
    }
}

/// Bytes of chunks that a write changes and that memory does not hold yet.
fn new_bytes(unsaved: &Unsaved, spans: impl Iterator<Item = Span>) -> usize {
    spans.filter(|span| unsaved.chunk(span.chunk.0).is_none()).count() * CHUNK
}
