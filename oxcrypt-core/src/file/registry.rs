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
        self.kept.get(&node)
    }

    /// The resident half of the file that storage has just described. Where it is another file by now, handles of the
    /// old one keep what they had.
    pub(crate) fn opened(&self, node: NodeId, metadata: &Metadata) -> Arc<ResidentFile> {
        let new = || ResidentFile::new(self.layout, Arc::clone(&self.chunks), metadata);
        let file = self.live.get_or_insert(node, |file| file.is_same_file(metadata), new);
        file.observe(metadata);
        self.kept.insert(node, Arc::clone(&file), 1);
        file
    }

    /// Takes note of what storage says of a file, if memory has anything of it.
    pub(crate) fn observe(&self, node: NodeId, metadata: &Metadata) {
        if let Some(file) = self.kept.get(&node).filter(|file| file.is_same_file(metadata)) {
            file.observe(metadata);
        }
    }
}
