//! The memory of failures by time.
//!
//! A kernel repeats a read that failed, page by page: twice for `read`, six times for `mmap`. The repeats come from the
//! same thread, begin at a page of the failed read, and would wait as long as that did. They fail at once instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use crate::clock::Time;

use super::request::{Caller, ObjectId};

/// Who was told of which pages that they cannot be had in time, and until when that is remembered.
#[derive(Debug)]
pub(super) struct Failures {
    memory: Duration,
    most: usize,
    known: BTreeMap<(ObjectId, Caller, Pages), Time>,
    /// The same by page.
    pages: BTreeSet<(ObjectId, Pages, Caller)>,
    /// The same by age. Holds what has been cleared as well, until its time has passed.
    ages: VecDeque<(Time, ObjectId, Caller, Pages)>,
    /// No range is wider than this, so a search need not begin farther below.
    widest: u64,
}

/// First page, and one past the last.
type Pages = (u64, u64);

impl Failures {
    pub(super) fn new(memory: Duration, most: usize) -> Self {
        let (known, pages, ages) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        Self { memory, most, known, pages, ages, widest: 0 }
    }

    pub(super) fn remember(&mut self, caller: Caller, object: ObjectId, pages: &Range<u64>, now: Time) {
        if caller == Caller::NOBODY || pages.is_empty() {
            return;
        }
        let (until, failed) = (now + self.memory, (pages.start, pages.end));
        self.known.insert((object, caller, failed), until);
        self.pages.insert((object, failed, caller));
        self.ages.push_back((until, object, caller, failed));
        self.widest = self.widest.max(pages.end - pages.start);
        while self.ages.len() > self.most {
            self.forget_oldest();
        }
    }

    /// Whether `caller` was told so about any of `pages`. Being told again does not extend it.
    pub(super) fn recalls(
        &mut self,
        caller: Caller,
        object: ObjectId,
        pages: &Range<u64>,
        now: Time,
    ) -> bool {
        self.forget(now);
        let near = (object, caller, self.nearest(pages))..(object, caller, (pages.end, 0));
        !pages.is_empty() && self.known.range(near).any(|((.., (_, end)), _)| *end > pages.start)
    }

    /// Forgets what was said about any of `pages`: they have come.
    pub(super) fn clear(&mut self, object: ObjectId, pages: &Range<u64>) {
        if pages.is_empty() || self.known.is_empty() {
            return;
        }
        let near = (object, self.nearest(pages), Caller(0))..(object, (pages.end, 0), Caller(0));
        let overlapping = self.pages.range(near).filter(|(_, (_, end), _)| *end > pages.start);
        for (object, failed, caller) in overlapping.copied().collect::<Vec<_>>() {
            self.known.remove(&(object, caller, failed));
            self.pages.remove(&(object, failed, caller));
        }
    }

    /// Forgets what is over.
    pub(super) fn forget(&mut self, now: Time) {
        while self.ages.front().is_some_and(|(until, ..)| *until <= now) {
            self.forget_oldest();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// A range that overlaps `pages` does not come before this one.
    fn nearest(&self, pages: &Range<u64>) -> Pages {
        (pages.start.saturating_sub(self.widest), 0)
    }

    fn forget_oldest(&mut self) {
        let Some((until, object, caller, failed)) = self.ages.pop_front() else { return };
        if self.known.get(&(object, caller, failed)) == Some(&until) {
            self.known.remove(&(object, caller, failed));
            self.pages.remove(&(object, failed, caller));
        }
        if self.known.is_empty() {
            self.widest = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: ObjectId = ObjectId(7);
    const CALLER: Caller = Caller(1);

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    fn failures() -> Failures {
        let mut failures = Failures::new(Duration::from_secs(2), 100);
        failures.remember(CALLER, FILE, &(32..64), at(0));
        failures
    }

    #[test]
    fn any_page_of_the_failed_range_fails_again_for_the_same_caller_and_file() {
        let mut failures = failures();
        for pages in [32..33, 63..64, 40..41, 0..33, 63..100, 0..100] {
            assert!(failures.recalls(CALLER, FILE, &pages, at(1)), "{pages:?}");
        }
        for pages in [31..32, 64..65, 0..32, 64..99, 40..40] {
            assert!(!failures.recalls(CALLER, FILE, &pages, at(1)), "{pages:?}");
        }
        assert!(!failures.recalls(Caller(2), FILE, &(32..64), at(1)));
        assert!(!failures.recalls(CALLER, ObjectId(8), &(32..64), at(1)));
    }

    #[test]
    fn it_lasts_two_seconds_and_a_hit_does_not_extend_it() {
        let mut failures = failures();
        assert!(failures.recalls(CALLER, FILE, &(32..33), at(1_999)));
        assert!(!failures.recalls(CALLER, FILE, &(32..33), at(2_000)));
        assert_eq!((failures.len(), failures.ages.len(), failures.pages.len()), (0, 0, 0));
    }

    #[test]
    fn failing_anew_is_remembered_anew() {
        let mut failures = failures();
        failures.remember(CALLER, FILE, &(32..33), at(1_500));
        assert!(failures.recalls(CALLER, FILE, &(0..64), at(3_499)));
        assert!(!failures.recalls(CALLER, FILE, &(33..64), at(3_499)));
        assert!(!failures.recalls(CALLER, FILE, &(0..64), at(3_500)));
    }

    #[test]
    fn a_page_that_came_clears_every_range_it_is_in_and_no_other() {
        let mut failures = failures();
        failures.remember(Caller(2), FILE, &(0..40), at(0));
        failures.remember(Caller(3), FILE, &(40..48), at(0));
        failures.remember(CALLER, ObjectId(8), &(32..64), at(0));
        failures.clear(FILE, &(36..40));
        assert!(!failures.recalls(CALLER, FILE, &(32..64), at(1)));
        assert!(!failures.recalls(Caller(2), FILE, &(0..64), at(1)));
        assert!(failures.recalls(Caller(3), FILE, &(47..48), at(1)));
        assert!(failures.recalls(CALLER, ObjectId(8), &(32..64), at(1)));
    }

    #[test]
    fn nobody_is_not_remembered_and_memory_is_bounded() {
        let mut failures = failures();
        failures.remember(Caller::NOBODY, FILE, &(32..64), at(0));
        assert!(!failures.recalls(Caller::NOBODY, FILE, &(32..64), at(0)));
        for caller in 2..500 {
            failures.remember(Caller(caller), FILE, &(0..1), at(1));
        }
        assert_eq!((failures.len(), failures.ages.len(), failures.pages.len()), (100, 100, 100));
        assert!(!failures.recalls(CALLER, FILE, &(32..64), at(1)));
        assert!(failures.recalls(Caller(499), FILE, &(0..1), at(1)));
    }
}
