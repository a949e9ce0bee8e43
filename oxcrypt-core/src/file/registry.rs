//! One resident half for each ciphertext file, however often it is opened.

use std::sync::Arc;

use super::ResidentFile;
use crate::cache::{ChunkCache, ClockCache, WeakTable};
use crate::chunk::Layout;
use crate::node::NodeId;
use crate::storage::Metadata;

/// Files that are closed keep header and chunks for the next open, up to this many.
const KEPT_FILES: usize = 4_096;

/// The resident halves of all files that are open, and of some that were.
pub(crate) struct Registry {
    layout: Layout,
    chunks: Arc<ChunkCache>,
    live: WeakTable<NodeId, ResidentFile>,
    kept: ClockCache<NodeId, Arc<ResidentFile>>,
}

impl Registry {
    pub(crate) fn new(layout: Layout, chunks: Arc<ChunkCache>) -> Self {
        Self { layout, chunks, live: WeakTable::new(), kept: ClockCache::new(KEPT_FILES) }
    }

    /// What memory has of a file, open or not.
    pub(crate) fn get(&self, node: NodeId) -> Option<Arc<ResidentFile>> {
        self.kept.get(&node).or_else(|| self.live.get(&node))
    }

    /// The resident half of the file that storage has just opened and described. Where it is another file by now,
    /// handles of the old one keep what they had.
    pub(crate) fn opened(&self, node: NodeId, metadata: &Metadata) -> Arc<ResidentFile> {
        // Where the storage tells neither files nor times apart, each handle may have another file.
        let can_tell = metadata.identity.is_some() || metadata.modified.is_some();
        let new = || ResidentFile::new(self.layout, Arc::clone(&self.chunks), metadata);
        let file = self.live.get_or_insert(node, |file| can_tell && file.is_same_file(metadata), new);
        file.opened(metadata);
        self.kept.insert(node, Arc::clone(&file), 1);
        file
    }

    /// Takes note of what storage says of a file, if memory has anything of it. Returns whether another file has
    /// taken its place: what memory has then belongs to the handles of the old one alone.
    pub(crate) fn observe(&self, node: NodeId, metadata: &Metadata) -> bool {
        let Some(file) = self.get(node) else { return false };
        let is_same = file.is_same_file(metadata);
        if is_same {
            file.observe(metadata);
        } else {
            self.kept.remove(&node);
            self.live.remove(&node, &file);
        }
        !is_same
    }
}
