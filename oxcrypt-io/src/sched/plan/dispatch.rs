//! Who begins, who has stalled, who has returned.

use crate::clock::Time;

use super::alarms::Alarm;
use super::class::Class;
use super::request::{Action, FlightId, ObjectId, Outcome, Verdict, Work};
use super::slots::Slot;
use super::{Plan, State, Wait};

/// Classes that share no slots with others.
const APART: [Class; 4] = [Class::Hot, Class::Close, Class::Namespace, Class::WriteBack];

/// Classes for which scouts go out. Background and closing have nobody who waits. Changes that wait for a slot have
/// their turns, so it does not matter which of them begins first.
const SCOUTED: [Class; 5] = [Class::Meta, Class::Demand, Class::Hot, Class::Namespace, Class::WriteBack];

impl<W: Work> Plan<W> {
    /// Begins whatever may begin, and then sheds what is too much. Others may have waited for the turns of that.
    pub(super) fn settle(&mut self, now: Time, out: &mut Vec<Action<W>>) {
        self.rescue();
        loop {
            for class in APART {
                while self.begin_next(class, now, out) {}
            }
            while self.begin_from_pool(now, out) {}
            self.send_scout(now, out);
            let excess = self.queues.excess_background().or_else(|| self.queues.excess());
            let Some(flight) = excess else { return };
            self.shed(flight, now, out);
        }
    }

