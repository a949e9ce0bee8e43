//! The scheduler with its threads. Nobody sleeps: operations wait at gates, and time is turned by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use oxcrypt_io::clock::{Clock, Deadline, ManualClock, SystemClock, Time};
use oxcrypt_io::sched::plan::{Caller, Class, Limits, ObjectId, Outcome, Part, Request, Verdict};
use oxcrypt_io::sched::{Calls, Job, Reply, Scheduler, Ticket};

type Words = Scheduler<u64, &'static str>;

/// Operations wait here until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

struct Bench {
    scheduler: Words,
    clock: Arc<ManualClock>,
    gate: Gate,
    begun: Sender<u64>,
    begins: Receiver<u64>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let scheduler = Scheduler::start(Limits::default(), Arc::clone(&clock) as _).unwrap();
        let (begun, begins) = channel();
        Self { scheduler, clock, gate: Gate::default(), begun, begins }
    }

    /// Reads that take `job`, with a deadline in a minute.
    fn read(&self, object: u64, job: Job<&'static str>) -> Ticket<u64, &'static str> {
        let deadline = Deadline::at(self.clock.now() + Duration::from_mins(1));
        self.scheduler.ask(|reply| request(object, job, deadline, reply))
    }

    /// Waits until so many more operations have begun; in vain only if the test fails.
    fn wait_for(&self, operations: usize) {
        for _ in 0..operations {
            self.begins.recv_timeout(Duration::from_mins(1)).unwrap();
        }
    }

    /// Waits at the gate, and says before that it has begun.
    fn gated(&self, object: u64) -> Job<&'static str> {
        let (gate, begun) = (self.gate.clone(), self.begun.clone());
        Box::new(move || {
            begun.send(object).unwrap();
            gate.pass();
            Outcome::Done("late")
        })
    }
}

fn request<V: Clone + Send>(
    object: u64,
    job: Job<V>,
    deadline: Deadline,
    reply: Reply<V>,
) -> Request<Calls<u64, V>> {
    let parts = vec![Part { key: Some(0), job, pages: 0..1 }];
    let (caller, object) = (Caller::NOBODY, ObjectId(object));
    Request {
        class: Class::Demand,
        object,
        parts,
        turns: Vec::new(),
        not_before: None,
        reply,
        deadline,
        caller,
        stale: false,
        kernel: None,
    }
}

fn quick(value: &'static str) -> Job<&'static str> {
    Box::new(move || Outcome::Done(value))
}

#[test]
fn a_value_finds_its_way_to_a_ticket() {
    let bench = Bench::new();
    let settled = bench.read(1, quick("here")).wait();
    assert_eq!((settled.verdict, settled.values, settled.begun), (Verdict::Done, vec!["here"], true));
}

#[test]
fn while_storage_hangs_deadlines_are_kept_and_others_served() {
    let bench = Bench::new();
    let hung: Vec<_> = (0..300).map(|object| bench.read(object, bench.gated(object))).collect();
    bench.wait_for(56);
    // They stall, one load of slots after the other, until only scouts are left.
    bench.clock.advance(Duration::from_secs(1));
    bench.wait_for(56);
    bench.clock.advance(Duration::from_secs(1));
    bench.wait_for(57);
    assert!(bench.scheduler.snapshot().census.down);
    bench.clock.advance(Duration::from_secs(58));
    for ticket in hung {
        assert_eq!(ticket.wait().verdict, Verdict::TimedOut);
    }
    let again = bench.read(0, quick("a second read"));
    bench.gate.open();
    assert_eq!(again.wait().values, ["late"]);
}

#[test]
fn a_panic_answers_those_who_wait_and_costs_no_lane() {
    let bench = Bench::new();
    let lanes = u64::try_from(Limits::default().threads()).unwrap();
    for object in 0..=lanes {
        let ticket = bench.read(object, Box::new(|| std::panic::resume_unwind(Box::new("no storage"))));
        assert_eq!(ticket.wait().verdict, Verdict::Panicked);
    }
    assert_eq!(bench.read(0, quick("alive")).wait().values, ["alive"]);
    assert_eq!(bench.scheduler.snapshot().counters.panicked, lanes + 1);
}

#[test]
fn a_reply_that_panics_costs_no_lane_either() {
    let bench = Bench::new();
    for object in 0..300 {
        let (gate, ticket) = (bench.gate.clone(), bench.read(object, bench.gated(object)));
        let reply: Reply<_> = Box::new(|_| std::panic::resume_unwind(Box::new("no reply")));
        bench.scheduler.submit(request(object, quick("unused"), Deadline::NEVER, reply));
        gate.open();
        assert_eq!(ticket.wait().verdict, Verdict::Done);
    }
    // The last of them may be on their way still.
    while bench.scheduler.snapshot().replies_panicked < 300 {
        std::thread::yield_now();
    }
}

#[test]
fn dropping_a_ticket_takes_back_the_request_and_not_the_operation() {
    let bench = Bench::new();
    let ticket = bench.read(1, bench.gated(1));
    bench.wait_for(1);
    drop(ticket);
    assert_eq!(bench.scheduler.snapshot().census.waiters, 0);
    let next = bench.read(1, quick("read twice"));
    bench.gate.open();
    assert_eq!(next.wait().values, ["late"]);
}

#[test]
fn dropping_the_scheduler_answers_everybody_while_its_threads_hang() {
    let bench = Bench::new();
    let hung: Vec<_> = (0..100).map(|object| bench.read(object, bench.gated(object))).collect();
    bench.wait_for(1);
    drop(bench.scheduler);
    for ticket in hung {
        assert_eq!(ticket.wait().verdict, Verdict::Drained);
    }
    bench.gate.open();
}

#[test]
fn regression_replies_that_ask_again_do_not_pile_up() {
    /// As many as wait on a large mount. Within each other they would not fit on any stack.
    const ASKED: usize = 200_000;

    fn ask(scheduler: &Arc<Words>, left: usize, done: Sender<()>) {
        let again = Arc::clone(scheduler);
        let reply: Reply<&'static str> = Box::new(move |_| match left {
            0 => done.send(()).unwrap(),
            _ => ask(&again, left - 1, done),
        });
        // Its time is over, so it is answered at once.
        scheduler.submit(request(1, Box::new(|| Outcome::Done("never")), Deadline::at(Time::ZERO), reply));
    }

    let clock = Arc::new(ManualClock::default());
    let scheduler = Arc::new(Scheduler::start(Limits::default(), clock).unwrap());
    let (tell, told) = channel();
    ask(&scheduler, ASKED, tell);
    told.recv_timeout(Duration::from_mins(1)).unwrap();
}

