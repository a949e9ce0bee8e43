//! Whoever waits can be ended.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::Variant;
use super::finding::Finding;
use super::stage::{Setting, Stage};
use crate::child::{CEILING, Child};
use crate::storm::options::Options;
use crate::storm::vault::{self, Amount};

/// How often each is tried.
const TRIES: usize = 5;

/// How long whoever is told to end may take.
const PROMPT: Duration = Duration::from_millis(150);

/// Opens a file that memory has all of, so that its reads go through the page cache, has memory forget it by reading
/// others, drops the pages, and reads it when all is frozen.
const BUFFERED: &str = r#"
    cat "hot/hot 1" > /dev/null
    exec 3< "hot/hot 1"
    for i in 2 3 4 5 6 7 8 9; do cat "hot/hot $i" > /dev/null; done
    dd iflag=nocache count=0 status=none <&3
    echo ready
    while [ ! -e "$1" ]; do sleep 0.02; done
    exec cat <&3"#;

pub(super) fn die(variant: Variant, _: &Options) -> Vec<Finding> {
    let amount = Amount { cold: 100, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--cache-size", "512K"]);
    let mut findings = Vec::new();
    for (signal, name) in [(Signal::KILL, "SIGKILL"), (Signal::INT, "SIGINT")] {
        let mut slowest = [Some(Duration::ZERO); 3];
        let slower = |one: Option<Duration>, other| Some(one?.max(other?));
        for number in 0..TRIES {
            let cold = vault::cold_file(&stage.root(), number + if signal == Signal::INT { 50 } else { 0 });
            stage.freeze();
            let cat = Child::start(stage.mounted.command("cat").arg(&cold));
            slowest[0] = slower(slowest[0], ends(&stage, cat, signal));
            stage.thaw();
            slowest[1] = slower(slowest[1], buffered(&stage, signal));
            stage.store.command("freeze lookup,getattr,open **");
            let unseen = vault::seen_file(&stage.root(), number + if signal == Signal::INT { 50 } else { 0 });
            let stat = Child::start(stage.mounted.command("stat").arg(unseen));
            slowest[2] = slower(slowest[2], ends(&stage, stat, signal));
            stage.thaw();
        }
        for (slowest, what) in slowest.into_iter().zip(["a direct read", "a buffered read", "a stat"]) {
            let what = format!("{what} ended by {name}, the slowest of {TRIES}");
            findings.push(Finding::time("G8", &what, slowest, PROMPT));
        }
    }
    findings
}

fn buffered(stage: &Stage, signal: Signal) -> Option<Duration> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a folder");
    let go = folder.path().join("go");
    let reader = stage.bash(BUFFERED, &[&go.display().to_string()]);
    Stage::until("a file is open", || reader.output().ends_with(b"ready\n"));
    stage.store.command("freeze read **");
    std::fs::write(go, "").expect("a file");
    let took = ends(stage, reader, signal);
    stage.thaw();
    took
}

/// How long a child takes to end that waits for storage. None if it does not, or does not wait.
fn ends(stage: &Stage, mut child: Child, signal: Signal) -> Option<Duration> {
    Stage::until("a child waits", || stage.held() > 0 && stage.requests() > 0);
    if !child.is_running() {
        return None;
    }
    let started = Instant::now();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("a child of ours");
    child.ended_within(CEILING)?;
    Some(started.elapsed())
}
