//! Storage that hangs in some files, or in all of them.

use std::time::Duration;

use oxcrypt_io::sched::plan::{Class, Limits, Outcome, Verdict};

use crate::sim::{Does, Sim, returns_after};

use super::{HOUR, MS, SECOND, close, dead_below, end, hot, longest, lookup, read, sim};

#[test]
fn sixty_four_readers_of_one_dead_file_hold_up_nobody_else() {
    let mut sim = sim(dead_below(1));
    let dead: Vec<_> = (0..64).map(|key| sim.ask(&read(0, key))).collect();
    for second in 0..119 {
        let others = [read(7, second), lookup(0, second), lookup(7, second), hot(8, second)];
        let others = others.map(|ask| sim.ask(&ask));
        sim.run_for(SECOND);
        for other in others {
            assert_eq!(sim.waited(other, Verdict::Done), MS);
        }
    }
    sim.run_for(SECOND);
    for reader in dead {
        assert_eq!(sim.waited(reader, Verdict::TimedOut), 120 * SECOND);
    }
    assert_eq!((sim.begun_for(Class::Demand, 0), sim.plan.census().reserve_left), (8, 120));
    end(sim);
}

#[test]
fn a_healthy_file_is_found_among_600_dead_ones_within_ten_seconds() {
    for millis in [0, 500, 1_500, 2_500, 5_000, 9_000, 13_000, 20_000, 30_000, 60_000] {
        let mut sim = sim(dead_below(600));
        for file in 0..600 {
            sim.ask(&read(file, 0));
        }
        sim.run_for(millis * MS);
        let healthy = sim.ask(&read(1_000, 0));
        sim.run_for(10 * SECOND);
        let waited = sim.waited(healthy, Verdict::Done);
        assert!(waited <= 10 * SECOND, "asked after {millis} ms, answered after {waited:?}");
        // What it reads at once then follows without pauses, for no scout of it stalls.
        let next: Vec<_> = (1..9).map(|key| sim.ask(&read(1_000, key))).collect();
        sim.run_for(10 * SECOND);
        let mut waits: Vec<_> = next.iter().map(|read| sim.waited(*read, Verdict::Done)).collect();
        waits.sort_unstable();
        assert!(waits[7] <= 10 * SECOND && waits[7] == waits[0] + 7 * MS, "{waits:?}");
        assert!(sim.running.len() <= Limits::default().threads());
        end(sim);
    }
}

#[test]
fn readers_who_come_back_to_600_dead_files_do_not_keep_a_new_one_waiting() {
    // Reading a dead file fails after a minute, and somebody asks again at once: the newest request is always theirs.
    let mut sim =
        sim(
            |job, _| {
                if job.object < 600 {
                    Does::Return(60 * SECOND, Outcome::TimedOut)
                } else {
                    returns_after(MS)
                }
            },
        );
    let mut dead: Vec<_> = (0..600).map(|file| (file, sim.ask(&read(file, 0)))).collect();
    let mut healthy = Vec::new();
    for second in 0..900 {
        if second % 7 == 0 {
            healthy.push(sim.ask(&read(10_000 + second, 0)));
        }
        sim.run_for(SECOND);
        for (file, reader) in &mut dead {
            if sim.given.contains_key(reader) {
                *reader = sim.ask(&read(*file, 0));
            }
        }
    }
    sim.run_for(120 * SECOND);
    let mut waits: Vec<_> = healthy.iter().map(|read| sim.waited(*read, Verdict::Done)).collect();
    waits.sort_unstable();
    assert!(waits[waits.len() * 9 / 10] <= 5 * SECOND, "{waits:?}");
    end(sim);
}

#[test]
fn no_more_files_that_never_answer_are_tried_than_there_are_threads_for_them() {
    // One is asked for in the middle, and nothing tells it from the others: no order would find it wherever it stood.
    let mut sim = sim(|_, _| Does::Hang);
    for file in 0..601 {
        sim.ask(&read(file, 0));
    }
    sim.run_for(119 * SECOND);
    let limits = Limits::default();
    assert_eq!(sim.running.len(), limits.demand_and_background + limits.reserve);
    let last: Vec<_> = (585..601).map(|file| sim.begun_for(Class::Demand, file)).collect();
    assert_eq!(last, [1; 16], "the scouts are for who asked last");
    end(sim);
}

/// Readers who ask again whenever a read fails.
struct Crowd {
    sim: Sim,
    dead: Vec<(u64, usize)>,
}

impl Crowd {
    /// Files below `dead`, of which a read fails after a minute.
    fn new(dead: u64) -> Self {
        let fails = Does::Return(60 * SECOND, Outcome::TimedOut);
        let sim = sim(move |job, _| if job.object < dead { fails.clone() } else { returns_after(MS) });
        Self { sim, dead: Vec::new() }
    }

    fn arrives(&mut self, file: u64) {
        self.dead.push((file, self.sim.ask(&read(file, 0))));
    }

