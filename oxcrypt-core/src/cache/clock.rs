//! A bounded map that forgets by the CLOCK rule: a second chance for whatever was asked for since the hand last passed.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map whose values weigh at most `capacity` together. Hits take a shared lock only.
///
/// Evicted values are dropped after the lock is released, however long that takes.
pub(crate) struct ClockCache<K, V> {
    ring: RwLock<Ring<K, V>>,
    capacity: usize,
}

struct Ring<K, V> {
    places: HashMap<K, usize>,
    slots: Vec<Option<Slot<K, V>>>,
    free: Vec<usize>,
    hand: usize,
    weight: usize,
    /// For so many values nothing of no use is looked for, because that took long the last time.
    spared: usize,
}

/// Slots that are looked at for what is of no use, for each value on average.
const LOOKS: usize = 64;

struct Slot<K, V> {
    key: K,
    value: V,
    weight: usize,
    asked_for: AtomicBool,
}

impl<K: Hash + Eq + Clone, V> ClockCache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        let (places, slots, free) = (HashMap::new(), Vec::new(), Vec::new());
        let ring = Ring { places, slots, free, hand: 0, weight: 0, spared: 0 };
        Self { ring: RwLock::new(ring), capacity }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        self.look(key, V::clone)
    }

    /// What `take` makes of a value, under the lock.
    pub(crate) fn look<Q: Hash + Eq + ?Sized, T>(&self, key: &Q, take: impl FnOnce(&V) -> T) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let ring = self.read();
        let slot = ring.get(key)?;
        slot.asked_for.store(true, Ordering::Relaxed);
        Some(take(&slot.value))
    }

    /// What all values may weigh together.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Keeps `value`, and makes room for it. One that weighs more than the whole capacity is not kept.
    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        self.insert_unless(key, value, weight, |_| false);
    }

    /// As [`insert`](Self::insert), unless what is kept already is better.
    pub(crate) fn insert_unless(&self, key: K, value: V, weight: usize, is_better: impl FnOnce(&V) -> bool) {
        let mut dropped = Vec::new();
        let mut ring = self.write();
        if ring.get(&key).is_some_and(|slot| is_better(&slot.value)) {
            return;
        }
        dropped.extend(ring.take(&key));
        if weight <= self.capacity {
            while ring.weight + weight > self.capacity {
                dropped.extend(ring.evict());
            }
            ring.put(key, value, weight);
        }
        drop(ring);
    }

    /// As [`insert`](Self::insert), but values that are of no use go first, and make no other go. For values that weigh the
    /// same. Where few are of no use, one is found now and then only: to look for it each time would take too long.
    pub(crate) fn insert_by_use(&self, key: K, value: V, weight: usize, is_of_use: impl Fn(&V) -> bool) {
        let mut dropped = Vec::new();
        let mut ring = self.write();
        dropped.extend(ring.take(&key));
        while ring.weight + weight > self.capacity {
            let evicted = match ring.evict_first(|kept| !is_of_use(kept)) {
                None if is_of_use(&value) => ring.evict(),
                useless => useless,
            };
            match evicted {
                Some(evicted) => dropped.push(evicted),
                None => return,
            }
        }
        ring.put(key, value, weight);
        drop(ring);
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let taken = self.write().take(key);
        drop(taken);
    }

    #[cfg(test)]
    fn weight(&self) -> usize {
        self.read().weight
    }

    // A panic under the lock can only be that of an allocation, and leaves the ring whole.
    fn read(&self) -> RwLockReadGuard<'_, Ring<K, V>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ring<K, V>> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V> Ring<K, V> {
    fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&Slot<K, V>>
    where
        K: Borrow<Q>,
    {
        self.slots.get(*self.places.get(key)?)?.as_ref()
    }

    fn put(&mut self, key: K, value: V, weight: usize) {
        let slot = Some(Slot { key: key.clone(), value, weight, asked_for: AtomicBool::new(false) });
        let free = self.free.pop().and_then(|place| Some((place, self.slots.get_mut(place)?)));
        let place = if let Some((place, empty)) = free {
            *empty = slot;
            place
        } else {
            self.slots.push(slot);
            self.slots.len() - 1
        };
        self.places.insert(key, place);
        self.weight += weight;
    }

    fn take<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<Slot<K, V>>
    where
        K: Borrow<Q>,
    {
        let place = self.places.remove(key)?;
        self.vacate(place)
    }

    /// Moves the hand to the next slot nobody has asked for and empties it. `None` only where all slots are empty.
    fn evict(&mut self) -> Option<Slot<K, V>> {
        for _ in 0..2 * self.slots.len() {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(Some(slot)) = self.slots.get(place) else { continue };
            if !slot.asked_for.swap(false, Ordering::Relaxed) {
                return self.take_at(place);
            }
        }
        None
    }

    /// Empties the next slot from the hand on whose value `is_it`, whoever has asked for it, and moves the hand on. The longer
    /// that takes the more seldom it is tried.
    fn evict_first(&mut self, is_it: impl Fn(&V) -> bool) -> Option<Slot<K, V>> {
        if self.spared > 0 {
            self.spared -= 1;
            return None;
        }
        let places = (self.hand..self.slots.len()).chain(0..self.hand);
        let is_there =
            |place: &usize| matches!(self.slots.get(*place), Some(Some(slot)) if is_it(&slot.value));
        let mut looked = 0;
        let found = { places }.inspect(|_| looked += 1).find(is_there);
        self.spared = looked / LOOKS;
        let place = found?;
        self.hand = (place + 1) % self.slots.len();
        self.take_at(place)
    }

    fn take_at(&mut self, place: usize) -> Option<Slot<K, V>> {
        let key = self.slots.get(place)?.as_ref()?.key.clone();
        self.take(&key)
    }

    fn vacate(&mut self, place: usize) -> Option<Slot<K, V>> {
        let slot = self.slots.get_mut(place)?.take()?;
        self.weight -= slot.weight;
        self.free.push(place);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_asked_for_outlives_what_was_not() {
        let cache = ClockCache::new(3);
        for key in 0..3 {
            cache.insert(key, key, 1);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.insert(3, 3, 1);
        assert_eq!(cache.get(&0), Some(0));
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn a_value_heavier_than_the_cache_is_not_kept_and_nothing_old_in_its_place() {
        let cache = ClockCache::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 1, 4);
        cache.insert("a", 2, 11);
        assert_eq!((cache.get("a"), cache.get("b")), (None, Some(1)));
    }

    #[test]
    fn what_is_of_no_use_goes_first_and_makes_nothing_else_go() {
        let cache = ClockCache::new(3);
        let insert = |value: i32| cache.insert_by_use(value, value, 1, |value| *value > 0);
        for value in [1, -2, 3, 4] {
            insert(value);
        }
        assert_eq!([1, -2, 3, 4].map(|key| cache.get(&key).is_some()), [true, false, true, true]);
        insert(-5);
        assert_eq!([1, -5, 3, 4].map(|key| cache.get(&key).is_some()), [true, false, true, true]);
        insert(6);
        assert_eq!(([1, 3, 4].iter().filter_map(|key| cache.get(key)).count(), cache.get(&6)), (2, Some(6)));
        assert_eq!(cache.weight(), 3);
    }

    #[test]
    fn who_looks_for_what_is_of_no_use_looks_at_few_on_average() {
        use std::cell::Cell;

        const KEPT: usize = 4_096;
        let (cache, looked) = (ClockCache::new(KEPT), Cell::new(0));
        let insert = |key: usize, of_use: bool| {
            cache.insert_by_use(key, of_use, 1, |of_use| {
                looked.set(looked.get() + 1);
                *of_use
            });
        };
        // All of them of use but for one at most, and then what comes is of use, or is not.
        for key in 0..=KEPT {
            insert(key, key != 0);
        }
        looked.set(0);
        for key in 0..10 * KEPT {
            insert(KEPT + 1 + key, key % 3 == 0);
        }
        assert!(looked.get() < 10 * KEPT * 100, "{}", looked.get());
    }

    #[test]
    fn what_is_better_stays() {
        let cache = ClockCache::new(10);
        cache.insert("a", 2, 1);
        cache.insert_unless("a", 1, 1, |kept| *kept > 1);
        assert_eq!(cache.get("a"), Some(2));
        cache.insert_unless("a", 3, 1, |kept| *kept > 3);
        assert_eq!(cache.get("a"), Some(3));
    }

    proptest! {
        /// Whatever is done, the weight is bounded, and a hit is the value last inserted.
        #[test]
        fn never_heavier_than_its_capacity_and_never_wrong(
            steps in prop::collection::vec((0..3u8, 0..20u32, 0..6usize), 0..300)
        ) {
            let cache = ClockCache::new(20);
            let mut last = HashMap::new();
            for (time, (what, key, weight)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        cache.insert(key, time, weight);
                        last.insert(key, time);
                    }
                    1 => {
                        cache.remove(&key);
                        last.remove(&key);
                        prop_assert_eq!(cache.get(&key), None);
                    }
                    _ => {
                        if let Some(hit) = cache.get(&key) {
                            prop_assert_eq!(Some(&hit), last.get(&key));
                        }
                    }
                }
                prop_assert!(cache.weight() <= 20);
            }
        }
    }
}
