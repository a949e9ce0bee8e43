//! Writers whose storage hangs, and work beside them.

use std::time::Duration;

use super::Variant;
use super::finding::Finding;
use super::hot_reads::Look;
use super::stage::{Setting, Stage};
use crate::child::{CEILING, Child};
use crate::storm::options::Options;
use crate::storm::probe::Probe;
use crate::storm::vault::Amount;

/// How many files are dead.
const DEAD: usize = 64;

/// Writes over so many chunks of each of the first cold files, each in a process of its own that then waits.
const WRITE: &str = r#"
    for i in $(seq 0 $(($1 - 1))); do
        dd if=/dev/zero of="cold/cold $i" bs=32K count=$2 conv=notrunc status=none &
    done
    wait"#;

/// How often each is done in a phase.
const SAMPLES: usize = 100;

/// What is done beside them.
const LOOKS: [Probe; 6] =
    [Probe::Work, Probe::WholeRead, Probe::List, Probe::Stat, Probe::Absent, Probe::Statfs];

/// What hangs beside the work, by rules of the store.
struct Scene {
    what: &'static str,
    rules: &'static [&'static str],
    /// Whether memory has something of each file that storage lacks.
    unsaved: bool,
    readers: usize,
}

const SCENES: [Scene; 3] = [
    Scene { what: "writes hang", rules: &["write ** min-size=160K"], unsaved: true, readers: 0 },
    Scene {
        what: "writes hang, and reads of 64 others",
        rules: &["write ** min-size=160K", "read ** min-size=160K"],
        unsaved: true,
        readers: DEAD,
    },
    Scene {
        what: "flushes and syncs hang",
        rules: &["flush,fsync ** min-size=160K"],
        unsaved: false,
        readers: 0,
    },
];

pub(super) fn beside_dead_ones(variant: Variant, _: &Options) -> Vec<Finding> {
    let mut findings: Vec<_> = SCENES.iter().flat_map(|scene| beside(variant, scene)).collect();
    findings.extend(beside_names(variant));
    findings
}

fn beside(variant: Variant, scene: &Scene) -> Vec<Finding> {
    let amount = Amount { cold: 2 * DEAD, ..Amount::default() };
    let setting = Setting { max_background: 4_096, ..Setting::usual(amount) };
    let stage = Stage::new(variant, setting, &["--deadline", "read=600s,write=none"]);
    let mut looks = idle_looks(&stage);
    for rule in scene.rules {
        stage.store.command(&format!("freeze {rule}"));
    }
    let mut writers = stage.bash(WRITE, &[&DEAD.to_string(), "4"]);
    let dead = || stage.mounted.status()["unsaved"]["files"].as_u64() >= Some(DEAD as u64);
    Stage::until("64 dead files", || stage.held() > 0 && (!scene.unsaved || dead()));
    let crowd = (scene.readers > 0).then(|| stage.readers(DEAD..DEAD + scene.readers));
    let mut findings = storm_findings(&mut looks, scene.what);
    let work = looks.first().and_then(|work| work.storm.quantile(990).filter(|_| work.storm.errors == 0));
    let what = "create to rename, with a sync, p99";
    findings.push(Finding::time("G22", what, work, Duration::from_millis(500)).of(scene.what));
    stage.thaw();
    writers.ended_within(CEILING).expect("storage is back");
    drop(crowd);
    // Nothing may be left.
    stage.mounted.oxcrypt(&["unmount"]).succeed();
    findings
}

/// The same beside names that are being made, moved and removed, in two directories.
fn beside_names(variant: Variant) -> Vec<Finding> {
    let stage = Stage::new(variant, Setting::usual(Amount::default()), &["--deadline", "change=600s"]);
    stage.bash("mkdir a b", &[]).succeed();
    let mut looks = idle_looks(&stage);
    for name in ["a", "b"] {
        let place = place_of(&stage, name);
        stage.store.command(&format!("freeze create,mkdir,rename,unlink {place}/**"));
    }
    let _stuck = ["mkdir a/new", "touch b/new"].map(|words| stage.bash(words, &[]));
    Stage::until("changes that wait", || stage.held() >= 2 && stage.requests() >= 2);
    let findings = storm_findings(&mut looks, "names are held in two directories");
    stage.thaw();
    findings
}

fn idle_looks(stage: &Stage) -> [Look; LOOKS.len()] {
    LOOKS.map(|probe| {
        let mut look = Look::new(stage, "G20", probe);
        look.idle = look.prober.measure(SAMPLES);
        look
    })
}

fn storm_findings(looks: &mut [Look], what: &str) -> Vec<Finding> {
    let measured = looks.iter_mut().map(|look| {
        look.storm = look.prober.measure(SAMPLES);
        look.finding().of(what)
    });
    measured.collect()
}

/// The folder of storage that holds the entries of a directory: the one that is changed by a file made in it.
fn place_of(stage: &Stage, name: &str) -> String {
    let made = stage.bash(r#"mktemp "$1/XXXXXX""#, &[name]).succeed();
    let folder = stage.store.behind("d").canonicalize().expect("a vault");
    let script = r#"find "$1" -type f -name '*.c9r' -printf '%T@ %h\n' | sort -n | tail -n1"#;
    let found = Child::sh(script, &[&folder]).succeed();
    let line = String::from_utf8_lossy(&found.output).into_owned();
    let place = line.split_once("/files/").map(|(_, place)| place.trim().to_owned());
    place.unwrap_or_else(|| panic!("{line}, of {}", String::from_utf8_lossy(&made.output)))
}
