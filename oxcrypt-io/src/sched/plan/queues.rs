//! Flights that wait, by object and class, and who of them is next.
//!
//! Within a class the objects take turns, and every other turn passes those that are suspect; within an object the oldest
//! flight is first. Nothing here is ever searched: each question the plan asks has an index of its own, which
//! [`refile`](Queues::refile) keeps.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Time;

use super::census::Count;
use super::class::{Class, PerClass};
use super::limits::Limits;
use super::ranking::Ranking;
use super::request::{FlightId, ObjectId};
use super::suspects::Suspects;

/// When something came to wait: what came later has a larger number.
pub(super) type Place = u64;

/// All objects with flights that wait or run.
#[derive(Debug)]
pub(super) struct Queues {
    limits: Limits,
    last: Place,
    objects: HashMap<ObjectId, Object>,
    waiting: BTreeMap<(ObjectId, Class, Place), FlightId>,
    /// Flights that wait for their turns first, and count all the same.
    behind: BTreeMap<(ObjectId, Class, Place), FlightId>,
    /// Objects that may begin something, in the order of their turns.
    turns: PerClass<BTreeMap<Place, ObjectId>>,
    /// Those of them that are not suspect.
    sound: PerClass<BTreeMap<Place, ObjectId>>,
    /// Whether the next turn is one of these, because the last was whoever came first.
    sound_next: PerClass<bool>,
    /// Those of them on which nothing at all is stalled, by whether they are suspect and by their newest flight.
    untroubled: PerClass<BTreeMap<(bool, Place), ObjectId>>,
    suspects: Suspects,
    background: BTreeMap<Place, FlightId>,
    /// How many flights wait that count towards the bound, and which object has most of them.
    bounded: usize,
    holders: Ranking,
    counts: PerClass<Count>,
}

/// One object: its flights of each class that it has any of.
#[derive(Debug, Default)]
struct Object {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    class: Class,
    waiting: usize,
    behind: usize,
    running: usize,
    stalled: usize,
    /// Its place in `turns`.
    turn: Option<Place>,
    /// Its place in `untroubled`.
    newest: Option<(bool, Place)>,
}

impl Queues {
    pub(super) fn new(limits: Limits) -> Self {
        let suspects = Suspects::new(limits.suspicion, limits.suspects);
        Self {
            limits,
            last: 0,
            objects: HashMap::new(),
            waiting: BTreeMap::new(),
            behind: BTreeMap::new(),
            turns: PerClass::default(),
            sound: PerClass::default(),
            sound_next: PerClass::default(),
            untroubled: PerClass::default(),
            suspects,
            background: BTreeMap::new(),
            bounded: 0,
            holders: Ranking::default(),
            counts: PerClass::default(),
        }
    }

    /// Puts a flight at the end of its line.
    pub(super) fn push(&mut self, object: ObjectId, class: Class, flight: FlightId) -> Place {
        let place = self.next_place();
        self.waiting.insert((object, class, place), flight);
        if class == Class::Background {
            self.background.insert(place, flight);
        }
        self.count(object, class, |line| line.waiting += 1);
        self.refile(object);
        place
    }

    /// Puts a flight at the end of its line that is not to begin before it is [let in](Self::let_in).
    pub(super) fn push_behind(&mut self, object: ObjectId, class: Class, flight: FlightId) -> Place {
        let place = self.next_place();
        self.behind.insert((object, class, place), flight);
        self.count(object, class, |line| line.behind += 1);
        self.refile(object);
        place
    }

    /// Lets a flight begin that was not to. It keeps its place.
    pub(super) fn let_in(&mut self, object: ObjectId, class: Class, place: Place) {
        if let Some(flight) = self.behind.remove(&(object, class, place)) {
            self.waiting.insert((object, class, place), flight);
            self.count(object, class, |line| {
                (line.behind, line.waiting) = (line.behind - 1, line.waiting + 1);
            });
            self.refile(object);
        }
    }

    /// Takes that back, as long as the flight has not begun.
    pub(super) fn hold_back(&mut self, object: ObjectId, class: Class, place: Place) {
        if let Some(flight) = self.waiting.remove(&(object, class, place)) {
            self.behind.insert((object, class, place), flight);
            self.count(object, class, |line| {
                (line.behind, line.waiting) = (line.behind + 1, line.waiting - 1);
            });
            self.refile(object);
        }
    }

    /// Takes a flight out of its line.
    pub(super) fn remove(&mut self, object: ObjectId, class: Class, place: Place) {
        let key = (object, class, place);
        if self.waiting.remove(&key).is_some() {
            self.background.remove(&place);
            self.count(object, class, |line| line.waiting -= 1);
        } else if self.behind.remove(&key).is_some() {
            self.count(object, class, |line| line.behind -= 1);
        } else {
            return;
        }
        self.refile(object);
    }

