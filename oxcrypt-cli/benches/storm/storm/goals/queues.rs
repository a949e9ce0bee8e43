//! The store's own queue, and those behind it.

use std::path::Path;
use std::time::Duration;

use super::Variant;
use super::finding::Finding;
use super::sharing::fresh;
use super::stage::{Setting, Stage};
use crate::child::{CEILING, Child};
use crate::storm::caller::Caller;
use crate::storm::options::{self, Options};
use crate::storm::readers::{Patience, Readers};
use crate::storm::storage::{self, Storage};
use crate::storm::subject::Subject;
use crate::storm::vault::{self, Amount, Kind};

/// How long a healthy file may take to be found among dead ones.
const FOUND: Duration = Duration::from_secs(10);

pub(super) fn has_room(variant: Variant, _: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    for async_dio in [false, true] {
        let amount = Amount { sparse: 600, ..Amount::default() };
        let setting = Setting { async_dio, ..Setting::usual(amount) };
        let stage = Stage::new(variant, setting, &["--deadline", "read=600s", "--cache-size", "0"]);
        // Where direct reads share the store's queue, a file is trusted that answered at once a short while before.
        let hot = |number: usize| {
            let mut command = stage.mounted.command("cat");
            let ended =
                Child::start(command.arg(vault::hot_file(&stage.root(), number))).ended_within(CEILING);
            ended.filter(|ended| ended.output.len() == vault::HOT_LEN).map(|ended| ended.took)
        };
        for number in (0..3).cycle().take(9) {
            hot(number).expect("a file of a healthy store");
        }
        stage.freeze();
        let mut crowds = Vec::new();
        for (number, (from, to)) in [(0, 14), (14, 48), (48, 600)].into_iter().enumerate() {
            crowds.push(Readers::start(&stage.caller, &stage.root(), from..to, Patience::Once));
            Stage::until("a crowd that reads", || stage.reading() >= to as u64);
            let (what, time) = if async_dio {
                ("a file it served before", hot(number))
            } else {
                ("a file nobody has read", fresh(&stage, number..number + 1))
            };
            let dio = if async_dio { ", FUSE_ASYNC_DIO" } else { "" };
            let what = format!("{what}, beside {to} that hang, queue 12{dio}");
            findings.push(Finding::time("G19", &what, time, FOUND));
        }
        stage.store.command(&format!("fail ETIMEDOUT {}", vault::COLD_RULE));
        stage.store.command("answer ETIMEDOUT");
    }
    findings
}

/// The same where `rclone mount` is the store: beside 12 that hang it serves what it has itself, and nothing else.
pub(super) fn behind_rclone(_: Variant, options: &Options) -> Vec<Finding> {
    const WHAT: &str = "a file that only rclone has";
    let mut options = options.clone();
    options.store = options::Store::Rclone;
    if let Some(what) = storage::lacking(options.store) {
        return Finding::skipped("G19", WHAT, &format!("install {what}")).into_vec();
    }
    let amount = Amount { sparse: 600, ..Amount::default() };
    let fill = |folder: &Path| vault::make(Kind::Cryptomator, folder, amount);
    let storage = Storage::start(&options, fill).expect("a machine that can mount");
    let script = r#"find "$1" -type f -size -150k -exec cat {} + > /dev/null"#;
    Child::sh(script, &[&storage.vault()]).succeed();
    let served = Subject::oxcrypt().start(&storage).expect("a mount");
    let mut frozen = storage.freeze();
    let (mut crowds, mut findings) = (Vec::new(), Vec::new());
    for (number, (from, to)) in [(0, 14), (14, 48), (48, 600)].into_iter().enumerate() {
        let crowd = Readers::start(&Caller::root(), served.place(), from..to, Patience::Once);
        crowd.gather(None, || storage.held());
        crowds.push(crowd);
        let unread = vault::seen_file(served.place(), number);
        let ended = Child::start(std::process::Command::new("cat").arg(unread)).ended_within(CEILING);
        let time = ended.filter(|ended| ended.status.success()).map(|ended| ended.took);
        findings.push(Finding::time("G19", &format!("{WHAT}, beside {to} that hang"), time, FOUND));
    }
    frozen.fail();
    findings
}

pub(super) fn a_healthy_file_is_found(variant: Variant, _: &Options) -> Vec<Finding> {
    const DEAD: usize = 600;
    let amount = Amount { sparse: DEAD, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=600s"]);
    stage.freeze();
    let readers = stage.readers(0..DEAD);
    let slowest = fresh(&stage, 0..10);
    stage.fail(readers);
    Finding::time("G22", "the slowest of 10 healthy files among 600 dead ones", slowest, FOUND).into_vec()
}
