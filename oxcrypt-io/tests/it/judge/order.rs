//! Who may begin, and who has to wait for whom.

use std::collections::{BTreeMap, BTreeSet};

use oxcrypt_io::clock::Time;

use super::flight::Flight;
use super::{Judge, Line, MANY, Serial};

impl Judge {
    /// Judges that an operation begins now, turns and its place in line apart from slots.
    pub(super) fn may_begin(&mut self, serial: Serial, now: Time) {
        let flight = &self.waiting[&serial];
        let job = flight.job;
        assert!(self.is_open(flight.line(), now), "{job:?} begins though its object must not");
        for other in self.running.values().filter(|other| flight.touches(other)) {
            assert!(!flight.excludes(other), "{job:?} begins beside {:?}", other.job);
            let stalls_at = other.since + self.limits.stalls_after(other.class);
            assert!(
                stalls_at > now || flight.arrived <= stalls_at,
                "{job:?} came after {:?} had stalled",
                other.job
            );
        }
        for other in self.others_in_line(flight).filter(|other| other.place < flight.place) {
            let was_stuck = || other.stuck_at.is_some_and(|step| step >= flight.place);
            assert!(
                !flight.excludes(other) || was_stuck() || self.is_stuck(other, now),
                "{job:?} passes {:?}, which waits for nothing that has stalled",
                other.job
            );
        }
        let (class, object) = flight.line();
        let passed = self.passed(serial, now);
        // Every other turn is for those that are not suspect.
        let are_suspects = passed.iter().all(|passed| self.is_suspect(*passed, now));
        let in_turn = are_suspects && !self.is_suspect(object, now) && !self.has_passed[class];
        self.out_of_turn += u64::from(!passed.is_empty() && !in_turn);
        self.has_passed[class] = passed.iter().any(|passed| *passed != object);
    }

    /// Takes note of what has run for too long.
    pub(super) fn watches_stalls(&mut self, now: Time) {
        for flight in self.running.values_mut() {
            let stalled_at = flight.since + self.limits.stalls_after(flight.class);
            if !flight.has_stalled && stalled_at <= now {
                flight.has_stalled = true;
                self.suspects.insert(flight.job.object, stalled_at + self.limits.suspicion);
            }
        }
    }

    fn is_suspect(&self, object: u64, now: Time) -> bool {
        self.suspects.get(&object).is_some_and(|until| *until > now)
    }

    /// Takes note of who waits for something that has stalled, and who may have been given turns.
    pub(super) fn watches_turns(&mut self, now: Time) {
        let step = self.next_place();
        let seen = self.in_line.iter().map(|serial| {
            let flight = &self.waiting[serial];
            let is_shut = self.is_shut(flight.line(), now);
            // What stalls at this very moment may have done so after others were given their turns.
            let waits_for = |other: &Flight| {
                flight.excludes(other)
                    || flight.touches(other) && now.since(other.since) > self.limits.stalls_after(other.class)
            };
            let leads = !self.running.values().any(waits_for);
            (*serial, self.is_stuck(flight, now), is_shut, leads)
        });
        for (serial, is_stuck, is_shut, leads) in seen.collect::<Vec<_>>() {
            let flight = self.waiting.get_mut(&serial).unwrap();
            if is_stuck {
                flight.stuck_at = Some(step);
            }
            flight.has_led = !is_shut && (flight.has_led || leads);
        }
    }

    /// The lines on which something waits that may begin, slots apart.
    pub(super) fn able_lines(&self, now: Time) -> BTreeSet<Line> {
        let mut counts: BTreeMap<Line, (usize, usize)> = BTreeMap::new();
        for flight in self.running.values() {
            let (running, stalled) = counts.entry(flight.line()).or_default();
            *running += 1;
            *stalled += usize::from(self.has_stalled(flight, now));
        }
        let open = |line: &Line| self.allows(*line, counts.get(line).copied().unwrap_or_default());
        let mut able: BTreeSet<Line> = BTreeSet::new();
        for flight in self.waiting.values() {
            let line = flight.line();
            if !able.contains(&line) && open(&line) && self.is_first(flight, now) {
                able.insert(line);
            }
        }
        able
    }