    /// Notes that a flight of `object` begins: the others of its class have their turns first now.
    pub(super) fn begin(&mut self, object: ObjectId, class: Class, place: Place) {
        self.counts[class].running += 1;
        self.sound_next[class] =
            self.turns[class].first_key_value().is_some_and(|(_, first)| *first == object);
        let line = self.objects.entry(object).or_default().line(class);
        line.running += 1;
        if let Some(turn) = line.turn.take() {
            self.turns[class].remove(&turn);
            self.sound[class].remove(&turn);
        }
        self.remove(object, class, place);
    }

    /// Notes that a flight of `object` has stalled. Returns whether nothing more of its line begins because of that.
    pub(super) fn stall(&mut self, object: ObjectId, class: Class, now: Time) -> bool {
        self.counts[class].stalled += 1;
        let line = self.objects.entry(object).or_default().line(class);
        line.stalled += 1;
        let is_last = line.stalled == self.limits.stalled(class);
        self.suspects.insert(object, now);
        self.refile(object);
        self.forget(now);
        is_last
    }

    /// Forgets suspicions that are over.
    pub(super) fn forget(&mut self, now: Time) {
        while let Some(object) = self.suspects.pop(now) {
            self.refile(object);
        }
    }

    /// Notes that a flight of `object` has returned. In time, that is, if it had not stalled. Returns whether its line may
    /// begin something again because of that.
    pub(super) fn end(&mut self, object: ObjectId, class: Class, stalled: bool) -> bool {
        if !stalled {
            self.suspects.clear(object);
        }
        self.counts[class].running -= 1;
        self.counts[class].stalled -= usize::from(stalled);
        let line = self.objects.entry(object).or_default().line(class);
        line.running -= 1;
        let was_shut = line.stalled >= self.limits.stalled(class);
        line.stalled -= usize::from(stalled);
        let reopens = was_shut && line.stalled < self.limits.stalled(class);
        self.refile(object);
        reopens
    }

    /// Whether nothing of this line begins, because of what has stalled.
    pub(super) fn is_shut(&self, object: ObjectId, class: Class) -> bool {
        let lines = self.objects.get(&object).map(|object| object.lines.as_slice()).unwrap_or_default();
        lines.iter().any(|line| line.class == class && line.stalled >= self.limits.stalled(class))
    }

    /// The flights of a line that wait for their turns, in the order in which they came.
    pub(super) fn behind(&self, object: ObjectId, class: Class) -> Vec<FlightId> {
        let line = (object, class, 0)..=(object, class, Place::MAX);
        self.behind.range(line).map(|(_, flight)| *flight).collect()
    }

    /// The flights of a line that have not begun, in no order.
    pub(super) fn all(&self, object: ObjectId, class: Class) -> Vec<FlightId> {
        let mut all = self.behind(object, class);
        all.extend(self.line(object, class).map(|(_, flight)| flight));
        all
    }

    /// The flight of `class` whose turn it is. Every other time those that are suspect are passed.
    pub(super) fn next(&self, class: Class) -> Option<FlightId> {
        let sound = if self.sound_next[class] { self.sound[class].first_key_value() } else { None };
        let (_, object) = sound.or_else(|| self.turns[class].first_key_value())?;
        self.line(*object, class).next().map(|(_, flight)| flight)
    }

    /// The newest flight of `class` on an object where nothing is stalled, and which is suspect or is not.
    pub(super) fn newest_untroubled(&self, class: Class, suspect: bool) -> Option<FlightId> {
        let mut objects = self.untroubled[class].range((suspect, 0)..=(suspect, Place::MAX));
        let ((_, place), object) = objects.next_back()?;
        self.waiting.get(&(*object, class, *place)).copied()
    }

    /// Where more wait than may, the flight to shed: the newest of the object that holds most.
    pub(super) fn excess(&self) -> Option<FlightId> {
        if self.bounded <= self.limits.queue {
            return None;
        }
        let id = self.holders.first()?;
        let lines = self.objects.get(&id)?.lines.iter().filter(|line| line.class.is_bounded());
        let newest = lines.flat_map(|line| {
            let all = (id, line.class, 0)..=(id, line.class, Place::MAX);
            let (waiting, behind) = (self.waiting.range(all.clone()), self.behind.range(all));
            [waiting, behind].into_iter().filter_map(|mut flights| flights.next_back())
        });
        newest.map(|((_, _, place), flight)| (*place, *flight)).max().map(|(_, flight)| flight)
    }

    /// Where more background flights wait than may, the oldest of them.
    pub(super) fn excess_background(&self) -> Option<FlightId> {
        let excess = self.background.len() > self.limits.background_queue;
        excess.then(|| self.background.first_key_value().map(|(_, flight)| *flight))?
    }

