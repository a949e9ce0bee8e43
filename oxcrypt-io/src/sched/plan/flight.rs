//! An operation, from when somebody wants it until storage returns it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::ops::Range;

use crate::clock::Time;

use super::class::Class;
use super::crowd::Crowd;
use super::queues::Place;
use super::request::{FlightId, Hold, ObjectId, TurnId, Work};
use super::slots::Slot;

/// One operation and those who wait for it.
pub(super) struct Flight<W: Work> {
    pub(super) object: ObjectId,
    pub(super) class: Class,
    pub(super) key: Option<W::Key>,
    pub(super) pages: Range<u64>,
    pub(super) turns: Vec<(TurnId, Hold)>,
    pub(super) waiters: Crowd,
    pub(super) state: State<W::Job>,
}

/// A flight has its job until it begins, and a slot from then on.
#[derive(Debug)]
pub(super) enum State<J> {
    Waiting { job: J, wait: Wait },
    Running(Run),
}

/// What a flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// For its time to come.
    Time(Time),
    /// For its turns; its place in the queues.
    Turns(Place),
    /// For a slot; its place in the queues.
    Slot(Place),
}

/// An operation that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) slot: Slot,
    pub(super) since: Time,
    /// When it will have stalled, or has.
    pub(super) stalls_at: Time,
    pub(super) stalled: bool,
    /// Whether somebody left it because it took too long.
    pub(super) given_up: bool,
}

impl<W: Work> Flight<W> {
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    pub(super) fn is_delayed(&self) -> bool {
        matches!(self.state, State::Waiting { wait: Wait::Time(_), .. })
    }

    pub(super) fn run(&mut self) -> Option<&mut Run> {
        match &mut self.state {
            State::Running(run) => Some(run),
            State::Waiting { .. } => None,
        }
    }

    /// Lets it run if it waits for a slot, and returns what it takes to do so and the place it waited at.
    pub(super) fn begin(&mut self, slot: Slot, since: Time, stalls_at: Time) -> Option<(W::Job, Place)> {
        let run = Run { slot, since, stalls_at, stalled: false, given_up: false };
        match mem::replace(&mut self.state, State::Running(run)) {
            State::Waiting { job, wait: Wait::Slot(place) } => Some((job, place)),
            other => {
                self.state = other;
                None
            }
        }
    }
}

/// Tables of as many are kept while there are none.
const FEW: usize = 256;

/// All flights, and where to join them.
pub(super) struct Flights<W: Work> {
    last: u64,
    /// Boxed: a table has room for more than there are, and has that twice while it grows.
    all: HashMap<FlightId, Box<Flight<W>>>,
    keys: HashMap<(ObjectId, W::Key), FlightId>,
}

impl<W: Work> Flights<W> {
    pub(super) fn new() -> Self {
        Self { last: 0, all: HashMap::new(), keys: HashMap::new() }
    }

    pub(super) fn next_id(&mut self) -> FlightId {
        self.last += 1;
        FlightId(self.last)
    }

    pub(super) fn insert(&mut self, id: FlightId, flight: Flight<W>) {
        if let Some(key) = &flight.key {
            self.keys.insert((flight.object, key.clone()), id);
        }
        self.all.insert(id, Box::new(flight));
    }

    /// The flight to join: a change only if it has not begun, because what it does was settled then.
    pub(super) fn find(&self, object: ObjectId, key: Option<&W::Key>) -> Option<FlightId> {
        let id = self.keys.get(&(object, key?.clone())).copied()?;
        let flight = self.all.get(&id)?;
        (!flight.class.mutates() || !flight.has_begun()).then_some(id)
    }

    pub(super) fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight<W>> {
        self.all.get_mut(&id).map(Box::as_mut)
    }

    pub(super) fn remove(&mut self, id: FlightId) -> Option<Flight<W>> {
        let flight = self.all.remove(&id)?;
        if let Some(key) = flight.key.clone() {
            // Another change may have its name by now, because this one had begun.
            if let Entry::Occupied(entry) = self.keys.entry((flight.object, key))
                && *entry.get() == id
            {
                entry.remove();
            }
        }
        if self.all.is_empty() {
            // Thousands leave traces in a table, for which it would grow to twice its size when the next thousands come.
            self.all.shrink_to(FEW);
            self.keys.shrink_to(FEW);
        }
        Some(*flight)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FlightId, &Flight<W>)> {
        self.all.iter().map(|(id, flight)| (*id, &**flight))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::Calls;
    use crate::sched::plan::{Outcome, WaiterId};

    #[test]
    fn regression_the_room_that_a_crowd_took_is_given_back() {
        let mut flights = Flights::<Calls<u64, ()>>::new();
        for _ in 0..3 {
            let crowd: Vec<_> = (0..10_000).map(|number| board(&mut flights, number)).collect();
            for capacity in [flights.all.capacity(), flights.keys.capacity()] {
                assert!(capacity < 15_000, "what has gone is not counted any more");
            }
            for id in crowd {
                flights.remove(id);
            }
            assert!(flights.all.capacity() < 2 * FEW && flights.keys.capacity() < 2 * FEW);
        }
    }

    fn board(flights: &mut Flights<Calls<u64, ()>>, number: u64) -> FlightId {
        let id = flights.next_id();
        flights.insert(
            id,
            Flight {
                object: ObjectId(number),
                class: Class::Demand,
                key: Some(number),
                pages: 0..1,
                turns: Vec::new(),
                waiters: Crowd::One(WaiterId(number)),
                state: State::Waiting { job: Box::new(|| Outcome::Done(())), wait: Wait::Slot(number) },
            },
        );
        id
    }
}
