//! Objects that are one and the same for as long as anybody holds them.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

/// Finds the object of a key while somebody holds it, and keeps nothing alive itself.
pub(crate) struct WeakTable<K, V> {
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    map: HashMap<K, Weak<V>>,
    /// When the table has grown to this, dead entries are swept out. Doubling keeps that cheap on average.
    sweep_at: usize,
}

const SMALLEST_SWEEP: usize = 256;

impl<K: Hash + Eq, V> WeakTable<K, V> {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(Entries { map: HashMap::new(), sweep_at: SMALLEST_SWEEP }) }
    }

    /// Returns the live object of `key` if `fits` accepts it, else a new one that takes its place.
    pub(crate) fn get_or_insert(
        &self,
        key: K,
        fits: impl FnOnce(&V) -> bool,
        new: impl FnOnce() -> V,
    ) -> Arc<V> {
        let mut entries = self.lock();
        if let Some(live) = entries.map.get(&key).and_then(Weak::upgrade) {
            if fits(&live) {
                return live;
            }
            // Whoever held the last other reference may be gone by now; its drop must not run under the lock.
            let fresh = entries.put(key, new());
            drop(entries);
            drop(live);
            return fresh;
        }
        entries.put(key, new())
    }

    /// Makes `value` the object of `key`, whatever was.
    pub(crate) fn put(&self, key: K, value: &Arc<V>) {
        self.lock().insert(key, Arc::downgrade(value));
    }

    /// The live object of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.lock().map.get(key).and_then(Weak::upgrade)
    }

    /// Forgets the object of `key` if it is `value`, whoever holds it: the next one to ask gets another.
    pub(crate) fn remove(&self, key: &K, value: &V) {
        let mut entries = self.lock();
        if entries.map.get(key).is_some_and(|weak| std::ptr::eq(weak.as_ptr(), value)) {
            entries.map.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> Entries<K, V> {
    fn put(&mut self, key: K, value: V) -> Arc<V> {
        let value = Arc::new(value);
        self.insert(key, Arc::downgrade(&value));
        value
    }

    fn insert(&mut self, key: K, value: Weak<V>) {
        if self.map.len() >= self.sweep_at {
            self.map.retain(|_, weak| weak.strong_count() > 0);
            self.sweep_at = (2 * self.map.len()).max(SMALLEST_SWEEP);
        }
        self.map.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_the_same_while_it_is_held() {
        let table = WeakTable::new();
        let held = table.get_or_insert(1, |_| true, || "held");
        assert!(Arc::ptr_eq(&held, &table.get_or_insert(1, |_| true, || "new")));
        assert_eq!(*table.get_or_insert(1, |_| false, || "other"), "other");
        drop(held);
        assert!(table.get(&1).is_none_or(|other| *other == "other"));
        assert_eq!(*table.get_or_insert(1, |_| true, || "new"), "new");
    }

    #[test]
    fn an_object_can_be_forgotten_while_it_is_held() {
        let table = WeakTable::new();
        let held = table.get_or_insert(1, |_| true, || "held");
        assert!(table.get(&1).is_some_and(|live| Arc::ptr_eq(&live, &held)));
        table.remove(&1, &held);
        assert!(table.get(&1).is_none());
        let other = table.get_or_insert(1, |_| true, || "other");
        table.remove(&1, &held);
        assert!(table.get(&1).is_some_and(|live| Arc::ptr_eq(&live, &other)));
    }

    #[test]
    fn what_nobody_holds_is_swept_out() {
        let table = WeakTable::new();
        let held: Vec<_> = (0..100).map(|key| table.get_or_insert(key, |_| true, || key)).collect();
        for key in 100..100_000 {
            table.get_or_insert(key, |_| true, || key);
        }
        assert!(table.lock().map.len() <= SMALLEST_SWEEP);
        assert!(held.iter().all(|value| Arc::ptr_eq(value, &table.get_or_insert(**value, |_| true, || 0))));
    }
}