    /// How many there are of each class.
    pub(super) fn counts(&self) -> PerClass<Count> {
        self.counts
    }

    pub(super) fn suspects(&self) -> usize {
        self.suspects.len()
    }

    pub(super) fn objects(&self) -> usize {
        self.objects.len()
    }

    fn next_place(&mut self) -> Place {
        self.last += 1;
        self.last
    }

    fn line(&self, object: ObjectId, class: Class) -> impl DoubleEndedIterator<Item = (Place, FlightId)> {
        let line = self.waiting.range((object, class, 0)..=(object, class, Place::MAX));
        line.map(|((_, _, place), flight)| (*place, *flight))
    }

    fn count(&mut self, id: ObjectId, class: Class, change: impl Fn(&mut Line)) {
        let object = self.objects.entry(id).or_default();
        let before = object.held();
        let line = object.line(class);
        let waited = line.waiting + line.behind;
        change(line);
        let waiting = &mut self.counts[class].waiting;
        *waiting = *waiting + line.waiting + line.behind - waited;
        let after = object.held();
        self.bounded = self.bounded + after - before;
        self.holders.update(id, before as u64, after as u64);
    }

    /// Brings the indexes up to date with what has changed about an object. One that has nothing left is forgotten.
    fn refile(&mut self, id: ObjectId) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        let untroubled = object.lines.iter().all(|line| line.stalled == 0);
        let suspect = self.suspects.contains(id);
        for line in &mut object.lines {
            let class = line.class;
            let open = line.waiting > 0
                && line.running < self.limits.per_object
                && line.stalled < self.limits.stalled(class);
            match line.turn {
                None if open => {
                    self.last += 1;
                    line.turn = Some(self.last);
                    self.turns[class].insert(self.last, id);
                }
                Some(turn) if !open => {
                    line.turn = None;
                    self.turns[class].remove(&turn);
                    self.sound[class].remove(&turn);
                }
                _ => {}
            }
            if let Some(turn) = line.turn {
                if suspect {
                    self.sound[class].remove(&turn);
                } else {
                    self.sound[class].insert(turn, id);
                }
            }
            let mut places = self.waiting.range((id, class, 0)..=(id, class, Place::MAX));
            let newest = if open && untroubled { places.next_back() } else { None };
            let newest = newest.map(|((_, _, place), _)| (suspect, *place));
            if newest != line.newest {
                line.newest.and_then(|old| self.untroubled[class].remove(&old));
                newest.and_then(|new| self.untroubled[class].insert(new, id));
                line.newest = newest;
            }
        }
        object.lines.retain(|line| line.waiting + line.behind + line.running > 0);
        if object.lines.is_empty() {
            self.objects.remove(&id);
        }
    }
}

impl Object {
    /// Flights that wait and count towards the bound.
    fn held(&self) -> usize {
        self.lines.iter().filter(|line| line.class.is_bounded()).map(|line| line.waiting + line.behind).sum()
    }

