//! The worker: brings everything up, one subject after the other, and measures.

use std::process::ExitCode;
use std::time::Duration;

use super::caller::Caller;
use super::options::{LARGE, Options};
use super::probe::Probe;
use super::prober::Prober;
use super::readers::{Patience, Readers};
use super::report::{self, Conclusion, Storm};
use super::samples::Samples;
use super::served::Served;
use super::storage::{self, Frozen, Storage};
use super::subject::Subject;
use super::{goals, picture, supervisor, vault};

/// How long readers may take to end when storage is back.
const ENDING: Duration = Duration::from_secs(30);

/// Runs the bench.
pub(crate) fn main(options: &Options) -> ExitCode {
    supervisor::end_with_it(&std::env::temp_dir());
    let options = options.settled();
    if options.long {
        return goals::run(&options);
    }
    if let Some(what) = storage::lacking(options.store) {
        println!("SKIPPED everything: install {what}");
        return skipped();
    }
    let mut conclusion = Conclusion::default();
    for subject in Subject::all(&options) {
        if let Some(why) = &subject.lacking {
            println!("SKIPPED {}: {why}", subject.name);
            conclusion.control_is_missing |= subject.is_control;
            continue;
        }
        let fill = |folder: &std::path::Path| vault::make(subject.vault, folder, subject.amount(&options));
        let Some(storage) = Storage::start(&options, fill) else { return skipped() };
        match measure(&options, &subject, &storage) {
            Ok(storms) => conclusion.add(&subject, storms),
            Err(error) => {
                println!("{}: {error}", subject.name);
                conclusion.failed = true;
            }
        }
    }
    if let Some(path) = &options.picture
        && let Err(error) = picture::write(path, &conclusion.curves())
    {
        println!("{}: {error}", path.display());
        conclusion.failed = true;
    }
    conclusion.print()
}

/// What the exit says if nothing could be tried: where continuous integration cannot, that is a failure.
fn skipped() -> ExitCode {
    if std::env::var("CI").as_deref() == Ok("true") { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All storms of one subject; prints the table.
fn measure(options: &Options, subject: &Subject, storage: &Storage) -> std::io::Result<Vec<Storm>> {
    let served = subject.start(storage)?;
    let own = served.controls().and_then(|controls| controls.max_background().ok());
    report::print_head(subject, own, &storage.describe());
    let caller = Caller::root();
    let prober = |probe| Prober::new(probe, served.place(), options.probe_limit, &caller);
    let mut probers: Vec<_> = Probe::TABLE.into_iter().map(prober).collect();
    // What only the first time costs is nobody's to pay.
    for prober in &mut probers {
        prober.measure(options.samples.min(10));
    }
    let (mut storms, mut next_file) = (Vec::new(), 0);
    for &readers in &options.readers {
        if subject.is_control && readers > LARGE {
            println!("SKIPPED {} beside {readers} readers: it has stopped long before", subject.name);
            continue;
        }
        let mut storm = Storm::new(readers);
        for _ in 0..options.rounds {
            let idle = phase(&mut probers, options.samples);
            storm.idle_usage = storm.idle_usage.max(served.usage()?);
            let from = if readers > LARGE { options.small_files() } else { next_file };
            let mut blocked = Blocked::start(storage, &served, from..from + readers);
            next_file += if readers > LARGE { 0 } else { readers };
            storm.held = storm.held.max(storage.held());
            let hot = phase(&mut probers, options.samples);
            storm.usage = storm.usage.max(served.usage()?);
            blocked.end(&mut storm);
            for ((row, idle), hot) in storm.rows.iter_mut().zip(&idle).zip(&hot) {
                row.add(idle, hot);
            }
        }
        report::print_storm(&storm);
        storms.push(storm);
    }
    Ok(storms)
}

/// A storm: reads of cold files wait, and as many readers as there are files wait for them.
struct Blocked<'a> {
    frozen: Frozen<'a>,
    readers: Readers,
    patience: Patience,
}

impl<'a> Blocked<'a> {
    /// Returns when they block.
    fn start(storage: &'a Storage, subject: &Served, files: std::ops::Range<usize>) -> Self {
        let frozen = storage.freeze();
        let patience = if files.len() > LARGE { Patience::Once } else { Patience::Again };
        let readers = Readers::start(&Caller::root(), subject.place(), files, patience);
        readers.gather(subject.controls().as_ref(), || storage.held());
        Self { frozen, readers, patience }
    }

    /// Ends the storm, and notes how many still waited, and how many then got their data.
    fn end(&mut self, storm: &mut Storm) {
        storm.blocked_readers.push(self.readers.blocked(self.patience));
        storm.reader_errors += self.readers.outcomes().len();
        if self.patience == Patience::Once {
            // So many files are not made for each storm: they stay cold.
            self.frozen.fail();
        } else {
            self.frozen.thaw();
        }
        self.readers.ended_within(ENDING);
        self.frozen.thaw();
        let outcomes = self.readers.outcomes();
        storm.done_readers.push(outcomes.iter().filter(|outcome| outcome.error.is_none()).count());
    }
}

/// One phase: all probes, one after the other.
fn phase(probers: &mut [Prober], samples: usize) -> Vec<Samples> {
    probers.iter_mut().map(|prober| prober.measure(samples)).collect()
}