    pub(super) fn has_stalled(&self, flight: &Flight, now: Time) -> bool {
        now.since(flight.since) >= self.limits.stalls_after(flight.class)
    }

    /// The objects whose turn it is before this one: its own, where it is not the oldest of that which may begin, and others
    /// that have been able to begin something since before this one's last.
    fn passed(&self, serial: Serial, now: Time) -> BTreeSet<u64> {
        if self.waiting.len() > MANY {
            return BTreeSet::new();
        }
        let flight = &self.waiting[&serial];
        let (line, place) = (flight.line(), flight.place);
        let last = self.last_begin.get(&line).copied().unwrap_or(0);
        let able = self.able_lines(now);
        let others = self.able_since.iter().filter(|(other, since)| {
            other.0 == line.0 && other.1 != line.1 && **since <= last && able.contains(other)
        });
        let older = self.waiting.values().filter(|other| other.line() == line && other.place < place);
        let older = older.filter(|older| self.is_first(older, now)).map(|older| older.job.object);
        others.map(|((_, object), _)| *object).chain(older).collect()
    }

    /// Whether a waiting operation certainly has its turns, or needs none.
    fn is_first(&self, flight: &Flight, now: Time) -> bool {
        if flight.turns.is_empty() {
            return true;
        }
        let goes_first = |other: &Flight| {
            if self.is_stuck(other, now) {
                return other.has_led;
            }
            // Who came later may have been given turns while this one was stuck.
            other.place < flight.place || flight.stuck_at.is_some_and(|step| step >= other.place)
        };
        let held_up = |other: &Flight| flight.excludes(other) && goes_first(other);
        let waits = self.is_stuck(flight, now)
            || self.running.values().any(|other| flight.excludes(other))
            || self.others_in_line(flight).any(held_up);
        !waits
    }

    /// The other operations that wait and want turns, if this one does.
    fn others_in_line(&self, flight: &Flight) -> impl Iterator<Item = &Flight> {
        let (serial, wants) = (flight.job.serial, !flight.turns.is_empty());
        let others = self.in_line.iter().filter(move |other| wants && **other != serial);
        others.map(|other| &self.waiting[other])
    }

    /// Whether a waiting operation waits for something that has stalled: what it wants to change, or its object.
    fn is_stuck(&self, flight: &Flight, now: Time) -> bool {
        let stalled = |other: &Flight| flight.touches(other) && self.has_stalled(other, now);
        !flight.turns.is_empty() && (self.running.values().any(stalled) || self.is_shut(flight.line(), now))
    }

    /// Whether an operation may begin on this line, slots and turns apart.
    fn is_open(&self, line: Line, now: Time) -> bool {
        self.allows(line, self.counts(line, now))
    }

    /// Whether nothing begins on this line because of what has stalled there.
    pub(super) fn is_shut(&self, line: Line, now: Time) -> bool {
        let (_, stalled) = self.counts(line, now);
        !self.allows(line, (0, stalled))
    }

    /// How many run on a line, and how many of them have stalled.
    fn counts(&self, line: Line, now: Time) -> (usize, usize) {
        let running = self.running.values().filter(|flight| flight.line() == line);
        running.fold((0, 0), |(running, stalled), flight| {
            (running + 1, stalled + usize::from(self.has_stalled(flight, now)))
        })
    }

    fn allows(&self, (class, _): Line, (running, stalled): (usize, usize)) -> bool {
        let limits = &self.limits;
        let most = if class.mutates() { limits.stalled_mutations } else { limits.stalled_reads };
        running < limits.per_object && stalled < most
    }
}
