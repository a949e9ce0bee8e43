//! The table of requests that wait. No clock and no thread: [`Gate`](super::gate::Gate) has those.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::op::Op;
use super::rule::Verdict;

/// A request that waits. `J` is what ends it, given a [`Verdict`].
#[derive(Debug)]
pub(crate) struct Held<J> {
    /// The rule that holds it, which may be gone by now.
    pub(crate) rule: u64,
    pub(crate) op: Op,
    pub(crate) path: Vec<u8>,
    pub(crate) bytes: Option<Range<u64>>,
    pub(crate) since: Instant,
    /// How it ends when its time has come.
    pub(crate) then: Verdict,
    pub(crate) job: J,
}

/// Requests that wait, and those whose time has come but which nobody has ended yet.
#[derive(Debug)]
pub(crate) struct Table<J> {
    held: BTreeMap<u64, (Held<J>, Option<Instant>)>,
    due: BTreeSet<(Instant, u64)>,
    ready: Vec<(J, Verdict)>,
    next: u64,
}

impl<J> Default for Table<J> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), due: BTreeSet::new(), ready: Vec::new(), next: 0 }
    }
}

impl<J> Table<J> {
    /// Takes a request, for `time` or until it is released.
    pub(crate) fn hold(&mut self, held: Held<J>, time: Option<Duration>) {
        // A time too long for the clock to name is for ever.
        let due = time.and_then(|time| held.since.checked_add(time));
        if let Some(due) = due {
            self.due.insert((due, self.next));
        }
        self.held.insert(self.next, (held, due));
        self.next += 1;
    }

    /// Makes what one rule holds, or all that is held, ready to end like this; returns how many requests that were.
    pub(crate) fn release(&mut self, rule: Option<u64>, verdict: Verdict) -> usize {
        let matches = |held: &Held<J>| rule.is_none_or(|rule| held.rule == rule);
        let ids: Vec<_> =
            self.held.iter().filter(|(_, (held, _))| matches(held)).map(|(id, _)| *id).collect();
        for id in &ids {
            self.end(*id, |_| verdict);
        }
        ids.len()
    }

    /// Takes out what is ready or due, in the order in which that came about.
    pub(crate) fn take_ready(&mut self, now: Instant) -> Vec<(J, Verdict)> {
        while let Some((due, id)) = self.due.first().copied() {
            if due > now {
                break;
            }
            self.end(id, |held| held.then);
        }
        std::mem::take(&mut self.ready)
    }

    /// When to look again, if anything becomes ready by itself.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether something is ready and not taken out yet.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Those that wait, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held<J>> {
        self.held.values().map(|(held, _)| held)
    }

    fn end(&mut self, id: u64, verdict: impl FnOnce(&Held<J>) -> Verdict) {
        let Some((held, due)) = self.held.remove(&id) else { return };
        if let Some(due) = due {
            self.due.remove(&(due, id));
        }
        let verdict = verdict(&held);
        self.ready.push((held.job, verdict));
    }
}

#[cfg(test)]
mod tests {
    use fuser::Errno;

    use super::*;

    const TIMED_OUT: Verdict = Verdict::Fail(Errno::ETIMEDOUT);

    struct Clock(Instant);

    impl Clock {
        fn at(&self, millis: u64) -> Instant {
            self.0 + self::millis(millis)
        }

        fn held(&self, millis: u64, rule: u64, then: Verdict, job: &'static str) -> Held<&'static str> {
            Held { rule, op: Op::Read, path: b"x".to_vec(), bytes: None, since: self.at(millis), then, job }
        }
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_due_comes_out_in_the_order_of_its_times() {
        let (clock, mut table) = (Clock(Instant::now()), Table::default());
        table.hold(clock.held(0, 1, TIMED_OUT, "late"), Some(millis(30)));
        table.hold(clock.held(1, 1, Verdict::Go, "soon"), Some(millis(10)));
        assert_eq!(table.next_due(), Some(clock.at(11)));
        assert!(table.take_ready(clock.at(10)).is_empty());
        assert_eq!(table.take_ready(clock.at(11)), [("soon", Verdict::Go)]);
        assert_eq!(table.next_due(), Some(clock.at(30)));
        assert_eq!(table.take_ready(clock.at(99)), [("late", TIMED_OUT)]);
        assert_eq!((table.len(), table.next_due()), (0, None));
    }

    #[test]
    fn the_frozen_wait_until_they_are_released() {
        let (clock, mut table) = (Clock(Instant::now()), Table::default());
        table.hold(clock.held(0, 1, Verdict::Go, "frozen"), None);
        table.hold(clock.held(0, 1, Verdict::Go, "for ever"), Some(Duration::MAX));
        assert_eq!(table.next_due(), None);
        assert!(table.take_ready(clock.at(1_000_000)).is_empty());
        assert_eq!(table.release(None, Verdict::Go), 2);
        assert!(table.has_ready());
        assert_eq!(table.take_ready(clock.at(0)), [("frozen", Verdict::Go), ("for ever", Verdict::Go)]);
        assert!(!table.has_ready());
    }

    #[test]
    fn a_release_is_about_one_rule_or_all() {
        let (clock, mut table) = (Clock(Instant::now()), Table::default());
        table.hold(clock.held(0, 1, TIMED_OUT, "first"), Some(millis(10)));
        table.hold(clock.held(0, 2, TIMED_OUT, "second"), Some(millis(20)));
        assert_eq!(table.release(Some(3), Verdict::Go), 0);
        assert_eq!(table.release(Some(1), Verdict::Go), 1);
        assert_eq!(table.iter().map(|held| held.job).collect::<Vec<_>>(), ["second"]);
        // Released is released: its time, when it comes, does not end it a second time.
        assert_eq!(table.take_ready(clock.at(15)), [("first", Verdict::Go)]);
        assert_eq!(table.take_ready(clock.at(20)), [("second", TIMED_OUT)]);
    }

    #[test]
    fn ten_thousand_end_each_once_and_in_order() {
        let (clock, mut table) = (Clock(Instant::now()), Table::default());
        for job in 0..10_000_u64 {
            let held = Held {
                rule: 1,
                op: Op::Read,
                path: Vec::new(),
                bytes: None,
                since: clock.at(0),
                then: Verdict::Go,
                job,
            };
            table.hold(held, Some(millis(job / 100)));
        }
        let mut ended: Vec<u64> = Vec::new();
        for now in 0..100 {
            ended.extend(table.take_ready(clock.at(now)).into_iter().map(|(job, _)| job));
        }
        assert!(ended.iter().copied().eq(0..10_000));
        assert_eq!(table.len(), 0);
    }
}
