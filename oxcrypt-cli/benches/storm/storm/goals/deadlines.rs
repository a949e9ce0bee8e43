//! Whoever waits is answered when his time is over, and not later.

use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;

use super::Variant;
use super::finding::Finding;
use super::stage::{Setting, Stage};
use crate::child::{CEILING, Child};
use crate::storm::options::Options;
use crate::storm::readers::{Patience, Readers};
use crate::storm::vault::{self, Amount};

/// The deadline.
const TIME: Duration = Duration::from_secs(8);

/// Touches a page of a file by a map, unless it is told not to.
const MAPPED: &str = "
import mmap, sys
file = open(sys.argv[1], 'rb')
map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
if sys.argv[2] == 'touch':
    map[0]
";

pub(super) fn are_kept(variant: Variant, _: &Options) -> Vec<Finding> {
    const CROWDS: [(usize, Duration); 3] = [
        (1, Duration::from_millis(100)),
        (1_000, Duration::from_millis(100)),
        (10_000, Duration::from_secs(1)),
    ];
    let amount = Amount { sparse: 10_000, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=8s"]);
    let mut findings = Vec::new();
    for (readers, bound) in CROWDS {
        stage.freeze();
        stage.store.command("reset");
        let mut crowd = Readers::start(&stage.caller, &stage.root(), 0..readers, Patience::Once);
        assert!(crowd.ended_within(TIME + CEILING), "some were never answered");
        if readers == 1 {
            findings.push(Finding::count(
                "G5",
                "reads that came to storage, of one reader",
                stage.reads(vault::COLD_MIN..),
                1,
            ));
        }
        let outcomes = stage.fail(crowd);
        let late = outcomes.iter().map(|outcome| outcome.took.saturating_sub(TIME)).max();
        findings.push(Finding::time(
            "G5",
            &format!("the latest of {readers}, past its deadline"),
            late,
            bound,
        ));
        let others =
            outcomes.iter().filter(|outcome| outcome.error != Some(Errno::TIMEDOUT.raw_os_error())).count();
        findings.push(Finding::count(
            "G5",
            &format!("answers of {readers} that are not ETIMEDOUT"),
            others as u64,
            0,
        ));
    }
    findings.push(mapped(&stage));
    findings
}

/// A page of a map, whose reader is killed by the answer.
fn mapped(stage: &Stage) -> Finding {
    const WHAT: &str = "a page of a map, past its deadline";
    if Command::new("python3").arg("--version").output().is_err() {
        return Finding::skipped("G5", WHAT, "python3 is missing");
    }
    let run = |how: &str| {
        let mut command = stage.mounted.command("python3");
        command.args(["-c", MAPPED]).arg(vault::cold_file(&stage.root(), 0)).arg(how);
        Child::start(&mut command).ended_within(TIME + CEILING).expect("an answer").took
    };
    let starting = run("leave");
    stage.freeze();
    let took = run("touch");
    stage.thaw();
    Finding::time("G5", WHAT, Some(took.saturating_sub(TIME + starting)), Duration::from_millis(200))
}
