//! A directory as storage listed it, with what we have changed in it since.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::listing::{Found, Listing};
use crate::name::Name;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A listing that follows our own changes. A change costs no copy of the listing; the next one to look at all of it
/// pays for those since the last.
pub(super) struct KnownListing(Mutex<State>);

struct State {
    listing: Arc<Listing>,
    /// `None` for what was removed.
    changed: BTreeMap<Name, Option<Found>>,
}

/// Changes that are kept apart, beyond a quarter of the listing: so many cost little memory.
const MAX_CHANGED: usize = 1_024;

impl KnownListing {
    pub(super) fn new(listing: Arc<Listing>) -> Self {
        Self(Mutex::new(State { listing, changed: BTreeMap::new() }))
    }

    /// The listing as it is by now.
    pub(super) fn current(&self) -> Arc<Listing> {
        loop {
            let (listing, changed) = {
                let state = self.lock();
                if state.changed.is_empty() {
                    return Arc::clone(&state.listing);
                }
                (Arc::clone(&state.listing), state.changed.clone())
            };
            // Not under the lock: lookups need it, and a large directory takes a while.
            let merged = Arc::new(listing.changed(changed.clone()));
            let mut state = self.lock();
            if Arc::ptr_eq(&state.listing, &listing) && state.changed == changed {
                state.changed.clear();
                state.listing = Arc::clone(&merged);
                drop(state);
                return merged;
            }
        }
    }

    /// The entry of this name, and whether the lack of one means that there is none.
    pub(super) fn find(&self, name: &Name) -> (Option<Found>, bool) {
        let state = self.lock();
        match state.changed.get(name) {
            Some(Some(found)) => (Some(found.clone()), true),
            Some(None) => (None, state.listing.is_exhaustive()),
            None => (state.listing.find(name).cloned(), state.listing.is_exhaustive()),
        }
    }

    /// How many entries it has, roughly, and whether any of them has no name.
    pub(super) fn shape(&self) -> (usize, bool) {
        let state = self.lock();
        (state.listing.entries().len() + state.changed.len(), state.listing.has_nameless())
    }

    /// When storage was asked.
    pub(super) fn since(&self) -> std::time::Instant {
        self.lock().listing.since()
    }

    /// Takes note of what we have done to one name. Returns the listing where it may have become much longer, so that it
    /// is to be weighed again.
    pub(super) fn change(&self, name: Name, found: Option<Found>) -> Option<Arc<Listing>> {
        let mut state = self.lock();
        state.changed.insert(name, found);
        if state.changed.len() <= MAX_CHANGED + state.listing.entries().len() / 4 {
            return None;
        }
        drop(state);
        Some(self.current())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
