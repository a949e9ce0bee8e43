//! Changes: who waits for whom, and who for nobody.

use std::time::Duration;

use oxcrypt_io::clock::Time;
use oxcrypt_io::sched::plan::{Class, Hold, Limits, Outcome, Verdict, Why};

use crate::sim::{Ask, Does, Job, Sim, returns_after};

use super::{MS, SECOND, end, longest, lookup, read, sim};

/// What lies in which directory.
const MOVES: u64 = u64::MAX;

const fn content(object: u64) -> u64 {
    object * 2
}

const fn entry(object: u64) -> u64 {
    object * 2 + 1
}

/// One of a few things that are stored of a file, and have the same name if they are the same.
fn store(file: u64, key: u64) -> Ask {
    let turns = [(content(file), Hold::Alone), (entry(file), Hold::Share)];
    Ask::new(Class::WriteBack, file, 2_000_000 + key).turns(&turns)
}

fn create(dir: u64, key: u64) -> Ask {
    Ask::new(Class::Namespace, dir, 3_000_000 + key).turns(&[(content(dir), Hold::Alone)])
}

fn set_mode(object: u64, key: u64) -> Ask {
    Ask::new(Class::Namespace, object, 4_000_000 + key).turns(&[(entry(object), Hold::Share)])
}

fn rename(from: u64, file: u64, to: u64) -> Ask {
    let mut turns =
        vec![(content(from), Hold::Alone), (content(to), Hold::Alone), (entry(file), Hold::Alone)];
    if from != to {
        turns.push((MOVES, Hold::Alone));
    }
    Ask::new(Class::Namespace, from, 5_000_000 + file).turns(&turns)
}

/// Storage that takes a millisecond for everything, except that changes of the objects below `dead` never return.
fn changes_dead_below(dead: u64) -> impl FnMut(Job, Time) -> Does {
    move |job, _| if job.class.mutates() && job.object < dead { Does::Hang } else { returns_after(MS) }
}

/// Asks one after the other, each when the one before has been answered, and returns how long all of it took.
fn session(sim: &mut Sim, asks: &[Ask]) -> Duration {
    let waits = asks.iter().map(|ask| {
        let reply = sim.ask(ask);
        while !sim.given.contains_key(&reply) {
            sim.run_for(MS);
        }
        sim.waited(reply, Verdict::Done)
    });
    waits.sum()
}

/// What a program does that saves a file: it creates another, writes it, has it synced, and puts it in the file's place.
fn save(sim: &mut Sim, dir: u64, file: u64) -> Duration {
    session(sim, &[create(dir, file), store(file, 0), store(file, 1), rename(dir, file, dir)])
}

#[test]
fn a_file_is_saved_as_quickly_as_ever_beside_64_whose_writes_never_return() {
    const DIR: u64 = 1_000;
    let mut sim = sim(changes_dead_below(64));
    let idle = save(&mut sim, DIR, 2_000);
    assert_eq!(idle, 4 * MS);
    // Four chunks of each, and one of them after the other.
    let queued: Vec<Vec<_>> =
        (0..64).map(|file| (0..4).map(|key| sim.ask(&store(file, key))).collect()).collect();
    // Four at a time run until they have stalled: that long it may take at first, and never again.
    let first = save(&mut sim, DIR, 2_001);
    assert!(first <= idle + 64 / 4 * 30 * MS, "{first:?}");
    sim.run_for(SECOND);
    for round in 0..5 {
        let fsyncs: Vec<_> = (0..64).map(|file| sim.ask(&store(file, 4).patience(SECOND))).collect();
        assert_eq!(save(&mut sim, DIR, 3_000 + round), idle, "the {round}th time");
        let reads: Vec<_> = (0..64).map(|file| sim.ask(&read(file, round))).collect();
        sim.run_for(20 * SECOND);
        assert!(longest(reads.iter().map(|read| sim.waited(*read, Verdict::Done))) <= 2 * MS);
        assert!(fsyncs.iter().all(|fsync| sim.waited(*fsync, Verdict::TimedOut) == SECOND));
    }
    // What has begun is not overtaken: one of each file, until storage lets go of it.
    assert!((0..64).all(|file| sim.begun_for(Class::WriteBack, file) == 1));
    sim.store(|_, _| returns_after(MS));
    sim.wake_up(MS, &Outcome::Done(()));
    sim.run_for(SECOND);
    for (file, replies) in (0..).zip(&queued) {
        assert!(replies.iter().all(|reply| sim.given[reply].verdict == Verdict::Done));
        let stored = sim.begun.iter().filter(|(_, job)| job.class == Class::WriteBack && job.object == file);
        assert!(stored.map(|(_, job)| job.key - 2_000_000).eq(0..4));
    }
    end(sim);
}

#[test]
fn a_hung_write_delays_no_read_of_other_chunks_and_no_lookup() {
    let mut sim = sim(changes_dead_below(1));
    sim.ask(&store(0, 0));
    for second in 0..60 {
        let asks = [read(0, second), lookup(0, second)].map(|ask| sim.ask(&ask));
        sim.run_for(SECOND);
        assert!(asks.iter().all(|ask| sim.waited(*ask, Verdict::Done) == MS));
    }
    end(sim);
}

