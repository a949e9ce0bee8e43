//! More than there is room for: in the slots, in the queues, in those of the storage and of the kernel.

use oxcrypt_io::sched::plan::{Class, KernelQueue, Limits, Outcome, Verdict};

use crate::sim::{Ask, Sim, returns_after};

use super::{HOUR, MS, SECOND, dead_below, end, hot, longest, lookup, read, read_ahead, sim};

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
fn held_reads_leave_a_quarter_of_the_kernels_queue_free() {
    let kernel_queue = Some(KernelQueue::new(16));
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
