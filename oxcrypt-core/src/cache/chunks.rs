//! Cleartext chunks that are the same in storage.

use std::sync::Arc;

use super::ClockCache;
use crate::chunk::{ChunkIndex, PAYLOAD_LEN};
use crate::cleartext::Cleartext;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The cleartext of one chunk, wiped when the last holder drops it.
pub(crate) type ClearChunk = Arc<Cleartext>;

/// One state of one file's content. A file that changed in storage gets another, so its old chunks are never found
/// again, whenever they come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId(u64);

/// What a cached chunk takes besides its cleartext, roughly.
const BOOKKEEPING: usize = 128;

/// Counts the chunks of one file that are kept, those of former states of its content too.
#[derive(Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

/// Clean chunks of all files of a vault, bounded in bytes.
pub(crate) struct ChunkCache {
    chunks: ClockCache<(ContentId, ChunkIndex), Kept>,
    next_id: AtomicU64,
    enabled: bool,
}

/// A chunk that is kept, and counted until it is not.
struct Kept {
    chunk: ClearChunk,
    counted_by: Tally,
}

impl Tally {
    /// Whether any chunk is kept.
    pub(crate) fn has_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl ChunkCache {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { chunks: ClockCache::new(bytes), next_id: AtomicU64::new(0), enabled: bytes > 0 }
    }

    /// Whether it can keep anything at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// An id that no content had before.
    pub(crate) fn new_content(&self) -> ContentId {
        ContentId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn get(&self, content: ContentId, index: ChunkIndex) -> Option<ClearChunk> {
        self.chunks.look(&(content, index), |kept| Arc::clone(&kept.chunk))
    }

    /// Forgets a state of the content that nobody will ask for again, which has so many chunks. Of a longer file than could be
    /// kept that is done for the first of them only: the others go with time, as they would by themselves.
    pub(crate) fn forget(&self, tally: &Tally, content: ContentId, chunks: u64) {
        let most = self.chunks.capacity() as u64 / PAYLOAD_LEN;
        let mut indexes = 0..chunks.min(most);
        while tally.has_any()
            && let Some(index) = indexes.next()
        {
            self.chunks.remove(&(content, ChunkIndex(index)));
        }
    }

    pub(crate) fn insert(&self, tally: &Tally, content: ContentId, index: ChunkIndex, chunk: ClearChunk) {
        let weight = chunk.len() + BOOKKEEPING;
        self.chunks.insert((content, index), Kept::new(chunk, tally), weight);
    }
}

impl Kept {
    fn new(chunk: ClearChunk, tally: &Tally) -> Self {
        tally.0.fetch_add(1, Ordering::Relaxed);
        Self { chunk, counted_by: Tally(Arc::clone(&tally.0)) }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.counted_by.0.fetch_sub(1, Ordering::Relaxed);
    }
}
