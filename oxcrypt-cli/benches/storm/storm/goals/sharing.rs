//! Who asks for the same is answered together, and who asks for something else is not kept waiting by that.

use std::time::Duration;

use super::Variant;
use super::finding::Finding;
use super::stage::{Setting, Stage};
use crate::child::CEILING;
use crate::storm::options::Options;
use crate::storm::readers::{Patience, Readers};
use crate::storm::vault::{self, Amount};

pub(super) fn one_read_for_all(variant: Variant, _: &Options) -> Vec<Finding> {
    const FILES: usize = 11;
    let amount = Amount { cold: FILES, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=600s"]);
    let reads = [(0..1, 100, "100 readers of one chunk"), (1..FILES, 1_000, "10,000 readers of ten chunks")];
    let found = reads.map(|(files, each, what)| {
        let chunks = files.len();
        stage.freeze();
        stage.store.command("reset");
        let mut readers = Readers::of_same(&stage.caller, &stage.root(), files, each);
        readers.gather(stage.controls().as_ref(), || stage.held());
        stage.thaw();
        assert!(readers.ended_within(CEILING), "storage is back, and readers still wait");
        let outcomes = readers.outcomes();
        assert!(
            outcomes.iter().all(|outcome| outcome.error.is_none()),
            "a reader was answered with an error"
        );
        assert_eq!(outcomes.len(), chunks * each);
        Finding::count(
            "G6",
            &format!("storage reads for {what}"),
            stage.reads(vault::COLD_MIN..),
            chunks as u64,
        )
    });
    found.into()
}

pub(super) fn a_crowd_on_one_file(variant: Variant, _: &Options) -> Vec<Finding> {
    let amount = Amount { large: 1, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=600s"]);
    stage.freeze();
    let file = vault::large_file(std::path::Path::new(""), 0).display().to_string();
    // Each in a block of its own.
    let script = r#"
        for i in $(seq 0 799); do dd if="$1" of=/dev/null bs=128K skip=$i count=1 iflag=direct status=none 2>&1 & done
        wait"#;
    let _crowd = stage.bash(script, &[&file]);
    Stage::until("800 readers of one file", || stage.reading() >= 800);
    let healthy = fresh(&stage, 0..10);
    Finding::time(
        "G7",
        "the slowest of 10 healthy files beside 800 reads of a dead one",
        healthy,
        Duration::from_secs(1),
    )
    .into_vec()
}

pub(super) fn a_retry_is_a_hit(variant: Variant, _: &Options) -> Vec<Finding> {
    let amount = Amount { cold: 1, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=1s"]);
    stage.store.command(&format!("delay 2s {}", vault::COLD_RULE));
    let read = || {
        let mut reader = Readers::start(&stage.caller, &stage.root(), 0..1, Patience::Once);
        assert!(reader.ended_within(CEILING), "a reader was never answered");
        reader.outcomes().first().copied().expect("an outcome")
    };
    assert!(read().error.is_some(), "it was to come too late");
    Stage::until("the data has arrived", || stage.held() == 0);
    // What storage has answered is adopted a moment later.
    Stage::until("nothing runs", || stage.reading() == 0);
    stage.store.command("reset");
    let retry = read();
    vec![
        Finding::time(
            "G12",
            "the retry",
            retry.error.is_none().then_some(retry.took),
            Duration::from_millis(1),
        ),
        Finding::count("G12", "storage reads for the retry", stage.reads(vault::COLD_MIN..), 0),
    ]
}

/// How long the slowest of some files takes that nobody has read yet, one after the other; none if one did not answer.
pub(super) fn fresh(stage: &Stage, files: std::ops::Range<usize>) -> Option<Duration> {
    let read = |number: usize| {
        let mut command = stage.mounted.command("cat");
        let mut child = crate::child::Child::start(command.arg(vault::seen_file(&stage.root(), number)));
        let ended = child.ended_within(CEILING).filter(|ended| ended.status.success())?;
        (ended.output.len() == 100).then_some(ended.took)
    };
    files.map(read).collect::<Option<Vec<_>>>()?.into_iter().max()
}
