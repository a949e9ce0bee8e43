//! What holds after each step.

use std::collections::{BTreeMap, BTreeSet};

use oxcrypt_io::clock::Time;
use oxcrypt_io::sched::plan::{Class, PerClass, Plan};

use crate::sim::Toy;

use super::flight::Flight;
use super::{Judge, Line, Reply, Serial};

impl Judge {
    /// No more runs than there are slots, and no more waits than may.
    pub(super) fn slots_are_kept(&self, plan: &Plan<Toy>, now: Time) {
        let limits = &self.limits;
        let mut fresh = PerClass::<usize>::default();
        let mut all = PerClass::<usize>::default();
        for flight in self.running.values() {
            all[flight.class] += 1;
            fresh[flight.class] += usize::from(!self.has_stalled(flight, now));
        }
        let scout = usize::from(self.scouts > 0);
        let shared = fresh[Class::Demand] + fresh[Class::Background];
        assert!(fresh[Class::Hot] <= limits.hot + scout);
        assert!(shared + fresh[Class::Meta] <= limits.pool + scout);
        assert!(shared <= limits.demand_and_background + scout);
        assert!(fresh[Class::Background] <= limits.background);
        assert!(fresh[Class::Close] <= limits.close);
        assert!(fresh[Class::Namespace] <= limits.namespace + scout);
        assert!(fresh[Class::WriteBack] <= limits.write_back + scout);
        assert!(all.iter().sum::<usize>() <= limits.threads());
        if let Some(queue) = limits.store_queue {
            let reads = all[Class::Demand] + all[Class::Background];
            assert!(reads <= queue - 2 && reads + all[Class::Hot] < queue, "{all:?}");
            assert!(self.scouts > 0 || reads <= queue * 3 / 4, "{all:?}");
        }
        if let Some(queue) = limits.kernel_queue {
            let held = self.held(now);
            assert!(held.clone().count() <= queue.requests * 3 / 4);
            assert!(held.sum::<u64>() <= queue.bytes);
        }
        assert!(self.bounded() <= limits.queue);
        assert!(self.queued[Class::Background] <= limits.background_queue);
        if self.drained {
            let lives = |class| matches!(class, Class::Close | Class::WriteBack);
            assert!(self.open.iter().all(|reply| self.asks[*reply].ask.class == Class::WriteBack));
            assert!(self.waiting.values().all(|flight| lives(flight.class)));
        }
        let stalled = all.iter().sum::<usize>() - fresh.iter().sum::<usize>();
        let left = plan.census().reserve_left;
        if self.scouts == 0 && left > limits.scouts {
            assert_eq!(left, limits.reserve - stalled, "the reserve is not what stalled operations need");
        }
    }

    /// Where slots are certainly free, nothing waits that may begin.
    pub(super) fn nothing_waits_for_nothing(&self, plan: &Plan<Toy>, able: &BTreeSet<Line>, now: Time) {
        let limits = &self.limits;
        if self.scouts > 0 || plan.census().reserve_left <= limits.scouts || limits.store_queue.is_some() {
            return;
        }
        let mut own = PerClass::<usize>::default();
        for flight in self.running.values() {
            own[flight.class] += usize::from(!self.has_stalled(flight, now));
        }
        let shared = own[Class::Demand] + own[Class::Background];
        let pool = limits.pool - own[Class::Meta] - shared;
        let demand = pool.min(limits.demand_and_background - shared);
        for (class, object) in able {
            let free = match class {
                Class::Hot => limits.hot - own[Class::Hot],
                Class::Meta => pool,
                Class::Demand => demand,
                Class::Background => demand.min(limits.background - own[Class::Background]),
                Class::Close => limits.close - own[Class::Close],
                Class::Namespace => limits.namespace - own[Class::Namespace],
                Class::WriteBack => limits.write_back - own[Class::WriteBack],
            };
            assert_eq!(free, 0, "{class:?} of {object} waits though slots are free");
        }
    }

