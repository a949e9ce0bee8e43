//! Named scenes in virtual time: what goes wrong on a cloud drive, and what a mount does about it.

use std::time::Duration;

use oxcrypt_io::clock::Time;
use oxcrypt_io::sched::plan::{Class, Limits, Outcome, Verdict, Why};

use crate::sim::{Ask, Does, Job, Sim, returns_after};

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
fn lookups_have_slots_beside_16_hung_read_aheads_and_48_hung_reads() {
    let mut sim = sim(dead_below(64));
    for file in 0..16 {
        sim.ask(&read_ahead(file, 0));
    }
    for file in 16..64 {
        sim.ask(&read(file, 0));
    }
    assert_eq!(sim.begun.len(), 56);
    let lookups: Vec<_> = (100..140).map(|directory| sim.ask(&lookup(directory, 0))).collect();
    sim.run_for(5 * MS);
    assert_eq!(longest(lookups.iter().map(|lookup| sim.waited(*lookup, Verdict::Done))), 5 * MS);
    // A second later all of them have stalled and moved away, and the others have begun.
    sim.run_for(SECOND);
    assert_eq!((sim.running.len(), sim.plan.census().reserve_left), (64, 72));
    end(sim);
}

#[test]
fn a_burst_on_a_fast_store_is_served_and_nobody_refused() {
    let mut sim = sim(|_, _| returns_after(MS));
    let hots: Vec<_> = (0..400).map(|key| sim.ask(&hot(1, key))).collect();
    let lookups: Vec<_> = (0..2_000).map(|key| sim.ask(&lookup(2, key))).collect();
    let reads: Vec<_> = (0..2_000).map(|key| sim.ask(&read(3, key))).collect();
    sim.run_for(SECOND);
    let longest_of = |asks: Vec<usize>| longest(asks.iter().map(|ask| sim.waited(*ask, Verdict::Done)));
    assert_eq!(longest_of(hots), 100 * MS);
    assert_eq!(longest_of(lookups), 250 * MS);
    assert_eq!(longest_of(reads), 250 * MS);
    end(sim);
}

