//! Watches the plan from outside. The judge keeps books of its own, in the plainest way, and compares after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use oxcrypt_io::clock::{Deadline, Time};
use oxcrypt_io::sched::plan::{Class, Limits, Outcome, PerClass, Plan, Verdict};

use crate::sim::{Ask, Given, Job, Toy};

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
    waiting: BTreeMap<Serial, Flight>,
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
    /// Of the step that is being looked at.
    out_of_turn: u64,
    sheds: u64,
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

struct Flight {
    job: Job,
    class: Class,
    shared: bool,
    waiters: BTreeSet<Reply>,
    place: u64,
    since: Time,
}

impl Judge {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            asks: Vec::new(),
            open: BTreeSet::new(),
            waiting: BTreeMap::new(),
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
            out_of_turn: 0,
            sheds: 0,
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
                let (serial, begun) = self.board(reply, ask, *job);
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

    fn board(&mut self, reply: Reply, ask: &Ask, job: Job) -> (Serial, bool) {
        let place = self.next_place();
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
        let mut flight = self.stop_waiting(serial).unwrap_or_else(|| {
            let (class, shared, waiters) = (ask.class, ask.is_shared(), BTreeSet::new());
            Flight { job, class, shared, waiters, place, since: Time::ZERO }
        });
        flight.waiters.insert(reply);
        let reads = [Class::Hot, Class::Meta, Class::Demand, Class::Background];
        let urgency = |class| reads.iter().position(|other| *other == class);
        if urgency(ask.class).zip(urgency(flight.class)).is_some_and(|(new, old)| new < old) {
            (flight.class, flight.place) = (ask.class, place);
        }
        self.queued[flight.class] += 1;
        *self.lines.entry((flight.class, job.object)).or_default() += 1;
        self.waiting.insert(serial, flight);
        (serial, false)
    }

