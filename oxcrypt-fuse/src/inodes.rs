//! What the kernel knows of the tree: numbers, and how often it was told each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::INodeNo;
use oxcrypt_core::{ContentId, Node};

/// The numbers of entries without a node begin here, so that they are nobody else's.
const NAMELESS: u64 = 1 << 63;

/// The inodes that the kernel has not forgotten. A number is that of the entry's node, so it stays as long as anybody
/// holds the node, and the table has as many as the kernel wants.
pub(crate) struct Inodes(Mutex<Table>);

struct Table {
    known: HashMap<u64, Known>,
    /// Numbers of entries without a node, by directory and shown name.
    nameless: HashMap<(u64, String), u64>,
    next_nameless: u64,
}

struct Known {
    inode: Inode,
    /// How often the kernel was told of it, and has not forgotten.
    lookups: u64,
    /// The state of the content that its page cache is of.
    cached: Option<ContentId>,
    /// Where `nameless` has it, if it is there.
    place: Option<(u64, String)>,
}

/// An entry that the kernel knows.
#[derive(Clone)]
pub(crate) enum Inode {
    Node(Arc<Node>),
    /// One that is shown and cannot be used.
    Damaged,
    /// One that storage has not told the kind of in time. It is asked again before anybody uses it.
    Unanswered,
}

impl Inodes {
    /// A table with the root in it.
    pub(crate) fn new(root: Arc<Node>) -> Self {
        let root = Known { inode: Inode::Node(root), lookups: 1, cached: None, place: None };
        let known = HashMap::from([(INodeNo::ROOT.0, root)]);
        Self(Mutex::new(Table { known, nameless: HashMap::new(), next_nameless: NAMELESS }))
    }

    /// What a number stands for; `None` if the kernel was never told, or has forgotten it.
    pub(crate) fn get(&self, ino: INodeNo) -> Option<Inode> {
        self.lock().known.get(&ino.0).map(|known| known.inode.clone())
    }

    /// The same, where only a node will do.
    pub(crate) fn node(&self, ino: INodeNo) -> Option<Arc<Node>> {
        match self.get(ino)? {
            Inode::Node(node) => Some(node),
            Inode::Damaged | Inode::Unanswered => None,
        }
    }

    /// Counts that the kernel is about to be told of a node: before it is, because it may forget at once.
    pub(crate) fn tell(&self, node: &Arc<Node>) -> INodeNo {
        let ino = number(node);
        let mut table = self.lock();
        let new = || Known { inode: Inode::Node(Arc::clone(node)), lookups: 0, cached: None, place: None };
        table.known.entry(ino.0).or_insert_with(new).lookups += 1;
        ino
    }

    /// The same for an entry without a node.
    pub(crate) fn tell_nameless(&self, dir: INodeNo, shown: &str, inode: Inode) -> INodeNo {
        let mut table = self.lock();
        let next = table.next_nameless;
        let place = (dir.0, shown.to_owned());
        let ino = *table.nameless.entry(place.clone()).or_insert(next);
        if ino == next {
            table.next_nameless += 1;
        }
        let known = table.known.entry(ino).or_insert_with(|| Known {
            inode: inode.clone(),
            lookups: 0,
            cached: None,
            place: Some(place),
        });
        known.inode = inode;
        known.lookups += 1;
        INodeNo(ino)
    }

    /// The kernel forgets a number, or was not told after all, so many times.
    pub(crate) fn forget(&self, ino: INodeNo, times: u64) {
        let mut table = self.lock();
        let Some(known) = table.known.get_mut(&ino.0) else { return };
        known.lookups = known.lookups.saturating_sub(times);
        if known.lookups > 0 || ino == INodeNo::ROOT {
            return;
        }
        let gone = table.known.remove(&ino.0);
        if let Some(place) = gone.as_ref().and_then(|known| known.place.as_ref()) {
            table.nameless.remove(place);
        }
        drop(table);
        // It may be the last of a chain of parents.
        drop(gone);
    }

    /// Takes note of the content that is about to get into the kernel's page cache. Whether that of before is the same.
    pub(crate) fn keeps_pages(&self, ino: INodeNo, content: ContentId) -> bool {
        let mut table = self.lock();
        let Some(known) = table.known.get_mut(&ino.0) else { return false };
        known.cached.replace(content) == Some(content)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().known.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a node: the root has 1.
pub(crate) fn number(node: &Node) -> INodeNo {
    INodeNo(node.id().get() + 1)
}

#[cfg(test)]
mod tests {
    use oxcrypt_core::VaultOptions;
    use oxcrypt_core::storage::MemoryStorage;
    use oxcrypt_core::testing::{Recipe, VaultBuilder};
    use oxcrypt_core::unlock::{Locked, Passphrase};

    use super::*;

    fn table() -> Inodes {
        let storage = MemoryStorage::default();
        VaultBuilder::create(&storage, Recipe::default()).unwrap();
        let locked = Locked::read(Arc::new(storage)).unwrap();
        let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
        Inodes::new(vault.root())
    }

    #[test]
    fn an_entry_without_a_node_keeps_its_number_until_the_last_lookup_is_forgotten() {
        let inodes = table();
        let tell = |name| inodes.tell_nameless(INodeNo::ROOT, name, Inode::Unanswered);
        let (first, other) = (tell("a"), tell("b"));
        assert_eq!((tell("a"), first == other), (first, false));
        inodes.forget(first, 1);
        assert!(inodes.get(first).is_some() && tell("a") == first);
        inodes.forget(first, 2);
        assert!(inodes.get(first).is_none() && inodes.get(other).is_some());
        assert_ne!(tell("a"), first, "a number that was forgotten is not used again");
        assert_eq!((inodes.len(), inodes.lock().nameless.len()), (3, 2));
        inodes.forget(INodeNo::ROOT, 1);
        assert!(inodes.get(INodeNo::ROOT).is_some());
    }
}
