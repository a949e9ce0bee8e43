//! The worker: brings everything up, one subject after the other, and measures.

use std::process::ExitCode;

use super::options::Options;
use super::probe::Probe;
use super::prober::Prober;
use super::readers::Readers;
use super::report::{self, Conclusion, Storm};
use super::samples::Samples;
use super::storage::{self, Storage};
use super::subject::Subject;
use super::{supervisor, vault};

/// Runs the bench.
pub(crate) fn main(options: &Options) -> ExitCode {
    supervisor::end_with_it(&std::env::temp_dir());
    let options = options.settled();
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
        let fill = |folder: &std::path::Path| vault::make(subject.vault, folder, options.cold_files());
        let Some(storage) = Storage::start(&options, fill) else { return skipped() };
        match measure(&options, &subject, &storage) {
            Ok(storms) => conclusion.add(&subject, storms),
            Err(error) => {
                println!("{}: {error}", subject.name);
                conclusion.failed = true;
            }
        }
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
    let mut probers: Vec<_> =
        Probe::ALL.into_iter().map(|probe| Prober::new(probe, served.place(), options.probe_limit)).collect();
    // What only the first time costs is nobody's to pay.
    for prober in &mut probers {
        prober.measure(options.samples.min(10));
    }
    let (mut storms, mut next_file) = (Vec::new(), 0);
    for &readers in &options.readers {
        let mut storm = Storm::new(readers);
        for _ in 0..options.rounds {
            let idle = phase(&mut probers, options.samples);
            storm.idle_usage = storm.idle_usage.max(served.usage().unwrap_or_default());
            let mut cold = Readers::start(storage, &served, next_file..next_file + readers);
            next_file += readers;
            storm.held = storm.held.max(storage.held());
            let hot = phase(&mut probers, options.samples);
            storm.usage = storm.usage.max(served.usage().unwrap_or_default());
            storm.blocked_readers.push(cold.blocked());
            let (done, errors) = cold.end();
            storm.done_readers.push(done);
            storm.reader_errors += errors;
            for ((row, idle), hot) in storm.rows.iter_mut().zip(&idle).zip(&hot) {
                row.add(idle, hot);
            }
        }
        report::print_storm(&storm);
        storms.push(storm);
    }
    Ok(storms)
}

/// One phase: all probes, one after the other.
fn phase(probers: &mut [Prober], samples: usize) -> Vec<Samples> {
    probers.iter_mut().map(|prober| prober.measure(samples)).collect()
}
