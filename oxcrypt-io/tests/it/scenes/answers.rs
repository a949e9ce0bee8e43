//! How requests end that get no value, or not the one they asked for.

use std::time::Duration;

use oxcrypt_io::sched::plan::{Class, Outcome, Verdict, Why};

use crate::sim::{Ask, Does, returns_after};

use super::{HOUR, MS, SECOND, close, dead_below, end, lookup, read, sim};

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
fn a_value_that_comes_with_the_deadline_is_the_answer() {
    let mut sim = sim(|_, _| returns_after(5 * SECOND));
    let in_time = sim.ask(&read(1, 0).patience(5 * SECOND));
    let patience = Duration::from_millis(4_999);
    let late = sim.ask(&read(2, 0).patience(patience));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.waited(in_time, Verdict::Done), 5 * SECOND);
    assert_eq!(sim.waited(late, Verdict::TimedOut), patience);
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
