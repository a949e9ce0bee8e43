//! Requests that hold a place in the kernel's background queue for long.
//!
//! That queue is short, and while it is full nobody reads any file. So a quarter of it stays free, whatever hangs.

use std::collections::{BTreeSet, HashMap};

use super::limits::KernelQueue;
use super::ranking::Ranking;
use super::request::{ObjectId, WaiterId};

/// The requests held, and who holds most.
#[derive(Debug)]
pub(super) struct Held {
    requests: u64,
    bytes: u64,
    total: Share,
    shares: HashMap<ObjectId, Share>,
    by_requests: Ranking,
    by_bytes: Ranking,
    /// Those of an object whose operations have not begun come first, the newest last.
    waiters: BTreeSet<(ObjectId, bool, WaiterId)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    requests: u64,
    bytes: u64,
}

/// A request that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) object: ObjectId,
    pub(super) waiter: WaiterId,
    pub(super) bytes: u64,
    pub(super) begun: bool,
}

impl Held {
    pub(super) fn new(queue: KernelQueue) -> Self {
        Self {
            requests: queue.requests as u64 * 3 / 4,
            bytes: queue.bytes,
            total: Share::default(),
            shares: HashMap::new(),
            by_requests: Ranking::default(),
            by_bytes: Ranking::default(),
            waiters: BTreeSet::new(),
        }
    }

    pub(super) fn insert(&mut self, hold: Hold) {
        if self.waiters.insert((hold.object, hold.begun, hold.waiter)) {
            self.change(hold.object, |share| {
                share.requests += 1;
                share.bytes += hold.bytes;
            });
        }
    }

    pub(super) fn remove(&mut self, hold: Hold) {
        if self.waiters.remove(&(hold.object, hold.begun, hold.waiter)) {
            self.change(hold.object, |share| {
                share.requests -= 1;
                share.bytes -= hold.bytes;
            });
        }
    }

    /// Notes that an operation of a request has begun, if that is held.
    pub(super) fn begin(&mut self, object: ObjectId, waiter: WaiterId) {
        if self.waiters.remove(&(object, false, waiter)) {
            self.waiters.insert((object, true, waiter));
        }
    }

    /// Where more is held than may be, the request to answer: the newest of the object that holds most, one that has
    /// not begun if there is one.
    pub(super) fn excess(&self) -> Option<WaiterId> {
        let object = if self.total.requests > self.requests {
            self.by_requests.first()
        } else if self.total.bytes > self.bytes {
            self.by_bytes.first()
        } else {
            None
        }?;
        let newest = |begun| {
            let all = (object, begun, WaiterId(0))..=(object, begun, WaiterId(u64::MAX));
            self.waiters.range(all).next_back().map(|(_, _, waiter)| *waiter)
        };
        newest(false).or_else(|| newest(true))
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    fn change(&mut self, object: ObjectId, by: impl Fn(&mut Share)) {
        by(&mut self.total);
        let share = self.shares.entry(object).or_default();
        let before = *share;
        by(share);
        let after = *share;
        if after == Share::default() {
            self.shares.remove(&object);
        }
        self.by_requests.update(object, before.requests, after.requests);
        self.by_bytes.update(object, before.bytes, after.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(object: u64, waiter: u64, bytes: u64, begun: bool) -> Hold {
        Hold { object: ObjectId(object), waiter: WaiterId(waiter), bytes, begun }
    }

    #[test]
    fn beyond_three_quarters_the_newest_not_begun_of_the_largest_holder_goes() {
        let mut held = Held::new(KernelQueue::new(8));
        for waiter in 0..4 {
            held.insert(hold(1, waiter, 4_096, waiter != 1));
        }
        held.insert(hold(2, 4, 4_096, false));
        held.insert(hold(2, 5, 4_096, false));
        assert_eq!(held.excess(), None);
        held.insert(hold(2, 6, 4_096, false));
        assert_eq!(held.excess(), Some(WaiterId(1)));
        held.begin(ObjectId(1), WaiterId(1));
        assert_eq!(held.excess(), Some(WaiterId(3)));
        held.remove(hold(1, 3, 4_096, true));
        assert_eq!(held.excess(), None);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut held = Held::new(KernelQueue { requests: 100, bytes: 10_000 });
        held.insert(hold(1, 0, 6_000, true));
        held.insert(hold(2, 1, 2_000, false));
        held.insert(hold(2, 2, 2_000, false));
        assert_eq!(held.excess(), None);
        held.insert(hold(2, 3, 1, false));
        assert_eq!(held.excess(), Some(WaiterId(0)));
        held.remove(hold(1, 0, 6_000, true));
        assert_eq!(held.excess(), None);
        for waiter in 1..4 {
            held.remove(hold(2, waiter, if waiter == 3 { 1 } else { 2_000 }, false));
        }
        assert_eq!((held.len(), held.total, held.shares.len()), (0, Share::default(), 0));
        assert!(held.by_requests.first().is_none() && held.by_bytes.first().is_none());
    }
}