    /// Notes that an operation has run for too long.
    pub(super) fn stall(&mut self, id: FlightId, now: Time) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let (object, class) = (flight.object, flight.class);
        let Some(run) = flight.run() else { return };
        run.stalled = true;
        if run.slot == Slot::Own {
            self.stranded.insert(id);
        }
        self.counters.stalled += 1;
        self.scouts.stalled(id, now);
        // Reads take no turns, and many may wait.
        if self.queues.stall(object, class, now) && class.mutates() {
            self.give_turns_back(object, class);
        }
        let passed = self.turns.stall(id);
        self.let_in(passed);
    }

    /// Has a flight wait for its turns, and then for a slot.
    pub(super) fn line_up(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let State::Waiting { wait, .. } = &mut flight.state else { return };
        let (object, class) = (flight.object, flight.class);
        if flight.turns.is_empty() {
            *wait = Wait::Slot(self.queues.push(object, class, id));
        } else {
            *wait = Wait::Turns(self.queues.push_behind(object, class, id));
            self.stand_in_line(id);
        }
    }

    /// Has a flight stand in line for its turns. One whose object begins nothing, because of what has stalled there, waits
    /// for that first: with turns it would hold up others, for as long as storage does.
    fn stand_in_line(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let State::Waiting { wait: Wait::Turns(place), .. } = flight.state else { return };
        let is_shut = self.queues.is_shut(flight.object, flight.class);
        if !is_shut && self.turns.enter(id, place, &flight.turns) {
            self.let_in(vec![id]);
        }
    }

    /// Has the changes that wait for an object which begins nothing any more leave all lines. They keep their places.
    fn give_turns_back(&mut self, object: ObjectId, class: Class) {
        for id in self.queues.all(object, class) {
            let Some(flight) = self.flights.get_mut(id).filter(|flight| !flight.turns.is_empty()) else {
                continue;
            };
            if let State::Waiting { wait, .. } = &mut flight.state
                && let Wait::Slot(place) = *wait
            {
                *wait = Wait::Turns(place);
                self.queues.hold_back(object, class, place);
            }
            // That may let in another of them, which comes later here.
            self.end_turns(id);
        }
    }

    /// Ends what a flight has of turns, or waits for.
    pub(super) fn end_turns(&mut self, id: FlightId) {
        let next = self.turns.leave(id);
        self.let_in(next);
    }

    /// Lets flights begin that have their turns now.
    fn let_in(&mut self, flights: Vec<FlightId>) {
        for id in flights {
            let Some(flight) = self.flights.get_mut(id) else { continue };
            if let State::Waiting { wait, .. } = &mut flight.state
                && let Wait::Turns(place) = *wait
            {
                *wait = Wait::Slot(place);
                self.queues.let_in(flight.object, flight.class, place);
            }
        }
    }

    /// Takes what an operation came to.
    pub(super) fn land(
        &mut self,
        id: FlightId,
        outcome: Outcome<W::Value>,
        now: Time,
        out: &mut Vec<Action<W>>,
    ) {
        let running = self.flights.get_mut(id).and_then(|flight| flight.run().copied());
        let Some((run, flight)) = running.and_then(|run| Some((run, self.flights.remove(id)?))) else {
            return drop_value(outcome, out);
        };
        self.counters.latency[flight.class].record(now.since(run.since));
        self.slots.give_back(flight.class, run.slot);
        if self.queues.end(flight.object, flight.class, run.stalled) {
            for waiting in self.queues.behind(flight.object, flight.class) {
                self.stand_in_line(waiting);
            }
        }
        self.scouts.returned(id, now);
        self.stranded.remove(&id);
        self.alarms.unset(run.stalls_at, Alarm::Stall(id));
        self.end_turns(id);
        match outcome {
            Outcome::Done(value) => {
                self.counters.adopted += u64::from(run.given_up);
                self.failures.clear(flight.object, &flight.pages);
                self.deliver(id, &flight.waiters, value, out);
            }
            Outcome::Failed(value) => self.fail(&flight.waiters, value, out),
            Outcome::TimedOut => {
                for waiter in flight.waiters.iter() {
                    self.run_out(waiter, now, out);
                }
            }
            Outcome::Panicked => {
                self.counters.panicked += 1;
                for waiter in flight.waiters.iter() {
                    self.dismiss(waiter, Verdict::Panicked, Vec::new(), out);
                }
            }
        }
    }

    /// Moves stalled operations to the reserve while it has room for them.
    fn rescue(&mut self) {
        while let Some(&id) = self.stranded.first() {
            let Some(flight) = self.flights.get_mut(id) else { return };
            let class = flight.class;
            let Some(run) = flight.run() else { return };
            if !self.slots.move_to_reserve(class) {
                return;
            }
            run.slot = Slot::Reserve;
            self.stranded.pop_first();
        }
    }

    /// Begins one operation of the pool: meta and demand in turn, and background only if neither has one that may. So
    /// nothing is read ahead while somebody waits for a slot, for however short a time.
    fn begin_from_pool(&mut self, now: Time, out: &mut Vec<Action<W>>) -> bool {
        let order = if self.meta_first { [Class::Meta, Class::Demand] } else { [Class::Demand, Class::Meta] };
        for class in order {
            if self.begin_next(class, now, out) {
                self.meta_first = class != Class::Meta;
                return true;
            }
        }
        self.begin_next(Class::Background, now, out)
    }

    fn begin_next(&mut self, class: Class, now: Time, out: &mut Vec<Action<W>>) -> bool {
        let next = if self.slots.is_free(class) { self.queues.next(class) } else { None };
        if let Some(flight) = next {
            self.begin(flight, Slot::Own, now, out);
        }
        next.is_some()
    }

    /// Where a class has no slot left, sends the newest of its flights ahead, one of a suspect only if there is no other.
    /// Called when nothing else may begin, so
    /// whatever still has a turn has it because slots are missing.
    fn send_scout(&mut self, now: Time, out: &mut Vec<Action<W>>) {
        self.scout_wake = None;
        let Some(ready_at) = self.scouts.ready_at() else { return };
        for step in 0..SCOUTED.len() {
            let turn = (self.scout_turn + step) % SCOUTED.len();
            let Some(&class) = SCOUTED.get(turn) else { continue };
            if self.slots.is_free(class) || !self.slots.scout_is_free(class) {
                continue;
            }
            let mut newest = self.queues.newest_untroubled(class, false);
            if newest.is_none() && self.slots.scout_is_free_for_suspects(class) {
                newest = self.queues.newest_untroubled(class, true);
            }
            let Some(flight) = newest else { continue };
            if ready_at > now {
                self.scout_wake = Some(ready_at);
                return;
            }
            self.scout_turn = turn + 1;
            self.counters.scouts += 1;
            self.scouts.start(flight);
            self.begin(flight, Slot::Scout, now, out);
            return;
        }
    }

    fn begin(&mut self, id: FlightId, slot: Slot, now: Time, out: &mut Vec<Action<W>>) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let (object, class) = (flight.object, flight.class);
        let stalls_at = now + self.limits.stalls_after(class);
        let Some((job, place)) = flight.begin(slot, now, stalls_at) else { return };
        for waiter in flight.waiters.iter() {
            let Some(waiting) = self.waiters.get_mut(&waiter) else { continue };
            waiting.begun = true;
            if let Some(held) = &mut self.held {
                held.begin(object, waiter);
            }
        }
        self.queues.begin(object, class, place);
        self.slots.take(class, slot);
        self.alarms.set(stalls_at, Alarm::Stall(id));
        self.counters.begun += 1;
        out.push(Action::Start(id, class, job));
    }
}

/// What nobody started has no one to go to.
fn drop_value<W: Work>(outcome: Outcome<W::Value>, out: &mut Vec<Action<W>>) {
    if let Outcome::Done(value) | Outcome::Failed(value) = outcome {
        out.push(Action::DropValue(value));
    }
}