    /// The plan holds what it is to hold, and not a bit more.
    pub(super) fn books_agree(&self, plan: &Plan<Toy>, now: Time) {
        let census = plan.census();
        assert_eq!(census.waiters, self.open.len());
        assert_eq!(census.delayed, self.delayed.len());
        assert_eq!(census.flights, self.waiting.len() + self.running.len() + self.delayed.len());
        let takes_turns = |flight: &&Flight| !flight.turns.is_empty();
        let waiting = self.waiting.values().filter(|flight| !self.is_shut(flight.line(), now));
        assert_eq!(census.turns, waiting.chain(self.running.values()).filter(takes_turns).count());
        let running = self.running.values().map(|flight| flight.job.object);
        let objects: BTreeSet<_> = self.lines.keys().map(|(_, object)| *object).chain(running).collect();
        assert_eq!(census.objects, objects.len());
        for class in Class::ALL {
            let running: Vec<_> = self.running.values().filter(|flight| flight.class == class).collect();
            let stalled = running.iter().filter(|flight| self.has_stalled(flight, now)).count();
            let count = census.classes[class];
            let counted = (count.waiting, count.running, count.stalled);
            assert_eq!(counted, (self.queued[class], running.len(), stalled), "{class:?}");
        }
        assert_eq!(census.failures, self.failures.len());
        assert_eq!(census.held, self.held(now).count());
        let patience = self.limits.patience;
        let waiters = self.open.iter().map(|reply| &self.asks[*reply]);
        let of_waiters = waiters.map(|asked| {
            let held =
                asked.ask.kernel.is_some() && self.limits.kernel_queue.is_some() && asked.at + patience > now;
            usize::from(asked.deadline.time().is_some()) + usize::from(asked.ask.stale) + usize::from(held)
        });
        let fresh = self.running.values().filter(|flight| !self.has_stalled(flight, now));
        assert_eq!(census.alarms, of_waiters.sum::<usize>() + fresh.count() + self.delayed.len());
    }

    /// Bytes of the requests that are held.
    pub(super) fn held(&self, now: Time) -> impl Iterator<Item = u64> + Clone {
        let asks = self.open.iter().map(|reply| &self.asks[*reply]);
        let counts = self.limits.kernel_queue.is_some();
        asks.filter(move |asked| counts && now.since(asked.at) >= self.limits.patience)
            .filter_map(|asked| asked.ask.kernel)
    }

    /// The operation for which a request is shed from a full queue, if that is not known from others who waited for it: the
    /// oldest that is read ahead, or else the newest of an object of which none has more.
    pub(super) fn to_shed(&self, reply: Reply) -> Option<Serial> {
        let flights = &self.asks[reply].flights;
        if flights.iter().any(|serial| self.sheds.contains(serial)) {
            return None;
        }
        let mut counts: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        let bounded = |class| !matches!(class, Class::Background | Class::Close);
        for flight in self.waiting.values().filter(|flight| bounded(flight.class)) {
            let (count, newest) = counts.entry(flight.job.object).or_default();
            (*count, *newest) = (*count + 1, flight.place.max(*newest));
        }
        let most = counts.values().map(|(count, _)| *count).max();
        let ahead = self.waiting.values().filter(|flight| flight.class == Class::Background);
        let oldest = ahead.map(|flight| flight.place).min();
        let is_one_too_many = |serial: &&Serial| {
            let Some(flight) = self.waiting.get(serial) else { return false };
            if flight.class == Class::Background {
                self.queued[Class::Background] > self.limits.background_queue && Some(flight.place) == oldest
            } else {
                let held = counts.get(&flight.job.object);
                self.bounded() > self.limits.queue && held.copied() == most.map(|most| (most, flight.place))
            }
        };
        let shed = flights.iter().find(is_one_too_many).copied();
        assert!(shed.is_some(), "{reply} is shed, and others should be, or nobody");
        shed
    }

    /// Flights that wait and count towards the bound.
    fn bounded(&self) -> usize {
        self.queued.iter().sum::<usize>() - self.queued[Class::Background] - self.queued[Class::Close]
    }
}
