//! Work on storage that may hang, and answers that come in time.
//!
//! A read on a cloud drive may block its thread for a minute, in the kernel, where nothing reaches it. So a request and
//! its work have lives of their own here. The *request* is answered by its deadline. Its *operations* take as long as
//! storage takes; they hold a slot of their class meanwhile, and slots are what there is a fixed number of.
//!
//! ```text
//!              answered at the deadline, once           ┌──────────── reply
//!                                                       │
//!  request ──► waiter ─┬─ joins ──► flight ── value ────┤
//!  request ──► waiter ─┘              │                 └──────────── reply
//!                                     │ waits: round robin over objects, oldest first within one
//!                                     ▼
//!             slots of its class:  hot 4 │ meta, demand, background 64 │ close 2 │ mutations 4 + 4
//!                                     │
//!                                     │ runs longer than 30 ms or 1 s: stalled, and moves away,
//!                                     ▼ so that the slot is free again
//!             reserve:  112 for stalled operations │ 16 for scouts, sent out one at a time to find
//!                                     │               what storage still answers when all else hangs;
//!                                     │               files that stalled lately get half of them at most
//!                                     ▼
//!             storage returns, at some time: the value goes to whoever waits for it then
//! ```
//!
//! What keeps one dead file from stopping the others: at most eight operations of a class run on an object, and none
//! begins beside two that have stalled. What keeps 600 dead files from stopping the rest: the reserve and the scouts.
//! What keeps storage from being asked twice: operations are shared, and go on when all who waited have left. What
//! keeps the kernel from waiting twice as long: a failure for want of time is remembered for two seconds.
//!
//! [`plan`] decides all this, and does nothing: it has no thread and no clock. A [`Scheduler`] carries out what it
//! decides. Its threads are started beforehand, one for each slot, and one more that wakes the plan when something is
//! due; none of them ever holds a lock while it runs an operation, gives an answer, or drops what belongs to others.
//!
//! # Examples
//!
//! The scheduler knows nothing of vaults. Here it keeps a program going whose name server does not answer:
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use std::time::Duration;
//!
//! use oxcrypt_io::clock::{Clock, Deadline, SystemClock};
//! use oxcrypt_io::sched::plan::{Caller, Class, Limits, ObjectId, Outcome, Part, Request, Verdict};
//! use oxcrypt_io::sched::{Job, Scheduler};
//!
//! let clock = Arc::new(SystemClock::new());
//! let scheduler = Scheduler::start(Limits::default(), Arc::clone(&clock) as _)?;
//! let resolve = |server: u64, name: &'static str, job: Job<String>| {
//!     scheduler.ask(|reply| Request {
//!         class: Class::Meta,
//!         object: ObjectId(server),
//!         parts: vec![Part { key: Some(name), job, pages: 0..0 }],
//!         reply,
//!         deadline: Deadline::at(clock.now() + Duration::from_millis(50)),
//!         caller: Caller::NOBODY,
//!         stale: false,
//!         turns: Vec::new(),
//!         not_before: None,
//!         kernel: None,
//!     })
//! };
//!
//! let (hang_up, line) = mpsc::channel::<()>();
//! let dead = resolve(1, "example.org", Box::new(move || {
//!     let _ = line.recv();
//!     Outcome::TimedOut
//! }));
//! let alive = resolve(2, "example.org", Box::new(|| Outcome::Done("192.0.2.1".to_owned())));
//! assert_eq!(alive.wait().values, ["192.0.2.1"]);
//! assert_eq!(dead.wait().verdict, Verdict::TimedOut);
//! # drop(hang_up);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::hash::Hash;
use std::io;
use std::marker::PhantomData;

use crate::clock::{Clock, Time};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};

mod calls;
mod lanes;
pub mod plan;
mod snapshot;
mod ticket;
mod timer;

pub use snapshot::Snapshot;
pub use ticket::{Settled, Ticket};

use calls::in_turn;
use lanes::{Lanes, Seat, Started, caught, spawn};
use plan::{Action, Answer, FlightId, Limits, Outcome, Plan, Request, WaiterId, Why, Work};
use ticket::Place;
use timer::Timer;

/// An operation. It may block for as long as it likes.
pub type Job<V> = Box<dyn FnOnce() -> Outcome<V> + Send>;

/// Takes an answer to where it belongs. Called on whatever thread has it, so it must not block.
pub type Reply<V> = Box<dyn FnOnce(Settled<V>) + Send>;

/// Work that is called: what a [`Scheduler`] can carry out.
pub struct Calls<K, V>(PhantomData<fn() -> (K, V)>);

impl<K: Clone + Eq + Hash, V: Clone> Work for Calls<K, V> {
    type Key = K;
    type Job = Job<V>;
    type Reply = Reply<V>;
    type Value = V;
}

/// Runs operations and answers requests as the [`plan`] says.
///
/// Dropping it answers every request and returns at once; threads that hang in storage end when that lets them go.
pub struct Scheduler<K, V>(Arc<Core<K, V>>)
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static;

/// What all threads share.
struct Core<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    plan: Mutex<Plan<Calls<K, V>>>,
    clock: Arc<dyn Clock>,
    lanes: Lanes<Job<V>>,
    timer: Timer,
    replies_panicked: Arc<AtomicU64>,
}