#[test]
fn a_store_whose_queue_is_12_still_serves_a_file_beside_9_dead_reads() {
    let mut sim = Sim::new(Limits { store_queue: Some(12), ..Limits::default() }, dead_below(50));
    let begin = |sim: &Sim| sim.begun.len();
    for file in 0..20 {
        sim.ask(&read(file, 0));
    }
    // Nine fill three quarters of its queue; the scouts are after the newest of the others, but get two places at most.
    assert_eq!(begin(&sim), 10);
    sim.run_for(60 * SECOND);
    assert_eq!(begin(&sim), 10);
    let resident = sim.ask(&hot(100, 0));
    let stat = sim.ask(&lookup(3, 0));
    sim.run_for(MS);
    assert_eq!((sim.waited(resident, Verdict::Done), sim.waited(stat, Verdict::Done)), (MS, MS));
    sim.run_for(120 * SECOND);
    end(sim);

    let mut sim = Sim::new(Limits { store_queue: Some(12), ..Limits::default() }, dead_below(50));
    for file in 0..9 {
        sim.ask(&read(file, 0));
    }
    sim.run_for(5 * SECOND);
    let healthy: Vec<_> = (0..20).map(|key| sim.ask(&read(100, key))).collect();
    sim.run_for(20 * MS);
    // One at a time, and each as soon as the one before it has returned.
    assert_eq!(longest(healthy.iter().map(|read| sim.waited(*read, Verdict::Done))), 20 * MS);
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
fn what_was_answered_before_it_began_never_begins() {
    let mut sim = sim(dead_below(100));
    for file in 0..56 {
        sim.ask(&read(file, 0));
    }
    let late = sim.ask(&read(100, 0).patience(500 * MS));
    let taken_back = sim.ask(&read(101, 0));
    let shared = [sim.ask(&read(102, 0)), sim.ask(&read(102, 0))];
    sim.cancel(taken_back, Why::Interrupted);
    sim.cancel(shared[0], Why::Abandoned);
    sim.run_for(2 * SECOND);
    assert_eq!(sim.waited(late, Verdict::TimedOut), 500 * MS);
    assert_eq!(sim.waited(taken_back, Verdict::Cancelled(Why::Interrupted)), Duration::ZERO);
    assert!(!sim.given[&late].begun && !sim.given[&taken_back].begun);
    assert_eq!((sim.begun_for(Class::Demand, 100), sim.begun_for(Class::Demand, 101)), (0, 0));
    assert_eq!(sim.waited(shared[1], Verdict::Done), SECOND + MS);
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

#[test]
fn an_older_answer_is_given_after_thirty_milliseconds() {
    let mut sim = sim(|job, _| if job.object == 1 { Does::Hang } else { returns_after(20 * MS) });
    let hangs = sim.ask(&Ask { stale: true, ..lookup(1, 0) });
    let fresh = sim.ask(&Ask { stale: true, ..lookup(2, 0) });
    let patient = sim.ask(&lookup(1, 0));
    sim.run_for(20 * SECOND);
    assert_eq!(sim.waited(hangs, Verdict::Stale), 30 * MS);
    assert_eq!(sim.waited(fresh, Verdict::Done), 20 * MS);
    assert_eq!(sim.waited(patient, Verdict::TimedOut), 20 * SECOND);
    end(sim);
}

#[test]
fn held_reads_leave_a_quarter_of_the_kernels_queue_free() {
    let kernel_queue = Some(oxcrypt_io::sched::plan::KernelQueue::new(16));
    let mut sim = Sim::new(Limits { kernel_queue, ..Limits::default() }, dead_below(10));
    let buffered = |object, key| Ask { kernel: Some(4_096), ..read(object, key) };
    let mut greedy: Vec<_> = (0..14).map(|key| sim.ask(&buffered(0, key))).collect();
    let modest = [sim.ask(&buffered(1, 0)), sim.ask(&buffered(2, 0))];
    sim.run_for(29 * MS);
    assert!(sim.given.is_empty());
    sim.run_for(MS);
    // Four are too many: the newest of the file that holds most, none of which has begun.
    for reader in greedy.split_off(10) {
        assert_eq!(sim.waited(reader, Verdict::TimedOut), 30 * MS);
        assert!(!sim.given[&reader].begun);
    }
    assert_eq!((sim.given.len(), sim.plan.census().held), (4, 12));
    // Those whose operation runs go last, and it goes on.
    let next: Vec<_> = (3..7).map(|object| sim.ask(&buffered(object, 0))).collect();
    sim.run_for(30 * MS);
    for (reader, begun) in greedy.split_off(6).into_iter().zip([true, true, false, false]) {
        assert_eq!(sim.waited(reader, Verdict::TimedOut), 60 * MS);
        assert_eq!(sim.given[&reader].begun, begun);
    }
    assert!(modest.iter().chain(&next).chain(&greedy).all(|reader| !sim.given.contains_key(reader)));
    assert_eq!(sim.running.len(), 8 + 6);
    end(sim);
}

#[test]
fn a_drain_answers_everybody_in_one_step_and_closes_go_on() {
    let mut sim = sim(|_, _| Does::Hang);
    let mut asks: Vec<_> = (0..300).map(|file| sim.ask(&read(file, 0))).collect();
    asks.extend((0..5).map(|file| sim.ask(&close(file))));
    sim.run_for(SECOND / 2);
    sim.drain();
    for ask in asks {
        assert_eq!(sim.waited(ask, Verdict::Drained), SECOND / 2);
    }
    let late = [sim.ask(&read(900, 0)), sim.ask(&close(900))];
    for ask in late {
        assert_eq!(sim.waited(ask, Verdict::Drained), Duration::ZERO);
    }
    sim.store(|_, _| returns_after(MS));
    sim.wake_up(MS, &Outcome::Done(()));
    sim.run_for(HOUR);
    sim.tick();
    let closes = sim.begun.iter().filter(|(_, job)| job.class == Class::Close).count();
    assert_eq!((closes, sim.begun.len()), (6, 56 + 6));
    sim.judge.is_content(&sim.plan);
}

#[test]
fn a_file_with_a_thousand_reads_waiting_lets_ten_others_go_first() {
    let mut sim = sim(|_, _| returns_after(MS));
    for key in 0..1_000 {
        sim.ask(&read(0, key));
    }
    for file in 1..11 {
        for key in 0..100 {
            sim.ask(&read(file, key));
        }
    }
    let late: Vec<_> = (11..21).map(|file| sim.ask(&read(file, 0))).collect();
    sim.run_for(2 * SECOND);
    // 56 slots, and 21 files of which each has its turn in the first two rounds.
    assert!(longest(late.iter().map(|read| sim.waited(*read, Verdict::Done))) <= 3 * MS);
    end(sim);
}

#[test]
fn a_flood_of_lookups_does_not_stop_reads_nor_the_other_way_round() {
    for (flood, other) in [(Class::Meta, Class::Demand), (Class::Demand, Class::Meta)] {
        let mut sim = sim(|_, _| returns_after(10 * MS));
        let mut modest = Vec::new();
        for moment in 0..200 {
            for number in 0..20 {
                sim.ask(&Ask::new(flood, 10_000 + moment * 20 + number, 0));
            }
            modest.push(sim.ask(&Ask::new(other, moment, 0)));
            sim.run_for(MS);
        }
        sim.run_for(SECOND);
        let wait = longest(modest.iter().map(|ask| sim.waited(*ask, Verdict::Done)));
        assert!(wait <= 30 * MS, "{other:?} waited {wait:?} for {flood:?}");
        end(sim);
    }
}

#[test]
fn a_full_queue_sheds_the_newest_of_the_file_that_holds_most() {
    let mut sim = sim(dead_below(100_000));
    let greedy: Vec<_> = (0..16_008).map(|key| sim.ask(&read(0, key))).collect();
    for file in 1..=48 {
        sim.ask(&read(file, 0));
    }
    let modest: Vec<_> = (100..484).map(|file| sim.ask(&read(file, 0))).collect();
    assert!(sim.given.is_empty(), "nobody is shed before the queue is full");
    let joins = sim.ask(&read(0, 16_007));
    assert!(sim.given.is_empty(), "joining is free");
    let one_more = sim.ask(&read(500, 0));
    for shed in [greedy[16_007], joins] {
        assert!(sim.waited(shed, Verdict::Shed) < SECOND && !sim.given[&shed].begun);
    }
    assert!(sim.given.len() == 2 && !sim.given.contains_key(&one_more));
    assert!(modest.iter().all(|reader| !sim.given.contains_key(reader)));
    // Read-ahead has a queue of its own, and its oldest goes.
    let ahead: Vec<_> = (1_000..1_600).map(|file| sim.ask(&read_ahead(file, 0))).collect();
    let shed = ahead.iter().filter(|ahead| sim.given.contains_key(ahead)).count();
    assert_eq!(shed, 600 - 512);
    assert!(ahead.iter().take(shed).all(|ahead| sim.given[ahead].verdict == Verdict::Shed));
    sim.drain();
    sim.wake_up(MS, &Outcome::Done(()));
    sim.run_for(HOUR);
    sim.tick();
    sim.judge.is_content(&sim.plan);
}

#[test]
fn a_part_that_fails_or_panics_answers_the_request_though_another_hangs() {
    for (outcome, verdict) in [(Outcome::Failed(()), Verdict::Failed), (Outcome::Panicked, Verdict::Panicked)]
    {
        let mut sim = sim(move |job, _| match job.key {
            0 => returns_after(MS),
            1 => Does::Return(2 * MS, outcome.clone()),
            _ => Does::Hang,
        });
        let request = sim.ask(&Ask { keys: 0..3, ..read(1, 0) });
        sim.run_for(SECOND);
        assert_eq!(sim.waited(request, verdict), 2 * MS);
        end(sim);
    }
}

fn longest(waits: impl Iterator<Item = Duration>) -> Duration {
    waits.max().unwrap()
}
