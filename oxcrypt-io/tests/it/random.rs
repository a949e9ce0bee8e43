//! Random events, with the judge looking at each step.
//!
//! `OXCRYPT_PLAN_EVENTS` says how many: 200,000 if it says nothing.

use std::env;
use std::time::Duration;

use oxcrypt_io::sched::plan::{Class, Hold, KernelQueue, Limits, Outcome, Why};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::sim::{Ask, Does, Sim};

const EVENTS_A_CASE: usize = 400;
const LONGEST_DELAY: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
enum Event {
    Ask(Ask),
    Cancel(usize, Why),
    Finish(usize, Outcome<()>),
    Wait(Duration),
    Drain,
}

/// What most requests are.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Reads,
    Changes,
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

/// A random number that is used up piece by piece. One number for each event is a good deal faster than a strategy for
/// each of its parts, and a case that fails shrinks by losing events all the same.
struct Die(u64);

impl Die {
    fn below(&mut self, sides: u64) -> u64 {
        let eyes = self.0 % sides;
        self.0 /= sides;
        eyes
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    fn class(&mut self, mood: Mood) -> Class {
        match (mood, self.below(20)) {
            (Mood::Reads, 0..8) | (Mood::Changes, 0..3) => Class::Demand,
            (Mood::Reads, 8..12) | (Mood::Changes, 3) => Class::Meta,
            (Mood::Reads, 12..15) | (Mood::Changes, 4) => Class::Background,
            (Mood::Reads, 15..17) => Class::Hot,
            (_, 17) => Class::Close,
            (Mood::Reads, 18) | (Mood::Changes, 5..12) => Class::Namespace,
            _ => Class::WriteBack,
        }
    }

    /// What changes take turns in: a few things, often the same.
    fn turns(&mut self, class: Class) -> Vec<(u64, Hold)> {
        let many = self.one_of(&[0, 1, 1, 2, 2, 3]);
        let turns: Vec<_> =
            (0..many).map(|_| (self.below(4), self.one_of(&[Hold::Share, Hold::Alone]))).collect();
        if class.mutates() { turns } else { Vec::new() }
    }

    fn ask(&mut self, mood: Mood) -> Ask {
        let class = self.class(mood);
        // Kinds of work do not share their keys.
        let kind = match class {
            Class::Hot | Class::Demand | Class::Background => 0,
            other => (other as u64 + 1) * 100,
        };
        let first = kind + self.below(6);
        let patience =
            self.one_of(&[Some(120_000), Some(120_000), Some(20_000), Some(500), Some(10), Some(0), None]);
        Ask {
            class,
            object: self.below(6),
            keys: first..first + self.one_of(&[1, 1, 1, 1, 2, 3, 0]),
            turns: self.turns(class),
            delay: self.one_of(&[
                None,
                None,
                None,
                None,
                Some(Duration::ZERO),
                Some(Duration::from_millis(1)),
                Some(Duration::from_millis(50)),
                Some(LONGEST_DELAY),
            ]),
            patience: patience.map(Duration::from_millis),
            caller: self.one_of(&[0, 1, 2, 3]),
            stale: self.below(10) == 9,
            kernel: (self.below(3) == 2).then(|| self.below(20_000)),
        }
    }

    fn event(&mut self, mood: Mood) -> Event {
        match self.below(24) {
            0..12 => Event::Ask(self.ask(mood)),
            12..15 => Event::Finish(self.index(100), Outcome::Done(())),
            15..18 => {
                let outcome = self.one_of(&[
                    Outcome::Done(()),
                    Outcome::Done(()),
                    Outcome::Failed(()),
                    Outcome::TimedOut,
                    Outcome::Panicked,
                ]);
                Event::Finish(self.index(100), outcome)
            }
            18..23 => {
                let millis = self.one_of(&[1, 10, 30, 100, 500, 1_000, 1_000, 2_000, 10_000, 60_000]);
                Event::Wait(Duration::from_millis(millis))
            }
            _ => Event::Cancel(self.index(100), self.one_of(&[Why::Interrupted, Why::Abandoned])),
        }
    }
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
    sim.run_for(LONGEST_DELAY);
    while let Some((&flight, _)) = sim.running.first_key_value() {
        sim.finish(flight, &Outcome::Done(()));
    }
    sim.run_for(Limits::default().suspicion);
    sim.ask(&Ask::new(Class::Demand, 0, 0));
    sim.judge.is_content(&sim.plan);
}

#[test]
fn the_judge_finds_no_fault_whatever_happens() {
    let events: usize = env::var("OXCRYPT_PLAN_EVENTS").map_or(200_000, |number| number.parse().unwrap());
    let cases = u32::try_from(events / EVENTS_A_CASE).unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let drain = prop::option::weighted(0.1, 0..EVENTS_A_CASE);
    let events = prop::collection::vec(any::<u64>(), 0..2 * EVENTS_A_CASE);
    let mood = prop_oneof![Just(Mood::Reads), Just(Mood::Changes)];
    let outcome = runner.run(&(limits(), mood, events, drain), |(limits, mood, numbers, drain)| {
        let mut events: Vec<_> = numbers.into_iter().map(|number| Die(number).event(mood)).collect();
        if let Some(at) = drain {
            events.insert(at.min(events.len()), Event::Drain);
        }
        run(limits, events);
        Ok(())
    });
    outcome.unwrap();
}
