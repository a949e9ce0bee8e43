//! Nodes, their attributes, and listings: what memory knows of the tree.
//!
//! Everything here was true when storage was asked, and is believed for `max_age` from then on. A failed question
//! leaves no trace, so that no error is ever remembered as an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{ClockCache, WeakTable};
use crate::error::{Error, ErrorKind, Result};
use crate::listing::{Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{Node, NodeAttributes, NodeId, Place, Stored, What};
use crate::probe::Probe;

/// The single owner of directory ids, attributes, link targets and listings.
pub(crate) struct NodeCache {
    root: Arc<Node>,
    next_id: AtomicU64,
    max_age: Duration,
    live: WeakTable<(DirId, Name), Node>,
    entries: ClockCache<(DirId, Name), Stamped<Arc<Node>>>,
    attributes: ClockCache<NodeId, Stamped<NodeAttributes>>,
    targets: ClockCache<NodeId, Stamped<Arc<str>>>,
    listings: ClockCache<DirId, Stamped<Arc<Listing>>>,
}

#[derive(Clone)]
struct Stamped<T> {
    value: T,
    since: Instant,
}

impl NodeCache {
    /// Keeps at most `capacity` nodes, and listings of so many entries together.
    pub(crate) fn new(capacity: usize, max_age: Duration) -> Self {
        let root = Node { id: NodeId(0), place: Place::Root, what: What::Directory(DirId::root()) };
        Self {
            root: Arc::new(root),
            next_id: AtomicU64::new(1),
            max_age,
            live: WeakTable::new(),
            entries: ClockCache::new(capacity),
            attributes: ClockCache::new(capacity),
            targets: ClockCache::new(capacity),
            listings: ClockCache::new(capacity),
        }
    }

    pub(crate) fn root(&self) -> Arc<Node> {
        Arc::clone(&self.root)
    }

    /// What is known of `name` in `dir`: a node, or that there is none.
    pub(crate) fn lookup(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Probe<Result<Arc<Node>>> {
        let Some(id) = dir.dir_id() else { return Probe::Ready(Err(ErrorKind::NotADirectory.into())) };
        if let Some(node) = self.fresh(self.entries.get(&(id.clone(), name.clone())), now) {
            return Probe::Ready(Ok(node));
        }
        match self.listing(id, now) {
            Some(listing) => match listing.find(name) {
                Some(found) => {
                    self.node_of(dir, found, now).map_or(Probe::Absent, |node| Probe::Ready(Ok(node)))
                }
                None if listing.is_exhaustive() => Probe::Ready(Err(Error::new(ErrorKind::NotFound))),
                None => Probe::Absent,
            },
            None => Probe::Absent,
        }
    }

    /// The node of a listed entry whose kind needs no question.
    pub(crate) fn node_of(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Option<Arc<Node>> {
        found.kind().map(|_| self.insert(dir, found.name.clone(), &found.stored, &What::File, now))
    }

    /// A fresh listing.
    pub(crate) fn listing(&self, dir: &DirId, now: Instant) -> Option<Arc<Listing>> {
        self.fresh(self.listings.get(dir), now)
    }

    pub(crate) fn attributes(&self, node: &Node, now: Instant) -> Option<NodeAttributes> {
        self.fresh(self.attributes.get(&node.id), now)
    }

    pub(crate) fn target(&self, node: &Node, now: Instant) -> Option<Arc<str>> {
        self.fresh(self.targets.get(&node.id), now)
    }

    /// Takes note that storage has this entry: the node of it, the same as before if that is still what it was.
    pub(crate) fn insert(
        &self,
        parent: &Arc<Node>,
        name: Name,
        stored: &Stored,
        what: &What,
        now: Instant,
    ) -> Arc<Node> {
        let key = (parent.dir_id().cloned().unwrap_or_else(DirId::root), name.clone());
        let same = |node: &Node| {
            node.what == *what && matches!(&node.place, Place::At { stored: was, .. } if was == stored)
        };
        let node = self.live.get_or_insert(key.clone(), same, || Node {
            id: NodeId(self.next_id.fetch_add(1, Ordering::Relaxed)),
            what: what.clone(),
            place: Place::At { parent: Arc::clone(parent), name, stored: stored.clone() },
        });
        self.entries.insert(key, Stamped { value: Arc::clone(&node), since: now }, 1);
        node
    }

    pub(crate) fn insert_listing(&self, dir: &DirId, listing: &Arc<Listing>, now: Instant) {
        let weight = 1 + listing.entries().len();
        self.listings.insert(dir.clone(), Stamped { value: Arc::clone(listing), since: now }, weight);
    }

    pub(crate) fn insert_attributes(&self, node: &Node, attributes: &NodeAttributes, now: Instant) {
        self.attributes.insert(node.id, Stamped { value: attributes.clone(), since: now }, 1);
    }

    pub(crate) fn insert_target(&self, node: &Node, target: &Arc<str>, now: Instant) {
        self.targets.insert(node.id, Stamped { value: Arc::clone(target), since: now }, 1);
    }

    /// Takes note that storage no longer has what it had under this name.
    pub(crate) fn forget(&self, node: &Node) {
        self.attributes.remove(&node.id);
        self.targets.remove(&node.id);
        if let Place::At { parent, name, .. } = &node.place
            && let Some(dir) = parent.dir_id()
        {
            self.entries.remove(&(dir.clone(), name.clone()));
            self.listings.remove(dir);
        }
    }

    fn fresh<T>(&self, known: Option<Stamped<T>>, now: Instant) -> Option<T> {
        known
            .filter(|known| now.saturating_duration_since(known.since) < self.max_age)
            .map(|known| known.value)
    }
}
