//! A read in parts: what memory has, held so that no eviction takes it away, and the rest block by block.
//!
//! [`File::read_at`] asks storage for all that a range lacks. Where many read the same file at once their ranges
//! overlap, and somebody above lets them share their reads: that one asks for blocks of chunks that lie at the same
//! places for everybody, and puts each range together from the blocks that it needs.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::File;
use super::content::{Content, Plan, copy_span, span_len};
use super::flight::{Flight, MAX_RUN};
use super::read::Patience;
use super::resident::ResidentFile;
use super::unsaved::Base;
use crate::cache::{ClearChunk, ContentId};
use crate::chunk::{ChunkIndex, Layout, PAYLOAD_LEN};
use crate::cleartext::Cleartext;
use crate::error::{Error, Result};
use crate::probe::Probe;

/// A range of a file of which memory holds a part. Nothing here can block on storage. `Debug` shows numbers only.
pub struct Assembly {
    content: ContentId,
    layout: Layout,
    /// Whether the header was still to be read.
    is_unvouched: bool,
    offset: u64,
    plan: Plan,
    /// Those that memory has, from the plan's first chunk on.
    held: Vec<Option<ClearChunk>>,
}

/// Chunks of a file as they were read together, each sound or not. Wiped when the last holder drops them; `Debug` shows
/// numbers only.
pub struct Block {
    content: ContentId,
    first: u64,
    chunks: Vec<Result<ClearChunk, Arc<Error>>>,
    /// From when reading began: which chunks were stored since.
    flight: Option<Arc<Flight>>,
}

impl ResidentFile {
    /// Begins a read of `len` bytes at `offset`, as [`File::read_at`] would do it, and holds what memory has of it.
    ///
    /// `None` where the range reaches what the ciphertext lacks: only [`File::read_at`] can tell whether it does still.
    #[must_use]
    pub fn begin(&self, offset: u64, len: usize) -> Option<Assembly> {
        let (content, plan, held) = self.look(offset, len).ok()?;
        let (layout, is_unvouched) = (content.layout, content.is_unvouched());
        Some(Assembly { content: content.id, layout, is_unvouched, offset, plan, held })
    }
}

impl Assembly {
    /// The state of the content that it is made of.
    #[must_use]
    pub fn content(&self) -> ContentId {
        self.content
    }

    /// Whether nobody had read anything of this state of the content, not even the header.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.is_unvouched
    }

    /// The chunks that are missing, in order. Where only the header is, which no chunk is kept without, that is the
    /// first chunk of the range, or the one that would be.
    pub fn missing(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        let missing = (self.plan.start.0..).zip(&self.held);
        let missing = missing.filter(|(_, held)| held.is_none()).map(|(index, _)| ChunkIndex(index));
        let unvouched = self.held.iter().all(Option::is_some) && self.is_unvouched;
        unvouched.then_some(self.plan.start).into_iter().chain(missing)
    }

    /// Puts the bytes together from what is held and from `blocks`, which have what was missing.
    ///
    /// `Absent` if a block lacks something, or has something that was stored anew since it was read, or is of another
    /// state of the content: somebody has changed the file.
    ///
    /// # Errors
    ///
    /// That of the first chunk of the range that could not be read, as [`File::read_at`].
    #[must_use]
    pub fn finish(&self, blocks: &[Arc<Block>]) -> Probe<Result<Cleartext, Arc<Error>>> {
        if blocks.iter().any(|block| block.content != self.content) {
            return Probe::Absent;
        }
        let mut chunks = Vec::with_capacity(self.held.len());
        for (index, held) in (self.plan.start.0..).zip(&self.held) {
            match (held, blocks.iter().find_map(|block| block.current(index))) {
                (Some(chunk), _) | (None, Some(Ok(chunk))) => chunks.push(chunk),
                (None, Some(Err(error))) => return Probe::Ready(Err(Arc::clone(error))),
                (None, None) => return Probe::Absent,
            }
        }
        let mut bytes = Cleartext::zeroed(self.plan.len);
        let mut rest = &mut *bytes;
        for (span, chunk) in self.layout.spans(self.offset, self.plan.len as u64).zip(chunks) {
            let Some((part, next)) = rest.split_at_mut_checked(span_len(span)) else { return Probe::Absent };
            copy_span(chunk, span, part);
            rest = next;
        }
        if rest.is_empty() { Probe::Ready(Ok(bytes)) } else { Probe::Absent }
    }
}

