//! Objects on which something has stalled lately.
//!
//! While storage hangs, readers of dead files come back again and again, and each time theirs are the newest requests.
//! What is remembered here keeps them from taking all scouts, and all turns, from files that nobody has tried.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Time;

use super::request::ObjectId;

/// The suspects, and until when they are. Bounded: the oldest suspicion is dropped.
#[derive(Debug)]
pub(super) struct Suspects {
    memory: Duration,
    most: usize,
    known: HashMap<ObjectId, Time>,
    /// The same by age. Holds what has been cleared as well, until its time has passed.
    ages: VecDeque<(Time, ObjectId)>,
}

impl Suspects {
    pub(super) fn new(memory: Duration, most: usize) -> Self {
        Self { memory, most, known: HashMap::new(), ages: VecDeque::new() }
    }

    pub(super) fn contains(&self, object: ObjectId) -> bool {
        self.known.contains_key(&object)
    }

    pub(super) fn insert(&mut self, object: ObjectId, now: Time) {
        let until = now + self.memory;
        self.known.insert(object, until);
        self.ages.push_back((until, object));
    }

    /// Something of it has returned in time.
    pub(super) fn clear(&mut self, object: ObjectId) {
        self.known.remove(&object);
    }

    /// Takes out one that is so no longer, or is one too many.
    pub(super) fn pop(&mut self, now: Time) -> Option<ObjectId> {
        while self.ages.len() > self.most || self.ages.front().is_some_and(|(until, _)| *until <= now) {
            let (until, object) = self.ages.pop_front()?;
            if self.known.get(&object) == Some(&until) {
                self.known.remove(&object);
                return Some(object);
            }
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn suspicion_ends_after_a_while_and_begins_anew_with_each_stall() {
        let mut suspects = Suspects::new(Duration::from_secs(10), 100);
        suspects.insert(ObjectId(1), at(0));
        suspects.insert(ObjectId(2), at(1));
        suspects.insert(ObjectId(1), at(5));
        assert_eq!(suspects.pop(at(10)), None);
        assert_eq!((suspects.pop(at(11)), suspects.pop(at(11))), (Some(ObjectId(2)), None));
        assert!(suspects.contains(ObjectId(1)) && !suspects.contains(ObjectId(2)));
        assert_eq!(suspects.pop(at(15)), Some(ObjectId(1)));
        assert_eq!((suspects.len(), suspects.ages.len()), (0, 0));
    }

    #[test]
    fn there_is_a_bound_on_suspects_and_the_oldest_go_first() {
        let mut suspects = Suspects::new(Duration::from_secs(10), 3);
        for object in 0..5 {
            suspects.insert(ObjectId(object), at(0));
        }
        assert_eq!(
            [suspects.pop(at(0)), suspects.pop(at(0)), suspects.pop(at(0))],
            [Some(ObjectId(0)), Some(ObjectId(1)), None]
        );
        suspects.clear(ObjectId(2));
        assert_eq!((suspects.len(), suspects.pop(at(10)).is_some()), (2, true));
    }
}
