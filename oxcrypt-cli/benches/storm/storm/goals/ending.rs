//! A mount ends whatever hangs.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Variant;
use super::finding::Finding;
use super::stage::{Setting, Stage};
use crate::child::{CEILING, Child, poll};
use crate::storm::options::Options;
use crate::storm::readers::Readers;
use crate::storm::vault::Amount;

/// How many requests are held.
const CROWD: usize = 1_000;

/// How long the end may take, and how long the next beginning.
const END: Duration = Duration::from_secs(2);
const BEGINNING: Duration = Duration::from_secs(1);

/// A mount with every lane stuck, its crowd, and somebody who has a file open.
fn stuck(variant: Variant) -> (Stage, Readers, Child) {
    let amount = Amount { sparse: CROWD, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--read-only", "--deadline", "read=600s"]);
    stage.freeze();
    let readers = stage.readers(0..CROWD);
    Stage::until("64 threads hang in the store", || stage.held() >= 64);
    let open = stage.bash(r#"exec sleep 600 3< "hot/hot 1""#, &[]);
    Stage::until("a file is open", || stage.mounted.status()["handles"].as_u64() > Some(CROWD as u64));
    (stage, readers, open)
}

pub(super) fn unmounts(variant: Variant, _: &Options) -> Vec<Finding> {
    let (mut stage, mut readers, _open) = stuck(variant);
    let started = Instant::now();
    let ended = stage.mounted.oxcrypt(&["unmount", "--force"]).ended_within(CEILING);
    let end = ended.filter(|ended| ended.status.success()).map(|_| started.elapsed());
    let end = end.filter(|_| !stage.mounted.is_mounted());
    let free = readers.ended_within(CEILING).then(|| started.elapsed());
    let started = Instant::now();
    let options = ["--read-only", "--deadline", "read=600s"];
    stage.mount_again(&options);
    let beginning = started.elapsed();
    vec![
        Finding::time("G9", "unmount --force with 1,000 requests held", end, END),
        Finding::time("G9", "until every reader was gone", free, END),
        Finding::time("G9", "mounting again at the same place", Some(beginning), BEGINNING),
    ]
}

pub(super) fn is_killed(variant: Variant, _: &Options) -> Vec<Finding> {
    let both = [variant, super::ORDINARY].map(|variant| {
        let (mut stage, mut readers, _open) = stuck(variant);
        let started = Instant::now();
        stage.mounted.signal(Signal::KILL);
        let gone = poll(CEILING, || (!stage.mounted.is_mounted()).then(|| started.elapsed()));
        let free = readers.ended_within(CEILING).then(|| started.elapsed());
        let forced =
            stage.mounted.oxcrypt(&["unmount", "--force"]).ended_within(CEILING).map(|ended| ended.took);
        // What is left of the process goes when the store lets go of its threads.
        stage.thaw();
        stage.mounted.process().ended_within(CEILING);
        let what = |what: &str| format!("{what} after kill -9 ({variant})");
        [
            Finding::time("G10", &what("the place is free"), gone, END),
            Finding::time("G10", &what("every reader is gone"), free, END),
            Finding::time("G10", &what("unmount --force returns"), forced, END),
        ]
    });
    both.into_iter().flatten().collect()
}
