//! The plan, a clock that jumps from one event to the next, and a storage that does as it is told.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use oxcrypt_io::clock::{Deadline, Time};
use oxcrypt_io::sched::plan::{
    Action, Caller, Class, FlightId, Hold, Limits, ObjectId, Outcome, Part, Plan, Request, TurnId, Verdict,
    WaiterId, Why, Work,
};

use crate::judge::Judge;

/// Work made of numbers.
#[derive(Debug)]
pub(crate) struct Toy;

impl Work for Toy {
    type Key = u64;
    type Job = Job;
    type Reply = usize;
    type Value = Job;
}

/// What an operation does, and which one it is. Its value is itself, so an answer shows what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) class: Class,
    pub(crate) object: u64,
    pub(crate) key: u64,
    pub(crate) serial: usize,
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) class: Class,
    pub(crate) object: u64,
    pub(crate) keys: Range<u64>,
    pub(crate) turns: Vec<(u64, Hold)>,
    /// How long its operations are not to begin.
    pub(crate) delay: Option<Duration>,
    pub(crate) patience: Option<Duration>,
    pub(crate) caller: u32,
    pub(crate) stale: bool,
    pub(crate) kernel: Option<u64>,
}

impl Ask {
    /// One operation, with the deadline that a mount gives.
    pub(crate) fn new(class: Class, object: u64, key: u64) -> Self {
        let seconds = match class {
            Class::Meta => 20,
            _ => 120,
        };
        Self {
            class,
            object,
            keys: key..key + 1,
            turns: Vec::new(),
            delay: None,
            patience: Some(Duration::from_secs(seconds)),
            caller: 0,
            stale: false,
            kernel: None,
        }
    }

    pub(crate) fn turns(mut self, turns: &[(u64, Hold)]) -> Self {
        self.turns = turns.to_vec();
        self
    }

    pub(crate) fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    pub(crate) fn caller(mut self, caller: u32) -> Self {
        self.caller = caller;
        self
    }

    /// Only reads have pages: 32 for each key.
    pub(crate) fn pages(&self) -> Range<u64> {
        match self.class {
            Class::Hot | Class::Demand | Class::Background if !self.keys.is_empty() => {
                self.keys.start * 32..self.keys.end * 32
            }
            _ => 0..0,
        }
    }

    /// Closing is not shared.
    pub(crate) fn is_shared(&self) -> bool {
        self.class != Class::Close
    }
}

/// What the storage does with an operation.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    Return(Duration, Outcome<()>),
    Hang,
}

/// Returns what was asked for.
pub(crate) fn returns_after(duration: Duration) -> Does {
    Does::Return(duration, Outcome::Done(()))
}

/// An answer that was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) at: Time,
    pub(crate) verdict: Verdict,
    pub(crate) values: Vec<Job>,
    pub(crate) begun: bool,
}

type Store = Box<dyn FnMut(Job, Time) -> Does>;

pub(crate) struct Sim {
    pub(crate) now: Time,
    pub(crate) plan: Plan<Toy>,
    pub(crate) judge: Judge,
    pub(crate) given: HashMap<usize, Given>,
    /// Operations that storage has, by the order they began in.
    pub(crate) running: BTreeMap<FlightId, Job>,
    pub(crate) begun: Vec<(Time, Job)>,
    store: Store,
    returns: BTreeMap<(Time, FlightId), Outcome<()>>,
    waiters: HashMap<usize, WaiterId>,
    asked: usize,
    jobs: usize,
}

impl Sim {
    pub(crate) fn new(limits: Limits, store: impl FnMut(Job, Time) -> Does + 'static) -> Self {
        Self {
            now: Time::ZERO,
            judge: Judge::new(limits.clone()),
            plan: Plan::new(limits),
            given: HashMap::new(),
            running: BTreeMap::new(),
            begun: Vec::new(),
            store: Box::new(store),
            returns: BTreeMap::new(),
            waiters: HashMap::new(),
            asked: 0,
            jobs: 0,
        }
    }