#[test]
fn jobs_and_values_are_dropped_outside_the_lock() {
    /// Looks at the scheduler when it is dropped, which takes the lock.
    #[derive(Clone)]
    struct Curious(Arc<Scheduler<u64, Curious>>, Arc<AtomicUsize>);
    impl Drop for Curious {
        fn drop(&mut self) {
            let _ = self.0.snapshot();
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let clock = Arc::new(ManualClock::default());
    let scheduler = Arc::new(Scheduler::start(Limits::default(), clock).unwrap());
    let dropped = Arc::new(AtomicUsize::new(0));
    let (gate, curious) = (Gate::default(), Curious(Arc::clone(&scheduler), Arc::clone(&dropped)));
    let job = || -> Job<Curious> {
        let (gate, curious) = (gate.clone(), curious.clone());
        Box::new(move || {
            gate.pass();
            Outcome::Done(curious)
        })
    };
    let tickets = [(); 3].map(|()| scheduler.ask(|reply| request(1, job(), Deadline::NEVER, reply)));
    assert_eq!(dropped.load(Ordering::SeqCst), 2, "two joined, and their jobs are not needed");
    let [first, second, third] = tickets;
    drop(third);
    gate.open();
    assert_eq!((first.wait().values.len(), second.wait().values.len()), (1, 1));
    assert_eq!(dropped.load(Ordering::SeqCst), 4);
}

#[test]
fn many_threads_ask_at_once_and_each_gets_its_answer() {
    let clock = Arc::new(SystemClock::new());
    let scheduler = Scheduler::<u64, u64>::start(Limits::default(), Arc::clone(&clock) as _).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (scheduler, clock) = (&scheduler, &clock);
            scope.spawn(move || {
                for object in 0..500 {
                    let deadline = Deadline::at(clock.now() + Duration::from_mins(10));
                    let job: Job<u64> = Box::new(move || Outcome::Done(object));
                    let ticket =
                        scheduler.ask(|reply| request((object + thread) % 500, job, deadline, reply));
                    let settled = ticket.wait();
                    assert_eq!((settled.verdict, settled.values.len()), (Verdict::Done, 1));
                }
            });
        }
    });
    let snapshot = scheduler.snapshot();
    assert_eq!((snapshot.census.waiters, snapshot.census.flights, snapshot.running.len()), (0, 0, 0));
    assert_eq!(snapshot.counters.begun + snapshot.counters.joined, 8 * 500);
    assert_eq!(snapshot.counters.latency[Class::Demand].count(), snapshot.counters.begun);
}
