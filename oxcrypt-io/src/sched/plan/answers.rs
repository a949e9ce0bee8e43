//! How requests are answered, each once, and what becomes of their operations then.

use crate::clock::Time;

use super::alarms::Alarm;
use super::class::Class;
use super::crowd::Crowd;
use super::held::Held;
use super::request::{Action, Answer, FlightId, Verdict, WaiterId, Work};
use super::{Plan, Seat, State, Wait, Waiter};

impl<W: Work> Plan<W> {
    /// Does all that is due by `now`.
    pub(super) fn catch_up(&mut self, now: Time, out: &mut Vec<Action<W>>) {
        self.failures.forget(now);
        self.queues.forget(now);
        while let Some(alarm) = self.alarms.pop_due(now) {
            match alarm {
                Alarm::Stall(flight) => self.stall(flight, now),
                Alarm::Ripe(flight) => self.line_up(flight),
                Alarm::Stale(waiter) | Alarm::Deadline(waiter) => self.run_out(waiter, now, out),
                Alarm::Held(waiter) => self.hold(waiter, now, out),
            }
        }
    }

    /// Answers a request that waits no longer, and remembers that this was for want of time.
    pub(super) fn run_out(&mut self, id: WaiterId, now: Time, out: &mut Vec<Action<W>>) {
        let Some(waiter) = self.waiters.get(&id) else { return };
        let verdict = self.late(waiter.stale_at.is_some());
        self.dismiss_late(id, verdict, now, out);
    }

    /// Answers all who wait for a flight that is one too many. It has not begun, so it is gone then.
    pub(super) fn shed(&mut self, id: FlightId, now: Time, out: &mut Vec<Action<W>>) {
        let waiters = self.flights.get_mut(id).map(|flight| flight.waiters.clone());
        for waiter in waiters.iter().flat_map(Crowd::iter) {
            let stale = self.waiters.get(&waiter).is_some_and(|waiter| waiter.stale_at.is_some());
            self.counters.shed += 1;
            self.dismiss_late(waiter, if stale { Verdict::Stale } else { Verdict::Shed }, now, out);
        }
    }

    /// Gives a value to all who wait for it.
    pub(super) fn deliver(
        &mut self,
        flight: FlightId,
        waiters: &Crowd,
        value: W::Value,
        out: &mut Vec<Action<W>>,
    ) {
        let Some((last, others)) = split_last(waiters) else { return out.push(Action::DropValue(value)) };
        for waiter in others {
            self.seat(waiter, flight, value.clone(), out);
        }
        self.seat(last, flight, value, out);
    }

    /// Gives an error to all who wait for a value.
    pub(super) fn fail(&mut self, waiters: &Crowd, value: W::Value, out: &mut Vec<Action<W>>) {
        let Some((last, others)) = split_last(waiters) else { return out.push(Action::DropValue(value)) };
        for waiter in others {
            self.dismiss(waiter, Verdict::Failed, vec![value.clone()], out);
        }
        self.dismiss(last, Verdict::Failed, vec![value], out);
    }

    /// The verdict on a request that got nothing in time.
    pub(super) fn late(&mut self, stale: bool) -> Verdict {
        if stale {
            self.counters.stale += 1;
            return Verdict::Stale;
        }
        self.counters.timed_out += 1;
        Verdict::TimedOut
    }

    /// Answers a request, if it has not been. This is the only way out for one that was let in.
    pub(super) fn dismiss(
        &mut self,
        id: WaiterId,
        verdict: Verdict,
        mut values: Vec<W::Value>,
        out: &mut Vec<Action<W>>,
    ) {
        let Some(waiter) = self.waiters.remove(&id).map(|waiter| *waiter) else { return };
        for (time, alarm) in waiter.alarms(id) {
            self.alarms.unset(time, alarm);
        }
        if let (Some(held), Some(hold)) = (&mut self.held, waiter.hold(id)) {
            held.remove(hold);
        }
        let (mut left, mut unused) = (Vec::new(), Vec::new());
        for seat in waiter.seats {
            match seat {
                Seat::Waiting(flight) => left.push(flight),
                Seat::Here(value) if verdict == Verdict::Done => values.push(value),
                Seat::Here(value) => unused.push(Action::DropValue(value)),
            }
        }
        let Waiter { reply, begun, .. } = waiter;
        out.push(Action::Answer(Answer { waiter: id, reply, verdict, values, begun }));
        out.extend(unused);
        for flight in left {
            self.leave(id, flight, out);
        }
    }

    fn dismiss_late(&mut self, id: WaiterId, verdict: Verdict, now: Time, out: &mut Vec<Action<W>>) {
        let Some(waiter) = self.waiters.get(&id) else { return };
        if verdict != Verdict::Stale {
            self.failures.remember(waiter.caller, waiter.object, &waiter.pages, now);
        }
        for seat in &waiter.seats {
            if let Seat::Waiting(flight) = seat
                && let Some(run) = self.flights.get_mut(*flight).and_then(|flight| flight.run())
            {
                run.given_up = true;
            }
        }
        self.dismiss(id, verdict, Vec::new(), out);
    }

    fn seat(&mut self, id: WaiterId, flight: FlightId, value: W::Value, out: &mut Vec<Action<W>>) {
        match self.waiters.get_mut(&id) {
            None => out.push(Action::DropValue(value)),
            Some(waiter) => {
                if waiter.seat(flight, value) {
                    self.dismiss(id, Verdict::Done, Vec::new(), out);
                }
            }
        }
    }

    /// Takes a waiter from a flight. One that nobody waits for any more goes on if it has begun, and else never begins;
    /// only closing is done for its own sake.
    fn leave(&mut self, waiter: WaiterId, id: FlightId, out: &mut Vec<Action<W>>) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        flight.waiters.remove(waiter);
        if flight.has_begun() || flight.class == Class::Close || !flight.waiters.is_empty() {
            return;
        }
        let Some(flight) = self.flights.remove(id) else { return };
        if let State::Waiting { job, wait } = flight.state {
            match wait {
                Wait::Time(time) => self.alarms.unset(time, Alarm::Ripe(id)),
                Wait::Turns(place) | Wait::Slot(place) => {
                    self.queues.remove(flight.object, flight.class, place);
                    self.end_turns(id);
                }
            }
            out.push(Action::DropJob(job));
        }
    }

    /// Counts a request as held in the kernel's queue, and answers as many as are too many then.
    fn hold(&mut self, id: WaiterId, now: Time, out: &mut Vec<Action<W>>) {
        let Some(hold) = self.waiters.get(&id).and_then(|waiter| waiter.hold(id)) else { return };
        if let Some(held) = &mut self.held {
            held.insert(hold);
        }
        while let Some(waiter) = self.held.as_ref().and_then(Held::excess) {
            self.run_out(waiter, now, out);
        }
    }
}

/// The last of them, and the others in order.
fn split_last(waiters: &Crowd) -> Option<(WaiterId, impl Iterator<Item = WaiterId> + '_)> {
    let mut all = waiters.iter();
    Some((all.next_back()?, all))
}
