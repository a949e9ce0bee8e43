//! Random events, with the judge looking at each step.
//!
//! `OXCRYPT_PLAN_EVENTS` says how many: 200,000 if it says nothing.

use std::env;
use std::time::Duration;

use oxcrypt_io::sched::plan::{Class, KernelQueue, Limits, Outcome, Why};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::sim::{Ask, Does, Sim};

const EVENTS_A_CASE: usize = 400;

#[derive(Clone, Debug)]
enum Event {
    Ask(Ask),
    Cancel(usize, Why),
    Finish(usize, Outcome<()>),
    Wait(Duration),
    Drain,
}

/// Limits so small that every one of them is met.
fn limits() -> impl Strategy<Value = Limits> {
    let store = prop_oneof![2 => Just(None), 1 => (4..9usize).prop_map(Some)];
    let kernel = prop_oneof![
        1 => Just(None),
        1 => Just(Some(KernelQueue { requests: 8, bytes: 1 << 20 })),
        1 => Just(Some(KernelQueue { requests: 100, bytes: 50_000 })),
    ];
    (store, kernel, 0..12usize, 1..4usize).prop_map(|(store_queue, kernel_queue, reserve, scouts)| Limits {
        hot: 1,
        pool: 6,
        demand_and_background: 4,
        background: 2,
        close: 1,
        namespace: 1,
        write_back: 2,
        reserve: reserve + scouts,
        scouts,
        per_object: 3,
        queue: 12,
        background_queue: 3,
        store_queue,
        kernel_queue,
        ..Limits::default()
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let class = prop_oneof![
        2 => Just(Class::Hot),
        4 => Just(Class::Meta),
        8 => Just(Class::Demand),
        3 => Just(Class::Background),
        1 => Just(Class::Close),
        1 => Just(Class::Namespace),
        1 => Just(Class::WriteBack),
    ];
    let patience = prop::sample::select(vec![0, 10, 500, 20_000, 120_000, 120_000, 120_000]);
    let patience = prop::option::weighted(0.9, patience.prop_map(Duration::from_millis));
    let keys = (0..6u64, prop::sample::select(vec![0, 1, 1, 1, 2, 3]));
    let kernel = prop::option::weighted(0.3, 1..20_000u64);
    (class, 0..6u64, keys, patience, 0..4u32, prop::bool::weighted(0.1), kernel).prop_map(
        |(class, object, (key, parts), patience, caller, stale, kernel)| {
            // Kinds of work do not share their keys.
            let first = match class {
                Class::Hot | Class::Demand | Class::Background => 0,
                other => (other as u64 + 1) * 100,
            };
            let keys = first + key..first + key + parts;
            Ask { class, object, keys, patience, caller, stale, kernel }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Done(())),
        1 => Just(Outcome::Failed(())),
        1 => Just(Outcome::TimedOut),
        1 => Just(Outcome::Panicked),
    ];
    let wait = prop::sample::select(vec![1, 10, 30, 100, 500, 1_000, 1_000, 2_000, 10_000, 60_000]);
    prop_oneof![
        12 => ask().prop_map(Event::Ask),
        1 => (any::<usize>(), prop::bool::ANY).prop_map(|(nth, dying)| {
            Event::Cancel(nth, if dying { Why::Interrupted } else { Why::Abandoned })
        }),
        6 => (any::<usize>(), outcome).prop_map(|(nth, outcome)| Event::Finish(nth, outcome)),
        4 => wait.prop_map(|millis| Event::Wait(Duration::from_millis(millis))),
    ]
}

fn run(limits: Limits, events: Vec<Event>) {
    let mut sim = Sim::new(limits, |_, _| Does::Hang);
    for event in events {
        match event {
            Event::Ask(ask) => {
                sim.ask(&ask);
            }
            Event::Cancel(nth, why) => {
                let open = sim.judge.open();
                let reply = open.iter().nth(nth % open.len().max(1)).copied();
                if let Some(reply) = reply {
                    sim.cancel(reply, why);
                }
            }
            Event::Finish(nth, outcome) => {
                let flight = sim.running.keys().nth(nth % sim.running.len().max(1)).copied();
                if let Some(flight) = flight {
                    sim.finish(flight, &outcome);
                }
            }
            Event::Wait(duration) => sim.run_for(duration),
            Event::Drain => sim.drain(),
        }
    }
    sim.drain();
    while let Some((&flight, _)) = sim.running.first_key_value() {
        sim.finish(flight, &Outcome::Done(()));
    }
    sim.run_for(Duration::from_secs(2));
    sim.ask(&Ask::new(Class::Demand, 0, 0));
    sim.judge.is_content(&sim.plan);
}

#[test]
fn the_judge_finds_no_fault_whatever_happens() {
    let events: usize = env::var("OXCRYPT_PLAN_EVENTS").map_or(200_000, |number| number.parse().unwrap());
    let cases = u32::try_from(events / EVENTS_A_CASE).unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Config::default()
    });
    let drain = prop::option::weighted(0.1, 0..EVENTS_A_CASE);
    let events = prop::collection::vec(event(), 0..2 * EVENTS_A_CASE);
    let outcome = runner.run(&(limits(), events, drain), |(limits, mut events, drain)| {
        if let Some(at) = drain {
            events.insert(at.min(events.len()), Event::Drain);
        }
        run(limits, events);
        Ok(())
    });
    outcome.unwrap();
}
