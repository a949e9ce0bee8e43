//! Watches the plan from outside. The judge keeps books of its own, in the plainest way, and compares after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use oxcrypt_io::clock::{Deadline, Time};
use oxcrypt_io::sched::plan::{Class, Limits, Outcome, PerClass, Plan, Verdict};

use crate::sim::{Ask, Given, Job, Toy};

mod flight;
mod laws;
mod order;

use flight::Flight;

/// With so many requests and operations, all laws are looked at after each step; with more, less often.
const MANY: usize = 64;

type Reply = usize;
type Serial = usize;
type Line = (Class, u64);

pub(crate) struct Judge {
    limits: Limits,
    /// By the number of their reply, which are given in order.
    asks: Vec<Asked>,
    open: BTreeSet<Reply>,
    /// With the time before which they are not to begin.
    delayed: BTreeMap<Serial, (Time, Flight)>,
    waiting: BTreeMap<Serial, Flight>,
    /// Those of them that want turns.
    in_line: BTreeSet<Serial>,
    running: BTreeMap<Serial, Flight>,
    /// How many wait of each class, and of each class and object.
    queued: PerClass<usize>,
    lines: BTreeMap<Line, usize>,
    keys: BTreeMap<(u64, u64), Serial>,
    /// Jobs that have neither been started nor given back.
    jobs: BTreeSet<Serial>,
    failures: Vec<(u32, u64, Range<u64>, Time)>,
    drained: bool,
    place: u64,
    /// Since all laws were looked at.
    steps: usize,
    /// For fairness: when a line last began something, and since when another has been able to.
    last_begin: BTreeMap<Line, u64>,
    able_since: BTreeMap<Line, u64>,
    /// Objects on which something stalled lately, and until when that counts.
    suspects: BTreeMap<u64, Time>,
    /// Whether the last of a class to begin passed another object.
    has_passed: PerClass<bool>,
    /// Of the step that is being looked at.
    out_of_turn: u64,
    sheds: BTreeSet<Serial>,
    due: Vec<Reply>,
    scouts: u64,
}

struct Asked {
    ask: Ask,
    at: Time,
    deadline: Deadline,
    refused: Option<Verdict>,
    flights: Vec<Serial>,
    missing: BTreeSet<Serial>,
    begun: bool,
}