    fn stop_waiting(&mut self, serial: Serial) -> Option<Flight> {
        let flight = self.waiting.remove(&serial)?;
        self.queued[flight.class] -= 1;
        let line = (flight.class, flight.job.object);
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
        assert!(self.jobs.remove(&job.serial), "{job:?} begins a second time");
        let flight = &self.waiting[&job.serial];
        assert_eq!(flight.class, class, "{job:?} begins in another class than it waited in");
        assert!(
            class == Class::Close || !flight.waiters.is_empty(),
            "{job:?} begins and nobody waits for it"
        );
        let line = (class, job.object);
        assert!(self.is_able(line, now), "{job:?} begins though its object must not");
        if !self.is_its_turn(job.serial, line, now) {
            self.out_of_turn += 1;
        }
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

    /// Whether it is the oldest of its object, and no other object has been able to for longer than since this one's last.
    fn is_its_turn(&self, serial: Serial, line: Line, now: Time) -> bool {
        if self.waiting.len() > MANY {
            return true;
        }
        let (place, last) = (self.waiting[&serial].place, self.last_begin.get(&line).copied().unwrap_or(0));
        let mut overtaken = self.able_since.iter().filter(|(other, since)| {
            let waits_longer = other.0 == line.0 && other.1 != line.1 && **since <= last;
            waits_longer && self.lines.contains_key(other) && self.is_able(**other, now)
        });
        let mut of_line = self.waiting.values().filter(|flight| (flight.class, flight.job.object) == line);
        of_line.all(|flight| flight.place >= place) && overtaken.next().is_none()
    }

    pub(crate) fn returned(&mut self, job: Job, outcome: &Outcome<Job>) {
        let flight = self.running.remove(&job.serial).unwrap();
        self.forget_key(&flight);
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
                assert!(ask.stale && (!shed || self.sheds > 0 || self.is_full()));
                self.sheds += u64::from(shed);
            }
            Verdict::Shed => {
                assert!(self.sheds > 0 || self.is_full(), "{reply} is shed from a queue that is not full");
                self.sheds += 1;
            }
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
            let Some(flight) = self.waiting.get_mut(&serial) else { continue };
            flight.waiters.remove(&reply);
            if flight.waiters.is_empty() && flight.class != Class::Close {
                let flight = self.stop_waiting(serial).unwrap();
                self.forget_key(&flight);
            }
        }
    }

    /// Looks at what a step has left behind.
    pub(crate) fn looks(&mut self, plan: &Plan<Toy>, now: Time) {
        self.failures.retain(|(.., until)| *until > now);
        let scouts = plan.counters().scouts - self.scouts;
        self.scouts += scouts;
        assert!(scouts <= 1, "two scouts in a step");
        assert!(self.out_of_turn <= scouts, "somebody was served out of turn who was no scout");
        (self.out_of_turn, self.sheds) = (0, 0);
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
        assert_eq!(census.reserve_left, self.limits.reserve);
        assert_eq!(plan.next_wake(), None);
        assert!(
            self.open.is_empty()
                && self.waiting.is_empty()
                && self.running.is_empty()
                && self.keys.is_empty()
        );
        assert!(self.jobs.is_empty(), "jobs {:?} were lost", self.jobs);
    }

    fn slots_are_kept(&self, plan: &Plan<Toy>, now: Time) {
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
    fn nothing_waits_for_nothing(&self, plan: &Plan<Toy>, able: &BTreeSet<Line>, now: Time) {
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
    fn books_agree(&self, plan: &Plan<Toy>, now: Time) {
        let census = plan.census();
        assert_eq!(census.waiters, self.open.len());
        assert_eq!(census.flights, self.waiting.len() + self.running.len());
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
        assert_eq!(census.alarms, of_waiters.sum::<usize>() + fresh.count());
    }

    fn forget_key(&mut self, flight: &Flight) {
        if flight.shared {
            let key = (flight.job.object, flight.job.key);
            if self.keys.get(&key) == Some(&flight.job.serial) {
                self.keys.remove(&key);
            }
        }
    }

    /// Bytes of the requests that are held.
    fn held(&self, now: Time) -> impl Iterator<Item = u64> + Clone {
        let asks = self.open.iter().map(|reply| &self.asks[*reply]);
        let counts = self.limits.kernel_queue.is_some();
        asks.filter(move |asked| counts && now.since(asked.at) >= self.limits.patience)
            .filter_map(|asked| asked.ask.kernel)
    }

    /// Whether an operation may begin on this line, slots apart.
    fn is_able(&self, line: Line, now: Time) -> bool {
        let running = self.running.values().filter(|flight| (flight.class, flight.job.object) == line);
        let counts = running.fold((0, 0), |(running, stalled), flight| {
            (running + 1, stalled + usize::from(self.has_stalled(flight, now)))
        });
        self.allows(line, counts)
    }

    /// The lines on which something waits that may begin, slots apart.
    fn able_lines(&self, now: Time) -> BTreeSet<Line> {
        let mut counts: BTreeMap<Line, (usize, usize)> = BTreeMap::new();
        for flight in self.running.values() {
            let (running, stalled) = counts.entry((flight.class, flight.job.object)).or_default();
            *running += 1;
            *stalled += usize::from(self.has_stalled(flight, now));
        }
        let able = |line: &Line| self.allows(*line, counts.get(line).copied().unwrap_or_default());
        self.lines.keys().copied().filter(able).collect()
    }

    fn allows(&self, (class, _): Line, (running, stalled): (usize, usize)) -> bool {
        let limits = &self.limits;
        let most = if class.mutates() { limits.stalled_mutations } else { limits.stalled_reads };
        running < limits.per_object && stalled < most
    }

    fn has_stalled(&self, flight: &Flight, now: Time) -> bool {
        now.since(flight.since) >= self.limits.stalls_after(flight.class)
    }

    fn is_full(&self) -> bool {
        self.queued[Class::Background] > self.limits.background_queue || self.bounded() > self.limits.queue
    }

    /// Flights that wait and count towards the bound.
    fn bounded(&self) -> usize {
        self.queued.iter().sum::<usize>() - self.queued[Class::Background] - self.queued[Class::Close]
    }

    fn next_place(&mut self) -> u64 {
        self.place += 1;
        self.place
    }
}
