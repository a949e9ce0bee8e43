//! Cleartext chunks that are the same in storage.

use std::sync::Arc;

use super::ClockCache;
use crate::chunk::ChunkIndex;
use crate::cleartext::Cleartext;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The cleartext of one chunk, wiped when the last holder drops it.
pub(crate) type ClearChunk = Arc<Cleartext>;

/// One state of one file's content. A file that changed in storage gets another, so its old chunks are never found
/// again, whenever they come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId(u64);

/// What a cached chunk takes besides its cleartext, roughly.
const BOOKKEEPING: usize = 128;

/// Clean chunks of all files of a vault, bounded in bytes.
pub(crate) struct ChunkCache {
    chunks: ClockCache<(ContentId, ChunkIndex), ClearChunk>,
    next_id: AtomicU64,
    enabled: bool,
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
        self.chunks.get(&(content, index))
    }

    pub(crate) fn insert(&self, content: ContentId, index: ChunkIndex, chunk: ClearChunk) {
        let weight = chunk.len() + BOOKKEEPING;
        self.chunks.insert((content, index), chunk, weight);
    }
}