#[test]
fn who_waits_for_a_dead_file_holds_up_nobody_in_its_directory() {
    const DIR: u64 = 1_000;
    let mut sim = sim(changes_dead_below(1));
    sim.ask(&store(0, 0));
    sim.run_for(SECOND);
    let waits = sim.ask(&rename(DIR, 0, DIR));
    let others = [create(DIR, 0), rename(DIR, 5, DIR + 1), set_mode(DIR, 0)].map(|ask| sim.ask(&ask));
    sim.run_for(SECOND);
    // The renaming takes the directory for itself, so creating comes first.
    assert!(longest(others.iter().map(|other| sim.waited(*other, Verdict::Done))) <= 2 * MS);
    assert!(!sim.given.contains_key(&waits));
    end(sim);
}

#[test]
fn regression_who_waits_for_a_dead_directory_holds_up_no_other() {
    const DEAD: u64 = 0;
    let mut sim = sim(changes_dead_below(1));
    sim.ask(&set_mode(DEAD, 0));
    sim.run_for(SECOND);
    // Nobody has what these want, but their directory begins nothing.
    let waiting = [rename(DEAD, 50, 1), create(DEAD, 0)].map(|ask| sim.ask(&ask));
    let others = [create(1, 0), rename(1, 60, 2), rename(3, 61, 4)].map(|ask| sim.ask(&ask));
    sim.run_for(SECOND);
    assert!(longest(others.iter().map(|other| sim.waited(*other, Verdict::Done))) <= 3 * MS);
    assert!(waiting.iter().all(|reply| !sim.given.contains_key(reply)));
    end(sim);
}

#[test]
fn regression_turns_are_given_back_where_the_directory_dies_before_a_slot_is_free() {
    let mut sim = sim(changes_dead_below(4));
    for dir in 0..4 {
        sim.ask(&set_mode(dir, 0));
    }
    // It has its turns, and no slot.
    let waits = sim.ask(&rename(0, 50, 10));
    let behind = sim.ask(&create(10, 0));
    sim.run_for(31 * MS);
    assert_eq!(sim.waited(behind, Verdict::Done), 31 * MS, "a slot is free when something has stalled");
    assert!(!sim.given.contains_key(&waits));
    // Whoever comes when storage is back waits behind it.
    let gone = sim.ask(&create(10, 1));
    sim.cancel(gone, Why::Interrupted);
    end(sim);
}

#[test]
fn regression_a_full_queue_that_sheds_a_change_lets_begin_who_waited_for_it() {
    let mut sim = Sim::new(Limits { queue: 2, ..Limits::default() }, |_, _| returns_after(10 * MS));
    sim.ask(&create(1, 0));
    let waiting = [create(1, 1), rename(1, 50, 2)].map(|ask| sim.ask(&ask));
    let next = sim.ask(&create(2, 0));
    assert_eq!(sim.waited(waiting[1], Verdict::Shed), Duration::ZERO);
    sim.run_for(SECOND);
    assert_eq!(sim.waited(next, Verdict::Done), 10 * MS);
    end(sim);
}

#[test]
fn an_fsync_is_joined_before_it_begins_and_not_after() {
    let mut sim = sim(|_, _| returns_after(10 * MS));
    let first = sim.ask(&store(1, 0));
    // The first runs, so the next ones share another.
    let next = [sim.ask(&store(1, 0)), sim.ask(&store(1, 0))];
    sim.run_for(15 * MS);
    let last = sim.ask(&store(1, 0));
    sim.run_for(SECOND);
    assert_eq!(sim.begun_for(Class::WriteBack, 1), 3);
    assert_eq!(sim.waited(first, Verdict::Done), 10 * MS);
    assert_eq!(next.map(|reply| sim.waited(reply, Verdict::Done)), [20 * MS; 2]);
    assert_eq!(sim.waited(last, Verdict::Done), 15 * MS);
    end(sim);
}

#[test]
fn what_is_delayed_begins_at_its_time_or_when_somebody_wants_it_sooner() {
    let mut sim = sim(|_, _| returns_after(MS));
    let later = sim.ask(&store(1, 0).delay(SECOND));
    let sooner = [sim.ask(&store(2, 0).delay(SECOND)), sim.ask(&store(3, 0).delay(SECOND))];
    // It holds up nobody, though it came first.
    let other = sim.ask(&store(1, 1));
    sim.run_for(SECOND / 2);
    assert_eq!(sim.waited(other, Verdict::Done), MS);
    let asks = [store(2, 0), store(3, 0).delay(SECOND / 4), store(1, 0).delay(10 * SECOND)];
    let joined = asks.map(|ask| sim.ask(&ask));
    assert_eq!(sim.plan.census().delayed, 2);
    sim.run_for(10 * SECOND);
    let waits = [later, sooner[0], sooner[1]].map(|reply| sim.waited(reply, Verdict::Done));
    assert_eq!(waits, [SECOND + MS, SECOND / 2 + MS, SECOND * 3 / 4 + MS]);
    let waits = joined.map(|reply| sim.waited(reply, Verdict::Done));
    assert_eq!(waits, [MS, SECOND / 4 + MS, SECOND / 2 + MS]);
    end(sim);
}
