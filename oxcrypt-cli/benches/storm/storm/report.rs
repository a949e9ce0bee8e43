//! What the bench says: tables, and whether it may be believed.

use std::process::ExitCode;
use std::time::Duration;

use super::picture::{Curve, Point};
use super::probe::Probe;
use super::samples::{Samples, median};
use super::served::Usage;
use super::subject::Subject;

/// As many cold readers as a queue of this length has places stop what depends on it.
const QUEUE: usize = 12;

/// What is said of a subject that goes on.
const ANSWERS: &str = "answers";

/// What one number of cold readers did to one subject, over all rounds.
pub(crate) struct Storm {
    readers: usize,
    pub(crate) rows: Vec<Row>,
    /// The most reads that waited in the store.
    pub(crate) held: u64,
    /// The readers that still waited at the end of each storm.
    pub(crate) blocked_readers: Vec<usize>,
    /// Those that got their data afterwards.
    pub(crate) done_readers: Vec<usize>,
    pub(crate) reader_errors: usize,
    pub(crate) idle_usage: Usage,
    pub(crate) usage: Usage,
}

/// One probe of a storm.
pub(crate) struct Row {
    probe: Probe,
    idle: Samples,
    storm: Samples,
    ratios: Vec<f64>,
}

impl Storm {
    pub(crate) fn new(readers: usize) -> Self {
        let row =
            |probe| Row { probe, idle: Samples::default(), storm: Samples::default(), ratios: Vec::new() };
        Self {
            readers,
            rows: Probe::TABLE.into_iter().map(row).collect(),
            held: 0,
            blocked_readers: Vec::new(),
            done_readers: Vec::new(),
            reader_errors: 0,
            idle_usage: Usage::default(),
            usage: Usage::default(),
        }
    }

    /// What is decisive: reads that have to pass the queues, and need nothing of what is in them.
    fn hot_reads(&self) -> Samples {
        let row = self.rows.iter().find(|row| row.probe == Probe::UncachedRead);
        row.map(|row| row.storm.clone()).unwrap_or_default()
    }

    /// Whether every cold reader was blocked to the end.
    fn is_whole(&self) -> bool {
        self.blocked_readers.iter().all(|blocked| *blocked == self.readers)
    }

    /// What came of it, in words.
    fn outcome(&self) -> String {
        let names = |of: fn(&Samples) -> usize| {
            let rows = self.rows.iter().filter(|row| of(&row.storm) > 0);
            rows.map(|row| row.probe.name()).collect::<Vec<_>>().join("; ")
        };
        match (names(|samples| samples.blocked), names(|samples| samples.errors)) {
            (blocked, failed) if blocked.is_empty() && failed.is_empty() => ANSWERS.to_owned(),
            (blocked, failed) if failed.is_empty() => format!("blocks: {blocked}"),
            (blocked, failed) if blocked.is_empty() => format!("answers errors: {failed}"),
            (blocked, failed) => format!("blocks: {blocked}; and answers errors: {failed}"),
        }
    }
}

impl Row {
    /// Adds a pair of phases.
    pub(crate) fn add(&mut self, idle: &Samples, storm: &Samples) {
        self.ratios.extend(storm.ratio(idle));
        self.idle.extend(idle);
        self.storm.extend(storm);
    }
}

/// What all of it comes to.
#[derive(Default)]
pub(crate) struct Conclusion {
    subjects: Vec<(Subject, Vec<Storm>)>,
    pub(crate) control_is_missing: bool,
    pub(crate) failed: bool,
}

impl Conclusion {
    pub(crate) fn add(&mut self, subject: &Subject, storms: Vec<Storm>) {
        self.subjects.push((subject.clone(), storms));
    }

    /// For each subject the time that hot reads took beside so many readers, by median and by the 99th of a hundred;
    /// none where they stopped.
    pub(crate) fn curves(&self) -> Vec<Curve> {
        let point = |storm: &Storm| {
            let reads = storm.hot_reads();
            Point { readers: storm.readers, median: reads.quantile(500), p99: reads.quantile(990) }
        };
        let curve = |(subject, storms): &(Subject, Vec<Storm>)| Curve {
            name: subject.name.clone(),
            points: storms.iter().map(point).collect(),
        };
        self.subjects.iter().map(curve).collect()
    }

