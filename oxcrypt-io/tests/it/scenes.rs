//! Named scenes in virtual time: what goes wrong on a cloud drive, and what a mount does about it.

use std::time::Duration;

use oxcrypt_io::clock::Time;
use oxcrypt_io::sched::plan::{Class, Limits, Outcome};

use crate::sim::{Ask, Does, Job, Sim, returns_after};

mod answers;
mod changes;
mod dead_files;
mod queues;
mod sharing;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

fn read(object: u64, key: u64) -> Ask {
    Ask::new(Class::Demand, object, key)
}

fn lookup(object: u64, key: u64) -> Ask {
    Ask::new(Class::Meta, object, 1_000_000 + key)
}

fn read_ahead(object: u64, key: u64) -> Ask {
    Ask::new(Class::Background, object, key)
}

fn hot(object: u64, key: u64) -> Ask {
    Ask::new(Class::Hot, object, key)
}

fn close(object: u64) -> Ask {
    Ask { patience: None, ..Ask::new(Class::Close, object, 0) }
}

/// Storage that takes a millisecond for everything, except that it never returns from reading the objects below `dead`.
fn dead_below(dead: u64) -> impl FnMut(Job, Time) -> Does {
    move |job, _| {
        let reads = matches!(job.class, Class::Demand | Class::Background | Class::Hot);
        if reads && job.object < dead { Does::Hang } else { returns_after(MS) }
    }
}

fn sim(store: impl FnMut(Job, Time) -> Does + 'static) -> Sim {
    Sim::new(Limits::default(), store)
}

/// Lets everything that hangs return, and looks whether anything is left over then.
fn end(mut sim: Sim) {
    sim.store(|_, _| returns_after(MS));
    sim.wake_up(MS, &Outcome::Done(()));
    sim.run_for(HOUR);
    assert_eq!(sim.running.len(), 0);
    sim.ask(&lookup(0, 0));
    sim.run_for(SECOND);
    sim.judge.is_content(&sim.plan);
}

fn longest(waits: impl Iterator<Item = Duration>) -> Duration {
    waits.max().unwrap()
}
