//! A change of our own to the tree, from before storage is asked for it until memory agrees with what was done.

use std::sync::Arc;
use std::time::Instant;

use super::NodeCache;
use super::nodes::{BOOKKEEPING, Key, Stamped, content_of, weight_of};
use crate::listing::Found;
use crate::name::{DirId, Name};
use crate::node::{At, Node, Place, Spelling, What};

/// While it lives, nothing that storage says of its names is taken. One that is dropped without a word about how it
/// ended leaves nothing known of them.
pub(crate) struct OwnChange<'c> {
    cache: &'c NodeCache,
    names: Vec<(Arc<Node>, Name)>,
    things: Vec<u64>,
    now: Instant,
    is_known: bool,
}

impl NodeCache {
    /// Begins to change these names of directories.
    pub(crate) fn begin_change(&self, names: &[(&Arc<Node>, &Name)], now: Instant) -> OwnChange<'_> {
        let names: Vec<_> = names.iter().map(|(dir, name)| (Arc::clone(dir), (*name).clone())).collect();
        let mut things: Vec<u64> = names
            .iter()
            .flat_map(|(dir, name)| {
                let dir = dir_id(dir);
                let content = self.changes.hash(&content_of(&dir, name));
                [self.changes.hash(&dir), self.changes.hash(&(&dir, name)), content]
            })
            .collect();
        things.sort_unstable();
        things.dedup();
        self.changes.begin(&things, Some(now));
        OwnChange { cache: self, names, things, now, is_known: false }
    }

    /// Begins to change the content of a file, until the returned value is dropped: what storage says meanwhile of its
    /// length and times is not taken, and what it said before not any more.
    pub(crate) fn begin_content_change(&self, node: &Node) -> ContentChange<'_> {
        let things = match (&node.what, node.at()) {
            // What is learnt of its entries meanwhile is asked for again; that is rare.
            (What::Directory(id), _) => Some(self.changes.hash(id)),
            (_, at) => at.map(|at| self.changes.hash(&content_of(&dir_id(&at.parent), &at.name))),
        };
        let things: Vec<u64> = things.into_iter().collect();
        self.changes.begin(&things, None);
        ContentChange { cache: self, things }
    }
}

impl OwnChange<'_> {
    /// The entry was made: its node, which nobody has seen before.
    pub(crate) fn created(mut self, dir: &Arc<Node>, name: &Name, stored: Spelling, what: What) -> Arc<Node> {
        let at = At { parent: Arc::clone(dir), name: name.clone(), stored };
        let node = Arc::new(self.cache.new_node(what, at.clone()));
        node.made();
        self.is_known = true;
        self.appeared(&node, at);
        node
    }

    /// The entry is gone.
    pub(crate) fn removed(mut self, node: &Arc<Node>) {
        self.is_known = true;
        self.disappeared(node);
        node.put(Place::Gone);
    }

    /// The entry has moved to a place that was free, or `replaced` the one there.
    pub(crate) fn moved(mut self, node: &Arc<Node>, to: At, replaced: Option<&Arc<Node>>) {
        self.is_known = true;
        self.disappeared(node);
        node.put(Place::At(to.clone()));
        node.entry.changed();
        // Whoever looks for the name meanwhile finds one or the other.
        self.appeared(node, to);
        self.has_moved(node);
        if let Some(replaced) = replaced {
            replaced.put(Place::Gone);
        }
    }

    /// The entry has gone to the place of `placeholder`, which nobody has seen. What is under its old name is not ours.
    pub(crate) fn evaded(mut self, node: &Arc<Node>, placeholder: &Arc<Node>) {
        self.is_known = true;
        let (Some(from), Some(to)) = (node.at(), placeholder.at()) else { return };
        self.disappeared(placeholder);
        placeholder.put(Place::Gone);
        let key: Key = (dir_id(&from.parent), from.name.clone());
        self.cache.forget_listing(&key.0);
        self.cache.live.remove(&key, node);
        self.cache.entries.remove(&key);
        node.put(Place::At(to.clone()));
        node.entry.changed();
        self.appeared(node, to);
    }

    /// Two entries have changed places; each has the other's name, and may be spelled in a way of its own there.
    pub(crate) fn exchanged(mut self, one: (&Arc<Node>, At), other: (&Arc<Node>, At)) {
        self.is_known = true;
        for (node, to) in [one, other] {
            node.put(Place::At(to.clone()));
            node.entry.changed();
            self.appeared(node, to);
            self.has_moved(node);
        }
    }

    /// The host takes note of when a file was moved. Nobody may be told that late: who reads the file, and looks whether
    /// it stays as it is, would see it change.
    fn has_moved(&self, node: &Node) {
        if node.dir_id().is_none() {
            self.cache.outdate_attributes(node);
        }
    }

    fn appeared(&self, node: &Arc<Node>, at: At) {
        let (cache, since) = (self.cache, self.cache.changes.moment(self.now));
        let dir = dir_id(&at.parent);
        let key = (dir.clone(), at.name.clone());
        cache.live.put(key.clone(), node);
        let weight = BOOKKEEPING + weight_of(&at.name, &at.stored);
        cache.entries.insert(key, Stamped { value: Some(Arc::clone(node)), since }, weight);
        let found = Found { name: at.name.clone(), stored: at.stored, canonical: true, since };
        cache.change_listing(&dir, &at.name, Some(found));
    }

    fn disappeared(&self, node: &Arc<Node>) {
        let (Some(at), cache) = (node.at(), self.cache) else { return };
        let since = cache.changes.moment(self.now);
        let key: Key = (dir_id(&at.parent), at.name.clone());
        cache.live.remove(&key, node);
        cache.change_listing(&key.0, &at.name, None);
        let weight = BOOKKEEPING + at.name.as_str().len();
        cache.entries.insert(key, Stamped { value: None, since }, weight);
    }
}

impl Drop for OwnChange<'_> {
    fn drop(&mut self) {
        for (dir, name) in &self.names {
            let id = dir_id(dir);
            if !self.is_known {
                self.cache.forget_listing(&id);
                self.cache.entries.remove(&(id, name.clone()));
            }
            // Times and size of the directory are others by now.
            self.cache.attributes.remove(&dir.id());
        }
        self.cache.changes.end(&self.things);
    }
}

/// A change of our own to a file's content.
pub(crate) struct ContentChange<'c> {
    cache: &'c NodeCache,
    things: Vec<u64>,
}

impl Drop for ContentChange<'_> {
    fn drop(&mut self) {
        self.cache.changes.end(&self.things);
    }
}

fn dir_id(dir: &Node) -> DirId {
    dir.dir_id().cloned().unwrap_or_else(DirId::root)
}
