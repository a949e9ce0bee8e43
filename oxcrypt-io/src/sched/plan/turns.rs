//! The order of changes: who may change a thing, and who waits until he may.
//!
//! A flight has all of its turns or none, so nobody holds one while he waits for another. Within a line those who come
//! later wait behind those who came before, with one exception: who waits for something that has stalled holds up nobody
//! elsewhere, because he might do so for an hour.

use std::collections::{BTreeMap, HashMap};

use super::queues::Place;
use super::request::{FlightId, Hold, TurnId};

/// All turns that somebody has or waits for.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lines: HashMap<TurnId, Line>,
    flights: HashMap<FlightId, Wanted>,
}

/// One thing that can be changed.
#[derive(Debug, Default)]
struct Line {
    alone: bool,
    shared: usize,
    /// How many of those who have it have stalled.
    stalled: usize,
    /// All who wait, in the order in which they came.
    waiting: BTreeMap<Place, (FlightId, Hold)>,
    /// Those of them who hold up who is behind: they wait for nothing that has stalled, but for this perhaps.
    queue: BTreeMap<Place, (FlightId, Hold)>,
}

/// What a flight wants or has.
#[derive(Debug)]
struct Wanted {
    turns: Vec<(TurnId, Hold)>,
    place: Place,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many of the things that it wants have stalled.
    Waits {
        stuck: usize,
    },
    Has {
        stalled: bool,
    },
}

impl Turns {
    /// Takes a flight in that came to wait at `place`, and returns whether it has its turns.
    pub(super) fn enter(&mut self, flight: FlightId, place: Place, turns: &[(TurnId, Hold)]) -> bool {
        if turns.is_empty() {
            return true;
        }
        let turns = normal(turns);
        let stuck = turns.iter().filter(|(turn, _)| self.is_stuck(*turn)).count();
        for (turn, hold) in &turns {
            let line = self.lines.entry(*turn).or_default();
            line.waiting.insert(place, (flight, *hold));
        }
        self.flights.insert(flight, Wanted { turns, place, state: State::Waits { stuck } });
        self.refile(flight);
        if self.may_go(flight) {
            self.give(flight);
            return true;
        }
        false
    }

    /// Takes a flight out, whether it waits or has its turns. Returns who has theirs now.
    pub(super) fn leave(&mut self, flight: FlightId) -> Vec<FlightId> {
        let Some(wanted) = self.flights.remove(&flight) else { return Vec::new() };
        let mut freed = Vec::new();
        for (turn, hold) in &wanted.turns {
            let Some(line) = self.lines.get_mut(turn) else { continue };
            match wanted.state {
                State::Waits { .. } => {
                    line.waiting.remove(&wanted.place);
                    line.queue.remove(&wanted.place);
                }
                State::Has { stalled } => {
                    match hold {
                        Hold::Share => line.shared -= 1,
                        Hold::Alone => line.alone = false,
                    }
                    line.stalled -= usize::from(stalled);
                    if stalled && line.stalled == 0 {
                        freed.push(*turn);
                    }
                }
            }
        }
        for turn in freed {
            self.recount(turn, |stuck| stuck - 1);
        }
        let turns = wanted.turns.iter().map(|(turn, _)| *turn);
        self.advance(turns.collect())
    }

    /// Notes that a flight which has its turns has stalled. Returns who has theirs now: those it held up by others who
    /// wait for it.
    pub(super) fn stall(&mut self, flight: FlightId) -> Vec<FlightId> {
        let Some(wanted) = self.flights.get_mut(&flight) else { return Vec::new() };
        if !matches!(wanted.state, State::Has { stalled: false }) {
            return Vec::new();
        }
        wanted.state = State::Has { stalled: true };
        let turns = wanted.turns.clone();
        let mut passed = Vec::new();
        for (turn, _) in turns {
            let Some(line) = self.lines.get_mut(&turn) else { continue };
            line.stalled += 1;
            if line.stalled == 1 {
                passed.extend(self.recount(turn, |stuck| stuck + 1));
            }
        }
        self.advance(passed)
    }