impl Judge {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            asks: Vec::new(),
            open: BTreeSet::new(),
            delayed: BTreeMap::new(),
            waiting: BTreeMap::new(),
            in_line: BTreeSet::new(),
            running: BTreeMap::new(),
            queued: PerClass::default(),
            lines: BTreeMap::new(),
            keys: BTreeMap::new(),
            jobs: BTreeSet::new(),
            failures: Vec::new(),
            drained: false,
            place: 0,
            steps: 0,
            last_begin: BTreeMap::new(),
            able_since: BTreeMap::new(),
            suspects: BTreeMap::new(),
            has_passed: PerClass::default(),
            out_of_turn: 0,
            sheds: BTreeSet::new(),
            due: Vec::new(),
            scouts: 0,
        }
    }

    pub(crate) fn asked_at(&self, reply: Reply) -> Time {
        self.asks[reply].at
    }

    /// Requests without an answer, in the order they were asked.
    pub(crate) fn open(&self) -> &BTreeSet<Reply> {
        &self.open
    }

    pub(crate) fn asked(&mut self, reply: Reply, ask: &Ask, deadline: Deadline, jobs: &[Job], now: Time) {
        self.ripen(now);
        let pages = ask.pages();
        let overlaps = |failed: &Range<u64>| failed.start < pages.end && pages.start < failed.end;
        let recalled = ask.caller != 0
            && self.failures.iter().any(|(caller, object, failed, until)| {
                *caller == ask.caller && *object == ask.object && overlaps(failed) && *until > now
            });
        let refused = if self.drained && ask.class != Class::WriteBack {
            Some(Verdict::Drained)
        } else if recalled || deadline.is_due(now) {
            Some(if ask.stale { Verdict::Stale } else { Verdict::TimedOut })
        } else if jobs.is_empty() {
            Some(Verdict::Done)
        } else {
            None
        };
        self.jobs.extend(jobs.iter().map(|job| job.serial));
        let mut asked = Asked {
            ask: ask.clone(),
            at: now,
            deadline,
            refused,
            flights: Vec::new(),
            missing: BTreeSet::new(),
            begun: false,
        };
        if refused.is_none() || ask.class == Class::Close {
            for job in jobs {
                let (serial, begun) = self.board(reply, ask, *job, now);
                asked.begun |= begun;
                asked.flights.push(serial);
                asked.missing.insert(serial);
            }
        }
        if refused.is_some() {
            self.due.push(reply);
        }
        assert_eq!(reply, self.asks.len());
        self.asks.push(asked);
        self.open.insert(reply);
    }

    /// Returns which operation does it for this request, and whether it has begun.
    fn board(&mut self, reply: Reply, ask: &Ask, job: Job, now: Time) -> (Serial, bool) {
        let known = if ask.is_shared() { self.keys.get(&(job.object, job.key)).copied() } else { None };
        // A change is settled when it begins.
        let has_begun =
            |serial: &Serial| self.running.get(serial).is_some_and(|flight| flight.class.mutates());
        let known = known.filter(|serial| !has_begun(serial));
        let serial = known.unwrap_or(job.serial);
        if ask.is_shared() {
            self.keys.insert((job.object, job.key), serial);
        }
        if let Some(flight) = self.running.get_mut(&serial) {
            flight.waiters.insert(reply);
            return (serial, true);
        }
        let ripe_at = now + ask.delay.unwrap_or_default();
        if let Some(mut flight) = self.stop_waiting(serial) {
            flight.waiters.insert(reply);
            if is_more_urgent(ask.class, flight.class) {
                (flight.class, flight.place) = (ask.class, self.next_place());
            }
            self.wait(flight);
        } else {
            let (time, mut flight) = self.delayed.remove(&serial).unwrap_or_else(|| {
                let flight = Flight {
                    job,
                    class: ask.class,
                    shared: ask.is_shared(),
                    turns: ask.turns.clone(),
                    waiters: BTreeSet::new(),
                    place: 0,
                    arrived: now,
                    since: Time::ZERO,
                    has_stalled: false,
                    stuck_at: None,
                    has_led: false,
                };
                (ripe_at, flight)
            });
            flight.waiters.insert(reply);
            if is_more_urgent(ask.class, flight.class) {
                flight.class = ask.class;
            }
            self.delayed.insert(serial, (time.min(ripe_at), flight));
            self.ripen(now);
        }
        (serial, false)
    }

    /// Those whose time has come wait in line, in the order of their times.
    fn ripen(&mut self, now: Time) {
        let delayed = self.delayed.iter().map(|(serial, (time, _))| (*time, *serial));
        let ripe: BTreeSet<_> = delayed.filter(|(time, _)| *time <= now).collect();
        for (_, serial) in ripe {
            let (_, mut flight) = self.delayed.remove(&serial).unwrap();
            (flight.place, flight.arrived) = (self.next_place(), now);
            self.wait(flight);
        }
    }

    fn wait(&mut self, flight: Flight) {
        self.queued[flight.class] += 1;
        *self.lines.entry(flight.line()).or_default() += 1;
        if !flight.turns.is_empty() {
            self.in_line.insert(flight.job.serial);
        }
        self.waiting.insert(flight.job.serial, flight);
    }

    fn stop_waiting(&mut self, serial: Serial) -> Option<Flight> {
        let flight = self.waiting.remove(&serial)?;
        self.in_line.remove(&serial);
        self.queued[flight.class] -= 1;
        let line = flight.line();
        let count = self.lines.get_mut(&line).unwrap();
        *count -= 1;
        if *count == 0 {
            self.lines.remove(&line);
        }
        Some(flight)
    }

    pub(crate) fn drained(&mut self) {
        self.drained = true;
    }

    pub(crate) fn begins(&mut self, job: Job, class: Class, now: Time) {
        self.ripen(now);
        self.watches_stalls(now);
        assert!(self.jobs.remove(&job.serial), "{job:?} begins a second time");
        assert!(!self.delayed.contains_key(&job.serial), "{job:?} begins before its time");
        let flight = &self.waiting[&job.serial];
        assert_eq!(flight.class, class, "{job:?} begins in another class than it waited in");
        assert!(
            class == Class::Close || !flight.waiters.is_empty(),
            "{job:?} begins and nobody waits for it"
        );
        let line = flight.line();
        self.may_begin(job.serial, now);
        if class == Class::Background && self.waiting.len() <= MANY {
            let first = |line: &Line| matches!(line.0, Class::Meta | Class::Demand);
            assert!(!self.able_lines(now).iter().any(first), "{job:?} is read ahead though somebody waits");
        }
        let step = self.next_place();
        self.last_begin.insert(line, step);
        self.able_since.insert(line, step);
        let mut flight = self.stop_waiting(job.serial).unwrap();
        flight.since = now;
        for waiter in &flight.waiters {
            self.asks[*waiter].begun = true;
        }
        self.running.insert(job.serial, flight);
    }

    pub(crate) fn returned(&mut self, job: Job, outcome: &Outcome<Job>) {
        let flight = self.running.remove(&job.serial).unwrap();
        self.forget_key(&flight);
        if !flight.has_stalled {
            self.suspects.remove(&job.object);
        }
        if let Outcome::Done(_) = outcome {
            let pages = job.key * 32..(job.key + 1) * 32;
            let reads = matches!(flight.job.class, Class::Hot | Class::Demand | Class::Background);
            let object = job.object;
            self.failures.retain(|(_, file, failed, _)| {
                !(reads && *file == object && failed.start < pages.end && pages.start < failed.end)
            });
            for waiter in &flight.waiters {
                let asked = &mut self.asks[*waiter];
                asked.missing.remove(&job.serial);
                if asked.missing.is_empty() {
                    self.due.push(*waiter);
                }
            }
        } else {
            self.due.extend(&flight.waiters);
        }
    }

    pub(crate) fn dropped(&mut self, job: Job) {
        assert!(self.jobs.remove(&job.serial), "{job:?} is dropped, and not for the first time");
    }

    pub(crate) fn answered(&mut self, reply: Reply, given: &Given) {
        self.ripen(given.at);
        assert!(self.open.remove(&reply), "{reply} is answered twice");
        let asked = &self.asks[reply];
        let (ask, waited) = (&asked.ask, given.at.since(asked.at));
        let due = self.due.contains(&reply);
        let patient = waited >= self.limits.patience;
        assert!(asked.refused.is_none_or(|verdict| verdict == given.verdict));
        assert!(
            asked.deadline.time().is_none_or(|time| given.at <= time) || asked.refused.is_some(),
            "{reply} is answered after its deadline"
        );
        assert_eq!(given.begun, asked.begun, "{reply} is told wrongly whether it has begun");
        match given.verdict {
            Verdict::Done => {
                assert!(asked.missing.is_empty(), "{reply} is done without all its parts");
                let got = given.values.iter().map(|job| (job.object, job.key, job.serial));
                let keys = ask.keys.clone().zip(&asked.flights);
                assert!(got.eq(keys.map(|(key, serial)| (ask.object, key, *serial))), "{:?}", given.values);
            }
            Verdict::Failed => {
                assert!(due && given.values.len() == 1);
                assert!(asked.flights.contains(&given.values[0].serial));
            }
            Verdict::Panicked => assert!(due),
            Verdict::TimedOut => assert!(
                asked.deadline.is_due(given.at) || due || ask.kernel.is_some() && patient,
                "{reply} is told too early that it is too late"
            ),
            Verdict::Stale => {
                let shed = !(patient || due || asked.deadline.is_due(given.at));
                assert!(ask.stale);
                if shed {
                    self.sheds.extend(self.to_shed(reply));
                }
            }
            Verdict::Shed => self.sheds.extend(self.to_shed(reply)),
            Verdict::Drained => assert!(self.drained),
            Verdict::Cancelled(_) => {}
        }
        if matches!(given.verdict, Verdict::TimedOut | Verdict::Shed) && asked.refused.is_none() {
            let failure = (ask.caller, ask.object, ask.pages(), given.at + self.limits.failure_memory);
            if ask.caller != 0 && !failure.2.is_empty() {
                self.failures.retain(|old| (old.0, old.1, &old.2) != (failure.0, failure.1, &failure.2));
                self.failures.push(failure);
            }
        }
        for serial in asked.flights.clone() {
            if let Some(flight) = self.running.get_mut(&serial) {
                flight.waiters.remove(&reply);
            }
            let delayed = self.delayed.get_mut(&serial).map(|(_, flight)| flight);
            let Some(flight) = delayed.or(self.waiting.get_mut(&serial)) else { continue };
            flight.waiters.remove(&reply);
            if flight.waiters.is_empty() && flight.class != Class::Close {
                // Its line may have had nothing for a moment: what is let in now is behind others.
                self.able_since.remove(&flight.line());
                let delayed = self.delayed.remove(&serial).map(|(_, flight)| flight);
                let flight = delayed.or_else(|| self.stop_waiting(serial)).unwrap();
                self.forget_key(&flight);
            }
        }
    }

    /// Looks at what a step has left behind.
    pub(crate) fn looks(&mut self, plan: &Plan<Toy>, now: Time) {
        self.ripen(now);
        self.watches_stalls(now);
        self.watches_turns(now);
        self.failures.retain(|(.., until)| *until > now);
        let scouts = plan.counters().scouts - self.scouts;
        self.scouts += scouts;
        assert!(scouts <= 1, "two scouts in a step");
        assert!(self.out_of_turn <= scouts, "somebody was served out of turn who was no scout");
        self.out_of_turn = 0;
        self.sheds.clear();
        for reply in std::mem::take(&mut self.due) {
            assert!(!self.open.contains(&reply), "{reply} is owed an answer");
        }
        self.steps += 1;
        let size = self.waiting.len() + self.running.len() + self.open.len();
        if self.steps * MANY < size {
            self.able_since.clear();
            return;
        }
        self.steps = 0;
        let able = self.able_lines(now);
        self.slots_are_kept(plan, now);
        self.nothing_waits_for_nothing(plan, &able, now);
        if self.place.is_multiple_of(4) {
            self.books_agree(plan, now);
        }
        self.able_since.retain(|line, _| able.contains(line));
        let step = self.next_place();
        for line in able {
            self.able_since.entry(line).or_insert(step);
        }
    }

    /// Nothing is left over: not a waiter, an operation, a job, an alarm, or a slot that is not free.
    pub(crate) fn is_content(&self, plan: &Plan<Toy>) {
        let census = plan.census();
        assert_eq!((census.waiters, census.flights, census.objects), (0, 0, 0));
        assert_eq!((census.alarms, census.failures, census.suspects, census.held), (0, 0, 0, 0));
        assert_eq!((census.turns, census.delayed), (0, 0));
        assert_eq!(census.reserve_left, self.limits.reserve);
        assert_eq!(plan.next_wake(), None);
        assert!(
            self.open.is_empty()
                && self.delayed.is_empty()
                && self.waiting.is_empty()
                && self.running.is_empty()
                && self.keys.is_empty()
        );
        assert!(self.jobs.is_empty(), "jobs {:?} were lost", self.jobs);
    }

    fn forget_key(&mut self, flight: &Flight) {
        if flight.shared {
            let key = (flight.job.object, flight.job.key);
            if self.keys.get(&key) == Some(&flight.job.serial) {
                self.keys.remove(&key);
            }
        }
    }

    fn next_place(&mut self) -> u64 {
        self.place += 1;
        self.place
    }
}

/// Whether a request makes an operation of class `other` more urgent: only reads are.
fn is_more_urgent(class: Class, other: Class) -> bool {
    let reads = [Class::Hot, Class::Meta, Class::Demand, Class::Background];
    let urgency = |class| reads.iter().position(|read| *read == class);
    urgency(class).zip(urgency(other)).is_some_and(|(new, old)| new < old)
}
