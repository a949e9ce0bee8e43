//! Writing into memory, and nowhere else.

use std::sync::Arc;
use std::time::SystemTime;

use super::content::span_len;
use super::unsaved::{CHUNK, Unsaved};
use super::{Block, File};
use crate::chunk::{ChunkIndex, MAX_CLEARTEXT_LEN, Span};
use crate::error::{Error, ErrorKind};

/// So much a file may always hold in memory, so that others that cannot be stored do not stop it.
pub(super) const ALWAYS: usize = 128 << 10;

/// What came of a write that memory alone was to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// All of it is in memory, and everybody sees it.
    Done,
    /// Nothing was changed. Of these chunks only a part would be, and the rest is in storage only.
    Needs(Vec<ChunkIndex>),
    /// Nothing was changed. Memory takes no more of this file before storage has taken some.
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
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > MAX_CLEARTEXT_LEN) {
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
        if self.is_full(&state.unsaved, spans()) {
            return Ok(Attempt::Full);
        }
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

    /// Whether a write would take more memory than the file may have. One that holds nothing may take what it needs.
    fn is_full(&self, unsaved: &Unsaved, spans: impl Iterator<Item = Span>) -> bool {
        let new = spans.filter(|span| unsaved.chunk(span.chunk.0).is_none()).count() * CHUNK;
        let (own, limits) = (unsaved.bytes(), self.context.limits);
        let all = self.context.budget.bytes();
        let is_too_much = own + new > limits.per_file || (all + new > limits.per_vault && own + new > ALWAYS);
        new > 0 && own > 0 && is_too_much
    }
}
