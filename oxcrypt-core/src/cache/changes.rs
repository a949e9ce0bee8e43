//! What we are changing ourselves, so that memory takes no answer that storage gave before or meanwhile.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

/// Changes of our own to anything that has a hash.
///
/// A question takes a [`Ticket`] before it asks storage. Its answer is taken only if no change was running then and none
/// has begun since. Different things may share a cell: an answer is then asked for once more than need be.
pub(crate) struct Changes {
    hasher: RandomState,
    state: Mutex<State>,
}

struct State {
    cells: Vec<Cell>,
    /// The latest `now` of any question.
    latest: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    begun: u64,
    running: u32,
    /// When the last one began that was not of content alone.
    changed: Option<Instant>,
}

/// When a question began, as changes count.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    cell: usize,
    /// `None` if a change was running.
    begun: Option<u64>,
}

const CELLS: usize = 1_024;

impl State {
    fn moment(&self, now: Instant) -> Instant {
        let after = self.latest.and_then(|latest| latest.checked_add(Duration::from_nanos(1)));
        after.map_or(now, |after| after.max(now))
    }
}

impl Changes {
    pub(crate) fn new() -> Self {
        let state = State { cells: vec![Cell::default(); CELLS], latest: None };
        Self { hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Takes note that storage is about to be asked of `thing`.
    pub(crate) fn look(&self, thing: &impl Hash, now: Instant) -> Ticket {
        let cell = self.cell(thing);
        let mut state = self.lock();
        state.latest = state.latest.max(Some(now));
        let begun = state.cells.get(cell).filter(|cell| cell.running == 0).map(|cell| cell.begun);
        Ticket { cell, begun }
    }

    /// Does `fill` if nothing has changed since `ticket`, and no change begins before it is done. It must be short.
    pub(crate) fn unless_changed<T>(&self, ticket: Ticket, fill: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        let is_current = state.cells.get(ticket.cell).is_some_and(|cell| ticket.begun == Some(cell.begun));
        is_current.then(fill)
    }

    /// Does `fill` if what was learnt of `thing` at `since` has not been changed, and no change begins before it is done.
    /// It must be short.
    pub(super) fn unless_changed_since<T>(
        &self,
        thing: &impl Hash,
        since: Instant,
        fill: impl FnOnce() -> T,
    ) -> Option<T> {
        let state = self.lock();
        let cell = state.cells.get(self.cell(thing))?;
        (cell.running == 0 && cell.changed <= Some(since)).then(fill)
    }

    /// Begins a change of these cells: at `now`, unless it is one of content alone.
    pub(super) fn begin(&self, cells: &[usize], now: Option<Instant>) {
        let mut state = self.lock();
        let changed = now.map(|now| state.moment(now));
        for cell in cells {
            if let Some(cell) = state.cells.get_mut(*cell) {
                cell.begun += 1;
                cell.running += 1;
                cell.changed = cell.changed.max(changed);
            }
        }
    }

    /// Ends a change that was begun.
    pub(super) fn end(&self, cells: &[usize]) {
        let mut state = self.lock();
        for cell in cells {
            if let Some(cell) = state.cells.get_mut(*cell) {
                cell.running = cell.running.saturating_sub(1);
            }
        }
    }

    /// A moment later than that of any question so far, and not before `now`.
    pub(super) fn moment(&self, now: Instant) -> Instant {
        self.lock().moment(now)
    }

    pub(super) fn cell(&self, thing: &impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(thing) % CELLS as u64).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_only_if_nothing_changed_since_the_question() {
        let (changes, now) = (Changes::new(), Instant::now());
        let cells = [changes.cell(&"name")];
        let before = changes.look(&"name", now);
        assert_eq!(changes.unless_changed(before, || 1), Some(1));
        changes.begin(&cells, Some(now));
        let during = changes.look(&"name", now);
        assert_eq!(changes.unless_changed(before, || 1), None);
        changes.end(&cells);
        assert_eq!(changes.unless_changed(before, || 1), None);
        assert_eq!(changes.unless_changed(during, || 1), None);
        assert_eq!(changes.unless_changed(changes.look(&"name", now), || 1), Some(1));
    }

    #[test]
    fn what_was_learnt_before_a_change_is_not_taken_after_it() {
        let (changes, before) = (Changes::new(), Instant::now());
        let (change, after) = (before + Duration::from_secs(1), before + Duration::from_secs(2));
        let cells = [changes.cell(&"name")];
        let is_taken = |since| changes.unless_changed_since(&"name", since, || ()).is_some();
        assert!(is_taken(before));
        changes.begin(&cells, Some(change));
        assert!(!is_taken(before) && !is_taken(after));
        changes.end(&cells);
        assert!(!is_taken(before) && is_taken(change) && is_taken(after));
        changes.begin(&cells, None);
        changes.end(&cells);
        assert!(is_taken(change), "content has no part in it");
    }

    #[test]
    fn our_own_change_is_later_than_every_question_before_it() {
        let (changes, now) = (Changes::new(), Instant::now());
        let later = now + Duration::from_secs(1);
        changes.look(&1, later);
        changes.look(&1, now);
        assert!(changes.moment(now) > later);
        assert_eq!(changes.moment(later + Duration::from_secs(1)), later + Duration::from_secs(1));
    }
}