    fn line(&mut self, class: Class) -> &mut Line {
        let known = self.lines.iter().position(|line| line.class == class);
        let index = known.unwrap_or_else(|| {
            // Most objects never have another one.
            self.lines.reserve_exact(1);
            self.lines.push(Line {
                class,
                waiting: 0,
                behind: 0,
                running: 0,
                stalled: 0,
                turn: None,
                newest: None,
            });
            self.lines.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.lines[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMAND: Class = Class::Demand;

    fn start(queues: &mut Queues, places: &HashMap<FlightId, (ObjectId, Place)>) -> Option<u64> {
        let flight = queues.next(DEMAND)?;
        let (object, place) = places[&flight];
        queues.begin(object, DEMAND, place);
        Some(flight.0)
    }

    /// Queues with these flights, given as object and flight.
    fn queues(limits: Limits, flights: &[(u64, u64)]) -> (Queues, HashMap<FlightId, (ObjectId, Place)>) {
        let mut queues = Queues::new(limits);
        let places = flights.iter().map(|&(object, flight)| {
            let (object, flight) = (ObjectId(object), FlightId(flight));
            (flight, (object, queues.push(object, DEMAND, flight)))
        });
        let places = places.collect();
        (queues, places)
    }

    #[test]
    fn objects_take_turns_and_each_begins_its_oldest() {
        let flights = [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (3, 31)];
        let (mut queues, places) = queues(Limits::default(), &flights);
        let order: Vec<_> = std::iter::from_fn(|| start(&mut queues, &places)).collect();
        assert_eq!(order, [10, 20, 30, 11, 31, 12]);
    }

    #[test]
    fn every_other_turn_passes_the_suspects() {
        let (mut queues, places) =
            queues(Limits::default(), &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (1, 11)]);
        for suspect in [1, 2, 3] {
            queues.suspects.insert(ObjectId(suspect), Time::ZERO);
            queues.refile(ObjectId(suspect));
        }
        let order: Vec<_> = std::iter::from_fn(|| start(&mut queues, &places)).collect();
        assert_eq!(order, [10, 40, 20, 50, 30, 11]);
        assert!(queues.sound.iter().all(BTreeMap::is_empty));
    }

    #[test]
    fn eight_of_an_object_run_and_none_begins_beside_two_stalled() {
        let flights: Vec<_> = (0..12).map(|flight| (1, flight)).collect();
        let (mut queues, places) = queues(Limits::default(), &flights);
        let order: Vec<_> = std::iter::from_fn(|| start(&mut queues, &places)).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
        queues.end(ObjectId(1), DEMAND, false);
        assert_eq!(start(&mut queues, &places), Some(8));
        queues.stall(ObjectId(1), DEMAND, Time::ZERO);
        queues.end(ObjectId(1), DEMAND, false);
        assert_eq!(start(&mut queues, &places), Some(9));
        queues.stall(ObjectId(1), DEMAND, Time::ZERO);
        for _ in 0..6 {
            queues.end(ObjectId(1), DEMAND, false);
        }
        assert_eq!(start(&mut queues, &places), None);
        queues.end(ObjectId(1), DEMAND, true);
        assert_eq!(start(&mut queues, &places), Some(10));
    }

    #[test]
    fn a_scout_is_the_newest_where_nothing_is_stalled_in_any_class() {
        let (mut queues, places) = queues(Limits::default(), &[(1, 10), (2, 20), (1, 11)]);
        assert_eq!(queues.newest_untroubled(DEMAND, false), Some(FlightId(11)));
        let place = queues.push(ObjectId(1), Class::Meta, FlightId(12));
        queues.begin(ObjectId(1), Class::Meta, place);
        queues.stall(ObjectId(1), Class::Meta, Time::ZERO);
        assert_eq!(queues.newest_untroubled(DEMAND, false), Some(FlightId(20)));
        assert_eq!(queues.newest_untroubled(DEMAND, true), None);
        queues.end(ObjectId(1), Class::Meta, true);
        assert_eq!(queues.newest_untroubled(DEMAND, false), Some(FlightId(20)));
        assert_eq!(queues.newest_untroubled(DEMAND, true), Some(FlightId(11)));
        queues.forget(Time::ZERO + Limits::default().suspicion);
        assert_eq!(queues.newest_untroubled(DEMAND, true), None);
        let (object, place) = places[&FlightId(11)];
        queues.remove(object, DEMAND, place);
        assert_eq!(queues.newest_untroubled(DEMAND, false), Some(FlightId(20)));
    }

    #[test]
    fn what_returns_in_time_ends_the_suspicion() {
        let (mut queues, places) = queues(Limits::default(), &[(1, 10), (1, 11), (1, 12)]);
        assert_eq!(start(&mut queues, &places), Some(10));
        queues.stall(ObjectId(1), DEMAND, Time::ZERO);
        queues.end(ObjectId(1), DEMAND, true);
        assert_eq!((queues.newest_untroubled(DEMAND, false), queues.suspects()), (None, 1));
        assert_eq!(start(&mut queues, &places), Some(11));
        queues.end(ObjectId(1), DEMAND, false);
        assert_eq!((queues.newest_untroubled(DEMAND, false), queues.suspects()), (Some(FlightId(12)), 0));
    }

    #[test]
    fn the_newest_of_whoever_holds_most_is_too_many() {
        let limits = Limits { queue: 3, ..Limits::default() };
        let (mut queues, places) = queues(limits, &[(1, 10), (1, 11), (2, 20), (3, 30)]);
        assert_eq!(queues.excess(), Some(FlightId(11)));
        let (object, place) = places[&FlightId(11)];
        queues.remove(object, DEMAND, place);
        assert_eq!(queues.excess(), None);
    }

    #[test]
    fn an_object_without_flights_is_forgotten() {
        let (mut queues, places) = queues(Limits::default(), &[(1, 10), (1, 11)]);
        let (object, place) = places[&FlightId(10)];
        queues.begin(object, DEMAND, place);
        let (object, place) = places[&FlightId(11)];
        queues.remove(object, DEMAND, place);
        assert_eq!(queues.objects(), 1);
        queues.end(object, DEMAND, false);
        assert_eq!(queues.objects(), 0);
        assert!(queues.waiting.is_empty() && queues.holders.first().is_none() && queues.bounded == 0);
        assert!(
            queues.turns.iter().all(BTreeMap::is_empty) && queues.untroubled.iter().all(BTreeMap::is_empty)
        );
    }
}
