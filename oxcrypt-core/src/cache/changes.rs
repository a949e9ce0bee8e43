//! What we are changing ourselves, so that memory takes no answer that storage gave before or meanwhile.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

/// Changes of our own to anything that has a hash.
///
/// A question takes a [`Ticket`] before it asks storage. Its answer is taken only if no change of the thing was running
/// then and none has begun since.
pub(crate) struct Changes {
    hasher: RandomState,
    state: Mutex<State>,
}

struct State {
    /// How many have begun so far.
    begun: u64,
    /// The last change of each thing, by its hash, of those that have begun since `forgotten`.
    last: HashMap<u64, Change>,
    /// What is not in `last` may have changed then, and not after it.
    forgotten: Change,
    /// The latest `now` of any question.
    latest: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Change {
    /// Its number.
    begun: u64,
    running: u32,
    /// When the last one began that was not of content alone.
    at: Option<Instant>,
}

/// When a question began, as changes count.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    thing: u64,
    /// `None` if a change was running.
    begun: Option<u64>,
}

/// Things that are told apart before they are forgotten: some half a megabyte.
const MAX_KEPT: usize = 8_192;

impl State {
    fn last_of(&self, thing: u64) -> Change {
        self.last.get(&thing).copied().unwrap_or(self.forgotten)
    }

    fn moment(&self, now: Instant) -> Instant {
        let after = self.latest.and_then(|latest| latest.checked_add(Duration::from_nanos(1)));
        after.map_or(now, |after| after.max(now))
    }

    /// From now on all that is not being changed may have changed just now.
    fn forget(&mut self) {
        let at = self.last.values().map(|change| change.at).max().flatten();
        self.forgotten = Change { begun: self.begun, running: 0, at: self.forgotten.at.max(at) };
        self.last.retain(|_, change| change.running > 0);
    }
}

impl Changes {
    pub(crate) fn new() -> Self {
        let state = State { begun: 0, last: HashMap::new(), forgotten: Change::default(), latest: None };
        Self { hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Takes note that storage is about to be asked of `thing`.
    pub(crate) fn look(&self, thing: &impl Hash, now: Instant) -> Ticket {
        let thing = self.hash(thing);
        let mut state = self.lock();
        state.latest = state.latest.max(Some(now));
        let is_running = state.last_of(thing).running > 0;
        Ticket { thing, begun: (!is_running).then_some(state.begun) }
    }

    /// Does `fill` if nothing has changed since `ticket`, and no change begins before it is done. It must be short.
    pub(crate) fn unless_changed<T>(&self, ticket: Ticket, fill: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        let is_current = ticket.begun.is_some_and(|begun| state.last_of(ticket.thing).begun <= begun);
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
        let last = state.last_of(self.hash(thing));
        (last.running == 0 && last.at <= Some(since)).then(fill)
    }

    /// Begins a change of the things with these hashes: at `now`, unless it is one of content alone.
    pub(super) fn begin(&self, things: &[u64], now: Option<Instant>) {
        let mut state = self.lock();
        if state.last.len() >= MAX_KEPT {
            state.forget();
        }
        state.begun += 1;
        let (begun, at) = (state.begun, now.map(|now| state.moment(now)));
        for thing in things {
            let was = state.last_of(*thing);
            state.last.insert(*thing, Change { begun, running: was.running + 1, at: was.at.max(at) });
        }
    }

    /// Ends a change that was begun.
    pub(super) fn end(&self, things: &[u64]) {
        let mut state = self.lock();
        for thing in things {
            if let Some(change) = state.last.get_mut(thing) {
                change.running = change.running.saturating_sub(1);
            }
        }
    }

    /// A moment later than that of any question so far, and not before `now`.
    pub(super) fn moment(&self, now: Instant) -> Instant {
        self.lock().moment(now)
    }

    pub(super) fn hash(&self, thing: &impl Hash) -> u64 {
        self.hasher.hash_one(thing)
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
        let things = [changes.hash(&"name")];
        let before = changes.look(&"name", now);
        assert_eq!(changes.unless_changed(before, || 1), Some(1));
        changes.begin(&things, Some(now));
        let during = changes.look(&"name", now);
        assert_eq!(changes.unless_changed(before, || 1), None);
        changes.end(&things);
        assert_eq!(changes.unless_changed(before, || 1), None);
        assert_eq!(changes.unless_changed(during, || 1), None);
        assert_eq!(changes.unless_changed(changes.look(&"name", now), || 1), Some(1));
    }

    #[test]
    fn what_was_learnt_before_a_change_is_not_taken_after_it() {
        let (changes, before) = (Changes::new(), Instant::now());
        let (change, after) = (before + Duration::from_secs(1), before + Duration::from_secs(2));
        let things = [changes.hash(&"name")];
        let is_taken = |since| changes.unless_changed_since(&"name", since, || ()).is_some();
        assert!(is_taken(before));
        changes.begin(&things, Some(change));
        assert!(!is_taken(before) && !is_taken(after));
        changes.end(&things);
        assert!(!is_taken(before) && is_taken(change) && is_taken(after));
        changes.begin(&things, None);
        changes.end(&things);
        assert!(is_taken(change), "content has no part in it");
    }

    #[test]
    fn what_is_forgotten_may_have_changed_and_what_is_running_is_not_forgotten() {
        let (changes, before) = (Changes::new(), Instant::now());
        let now = before + Duration::from_secs(1);
        let (running, ticket) = ([changes.hash(&"running")], changes.look(&"other", before));
        changes.begin(&running, Some(now));
        for thing in 0..u64::try_from(2 * MAX_KEPT).unwrap() {
            changes.begin(&[thing], Some(now));
            changes.end(&[thing]);
        }
        assert!(changes.lock().last.len() <= MAX_KEPT);
        assert_eq!(changes.unless_changed(ticket, || ()), None);
        assert_eq!(changes.unless_changed_since(&"other", before, || ()), None);
        assert_eq!(changes.unless_changed_since(&"other", now, || ()), Some(()));
        assert_eq!(changes.unless_changed(changes.look(&"other", now), || ()), Some(()));
        assert_eq!(changes.unless_changed(changes.look(&"running", now), || ()), None);
        changes.end(&running);
        assert_eq!(changes.unless_changed(changes.look(&"running", now), || ()), Some(()));
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
