//! Who runs, who waits, who is answered: the rules of the scheduler as a state machine without threads or a clock.
//!
//! Each method of [`Plan`] is one step: something has happened, it is `now` such a time, and what is to be done about
//! it is appended to `out`. The plan owns jobs and replies while they wait, so nobody keeps tables beside it, and it
//! drops none of them itself. No step searches: each costs a few operations on sorted maps for each action it causes.
//!
//! # What it promises
//!
//! * Each request is answered exactly once, and at its deadline at the latest.
//! * What was answered before it began never begins. What has begun goes on until storage returns, and whoever asks
//!   for the same in the meantime shares it.
//! * No more runs than there are slots ([`Limits::threads`]), and no more waits than the queues may hold, whatever
//!   storage does.
//! * Where slots are free, nothing waits that may begin.
//!
//! # Mutations
//!
//! [`Class::Namespace`] and [`Class::WriteBack`] change things, and changes have an order: a flight waits for the turns
//! that its request names, has all of them or none, and waits for a slot only then. So nothing that runs ever waits for
//! something else that is to run. Who came first is first, save that somebody who waits for a stalled thing is passed in
//! the other lines he stands in. A change is joined only before it begins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::clock::Time;

mod alarms;
mod answers;
mod census;
mod class;
mod crowd;
mod dispatch;
mod failures;
mod flight;
mod held;
mod latency;
mod limits;
mod queues;
mod ranking;
mod request;
mod scouts;
mod slots;
mod suspects;
mod turns;
mod waiter;

pub use census::{Census, Count, Counters, Running};
pub use class::{Class, PerClass};
pub use latency::Latency;
pub use limits::{KernelQueue, Limits};
pub use request::{
    Action, Answer, Caller, FlightId, Hold, ObjectId, Outcome, Part, Request, TurnId, Verdict, WaiterId, Why,
    Work,
};

use alarms::{Alarm, Alarms};
use crowd::Crowd;
use failures::Failures;
use flight::{Flight, Flights, State, Wait};
use held::Held;
use queues::Queues;
use scouts::Scouts;
use slots::Slots;
use turns::Turns;
use waiter::{Seat, Waiter, hull};

/// The state of all requests and operations.
pub struct Plan<W: Work> {
    limits: Limits,
    last_waiter: u64,
    /// Boxed: half of what is in a sorted map is room for more.
    waiters: BTreeMap<WaiterId, Box<Waiter<W>>>,
    flights: Flights<W>,
    queues: Queues,
    turns: Turns,
    slots: Slots,
    scouts: Scouts,
    /// Where the next scout is looked for.
    scout_turn: usize,
    /// When the next one may start, where one is wanted.
    scout_wake: Option<Time>,
    /// Which of meta and demand is next.
    meta_first: bool,
    /// Stalled operations that still hold a slot of their class, because the reserve had none for them.
    stranded: BTreeSet<FlightId>,
    failures: Failures,
    held: Option<Held>,
    alarms: Alarms,
    drained: bool,
    counters: Counters,
}

