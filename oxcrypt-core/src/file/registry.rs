//! One resident half for each ciphertext file, however often it is opened.

use std::sync::Arc;

use super::{Budget, ResidentFile};
use crate::cache::{ChunkCache, ClockCache, WeakTable};
use crate::chunk::Layout;
use crate::node::{Node, NodeId};
use crate::storage::Metadata;

/// Files that are closed keep header and chunks for the next open, up to this many. Those without any chunk go first.
const KEPT_FILES: usize = 4_096;

/// The resident halves of all files that are open, and of those that were of which memory has something.
pub(crate) struct Registry {
    layout: Layout,
    chunks: Arc<ChunkCache>,
    pub(super) budget: Arc<Budget>,
    /// All of them.
    live: WeakTable<NodeId, ResidentFile>,
    /// Held although nobody has them open.
    kept: ClockCache<NodeId, Arc<ResidentFile>>,
}

impl Registry {
    pub(crate) fn new(layout: Layout, chunks: Arc<ChunkCache>, budget: Arc<Budget>) -> Self {
        Self { layout, chunks, budget, live: WeakTable::new(), kept: ClockCache::new(KEPT_FILES) }
    }

    /// What memory has of a file, open or not.
    pub(crate) fn get(&self, node: NodeId) -> Option<Arc<ResidentFile>> {
        let file = self.live.get(&node)?;
        self.is_kept(node, &file);
        Some(file)
    }

    /// The resident half of the file that storage has just opened and described. Where it is another file by now,
    /// handles of the old one keep what they had. What was told before a change of our own is of no use but to tell
    /// which file it is: then `is_current` is false.
    ///
    /// Where anybody writes, `is_written`, all must share what memory has, or they would write over each other's chunks.
    pub(crate) fn opened(
        &self,
        node: NodeId,
        metadata: &Metadata,
        is_current: bool,
        is_written: bool,
    ) -> Arc<ResidentFile> {
        // Where the storage tells neither files nor times apart, each handle may have another file.
        let can_tell = is_written || metadata.identity.is_some() || metadata.modified.is_some();
        let is_same = |file: &ResidentFile| {
            let looks_same = can_tell && (!is_current || file.is_same_file(metadata));
            !file.is_another_file(metadata) && (looks_same || file.is_unsaved())
        };
        let file = self.live.get_or_insert(node, is_same, || self.new_file(metadata));
        if is_current {
            file.opened(metadata);
        }
        file
    }

    /// The resident half of a file that was just made: the one that others have, if they have opened it already.
    pub(crate) fn created(&self, node: NodeId, metadata: &Metadata) -> Arc<ResidentFile> {
        let is_same = |file: &ResidentFile| !file.is_another_file(metadata);
        self.live.get_or_insert(node, is_same, || self.new_file(metadata))
    }

    /// Nobody has a file open any more. What memory has of it is kept for whoever opens it next.
    pub(crate) fn closed(&self, node: &Node, file: &Arc<ResidentFile>) {
        let id = node.id();
        let is_current = || self.live.get(&id).is_some_and(|live| Arc::ptr_eq(&live, file));
        if !file.is_known() || !is_current() || self.is_kept(id, file) {
            return;
        }
        self.kept.insert_by_use(id, Arc::clone(file), 1, |file| file.has_chunks());
        if node.is_gone() {
            self.removed(id);
        }
    }

    /// Whether a file is held although nobody has it open; if so, takes note that somebody has asked for it.
    fn is_kept(&self, node: NodeId, file: &Arc<ResidentFile>) -> bool {
        self.kept.look(&node, |kept| Arc::ptr_eq(kept, file)) == Some(true)
    }

    /// Takes over the times that we have set ourselves.
    pub(crate) fn touched(&self, node: NodeId, metadata: &Metadata) {
        if let Some(file) = self.get(node) {
            file.touched(metadata);
        }
    }

    /// A node is gone, and nobody will ask for it again.
    pub(crate) fn removed(&self, node: NodeId) {
        self.kept.remove(&node);
    }

    fn new_file(&self, metadata: &Metadata) -> ResidentFile {
        ResidentFile::new(self.layout, Arc::clone(&self.chunks), Arc::clone(&self.budget), metadata)
    }

    /// Takes note of what storage says of a file, if memory has anything of it. Returns whether another file has
    /// taken its place: what memory has then belongs to the handles of the old one alone, unless that is not all stored.
    /// Then it is still that of the node, which goes along to a copy.
    pub(crate) fn observe(&self, node: NodeId, metadata: &Metadata) -> bool {
        let Some(file) = self.get(node) else { return false };
        if file.is_same_file(metadata) {
            file.observe(metadata);
            return false;
        }
        if !file.is_unsaved() {
            self.kept.remove(&node);
            self.live.remove(&node, &file);
        }
        true
    }
}
