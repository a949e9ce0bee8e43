//! One answer, for a thread to wait for.

use std::hash::Hash;

use crate::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Core;
use super::plan::{Verdict, WaiterId, Why};

/// How a request ended, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled<V> {
    /// What the request could be cancelled by.
    pub waiter: WaiterId,
    /// How it ended.
    pub verdict: Verdict,
    /// The values of all parts in order if it is done, that of the failed part if it failed, else none.
    pub values: Vec<V>,
    /// Whether any of its operations has begun. What has not begun never will: it definitely did not happen.
    pub begun: bool,
}

/// The promise of an answer. Dropping it takes the request back, and never the operation.
pub struct Ticket<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    core: Arc<Core<K, V>>,
    waiter: WaiterId,
    place: Arc<Place<V>>,
    settled: bool,
}

/// Where the answer is put.
pub(super) struct Place<V> {
    settled: Mutex<Option<Settled<V>>>,
    put: Condvar,
}

impl<V> Place<V> {
    pub(super) fn new() -> Self {
        Self { settled: Mutex::new(None), put: Condvar::new() }
    }

    pub(super) fn put(&self, settled: Settled<V>) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(settled);
        self.put.notify_all();
    }
}

impl<K, V> Ticket<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    pub(super) fn new(core: Arc<Core<K, V>>, waiter: WaiterId, place: Arc<Place<V>>) -> Self {
        Self { core, waiter, place, settled: false }
    }

    /// Blocks until the request is answered: until its deadline, whatever storage does.
    #[must_use]
    pub fn wait(mut self) -> Settled<V> {
        let mut place = self.place.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = loop {
            if let Some(settled) = place.take() {
                break settled;
            }
            place = self.place.put.wait(place).unwrap_or_else(PoisonError::into_inner);
        };
        drop(place);
        self.settled = true;
        settled
    }
}

impl<K, V> Drop for Ticket<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    fn drop(&mut self) {
        if !self.settled {
            // Of no effect where it has been answered.
            self.core.cancel(self.waiter, Why::Abandoned);
        }
    }
}
