//! The half of a vault that never blocks.

use std::sync::Arc;
use std::time::Instant;

use crate::cache::NodeCache;
use crate::error::Result;
use crate::file::{Registry, ResidentFile};
use crate::listing::{Found, Listing};
use crate::name::Name;
use crate::node::{LinkTarget, Node, NodeAttributes, NodeId, NodeKind};
use crate::probe::Probe;
#[cfg(doc)]
use crate::vault::Vault;

/// The half of a vault that answers from memory alone.
///
/// It holds no storage handle, so nothing here can block on storage.
///
/// What memory has is believed for [`VaultOptions::max_age`](super::VaultOptions::max_age) before `now`. Whoever would rather have an old answer than
/// none hands in a moment before the vault was unlocked: nothing that memory still has is too old then.
pub struct Resident {
    pub(super) nodes: Arc<NodeCache>,
    pub(super) registry: Arc<Registry>,
}

impl Resident {
    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Arc<Node> {
        self.nodes.root()
    }

    /// As [`Vault::lookup`], if memory knows: also that there is no such entry, from a fresh listing or an earlier
    /// question.
    #[must_use]
    pub fn lookup(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Probe<Result<Arc<Node>>> {
        self.nodes.lookup(dir, name, now)
    }

    /// As [`Vault::node`], if memory knows what the entry is.
    #[must_use]
    pub fn node(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Probe<Arc<Node>> {
        self.nodes.node_of(dir, found, now).into()
    }

    /// As [`Vault::list`], if memory has a fresh listing.
    #[must_use]
    pub fn list(&self, dir: &Arc<Node>, now: Instant) -> Probe<Arc<Listing>> {
        dir.dir_id().and_then(|id| self.nodes.listing(id, now)).into()
    }

    /// Whether every entry of a directory is shown by its name, so that a name which no lookup finds is not there at all.
    #[must_use]
    pub fn shows_only_names(&self, dir: &Node, now: Instant) -> Probe<bool> {
        dir.dir_id().and_then(|id| self.nodes.shows_only_names(id, now)).into()
    }

    /// As [`Vault::attributes`], if memory has fresh ones. Of a file that is gone and open it always has.
    #[must_use]
    pub fn attributes(&self, node: &Node, now: Instant) -> Probe<NodeAttributes> {
        if node.is_gone() {
            let file = self.gone_file(node);
            return file.map(|file| file.attributes_when_gone(self.nodes.last_attributes(node))).into();
        }
        let file = if node.kind() == NodeKind::File { self.registry.get(node.id()) } else { None };
        let Some(file) = file else { return self.nodes.attributes(node, now).into() };
        let was_unsaved = file.is_unsaved();
        let known = self.nodes.attributes(node, now).map(|attributes| file.as_written(attributes));
        // Stored in the moment between the two, it is what was told of it then.
        let known = if was_unsaved && !file.is_unsaved() { self.nodes.attributes(node, now) } else { known };
        known.into()
    }

    /// What memory has of a file that is gone, as long as somebody has it open.
    pub(super) fn gone_file(&self, node: &Node) -> Option<Arc<ResidentFile>> {
        if node.kind() == NodeKind::File && node.is_gone() { self.registry.get(node.id()) } else { None }
    }

    pub(super) fn is_unsaved(&self, node: &Node) -> bool {
        node.kind() == NodeKind::File && self.registry.get(node.id()).is_some_and(|file| file.is_unsaved())
    }

    /// While anything of a file is unsaved, its length and times are those in memory.
    pub(super) fn as_written(&self, node: &Node, attributes: NodeAttributes) -> NodeAttributes {
        let file = if node.kind() == NodeKind::File { self.registry.get(node.id()) } else { None };
        match file {
            Some(file) => file.as_written(attributes),
            None => attributes,
        }
    }

    /// As [`Vault::read_link`], if memory has the target.
    #[must_use]
    pub fn read_link(&self, node: &Node, now: Instant) -> Probe<LinkTarget> {
        self.nodes.target(node, now).into()
    }

    /// What memory has of a file's content, whether it is open or not.
    #[must_use]
    pub fn file(&self, node: NodeId) -> Probe<Arc<ResidentFile>> {
        self.registry.get(node).into()
    }
}

impl std::fmt::Debug for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resident")
    }
}