    /// Submits a request, and returns its number.
    pub(crate) fn ask(&mut self, ask: &Ask) -> usize {
        let reply = self.asked;
        self.asked += 1;
        let deadline = ask.patience.map_or(Deadline::NEVER, |patience| Deadline::at(self.now + patience));
        let parts: Vec<_> = ask
            .keys
            .clone()
            .map(|key| {
                let job = Job { class: ask.class, object: ask.object, key, serial: self.jobs };
                self.jobs += 1;
                let pages = if ask.pages().is_empty() { 0..0 } else { key * 32..(key + 1) * 32 };
                Part { key: ask.is_shared().then_some(key), job, pages }
            })
            .collect();
        let jobs: Vec<_> = parts.iter().map(|part| part.job).collect();
        self.judge.asked(reply, ask, deadline, &jobs, self.now);
        let request = Request {
            class: ask.class,
            object: ObjectId(ask.object),
            parts,
            reply,
            deadline,
            caller: Caller(ask.caller),
            stale: ask.stale,
            turns: ask.turns.iter().map(|(turn, hold)| (TurnId(*turn), *hold)).collect(),
            not_before: ask.delay.map(|delay| self.now + delay),
            kernel: ask.kernel,
        };
        let mut out = Vec::new();
        let waiter = self.plan.submit(request, self.now, &mut out);
        self.waiters.insert(reply, waiter);
        self.carry_out(out);
        reply
    }

    pub(crate) fn cancel(&mut self, reply: usize, why: Why) {
        let mut out = Vec::new();
        self.plan.cancel(self.waiters[&reply], why, self.now, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn drain(&mut self) {
        let mut out = Vec::new();
        self.judge.drained();
        self.plan.drain(self.now, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn tick(&mut self) {
        let mut out = Vec::new();
        self.plan.tick(self.now, &mut out);
        self.carry_out(out);
    }

    /// Lets storage return an operation now.
    pub(crate) fn finish(&mut self, flight: FlightId, outcome: &Outcome<()>) {
        let job = self.running.remove(&flight).unwrap();
        let outcome = match outcome {
            Outcome::Done(()) => Outcome::Done(job),
            Outcome::Failed(()) => Outcome::Failed(job),
            Outcome::TimedOut => Outcome::TimedOut,
            Outcome::Panicked => Outcome::Panicked,
        };
        self.judge.returned(job, &outcome);
        let mut out = Vec::new();
        self.plan.finish(flight, outcome, self.now, &mut out);
        self.carry_out(out);
    }

    /// Lets time pass, and everything happen that is due by then.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let wake = self.plan.next_wake();
            let back = self.returns.first_key_value().map(|((time, _), _)| *time);
            let Some(next) = wake.into_iter().chain(back).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            // Where storage returns at a deadline, the value wins.
            if back == Some(next) {
                let ((_, flight), outcome) = self.returns.pop_first().unwrap();
                self.finish(flight, &outcome);
            } else {
                self.tick();
                assert!(self.plan.next_wake().is_none_or(|wake| wake > self.now), "it wakes for nothing");
            }
        }
        self.now = end;
    }

    /// From now on, what hangs returns after `duration`.
    pub(crate) fn wake_up(&mut self, duration: Duration, outcome: &Outcome<()>) {
        let pending: Vec<_> = self.returns.keys().map(|(_, flight)| *flight).collect();
        for flight in self.running.keys().filter(|flight| !pending.contains(flight)) {
            self.returns.insert((self.now + duration, *flight), outcome.clone());
        }
    }

    pub(crate) fn store(&mut self, store: impl FnMut(Job, Time) -> Does + 'static) {
        self.store = Box::new(store);
    }

    /// How long a request waited for this answer, which is to be its answer.
    pub(crate) fn waited(&self, reply: usize, verdict: Verdict) -> Duration {
        let given = self.given.get(&reply).unwrap_or_else(|| panic!("request {reply} has no answer"));
        assert_eq!(given.verdict, verdict, "request {reply}, answered at {:?}", given.at);
        given.at.since(self.judge.asked_at(reply))
    }

    /// All that was done for an object in a class.
    pub(crate) fn begun_for(&self, class: Class, object: u64) -> usize {
        self.begun.iter().filter(|(_, job)| job.class == class && job.object == object).count()
    }

    fn carry_out(&mut self, actions: Vec<Action<Toy>>) {
        let mut started = Vec::new();
        for action in actions {
            match action {
                Action::Start(flight, class, job) => {
                    self.judge.begins(job, class, self.now);
                    self.running.insert(flight, job);
                    self.begun.push((self.now, job));
                    started.push((flight, job));
                }
                Action::Answer(answer) => {
                    let (at, verdict) = (self.now, answer.verdict);
                    let given = Given { at, verdict, values: answer.values, begun: answer.begun };
                    self.judge.answered(answer.reply, &given);
                    assert!(self.given.insert(answer.reply, given).is_none(), "answered twice");
                }
                Action::DropJob(job) => self.judge.dropped(job),
                Action::DropValue(_) => {}
            }
        }
        self.judge.looks(&self.plan, self.now);
        for (flight, job) in started {
            if let Does::Return(after, outcome) = (self.store)(job, self.now) {
                self.returns.insert((self.now + after, flight), outcome);
            }
        }
    }
}