impl<W: Work> Plan<W> {
    /// A plan with nothing in it.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            last_waiter: 0,
            waiters: BTreeMap::new(),
            flights: Flights::new(),
            queues: Queues::new(limits.clone()),
            turns: Turns::default(),
            slots: Slots::new(limits.clone()),
            scouts: Scouts::new(limits.scout_pause, limits.longest_scout_pause),
            scout_turn: 0,
            scout_wake: None,
            meta_first: true,
            stranded: BTreeSet::new(),
            failures: Failures::new(limits.failure_memory, limits.failures),
            held: limits.kernel_queue.map(Held::new),
            alarms: Alarms::default(),
            drained: false,
            counters: Counters::default(),
            limits,
        }
    }

    /// Takes a request. It may be answered before this returns; its id is good for [`cancel`](Self::cancel) until then.
    pub fn submit(&mut self, request: Request<W>, now: Time, out: &mut Vec<Action<W>>) -> WaiterId {
        self.last_waiter += 1;
        let id = WaiterId(self.last_waiter);
        self.submit_again(id, request, now, out);
        id
    }

    /// Takes another request of somebody whose last one has been answered, and who is still to be known by its id.
    pub fn submit_again(&mut self, id: WaiterId, request: Request<W>, now: Time, out: &mut Vec<Action<W>>) {
        self.catch_up(now, out);
        self.counters.submitted += 1;
        let pages = hull(request.parts.iter().map(|part| &part.pages));
        let verdict = self.refuses(&request, &pages, now);
        match verdict {
            // Closing is done for its own sake, whoever waits for it.
            Some(verdict) if request.class != Class::Close => refuse(id, request, verdict, out),
            _ => self.admit(id, request, pages, now, out),
        }
        if let Some(verdict) = verdict {
            self.dismiss(id, verdict, Vec::new(), out);
        }
        self.settle(now, out);
    }

    /// Answers a request without a value, if it has not been answered. Its operations go on if they have begun.
    pub fn cancel(&mut self, waiter: WaiterId, why: Why, now: Time, out: &mut Vec<Action<W>>) {
        self.catch_up(now, out);
        self.dismiss(waiter, Verdict::Cancelled(why), Vec::new(), out);
        self.settle(now, out);
    }

    /// Takes what an operation came to, and gives it to all who wait for it, however late it is.
    pub fn finish(
        &mut self,
        flight: FlightId,
        outcome: Outcome<W::Value>,
        now: Time,
        out: &mut Vec<Action<W>>,
    ) {
        // First the value and then what is due: where both come at once, a value is the better answer.
        self.land(flight, outcome, now, out);
        self.catch_up(now, out);
        self.settle(now, out);
    }

    /// Does what is due. To be called at [`next_wake`](Self::next_wake); at other times it does no harm.
    pub fn tick(&mut self, now: Time, out: &mut Vec<Action<W>>) {
        self.catch_up(now, out);
        self.settle(now, out);
    }

    /// Answers every request, and all that come after, but for those of [`Class::WriteBack`]: what memory owns is still to
    /// be stored. What runs goes on; of what waits, only handles are still closed.
    pub fn drain(&mut self, now: Time, out: &mut Vec<Action<W>>) {
        self.drained = true;
        while let Some((&waiter, _)) = self.waiters.first_key_value() {
            self.dismiss(waiter, Verdict::Drained, Vec::new(), out);
        }
        self.catch_up(now, out);
        self.settle(now, out);
    }

    /// When something is due next, if nothing happens before. `None` while there is nothing to wait for.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        self.alarms.first().into_iter().chain(self.scout_wake).min()
    }

    /// What the plan holds.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            waiters: self.waiters.len(),
            held: self.held.as_ref().map_or(0, Held::len),
            flights: self.flights.len(),
            delayed: self.flights.iter().filter(|(_, flight)| flight.is_delayed()).count(),
            classes: self.queues.counts(),
            objects: self.queues.objects(),
            reserve_left: self.slots.reserve_left(),
            failures: self.failures.len(),
            suspects: self.queues.suspects(),
            turns: self.turns.len(),
            alarms: self.alarms.len(),
            down: self.slots.is_down(),
        }
    }

    /// What runs, the oldest first. Looks at every operation, so it is for people who ask and not for each step.
    #[must_use]
    pub fn running(&self, now: Time) -> Vec<Running> {
        let running = self.flights.iter().filter_map(|(flight, about)| {
            let State::Running(run) = &about.state else { return None };
            let (class, object, waiters) = (about.class, about.object, about.waiters.len());
            Some(Running { flight, class, object, age: now.since(run.since), stalled: run.stalled, waiters })
        });
        let mut running: Vec<_> = running.collect();
        running.sort_unstable_by_key(|running| (Reverse(running.age), running.flight));
        running
    }

    /// What the plan has seen.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The verdict on a request that need not even wait.
    fn refuses(&mut self, request: &Request<W>, pages: &Range<u64>, now: Time) -> Option<Verdict> {
        if self.drained && request.class != Class::WriteBack {
            return Some(Verdict::Drained);
        }
        let recalled = self.failures.recalls(request.caller, request.object, pages, now);
        if recalled {
            self.counters.recalled += 1;
        }
        if recalled || request.deadline.is_due(now) {
            return Some(self.late(request.stale));
        }
        request.parts.is_empty().then_some(Verdict::Done)
    }

    /// Lets a request wait for its operations, those under way and those that are yet to begin.
    fn admit(
        &mut self,
        id: WaiterId,
        request: Request<W>,
        pages: Range<u64>,
        now: Time,
        out: &mut Vec<Action<W>>,
    ) {
        let Request { class, object, parts, turns, not_before, reply, deadline, caller, stale, kernel } =
            request;
        let order = Order { turns, not_before: not_before.filter(|time| *time > now) };
        let mut waiter = Waiter {
            reply,
            object,
            caller,
            pages,
            deadline,
            seats: Vec::with_capacity(parts.len()),
            stale_at: stale.then(|| now + self.limits.patience),
            held_at: kernel.filter(|_| self.held.is_some()).map(|bytes| (now + self.limits.patience, bytes)),
            begun: false,
        };
        for part in parts {
            let (flight, begun) = self.board(id, class, object, part, &order, out);
            waiter.begun |= begun;
            waiter.seats.push(Seat::Waiting(flight));
        }
        for (time, alarm) in waiter.alarms(id) {
            self.alarms.set(time, alarm);
        }
        self.waiters.insert(id, Box::new(waiter));
    }

    /// Joins the operation that does the same, or queues one. Returns whether it has begun.
    fn board(
        &mut self,
        waiter: WaiterId,
        class: Class,
        object: ObjectId,
        part: Part<W>,
        order: &Order,
        out: &mut Vec<Action<W>>,
    ) -> (FlightId, bool) {
        let known = self.flights.find(object, part.key.as_ref());
        if let Some((id, flight)) = known.and_then(|id| Some((id, self.flights.get_mut(id)?))) {
            out.push(Action::DropJob(part.job));
            self.counters.joined += 1;
            flight.waiters.insert(waiter);
            let has_begun = flight.has_begun();
            if let State::Waiting { wait, .. } = &mut flight.state {
                match *wait {
                    Wait::Slot(place) if class.outranks(flight.class) => {
                        self.queues.remove(object, flight.class, place);
                        *wait = Wait::Slot(self.queues.push(object, class, id));
                        flight.class = class;
                    }
                    Wait::Time(time) => {
                        if class.outranks(flight.class) {
                            flight.class = class;
                        }
                        if order.not_before.is_none_or(|sooner| sooner < time) {
                            self.alarms.unset(time, Alarm::Ripe(id));
                            self.begin_waiting(id, order.not_before);
                        }
                    }
                    _ => {}
                }
            }
            return (id, has_begun);
        }
        let id = self.flights.next_id();
        let (key, pages, job) = (part.key, part.pages, part.job);
        let (turns, waiters) = (order.turns.clone(), Crowd::One(waiter));
        let state = State::Waiting { job, wait: Wait::Time(Time::ZERO) };
        self.flights.insert(id, Flight { object, class, key, pages, turns, waiters, state });
        self.begin_waiting(id, order.not_before);
        (id, false)
    }

    /// Has a flight wait for its time, and then for its turns.
    fn begin_waiting(&mut self, id: FlightId, not_before: Option<Time>) {
        let Some(time) = not_before else { return self.line_up(id) };
        let Some(State::Waiting { wait, .. }) = self.flights.get_mut(id).map(|flight| &mut flight.state)
        else {
            return;
        };
        *wait = Wait::Time(time);
        self.alarms.set(time, Alarm::Ripe(id));
    }
}

/// When the operations of a request may begin.
struct Order {
    turns: Vec<(TurnId, Hold)>,
    not_before: Option<Time>,
}

/// Answers a request that is not let in.
fn refuse<W: Work>(waiter: WaiterId, request: Request<W>, verdict: Verdict, out: &mut Vec<Action<W>>) {
    let Request { reply, parts, .. } = request;
    out.push(Action::Answer(Answer { waiter, reply, verdict, values: Vec::new(), begun: false }));
    out.extend(parts.into_iter().map(|part| Action::DropJob(part.job)));
}