    fn run_for(&mut self, duration: Duration) {
        self.sim.run_for(duration);
        for (file, reader) in &mut self.dead {
            if self.sim.given.contains_key(reader) {
                *reader = self.sim.ask(&read(*file, 0));
            }
        }
    }
}

#[test]
fn regression_a_healthy_file_in_a_crowd_is_tried_before_dead_ones_are_again() {
    let dead = 600;
    for place in [0, 100, 300, 500, 550, 600] {
        let mut crowd = Crowd::new(dead);
        let (mut healthy, mut since) = (None, crowd.sim.now);
        // All arrive within ten seconds.
        for file in 0..=dead {
            if file == place {
                since = crowd.sim.now;
                healthy = Some(crowd.sim.ask(&read(1_000, 0)));
            }
            if file < dead {
                crowd.arrives(file);
            }
            crowd.run_for(16 * MS);
        }
        let mut healthy = healthy.unwrap();
        let answered = loop {
            match crowd.sim.given.get(&healthy) {
                Some(given) if given.verdict == Verdict::Done => break given.at,
                Some(_) => healthy = crowd.sim.ask(&read(1_000, 0)),
                None => crowd.run_for(SECOND),
            }
            assert!(crowd.sim.now.since(since) < HOUR);
        };
        // In each minute 168 and some scouts are tried, so all of them are within the fourth.
        let waited = answered.since(since);
        assert!(waited <= 4 * 60 * SECOND, "asked for as number {place}, answered after {waited:?}");
    }
}

#[test]
fn a_stat_is_answered_beside_two_hung_reads_of_its_file() {
    let mut sim = sim(dead_below(1));
    sim.ask(&read(0, 0));
    sim.ask(&read(0, 1));
    sim.run_for(2 * SECOND);
    let third = sim.ask(&read(0, 2));
    let stat = sim.ask(&lookup(0, 0));
    sim.run_for(MS);
    assert_eq!(sim.waited(stat, Verdict::Done), MS);
    assert_eq!(sim.begun_for(Class::Demand, 0), 2, "a third read hangs beside two that do");
    sim.run_for(120 * SECOND);
    assert_eq!(sim.waited(third, Verdict::TimedOut), 120 * SECOND);
    assert!(!sim.given[&third].begun);
    end(sim);
}

#[test]
fn an_hour_of_storm_with_closes_leaves_lookups_alone_and_closes_every_handle() {
    // 60 dead files; reading or closing one takes a minute, and the read fails then.
    let dead = |object| object < 60;
    let mut sim = sim(move |job, _| match job.class {
        Class::Demand if dead(job.object) => Does::Return(60 * SECOND, Outcome::TimedOut),
        Class::Close if dead(job.object) => returns_after(60 * SECOND),
        _ => returns_after(MS),
    });
    let (mut lookups, mut reads, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    for second in 0..3_600 {
        let file = second % 60;
        sim.ask(&read(file, second).patience(50 * SECOND));
        closes.push(sim.ask(&close((second + 30) % 60)));
        lookups.push(sim.ask(&lookup(100 + second % 7, second)));
        if second % 10 == 0 {
            reads.push(sim.ask(&read(1_000 + second, 0)));
            closes.push(sim.ask(&close(1_000 + second)));
        }
        sim.run_for(SECOND);
    }
    assert!(sim.plan.counters().stalled > 3_600);
    assert_eq!(longest(lookups.iter().map(|lookup| sim.waited(*lookup, Verdict::Done))), MS);
    let read = longest(reads.iter().map(|read| sim.waited(*read, Verdict::Done)));
    assert!(read <= 10 * SECOND, "a healthy read took {read:?}");
    sim.run_for(HOUR);
    assert!(closes.iter().all(|close| sim.given[close].verdict == Verdict::Done));
    end(sim);
}

#[test]
fn storage_that_comes_back_after_an_hour_is_noticed() {
    for outcome in [Outcome::Done(()), Outcome::TimedOut] {
        let mut sim = sim(|_, _| Does::Hang);
        for second in 0..3_600 {
            sim.ask(&read(second % 700, second));
            sim.ask(&lookup(1_000 + second % 300, second));
            sim.ask(&hot(2_000 + second % 50, second));
            sim.run_for(SECOND);
        }
        assert!(sim.plan.census().down);
        let waiting = sim.ask(&read(5_000, 0));
        sim.store(|_, _| returns_after(MS));
        sim.wake_up(SECOND, &outcome);
        sim.run_for(10 * SECOND);
        assert!(sim.waited(waiting, Verdict::Done) <= 10 * SECOND);
        let census = sim.plan.census();
        assert_eq!((census.reserve_left, census.waiters, census.down), (128, 0, false));
        let reads: Vec<_> = (0..560).map(|file| sim.ask(&read(6_000 + file, 0))).collect();
        sim.run_for(SECOND);
        assert_eq!(longest(reads.iter().map(|read| sim.waited(*read, Verdict::Done))), 10 * MS);
        end(sim);
    }
}
