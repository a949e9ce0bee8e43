//! The goals: what is promised of storms at full scale, each with a figure and a verdict.
//!
//! All but two are tried twice: as root, and as an ordinary user with one session thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use super::options::Options;
use crate::who::Who;
use finding::Finding;

mod callers;
mod deadlines;
mod ending;
mod finding;
mod hot_reads;
mod original;
mod queues;
mod recovery;
mod sharing;
mod soak;
mod stage;
mod writers;

/// Who mounts, and with how many session threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) who: Who,
    pub(crate) session_threads: Option<u32>,
}

const ROOT: Variant = Variant { who: Who::Root, session_threads: None };
const ORDINARY: Variant = Variant { who: Who::Ordinary, session_threads: Some(1) };

/// One scene, which tells of some goals.
struct Goal {
    /// The goals it is about, and a word.
    name: &'static str,
    /// Whether one variant is enough.
    once: bool,
    run: fn(Variant, &Options) -> Vec<Finding>,
}

const fn goal(name: &'static str, run: fn(Variant, &Options) -> Vec<Finding>) -> Goal {
    Goal { name, once: false, run }
}

const GOALS: [Goal; 16] = [
    goal("G1 G3 G4 G14 G15 beside 10,000 readers", hot_reads::beside_a_crowd),
    goal("G2 beside twice the kernel's limit", hot_reads::beside_twice_the_limit),
    goal("G5 deadlines", deadlines::are_kept),
    goal("G6 one read for all", sharing::one_read_for_all),
    goal("G7 fairness", sharing::a_crowd_on_one_file),
    goal("G8 signals", callers::die),
    goal("G9 unmount", ending::unmounts),
    Goal { once: true, ..goal("G10 kill", ending::is_killed) },
    goal("G11 recovery", recovery::after_a_stop),
    goal("G12 retry", sharing::a_retry_is_a_hit),
    goal("G19 the store's queue", queues::has_room),
    Goal { once: true, ..goal("G19 rclone", queues::behind_rclone) },
    goal("G22 dead files", queues::a_healthy_file_is_found),
    goal("G20 G22 dead writers", writers::beside_dead_ones),
    goal("G16 the original failure", original::failure),
    Goal { once: true, ..goal("G18 soak", soak::is_flat) },
];

/// Those that are not measured here, and where they are tested.
const ELSEWHERE: [(&str, &str); 3] = [
    ("G13", "nothing synced is lost: the tests `killed` beside this bench, core's `crash` and `histories`"),
    ("G17", "no callback touches storage: the test `session_threads` beside this bench"),
    ("G21", "one session thread, an ordinary user: the second half of this table"),
];

/// Tries what the options ask for, and says what came of it.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut all = Vec::new();
    for variant in [ROOT, ORDINARY] {
        let wanted = |goal: &&Goal| {
            let asked = |part: &String| goal.name.split(' ').any(|word| word == part);
            (options.only.is_empty() || options.only.iter().any(asked))
                && !(goal.once && variant.who == Who::Ordinary)
        };
        for goal in GOALS.iter().filter(wanted) {
            let started = Instant::now();
            println!("\n{} ({variant})", goal.name);
            let found = catch_unwind(AssertUnwindSafe(|| (goal.run)(variant, options)));
            let found = found.unwrap_or_else(|panic| vec![Finding::failure(goal.name, &words_of(&*panic))]);
            for finding in &found {
                println!("  {finding}");
            }
            println!("  ({:.0?})", started.elapsed());
            all.extend(found.into_iter().map(|finding| (variant, finding)));
        }
    }
    println!("\n| goal | by | what | figure | at most | holds |\n| --- | --- | --- | --- | --- | --- |");
    for (variant, finding) in &all {
        println!("{}", finding.row(*variant));
    }
    for (goal, place) in ELSEWHERE {
        println!("{goal}: {place}");
    }
    let broken = all.iter().filter(|(_, finding)| !finding.holds).count();
    println!("\n{broken} of {} figures do not hold", all.len());
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.who, self.session_threads) {
            (Who::Root, _) => f.write_str("root"),
            (Who::Ordinary, _) => f.write_str("user, 1 thread"),
        }
    }
}