    /// How many flights there are here.
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    fn is_stuck(&self, turn: TurnId) -> bool {
        self.lines.get(&turn).is_some_and(|line| line.stalled > 0)
    }

    /// A thing has stalled, or has not any more: counts that for all who wait for it. Returns what else they wait for.
    fn recount(&mut self, turn: TurnId, count: impl Fn(usize) -> usize) -> Vec<TurnId> {
        let waiting = self.lines.get(&turn).map(|line| line.waiting.values().copied().collect::<Vec<_>>());
        let mut touched = Vec::new();
        for (flight, _) in waiting.unwrap_or_default() {
            let Some(wanted) = self.flights.get_mut(&flight) else { continue };
            if let State::Waits { stuck } = &mut wanted.state {
                *stuck = count(*stuck);
            }
            touched.extend(wanted.turns.iter().map(|(turn, _)| *turn).filter(|other| *other != turn));
            self.refile(flight);
        }
        touched
    }

    /// Puts a waiting flight into the queues where it holds up others, and takes it out of the rest.
    fn refile(&mut self, flight: FlightId) {
        let Some(Wanted { turns, place, state: State::Waits { stuck } }) = self.flights.get(&flight) else {
            return;
        };
        for (turn, hold) in turns {
            let Some(line) = self.lines.get_mut(turn) else { continue };
            if *stuck == usize::from(line.stalled > 0) {
                line.queue.insert(*place, (flight, *hold));
            } else {
                line.queue.remove(place);
            }
        }
    }

    /// Gives turns to whoever may have them now that these things have changed.
    fn advance(&mut self, mut turns: Vec<TurnId>) -> Vec<FlightId> {
        turns.sort_unstable();
        turns.dedup();
        let mut given = Vec::new();
        for turn in turns {
            for flight in self.front(turn) {
                if self.may_go(flight) {
                    self.give(flight);
                    given.push(flight);
                }
            }
            self.forget_unused(turn);
        }
        given
    }

    /// Those who might have a turn now: all up to the first who wants to be alone.
    fn front(&self, turn: TurnId) -> Vec<FlightId> {
        let Some(line) = self.lines.get(&turn).filter(|line| line.stalled == 0 && !line.alone) else {
            return Vec::new();
        };
        let mut front = Vec::new();
        for (flight, hold) in line.queue.values() {
            front.push(*flight);
            if *hold == Hold::Alone {
                break;
            }
        }
        front
    }

    /// Whether nothing stands between a waiting flight and any of its turns.
    fn may_go(&self, flight: FlightId) -> bool {
        let Some(wanted) = self.flights.get(&flight) else { return false };
        let is_open = |turn: &TurnId, hold: Hold| {
            let Some(line) = self.lines.get(turn) else { return false };
            let mut before = line.queue.range(..wanted.place);
            line.stalled == 0
                && !line.alone
                && match hold {
                    Hold::Alone => line.shared == 0 && before.next().is_none(),
                    Hold::Share => before.all(|(_, (_, hold))| *hold == Hold::Share),
                }
        };
        matches!(wanted.state, State::Waits { stuck: 0 })
            && wanted.turns.iter().all(|(turn, hold)| is_open(turn, *hold))
    }

    /// Forgets a line that nobody stands in.
    fn forget_unused(&mut self, turn: TurnId) {
        let is_used = |line: &Line| line.alone || line.shared > 0 || !line.waiting.is_empty();
        if self.lines.get(&turn).is_some_and(|line| !is_used(line)) {
            self.lines.remove(&turn);
        }
    }

    fn give(&mut self, flight: FlightId) {
        let Some(wanted) = self.flights.get_mut(&flight) else { return };
        wanted.state = State::Has { stalled: false };
        for (turn, hold) in &wanted.turns {
            let line = self.lines.entry(*turn).or_default();
            line.waiting.remove(&wanted.place);
            line.queue.remove(&wanted.place);
            match hold {
                Hold::Share => line.shared += 1,
                Hold::Alone => line.alone = true,
            }
        }
    }
}