    /// Prints what each subject did, and the verdict on the bench itself, which is also in the exit code.
    pub(crate) fn print(&self) -> ExitCode {
        println!();
        println!(
            "ratio: the storm's median by that of the idle phase before it, median of all pairs; where a probe blocked"
        );
        println!("twice in a phase, the rest of its samples were not tried");
        println!();
        for (subject, storms) in &self.subjects {
            for storm in storms {
                println!("{} beside {} cold readers {}", subject.name, storm.readers, storm.outcome());
            }
        }
        let control = self.subjects.iter().find(|(subject, _)| subject.is_control);
        let in_ci = std::env::var("CI").as_deref() == Ok("true");
        let good = match control {
            None if self.control_is_missing => {
                println!("NEGATIVE CONTROL: SKIPPED, for gocryptfs is not here");
                !in_ci
            }
            None => {
                println!("NEGATIVE CONTROL: not asked for (--subject gocryptfs)");
                true
            }
            Some((_, storms)) => verdict(storms),
        };
        let good = self.is_kept() && good;
        if good && !self.failed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Conclusion {
    /// Whether this program answers whatever hangs, which is what it is for.
    fn is_kept(&self) -> bool {
        let ours = self.subjects.iter().filter(|(subject, _)| subject.is_ours);
        let broken = ours.flat_map(|(_, storms)| storms).filter(|storm| storm.outcome() != ANSWERS).count();
        if broken > 0 {
            println!("THE PROMISE IS BROKEN: oxcrypt stops in {broken} of its storms");
        }
        broken == 0
    }
}

/// Whether the bench sees what is known: gocryptfs stops where cold readers fill a queue of 12, and not before.
fn verdict(storms: &[Storm]) -> bool {
    let with = |readers| storms.iter().find(|storm: &&Storm| storm.readers == readers);
    let (Some(below), Some(at)) = (with(QUEUE - 1), with(QUEUE)) else {
        println!("NEGATIVE CONTROL: not asked for (11 and 12 among --readers)");
        return true;
    };
    let (reads, stopped) = (below.hot_reads(), at.hot_reads());
    let shown = below.is_whole()
        && at.is_whole()
        && reads.blocked + reads.errors == 0
        && stopped.blocked > 0
        && stopped.blocked == stopped.len();
    if shown {
        println!("NEGATIVE CONTROL: shown. gocryptfs reads beside 11 cold readers and stops at 12");
        return true;
    }
    println!(
        "NEGATIVE CONTROL: NOT shown, so THIS BENCH IS WRONG. Hot uncached reads that blocked or failed:"
    );
    for (storm, reads, expected) in [(below, reads, "none"), (at, stopped, "all, blocked")] {
        println!(
            "  beside {} cold readers {} and {} of {}; expected: {expected}{}",
            storm.readers,
            reads.blocked,
            reads.errors,
            reads.len(),
            if storm.is_whole() { "" } else { "; and not all cold readers were blocked" }
        );
    }
    false
}

/// Prints what the next tables are about.
pub(crate) fn print_head(subject: &Subject, limit: Option<u64>, store: &str) {
    let limit = limit.map_or("unknown".to_owned(), |limit| limit.to_string());
    println!();
    println!("{}", subject.version.as_ref().unwrap_or(&subject.name));
    println!("  its own mount: max_background {limit}");
    println!("  its vault on:  {store}");
}

/// Prints the table of one storm.
pub(crate) fn print_storm(storm: &Storm) {
    let numbers = |numbers: &[usize]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    println!();
    println!(
        "{:>7}  {:<17}{:>10}{:>10}{:>12}{:>10}{:>10}{:>9}{:>12}{:>8}",
        "readers", "probe (ms)", "idle p50", "p99", "storm p50", "p99", "max", "ratio", "blocked", "errors"
    );
    for row in &storm.rows {
        println!(
            "{:>7}  {:<17}{:>10}{:>10}{:>12}{:>10}{:>10}{:>9}{:>12}{:>8}",
            storm.readers,
            row.probe.name(),
            time(&row.idle, 500),
            time(&row.idle, 990),
            time(&row.storm, 500),
            time(&row.storm, 990),
            time(&row.storm, 1000),
            median(row.ratios.clone()).map_or("-".to_owned(), |ratio| if ratio.is_finite() {
                format!("{ratio:.2}")
            } else {
                "∞".to_owned()
            }),
            format!("{}/{}", row.storm.blocked, row.storm.len()),
            row.storm.errors,
        );
    }
    println!(
        "         cold readers blocked to the end of each storm: {}; got their data then: {}; errors before: {}; reads \
         held by the store: {}",
        numbers(&storm.blocked_readers),
        numbers(&storm.done_readers),
        storm.reader_errors,
        storm.held
    );
    println!(
        "         threads {} idle, {} in the storm; resident {:.1} MiB idle, {:.1} MiB in the storm",
        storm.idle_usage.threads,
        storm.usage.threads,
        mebibytes(storm.idle_usage),
        mebibytes(storm.usage)
    );
    for row in &storm.rows {
        if row.idle.blocked + row.idle.errors > 0 {
            println!(
                "         {}: {} blocked and {} errors while IDLE: this machine is too busy, or something is broken",
                row.probe.name(),
                row.idle.blocked,
                row.idle.errors
            );
        }
        if let Some(error) = row.storm.first_error.as_ref().or(row.idle.first_error.as_ref()) {
            println!("         {}: {error}", row.probe.name());
        }
    }
}

fn time(samples: &Samples, per_mille: usize) -> String {
    if samples.len() == samples.errors {
        return "-".to_owned();
    }
    samples
        .quantile(per_mille)
        .map_or("blocked".to_owned(), |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3))
}

#[expect(clippy::cast_precision_loss, reason = "no process is that large")]
fn mebibytes(usage: Usage) -> f64 {
    usage.resident_kib as f64 / 1024.0
}
