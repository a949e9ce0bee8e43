//! Who looks up one name of a directory after the other, and what is asked before they do.
//!
//! Only where storage does not block: a disk tells all of a directory's entries in the time that it takes to wake a
//! thread some times, and a cloud drive does not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oxcrypt_core::{Listing, Node, NodeId};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Part};

use super::question::{Ask, object};
use super::value::{Key, Value, outcome};
use super::{Shared, Store};

/// Names of one directory that storage is asked for, before all are.
const NAMES: u8 = 3;
/// Directories that are counted in. When there are more, all are forgotten: it is a hint only.
const DIRECTORIES: usize = 1_024;
/// As many entries of a listing are asked about with it.
const ENTRIES: usize = 512;

/// How many names of which directory storage was asked for.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<NodeId, u8>>);

impl Names {
    /// Takes note of one more, and tells whether those to come should be there before.
    fn note(&self, dir: NodeId) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= DIRECTORIES && !counts.contains_key(&dir) {
            counts.clear();
        }
        let count = counts.entry(dir).or_default();
        *count += 1;
        let enough = *count >= NAMES;
        if enough {
            counts.remove(&dir);
        }
        enough
    }
}

impl Shared {
    /// Takes note that storage is asked for a name, and has the directory listed where that is one of many.
    pub(super) fn look_ahead(&self, dir: &Arc<Node>) {
        if self.store.vault.habits().may_block || !self.names.note(dir.id()) {
            return;
        }
        // Long listings are believed for longer.
        if self.store.vault.resident().shows_only_names(dir, self.store.now()).ready().is_some() {
            return;
        }
        let (store, about) = (Arc::clone(&self.store), Arc::clone(dir));
        let job = Box::new(move || outcome(store.list(&about), Value::List));
        let ask = Ask::new(
            Class::Background,
            object(dir),
            vec![Part { key: Some(Key::List), job, pages: 0..0 }],
            Deadline::NEVER,
        );
        self.scheduler.submit(ask.request(Box::new(|_| ())));
    }
}

impl Store {
    /// Lists a directory. Where storage does not block, what its first entries are is asked as well, for those who want
    /// to know that next; what comes of that is in the caches or is not.
    pub(super) fn list(&self, dir: &Arc<Node>) -> oxcrypt_core::Result<Arc<Listing>> {
        let listing = self.vault.list(dir, self.now())?;
        if !self.vault.habits().may_block {
            let first = listing.entries().get(..ENTRIES).unwrap_or(listing.entries());
            drop(self.vault.entries(dir, first, self.now()));
        }
        Ok(listing)
    }
}

#[cfg(test)]
mod tests {
    use oxcrypt_core::VaultOptions;
    use oxcrypt_core::storage::MemoryStorage;
    use oxcrypt_core::testing::{Recipe, VaultBuilder};
    use oxcrypt_core::unlock::{Locked, Passphrase};

    use super::*;

    #[test]
    fn the_third_name_of_a_directory_brings_the_others() {
        let names = Names::default();
        let storage = MemoryStorage::default();
        VaultBuilder::create(&storage, Recipe::default()).unwrap();
        let locked = Locked::read(Arc::new(storage)).unwrap();
        let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
        let root = vault.root().id();
        assert_eq!([(); 6].map(|()| names.note(root)), [false, false, true, false, false, true]);
    }
}
