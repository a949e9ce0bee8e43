//! The scheduler's threads under shuttle, which runs them one at a time and chooses who goes on at each step. A request
//! that nobody answers shows as a deadlock.

use std::time::Duration;

use oxcrypt_io::clock::{Deadline, ManualClock, Time};
use oxcrypt_io::sched::plan::{Caller, Class, Limits, ObjectId, Outcome, Part, Request, Verdict, Why};
use oxcrypt_io::sched::{Job, Scheduler, Ticket};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

type Numbers = Scheduler<u64, u64>;

const MINUTE: Duration = Duration::from_mins(1);

/// Tries many interleavings at random, and many more that differ in few decisions.
fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(test, 2_000);
    shuttle::check_pct(test, 2_000, 3);
}

fn start() -> (Arc<Numbers>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let limits = Limits {
        hot: 0,
        pool: 2,
        demand_and_background: 2,
        background: 1,
        close: 0,
        namespace: 0,
        write_back: 0,
        reserve: 2,
        scouts: 1,
        ..Limits::default()
    };
    (Arc::new(Scheduler::start(limits, Arc::clone(&clock) as _).unwrap()), clock)
}

fn ask(scheduler: &Numbers, object: u64, job: Job<u64>) -> Ticket<u64, u64> {
    scheduler.ask(|reply| Request {
        class: Class::Demand,
        object: ObjectId(object),
        parts: vec![Part { key: Some(0), job, pages: 0..1 }],
        reply,
        deadline: Deadline::at(Time::ZERO + MINUTE),
        caller: Caller::NOBODY,
        stale: false,
        turns: Vec::new(),
        not_before: None,
        kernel: None,
    })
}

#[test]
fn everybody_is_answered_however_many_ask_at_once() {
    check(|| {
        let (scheduler, _clock) = start();
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let scheduler = Arc::clone(&scheduler);
                thread::spawn(move || {
                    let tickets: Vec<_> = (0..3)
                        .map(|object| ask(&scheduler, object, Box::new(move || Outcome::Done(object))))
                        .collect();
                    for (object, ticket) in (0..).zip(tickets) {
                        assert_eq!(ticket.wait().values, [object], "asked by thread {thread}");
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(scheduler.snapshot().census.flights, 0);
    });
}

#[test]
fn no_deadline_is_slept_through() {
    check(|| {
        let (scheduler, clock) = start();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let asking = Arc::clone(&scheduler);
        let (hung, open) = (Arc::clone(&gate), Arc::clone(&gate));
        let asker = thread::spawn(move || {
            let ticket = ask(
                &asking,
                0,
                Box::new(move || {
                    drop(hung.1.wait_while(hung.0.lock().unwrap(), |open| !*open).unwrap());
                    Outcome::Done(0)
                }),
            );
            assert_eq!(ticket.wait().verdict, Verdict::TimedOut);
        });
        clock.advance(MINUTE / 2);
        clock.advance(MINUTE / 2);
        asker.join().unwrap();
        *open.0.lock().unwrap() = true;
        open.1.notify_all();
    });
}

#[test]
fn a_drain_forgets_nobody() {
    check(|| {
        let (scheduler, _clock) = start();
        let asking = Arc::clone(&scheduler);
        let asker = thread::spawn(move || {
            let tickets: Vec<_> =
                (0..4).map(|object| ask(&asking, object, Box::new(move || Outcome::Done(object)))).collect();
            for ticket in tickets {
                assert!(matches!(ticket.wait().verdict, Verdict::Done | Verdict::Drained));
            }
        });
        scheduler.drain();
        asker.join().unwrap();
    });
}

#[test]
fn a_request_taken_back_while_its_value_comes_is_answered_once() {
    check(|| {
        let (scheduler, _clock) = start();
        let answers = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&answers);
        let waiter = scheduler.submit(Request {
            class: Class::Meta,
            object: ObjectId(0),
            parts: vec![Part { key: None, job: Box::new(|| Outcome::Done(1)), pages: 0..0 }],
            reply: Box::new(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
            deadline: Deadline::NEVER,
            caller: Caller::NOBODY,
            stale: false,
            turns: Vec::new(),
            not_before: None,
            kernel: None,
        });
        scheduler.cancel(waiter, Why::Interrupted);
        // What is asked after it comes after it.
        assert_eq!(ask(&scheduler, 0, Box::new(|| Outcome::Done(2))).wait().values, [2]);
        scheduler.drain();
        while answers.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        assert_eq!(answers.load(Ordering::SeqCst), 1);
    });
}