impl Block {
    /// A chunk that nobody has changed since reading began: whoever came later would miss what was written before.
    fn current(&self, index: u64) -> Option<&Result<ClearChunk, Arc<Error>>> {
        let is_current = self.flight.as_ref().is_some_and(|flight| !flight.is_struck(index));
        self.chunk(index).filter(|_| is_current)
    }

    pub(super) fn chunk(&self, index: u64) -> Option<&Result<ClearChunk, Arc<Error>>> {
        self.chunks.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// What a chunk is in this state of the content, for whoever changes a part of it.
    pub(super) fn base(&self, content: ContentId, index: u64) -> Option<Result<Base<'_>, &Arc<Error>>> {
        if self.content != content {
            return None;
        }
        let (chunk, flight) = (self.current(index)?, self.flight.as_deref()?);
        Some(chunk.as_ref().map(|chunk| Base { content: self.content, flight, chunk }))
    }
}

impl File {
    /// Reads whole chunks, as far as the file has them, and hands them back: they go to the cache as well, but whoever
    /// holds them needs none. The header is authenticated in any case.
    ///
    /// Blocks on storage for what is not in memory: one ciphertext read for each run of missing chunks, up to 4 MiB.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](Self::read_at), but for chunks that do not authenticate: they fail alone, in
    /// [`Assembly::finish`] of the reads that touch them.
    pub fn read_block(&self, chunks: Range<u64>) -> Result<Block> {
        self.of_one_state(|| {
            let content = self.resident().content();
            let result = self.read_chunks(&content, chunks.clone(), Patience::Waits);
            let is_whole = result.as_ref().is_ok_and(|block| block.chunks.iter().all(Result::is_ok));
            (content, is_whole, result)
        })
    }

    /// As [`read_block`](Self::read_block), but never waits: `Absent` where the host does not have all of it at hand, or
    /// cannot promise not to wait, or where anything is not right.
    #[must_use]
    pub fn try_read_block(&self, chunks: Range<u64>) -> Probe<Block> {
        let block = self.read_chunks(&self.resident().content(), chunks, Patience::None);
        block.ok().filter(|block| block.chunks.iter().all(Result::is_ok)).into()
    }

    pub(super) fn read_chunks(
        &self,
        content: &Content,
        chunks: Range<u64>,
        patience: Patience,
    ) -> Result<Block> {
        let first = chunks.start;
        let stored = content.layout.stored_chunks(content.readable_len);
        let end = chunks.end.min(stored.max(content.len.div_ceil(PAYLOAD_LEN)));
        let run = first..end.clamp(first, first.saturating_add(MAX_RUN));
        let flight = self.resident().begin_flight(content.id, &run).map(|begun| begun.flight);
        let mut block = Block { content: content.id, first, chunks: Vec::new(), flight };
        let mut cipher = content.cipher.clone();
        let mut next = first;
        while next < end {
            if let Some(chunk) = self.resident().chunk(content.id, next) {
                block.chunks.push(Ok(chunk));
                next += 1;
                continue;
            }
            let run = self.missing_run(content, next..end);
            let mut read = Vec::new();
            self.read_run(content, &mut cipher, &run, patience, |begun, cipher, index, ciphertext| {
                let chunk = self.decrypt_whole(begun, cipher, index, ciphertext);
                let counts = !matches!(chunk, Ok(None));
                read.push(chunk.map_err(|error| Arc::new(self.name(error))).transpose());
                Ok(counts)
            })?;
            // From the first that was changed meanwhile on it is read again.
            let sound: Vec<_> = read.into_iter().map_while(|chunk| chunk).collect();
            next += sound.len() as u64;
            block.chunks.extend(sound);
        }
        if content.is_unvouched() {
            self.cipher(content, &mut cipher, patience)?;
        }
        Ok(block)
    }

    /// The chunks from the first of `chunks` on that are missing, the first one in any case.
    fn missing_run(&self, content: &Content, chunks: Range<u64>) -> Range<u64> {
        let end = chunks.end.min(chunks.start + MAX_RUN);
        let is_here = |index: &u64| self.resident().chunk(content.id, *index).is_some();
        chunks.start..(chunks.start + 1..end).find(is_here).unwrap_or(end)
    }
}

impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assembly({} bytes at {})", self.plan.len, self.offset)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} chunks from {}, {PAYLOAD_LEN} bytes each)", self.chunks.len(), self.first)
    }
}