/// Each thing once, and alone if it is wanted alone anywhere.
fn normal(turns: &[(TurnId, Hold)]) -> Vec<(TurnId, Hold)> {
    let mut turns = turns.to_vec();
    turns.sort_unstable();
    turns.dedup_by(|later, first| {
        let is_same = later.0 == first.0;
        if is_same {
            first.1 = first.1.max(later.1);
        }
        is_same
    });
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TurnId = TurnId(1);
    const B: TurnId = TurnId(2);

    fn enter(turns: &mut Turns, number: u64, wanted: &[(TurnId, Hold)]) -> bool {
        turns.enter(FlightId(number), number, wanted)
    }

    fn numbers(flights: Vec<FlightId>) -> Vec<u64> {
        flights.into_iter().map(|flight| flight.0).collect()
    }

    #[test]
    fn who_wants_to_be_alone_waits_for_all_before_him_and_holds_up_all_behind() {
        let mut turns = Turns::default();
        assert!(enter(&mut turns, 1, &[(A, Hold::Share)]) && enter(&mut turns, 2, &[(A, Hold::Share)]));
        assert!(!enter(&mut turns, 3, &[(A, Hold::Alone)]) && !enter(&mut turns, 4, &[(A, Hold::Share)]));
        assert!(!enter(&mut turns, 5, &[(A, Hold::Share)]));
        assert_eq!(turns.leave(FlightId(1)), Vec::new());
        assert_eq!(numbers(turns.leave(FlightId(2))), [3]);
        assert_eq!(numbers(turns.leave(FlightId(3))), [4, 5]);
        turns.leave(FlightId(4));
        turns.leave(FlightId(5));
        assert!(turns.lines.is_empty() && turns.flights.is_empty());
    }

    #[test]
    fn a_flight_has_all_of_its_turns_or_none() {
        let mut turns = Turns::default();
        assert!(enter(&mut turns, 1, &[(A, Hold::Alone)]));
        assert!(!enter(&mut turns, 2, &[(A, Hold::Alone), (B, Hold::Alone)]));
        assert!(!enter(&mut turns, 3, &[(B, Hold::Alone)]), "it came later");
        assert_eq!(numbers(turns.leave(FlightId(1))), [2]);
        assert_eq!(numbers(turns.leave(FlightId(2))), [3]);
    }

    #[test]
    fn who_waits_for_something_stalled_is_passed_elsewhere_and_nowhere_else() {
        let mut turns = Turns::default();
        assert!(enter(&mut turns, 1, &[(A, Hold::Alone)]));
        assert!(!enter(&mut turns, 2, &[(A, Hold::Alone), (B, Hold::Alone)]));
        assert!(!enter(&mut turns, 3, &[(B, Hold::Alone)]));
        assert_eq!(numbers(turns.stall(FlightId(1))), [3]);
        assert!(!enter(&mut turns, 4, &[(A, Hold::Share)]), "what has stalled is passed by nobody");
        assert!(!enter(&mut turns, 5, &[(B, Hold::Alone)]));
        assert_eq!(turns.leave(FlightId(1)), Vec::new(), "it waits for its other turn now, in front");
        assert!(!enter(&mut turns, 6, &[(B, Hold::Share)]));
        assert_eq!(numbers(turns.leave(FlightId(3))), [2]);
        assert_eq!(numbers(turns.leave(FlightId(2))), [4, 5]);
    }

    #[test]
    fn who_gives_up_waiting_holds_up_nobody() {
        let mut turns = Turns::default();
        assert!(enter(&mut turns, 1, &[(A, Hold::Share)]));
        assert!(!enter(&mut turns, 2, &[(A, Hold::Alone), (B, Hold::Share)]));
        assert!(!enter(&mut turns, 3, &[(A, Hold::Share)]));
        assert_eq!(numbers(turns.leave(FlightId(2))), [3]);
    }

    #[test]
    fn the_same_thing_twice_is_wanted_once() {
        let mut turns = Turns::default();
        assert!(enter(&mut turns, 1, &[(A, Hold::Share), (A, Hold::Alone), (A, Hold::Share)]));
        assert!(!enter(&mut turns, 2, &[(A, Hold::Share)]));
        assert_eq!(numbers(turns.leave(FlightId(1))), [2]);
    }
}