impl<K, V> Scheduler<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Starts all threads that there will ever be.
    ///
    /// # Errors
    ///
    /// When the system refuses one of them. Those started before it end then.
    pub fn start(limits: Limits, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let threads = limits.threads();
        let scheduler = Self(Arc::new(Core {
            plan: Mutex::new(Plan::new(limits)),
            clock,
            lanes: Lanes::new(),
            timer: Timer::new(),
            replies_panicked: Arc::default(),
        }));
        let core = Arc::clone(&scheduler.0);
        spawn("oxcrypt-timer", move || core.timer.run(&*core.clock, || core.tick()))?;
        for _ in 0..threads {
            let core = Arc::clone(&scheduler.0);
            spawn("oxcrypt-lane", move || core.run_lane())?;
        }
        Ok(scheduler)
    }

    /// Takes a request whose reply is called with the answer, perhaps before this returns. Never blocks.
    #[expect(clippy::must_use_candidate, reason = "who never cancels needs no id")]
    pub fn submit(&self, request: Request<Calls<K, V>>) -> WaiterId {
        self.0.step(|plan, now, out| plan.submit(request, now, out))
    }

    /// Takes another request of somebody whose last one has just been answered. What cancels that cancels this, too.
    pub fn submit_again(&self, waiter: WaiterId, request: Request<Calls<K, V>>) {
        self.0.step(|plan, now, out| plan.submit_again(waiter, request, now, out));
    }

    /// Takes a request whose answer somebody waits for; `request` gets the reply that it is to have.
    pub fn ask(&self, request: impl FnOnce(Reply<V>) -> Request<Calls<K, V>>) -> Ticket<K, V> {
        let place = Arc::new(Place::new());
        let there = Arc::clone(&place);
        let waiter = self.submit(request(Box::new(move |settled| there.put(settled))));
        Ticket::new(Arc::clone(&self.0), waiter, place)
    }

    /// Answers a request without a value, if it has not been answered. Its operations go on if they have begun.
    pub fn cancel(&self, waiter: WaiterId, why: Why) {
        self.0.cancel(waiter, why);
    }

    /// Answers every request, and all that come after, but for those of class write-back.
    pub fn drain(&self) {
        self.0.step(Plan::drain);
    }

    /// What it is doing.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let plan = self.0.plan.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            census: plan.census(),
            counters: *plan.counters(),
            running: plan.running(self.0.clock.now()),
            replies_panicked: self.0.replies_panicked.load(Ordering::Relaxed),
        }
    }
}

impl<K, V> Drop for Scheduler<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    fn drop(&mut self) {
        self.drain();
        self.0.lanes.stop();
        self.0.timer.stop();
    }
}

impl<K, V> Core<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Lets the plan make a step, and does what it says.
    fn step<T>(
        &self,
        step: impl FnOnce(&mut Plan<Calls<K, V>>, Time, &mut Vec<Action<Calls<K, V>>>) -> T,
    ) -> T {
        let (result, started) = self.step_and_keep(step, 0);
        debug_assert!(started.is_none());
        result
    }

    /// The same; of what is to run now, up to `keep` operations are left to this thread.
    fn step_and_keep<T>(
        &self,
        step: impl FnOnce(&mut Plan<Calls<K, V>>, Time, &mut Vec<Action<Calls<K, V>>>) -> T,
        keep: usize,
    ) -> (T, Option<Started<Job<V>>>) {
        let mut out = Vec::new();
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the plan sees time pass in one direction.
        let result = step(&mut plan, self.clock.now(), &mut out);
        let wake = plan.next_wake();
        drop(plan);
        self.timer.wake_at(wake);
        let mut kept = None;
        for action in out {
            match action {
                Action::Start(flight, _, job) if keep > 0 && kept.is_none() => {
                    kept = Some(Started { flight, job });
                }
                Action::Start(flight, _, job) => self.lanes.push(Started { flight, job }),
                Action::Answer(answer) => self.answer(answer),
                Action::DropJob(job) => in_turn(move || drop(job)),
                Action::DropValue(value) => in_turn(move || drop(value)),
            }
        }
        (result, kept)
    }

    fn answer(&self, answer: Answer<Calls<K, V>>) {
        let Answer { waiter, reply, verdict, values, begun } = answer;
        let panicked = Arc::clone(&self.replies_panicked);
        in_turn(move || {
            if caught(|| reply(Settled { waiter, verdict, values, begun })).is_err() {
                panicked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    fn cancel(&self, waiter: WaiterId, why: Why) {
        self.step(|plan, now, out| plan.cancel(waiter, why, now, out));
    }

    fn tick(&self) {
        self.step(Plan::tick);
    }

    /// The life of a lane: what its own operation makes room for, it runs itself.
    fn run_lane(&self) {
        let (seat, mut next) = (Seat::default(), None);
        while let Some(Started { flight, job }) = next.take().or_else(|| self.lanes.take(&seat)) {
            next = self.finish(flight, lanes::run(job));
        }
    }

    fn finish(&self, flight: FlightId, outcome: Outcome<V>) -> Option<Started<Job<V>>> {
        self.step_and_keep(|plan, now, out| plan.finish(flight, outcome, now, out), 1).1
    }
}
