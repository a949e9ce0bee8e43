//! What several wait for, and what is remembered for them.

use std::time::Duration;

use oxcrypt_io::sched::plan::{Outcome, Verdict};

use crate::sim::{Ask, Sim, returns_after};

use super::{MS, SECOND, dead_below, end, read, read_ahead, sim};

#[test]
fn readers_who_ask_again_every_thirty_seconds_share_the_operations_that_hang() {
    let mut sim = sim(dead_below(100));
    let ask_all = |sim: &mut Sim| -> Vec<_> {
        let ask = |file: u32| read(u64::from(file), 0).patience(25 * SECOND).caller(file + 1);
        (0..100).map(|file| sim.ask(&ask(file))).collect()
    };
    for _ in 0..120 {
        let readers = ask_all(&mut sim);
        sim.run_for(25 * SECOND);
        for reader in readers {
            assert_eq!(sim.waited(reader, Verdict::TimedOut), 25 * SECOND);
        }
        // The kernel repeats each of them, and does not wait as long again.
        for repeat in ask_all(&mut sim) {
            assert_eq!(sim.waited(repeat, Verdict::TimedOut), Duration::ZERO);
        }
        sim.run_for(5 * SECOND);
    }
    assert_eq!(sim.begun.len(), 100);
    let census = sim.plan.census();
    assert_eq!((census.flights, census.alarms, census.failures, census.reserve_left), (100, 0, 100, 28));
    let readers = ask_all(&mut sim);
    sim.run_for(SECOND);
    sim.wake_up(SECOND, &Outcome::Done(()));
    sim.run_for(SECOND);
    for reader in readers {
        assert_eq!(sim.waited(reader, Verdict::Done), 2 * SECOND);
    }
    assert_eq!((sim.begun.len(), sim.plan.counters().adopted), (100, 100));
    end(sim);
}

#[test]
fn a_reader_lifts_the_queued_read_ahead_it_joins() {
    let mut sim = sim(dead_below(16));
    for file in 0..16 {
        sim.ask(&read_ahead(file, 0));
    }
    let ahead = sim.ask(&read_ahead(100, 0));
    assert_eq!(sim.begun.len(), 16);
    let reader = sim.ask(&read(100, 0));
    sim.run_for(MS);
    assert_eq!((sim.waited(ahead, Verdict::Done), sim.waited(reader, Verdict::Done)), (MS, MS));
    assert_eq!(sim.begun.len(), 17, "the chunk is read twice");
    end(sim);
}

#[test]
fn a_late_result_is_adopted() {
    let mut sim = sim(|_, _| returns_after(130 * SECOND));
    let first = sim.ask(&read(1, 0));
    sim.run_for(125 * SECOND);
    assert_eq!(sim.waited(first, Verdict::TimedOut), 120 * SECOND);
    let second = sim.ask(&read(1, 0));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.waited(second, Verdict::Done), 5 * SECOND);
    assert_eq!((sim.begun.len(), sim.plan.counters().adopted), (1, 1));
    end(sim);
}

#[test]
fn one_cold_chunk_is_read_once_however_many_wait() {
    let mut sim = sim(|_, _| returns_after(40 * MS));
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(sim.ask(&Ask { keys: 3..6, ..read(1, 0) }));
        sim.run_for(MS / 4);
    }
    readers.push(sim.ask(&read(1, 5)));
    sim.run_for(SECOND);
    assert_eq!(sim.begun.len(), 3);
    for reader in readers {
        assert!(sim.waited(reader, Verdict::Done) <= 40 * MS);
    }
    end(sim);
}

#[test]
fn a_failure_by_time_is_remembered_for_its_caller_and_others_join_what_runs() {
    let mut sim = sim(dead_below(10));
    let window = |caller| Ask { keys: 0..4, ..read(1, 0) }.patience(10 * SECOND).caller(caller);
    let first = sim.ask(&window(7));
    sim.run_for(10 * SECOND);
    assert_eq!(sim.waited(first, Verdict::TimedOut), 10 * SECOND);
    for millis in [0, 500, 500, 500, 499] {
        sim.run_for(millis * MS);
        let repeat = sim.ask(&read(1, 2).caller(7));
        assert_eq!(sim.waited(repeat, Verdict::TimedOut), Duration::ZERO);
    }
    let elsewhere = [read(1, 4).caller(7), read(1, 2).caller(8), read(1, 2)];
    let elsewhere = elsewhere.map(|ask| sim.ask(&ask));
    sim.run_for(MS);
    let again = sim.ask(&read(1, 2).caller(7));
    assert!(elsewhere.iter().chain([&again]).all(|ask| !sim.given.contains_key(ask)));
    // Storage that says itself that it took too long is remembered just so, and a late result clears what it brings.
    sim.store(|_, _| returns_after(MS));
    sim.wake_up(MS, &Outcome::TimedOut);
    sim.run_for(MS);
    assert_eq!(sim.waited(again, Verdict::TimedOut), MS);
    let repeat = sim.ask(&read(1, 2).caller(7));
    assert_eq!(sim.waited(repeat, Verdict::TimedOut), Duration::ZERO);
    let other = sim.ask(&read(1, 2).caller(9));
    sim.run_for(MS);
    assert_eq!(sim.waited(other, Verdict::Done), MS);
    let cleared = sim.ask(&read(1, 2).caller(7));
    sim.run_for(MS);
    assert_eq!(sim.waited(cleared, Verdict::Done), MS);
    end(sim);
}
