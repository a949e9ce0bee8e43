//! The store's process is stopped, and goes on.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Variant;
use super::finding::Finding;
use super::sharing::fresh;
use super::stage::{Setting, Stage};
use crate::child::CEILING;
use crate::storm::options::Options;
use crate::storm::probe::Probe;
use crate::storm::readers::{Patience, Readers};
use crate::storm::samples::{Samples, median};
use crate::storm::vault::{self, Amount};

/// How often it is stopped.
const ROUNDS: usize = 3;

/// How many cold files are read to see how fast that is.
const FILES: usize = 60;

/// How many readers wait while it is stopped.
const CROWD: usize = 64;

/// What may be added to the 30 ms after which an older answer is given.
const SOON: Duration = Duration::from_millis(100);

/// What is promised of a listing whose names are known: three seconds for each 64 of them, and whatever a busy machine adds.
const LISTING: Duration = Duration::from_secs(2 * 3 + 1);

/// How fast it has to be again, and when.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) fn after_a_stop(variant: Variant, _: &Options) -> Vec<Finding> {
    let each = 2 * FILES + CROWD;
    let amount = Amount { cold: ROUNDS * each, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=600s"]);
    let mut looks = [Probe::Statfs, Probe::CachedRead].map(|probe| stage.prober(probe));
    let mut lists = stage.prober(Probe::List);
    let (mut answers, mut listings) = (Vec::new(), Vec::new());
    let (mut whole, mut unknown) = (Some(Duration::ZERO), Some(Duration::ZERO));
    let (mut cold, mut hot) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let from = round * each;
        let before = (seconds_of_cold(&stage, from), seconds_of_hot(&stage));
        stage.store.signal(Signal::STOP);
        let mut readers =
            Readers::start(&stage.caller, &stage.root(), from + FILES..from + FILES + CROWD, Patience::Once);
        Stage::until("64 readers wait", || stage.requests() >= CROWD as u64);
        answers.extend(looks.iter_mut().map(|prober| prober.measure(30)));
        listings.push(lists.measure(1));
        stage.store.signal(Signal::CONT);
        let started = Instant::now();
        let number = 10 * round;
        let file = fresh(&stage, number..number + 1).map(|_| started.elapsed());
        unknown = unknown.max(file).filter(|_| file.is_some());
        let is_whole = || stage.mounted.status()["reserveLeft"] == 128 && stage.requests() == 0;
        Stage::until("every thread is back", is_whole);
        whole = whole.max(Some(started.elapsed()));
        assert!(readers.ended_within(CEILING), "storage is back, and readers still wait");
        std::thread::sleep(AGAIN.saturating_sub(started.elapsed()));
        cold.push(before.0 / seconds_of_cold(&stage, from + FILES + CROWD));
        hot.push(before.1 / seconds_of_hot(&stage));
    }
    let listing = format!("a listing of {} files while it is stopped", vault::LISTED_FILES);
    vec![
        Finding::time("G11", "df, open files while it is stopped, p99", slowest(&answers), SOON),
        Finding::time("G11", &listing, slowest(&listings), LISTING),
        Finding::time("G11", "an unknown file once it goes on", unknown, Duration::from_secs(10)),
        Finding::time("G11", "every thread back", whole, Duration::from_secs(10)),
        Finding::at_least("G11", "reading cold files, as fast as before", median(cold).unwrap_or(0.0), 0.9),
        Finding::at_least("G11", "reading hot files, as fast as before", median(hot).unwrap_or(0.0), 0.9),
    ]
}

/// The slowest of a hundred; none if one had no answer.
fn slowest(answers: &[Samples]) -> Option<Duration> {
    let times = answers.iter().map(|samples| samples.quantile(990).filter(|_| samples.errors == 0));
    times.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// How long it takes to read some cold files that nobody has read yet.
fn seconds_of_cold(stage: &Stage, from: usize) -> f64 {
    let script = r#"for i in $(seq "$1" "$2"); do echo "cold/cold $i"; done | xargs -d '\n' cat | wc -c"#;
    seconds(stage, script, &[&from.to_string(), &(from + FILES - 1).to_string()])
}

/// The same of hot files, twenty times each, past the page cache.
fn seconds_of_hot(stage: &Stage) -> f64 {
    let script = "for i in $(seq 1 20); do cat hot/*; done | wc -c";
    seconds(stage, script, &[])
}

fn seconds(stage: &Stage, script: &str, words: &[&str]) -> f64 {
    let ended = stage.bash(script, words).succeed();
    assert!(!ended.output.starts_with(b"0"), "nothing was read");
    ended.took.as_secs_f64()
}
