//! Nodes, their attributes, and listings: what memory knows of the tree.
//!
//! Everything here was true when storage was asked, and is believed for `max_age` from then on, never longer because
//! somebody came with it later. A failed question leaves no trace but in a listing, which says itself what it could not
//! tell, so that no error is ever remembered as an answer.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::changes::{Changes, Ticket};
use super::known_listing::KnownListing;
use super::{ClockCache, WeakTable};
use crate::ciphertext_path::MAX_NAME_LEN;
use crate::error::{ErrorKind, Result};
use crate::listing::{Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{At, LinkTarget, Node, NodeAttributes, NodeId, Place, Spelling, What};
use crate::probe::Probe;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The single owner of directory ids, attributes, link targets and listings.
pub(crate) struct NodeCache {
    root: Arc<Node>,
    next_id: AtomicU64,
    max_age: Duration,
    /// More was changed than was remembered, so that of nodes that are new to us nobody knows whether they would survive
    /// a power loss.
    durability_is_unknown: AtomicBool,
    pub(super) changes: Changes,
    pub(super) live: WeakTable<Key, Node>,
    /// `None` for a name that is not there.
    pub(super) entries: Cache<Key, Option<Arc<Node>>>,
    pub(super) attributes: Cache<NodeId, NodeAttributes>,
    targets: Cache<NodeId, LinkTarget>,
    listings: Cache<DirId, Arc<KnownListing>>,
}

pub(super) type Key = (DirId, Name);
pub(super) type Cache<K, V> = ClockCache<K, Stamped<V>>;

#[derive(Clone)]
pub(super) struct Stamped<T> {
    pub(super) value: T,
    pub(super) since: Instant,
}

/// What keeping anything takes besides the texts in it, roughly: place, key and value in the cache's own tables.
pub(super) const BOOKKEEPING: usize = 192;
/// The same for a node, roughly.
const NODE: usize = 256;

/// For how much longer than other answers a listing is believed to lack what it lacks, for each of its entries.
const MORE_AGE_FOR_EACH: Duration = Duration::from_micros(500);
/// The same for all of them together.
const MOST_MORE_AGE: Duration = Duration::from_mins(1);

impl NodeCache {
    /// Keeps at most about so many bytes, but for one listing that is longer than its share, and the ancestors of nodes
    /// that are kept.
    pub(crate) fn new(bytes: usize, max_age: Duration) -> Self {
        let root = Node::new(NodeId(0), What::Directory(DirId::root()), Place::Root);
        let share = bytes / 8;
        Self {
            root: Arc::new(root),
            next_id: AtomicU64::new(1),
            max_age,
            durability_is_unknown: AtomicBool::new(false),
            changes: Changes::new(),
            live: WeakTable::new(),
            entries: ClockCache::new(3 * share),
            attributes: ClockCache::new(share),
            targets: ClockCache::new(share),
            listings: ClockCache::new(3 * share),
        }
    }

    pub(crate) fn root(&self) -> Arc<Node> {
        Arc::clone(&self.root)
    }

    /// What is known of `name` in `dir`: a node, or that there is none.
    pub(crate) fn lookup(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Probe<Result<Arc<Node>>> {
        let Some(id) = dir.dir_id() else { return Probe::Ready(Err(ErrorKind::NotADirectory.into())) };
        if name.as_str().len() > MAX_NAME_LEN {
            return Probe::Ready(Err(ErrorKind::NameTooLong.into()));
        }
        let known =
            self.entries.get(&(id.clone(), name.clone())).filter(|known| self.is_fresh(known.since, now));
        // What was learnt of the name itself stands until a later listing says otherwise.
        let since = known.as_ref().map(|known| known.since);
        if let Some(listing) =
            self.fresh(self.listings.get(id), now).filter(|listing| since < Some(listing.since()))
        {
            match listing.find(name) {
                (Some(found), _) => return self.node_of(dir, &found, now).map(Ok).into(),
                (None, true) => return Probe::Ready(Err(ErrorKind::NotFound.into())),
                (None, false) => {}
            }
        }
        match known {
            Some(Stamped { value: Some(node), .. }) => {
                node.found_in(dir);
                Probe::Ready(Ok(node))
            }
            Some(Stamped { value: None, .. }) => Probe::Ready(Err(ErrorKind::NotFound.into())),
            None => Probe::Absent,
        }
    }

    /// The node of a listed entry, if it needs no question: its kind is plain, or is known.
    pub(crate) fn node_of(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Option<Arc<Node>> {
        let id = dir.dir_id()?;
        let known = self.entries.get(&(id.clone(), found.name.clone()));
        let since = known.as_ref().map(|known| known.since);
        let known = self.fresh(known, now).flatten().filter(|node| is_at(node, &found.stored));
        if found.kind().is_some() && (known.is_none() || since < Some(found.since)) {
            // A listing that somebody holds may be older than what we have done since: then only storage can tell.
            let insert = || self.insert(dir, &found.name, &found.stored, &What::File, found.since);
            let node = self.changes.unless_changed_since(&(id, &found.name), found.since, insert);
            if node.is_some() {
                return node;
            }
        }
        known.inspect(|node| node.found_in(dir))
    }

    /// A fresh listing, with our own changes.
    pub(crate) fn listing(&self, dir: &DirId, now: Instant) -> Option<Arc<Listing>> {
        self.fresh(self.listings.get(dir), now).map(|listing| listing.current())
    }

    /// The entry of this name in a fresh listing, and when storage was asked for it. That a long listing has none is believed
    /// for longer, by whoever asks storage for the name itself.
    pub(crate) fn find_listed(
        &self,
        dir: &DirId,
        name: &Name,
        now: Instant,
    ) -> Option<(Option<Found>, Instant)> {
        let known = self.listings.get(dir)?;
        let (found, _) = known.value.find(name);
        let is_believed = match found {
            Some(_) => self.is_fresh(known.since, now),
            None => self.lacks_believably(&known, now),
        };
        is_believed.then(|| (found, known.value.since()))
    }

    /// Whether all entries of a directory are shown by their names, if a listing tells that is not too old for it.
    pub(crate) fn shows_only_names(&self, dir: &DirId, now: Instant) -> Option<bool> {
        let known = self.listings.get(dir).filter(|known| self.lacks_believably(known, now))?;
        Some(!known.value.shape().1)
    }

    /// Whether what a listing lacks is believed to be lacking still. To scan a directory takes the longer the more there is
    /// in it, so that it is done the more seldom.
    fn lacks_believably(&self, known: &Stamped<Arc<KnownListing>>, now: Instant) -> bool {
        let entries = u32::try_from(known.value.shape().0).unwrap_or(u32::MAX);
        let longer = MORE_AGE_FOR_EACH.saturating_mul(entries).min(MOST_MORE_AGE);
        now.saturating_duration_since(known.since) < self.max_age.saturating_add(longer)
    }

    /// Takes note that storage is about to be asked what is in `dir`.
    pub(crate) fn look_at_directory(&self, dir: &DirId, now: Instant) -> Ticket {
        self.changes.look(dir, now)
    }

    /// Takes note that storage is about to be asked for `name` in `dir`.
    pub(crate) fn look_at_name(&self, dir: &DirId, name: &Name, now: Instant) -> Ticket {
        self.changes.look(&(dir, name), now)
    }

    /// Takes note that storage is about to be asked what the content of `name` in `dir` is like.
    pub(crate) fn look_at_content(&self, dir: &DirId, name: &Name, now: Instant) -> Ticket {
        self.changes.look(&content_of(dir, name), now)
    }

    /// Takes what storage has answered, unless we ourselves have changed anything since `ticket`.
    pub(crate) fn unless_changed<T>(&self, ticket: Ticket, fill: impl FnOnce() -> T) -> Option<T> {
        self.changes.unless_changed(ticket, fill)
    }

    pub(crate) fn attributes(&self, node: &Node, now: Instant) -> Option<NodeAttributes> {
        self.fresh(self.attributes.get(&node.id), now)
    }

    /// What was last known of a node, however long ago.
    pub(crate) fn last_attributes(&self, node: &Node) -> Option<NodeAttributes> {
        self.attributes.get(&node.id).map(|known| known.value)
    }

    /// Takes note that storage says something else by now: what is kept is an old answer.
    pub(super) fn outdate_attributes(&self, node: &Node) {
        let Some(known) = self.attributes.get(&node.id) else { return };
        match known.since.checked_sub(self.max_age) {
            Some(since) => self.attributes.insert(node.id, Stamped { since, ..known }, BOOKKEEPING),
            None => self.attributes.remove(&node.id),
        }
    }

    /// Takes note that storage alone knows what a node is like.
    pub(crate) fn forget_attributes(&self, node: &Node) {
        self.attributes.remove(&node.id);
    }

    /// Takes note that a node is gone: nothing is to be known of it by its number.
    pub(crate) fn forget_gone(&self, node: &Node) {
        self.attributes.remove(&node.id);
        self.targets.remove(&node.id);
    }

    pub(crate) fn target(&self, node: &Node, now: Instant) -> Option<LinkTarget> {
        self.fresh(self.targets.get(&node.id), now)
    }

    /// Takes note that storage had this entry at `since`: the node of it, the same as before if that is still what it
    /// was.
    pub(crate) fn insert(
        &self,
        parent: &Arc<Node>,
        name: &Name,
        stored: &Spelling,
        what: &What,
        since: Instant,
    ) -> Arc<Node> {
        let key = (parent.dir_id().cloned().unwrap_or_else(DirId::root), name.clone());
        let same = |node: &Node| node.what == *what && is_at(node, stored);
        let new = || {
            let at = At { parent: Arc::clone(parent), name: name.clone(), stored: stored.clone() };
            self.new_node(what.clone(), at)
        };
        match self.entries.get(&key).filter(|known| known.since > since) {
            // Memory has learnt something else since.
            Some(Stamped { value: Some(node), .. }) if same(&node) => node,
            Some(_) => Arc::new(new()),
            None => {
                let node = self.live.get_or_insert(key.clone(), same, new);
                node.found_in(parent);
                keep(&self.entries, key, Some(Arc::clone(&node)), weight_of(name, stored), since);
                node
            }
        }
    }

    /// A node that nobody knows yet.
    pub(super) fn new_node(&self, what: What, at: At) -> Node {
        let node = Node::new(NodeId(self.next_id.fetch_add(1, Ordering::Relaxed)), what, Place::At(at));
        if self.durability_is_unknown.load(Ordering::Acquire) {
            node.made();
        }
        node
    }

    /// Takes note that not all is remembered that may not survive a power loss.
    pub(crate) fn doubt_durability(&self) {
        self.durability_is_unknown.store(true, Ordering::Release);
    }

    /// Takes note that at `since` nothing in `dir` was stored or shown under this name.
    pub(crate) fn insert_absence(&self, dir: &DirId, name: &Name, since: Instant) {
        keep(&self.entries, (dir.clone(), name.clone()), None, name.as_str().len(), since);
    }

    /// Keeps a listing. One that is longer than all may be together is kept alone: it would have to be read again for
    /// every name that is not in it.
    pub(crate) fn insert_listing(&self, dir: &DirId, listing: &Arc<Listing>) {
        let most = self.listings.capacity().saturating_sub(BOOKKEEPING);
        if most > 0 {
            let known = Arc::new(KnownListing::new(Arc::clone(listing)));
            keep(&self.listings, dir.clone(), known, listing.weight().min(most), listing.since());
        }
    }

    /// Takes note of what we have done to one name of a directory.
    pub(super) fn change_listing(&self, dir: &DirId, name: &Name, found: Option<Found>) {
        let Some(known) = self.listings.get(dir) else { return };
        if let Some(longer) = known.value.change(name.clone(), found) {
            self.insert_listing(dir, &longer);
        }
    }

    pub(crate) fn forget_listing(&self, dir: &DirId) {
        self.listings.remove(dir);
    }

    pub(crate) fn insert_attributes(&self, node: &Node, attributes: &NodeAttributes, since: Instant) {
        keep(&self.attributes, node.id, attributes.clone(), 0, since);
    }

    /// Takes attributes that storage told after a change of our own, while nothing else is taken.
    pub(crate) fn adopt_attributes(&self, node: &Node, attributes: &NodeAttributes, now: Instant) {
        let since = self.changes.moment(now);
        self.attributes.insert(node.id, Stamped { value: attributes.clone(), since }, BOOKKEEPING);
    }

    pub(crate) fn insert_target(&self, node: &Node, target: &LinkTarget, since: Instant) {
        keep(&self.targets, node.id, target.clone(), target.len(), since);
    }

    /// Takes note that storage no longer has what it had under this name.
    pub(crate) fn forget(&self, node: &Node) {
        self.attributes.remove(&node.id);
        self.targets.remove(&node.id);
        if let Some(key) = key_of(node) {
            self.listings.remove(&key.0);
            self.entries.remove(&key);
        }
    }

    /// Takes note that another file has taken this one's place: whoever asks for the name from now on gets another node.
    pub(crate) fn replaced(&self, node: &Node) {
        if let Some(key) = key_of(node) {
            self.entries.remove(&key);
            self.live.remove(&key, node);
        }
    }

    fn fresh<T>(&self, known: Option<Stamped<T>>, now: Instant) -> Option<T> {
        known.filter(|known| self.is_fresh(known.since, now)).map(|known| known.value)
    }

    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.max_age
    }
}

/// Keeps what was true at `since`, unless something newer is kept. `weight` is that of its texts.
pub(super) fn keep<K, V>(cache: &Cache<K, V>, key: K, value: V, weight: usize, since: Instant)
where
    K: Hash + Eq + Clone,
    V: Clone,
{
    cache.insert_unless(key, Stamped { value, since }, BOOKKEEPING + weight, |kept| kept.since > since);
}

/// What a file's content is found by, apart from its name: a lookup does not mind that the content changes.
pub(super) fn content_of<'a>(dir: &'a DirId, name: &'a Name) -> (&'static str, &'a DirId, &'a Name) {
    ("content", dir, name)
}

/// What is known of a name weighs so much, besides bookkeeping.
pub(super) fn weight_of(name: &Name, stored: &Spelling) -> usize {
    NODE + name.as_str().len() + stored.path.as_str().len()
}

fn key_of(node: &Node) -> Option<Key> {
    let at = node.at()?;
    Some((at.parent.dir_id()?.clone(), at.name))
}

fn is_at(node: &Node, stored: &Spelling) -> bool {
    node.at().is_some_and(|at| at.stored == *stored)
}
