//! What memory has is answered beside any crowd, and the crowd costs little.

use std::thread;
use std::time::{Duration, Instant};

use super::Variant;
use super::finding::Finding;
use super::stage::{Setting, Stage};
use crate::storm::options::Options;
use crate::storm::probe::Probe;
use crate::storm::prober::Prober;
use crate::storm::samples::{Samples, median};
use crate::storm::served::Usage;
use crate::storm::vault::{self, Amount};

/// Pairs of phases.
const PAIRS: usize = 9;

/// How many threads a mount has at most.
pub(super) const THREADS: u64 = 88 + 128;

/// The largest crowd.
const CROWD: usize = 10_000;

/// How long it takes until all that can begin beside them has begun, and stalled.
const SETTLING: Duration = Duration::from_secs(2);

/// For how long nothing is done beside them then, in each pair.
const WAITING: Duration = Duration::from_secs(1);

/// What may be added to whatever is answered at once.
const SOON: Duration = Duration::from_millis(5);

/// What is looked at beside the reads.
const LOOKS: [Probe; 5] = [Probe::List, Probe::Absent, Probe::Stat, Probe::Statfs, Probe::Work];

pub(super) fn beside_a_crowd(variant: Variant, _: &Options) -> Vec<Finding> {
    let amount = Amount { sparse: CROWD, ..Amount::default() };
    let mut stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=600s"]);
    let mut reads = stage.prober(Probe::WholeRead);
    let mut looks = LOOKS.map(|probe| Look::new(&stage, "G15", probe));
    let idle_usage = stage.usage();
    let (mut ratios, mut hot_calls, mut status) = (Ratios::default(), 0, Duration::ZERO);
    let mut usage = Usage::default();
    let (mut busy, mut waited) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..PAIRS {
        let (first, second) = (reads.measure(100), reads.measure(100));
        for look in &mut looks {
            look.idle.extend(&look.prober.measure(30));
        }
        stage.freeze();
        let readers = stage.readers(0..CROWD);
        thread::sleep(SETTLING);
        let before = stage.usage().busy;
        thread::sleep(WAITING);
        busy += stage.usage().busy.saturating_sub(before);
        waited += WAITING;
        stage.store.command("reset");
        let storm = reads.measure(100);
        hot_calls += stage.reads(vault::HOT_LEN as u64..vault::COLD_MIN);
        ratios.add(&first, &second, &storm);
        for look in &mut looks {
            look.storm.extend(&look.prober.measure(30));
        }
        let asked = Instant::now();
        stage.mounted.status();
        status = status.max(asked.elapsed());
        usage = usage.max(stage.usage());
        let answered = readers.outcomes();
        assert!(
            answered.is_empty(),
            "{} readers were answered, the first with {:?}",
            answered.len(),
            answered.first()
        );
        stage.fail(readers);
    }
    let mut findings = ratios.findings();
    findings.push(Finding::count("G1", "storage reads for 900 hot reads", hot_calls, 0));
    findings.push(Finding::count(
        "G3",
        "threads, the parked reserve of 128 among them",
        usage.threads,
        THREADS,
    ));
    let grown = usage.resident_kib.saturating_sub(idle_usage.resident_kib);
    findings.push(Finding::count("G4", "KiB that memory grew by", grown, 32 << 10));
    let percent = 100.0 * busy.as_secs_f64() / waited.as_secs_f64();
    findings.push(Finding::number("G4", "per cent of a processor while all wait", percent, 5.0));
    findings.push(Finding::time("G14", "status, the slowest of 9", Some(status), Duration::from_millis(100)));
    findings.extend(looks.iter().map(Look::finding));
    findings
}

/// Something that is done where nothing hangs, and beside what does.
pub(super) struct Look {
    goal: &'static str,
    probe: Probe,
    pub(super) prober: Prober,
    pub(super) idle: Samples,
    pub(super) storm: Samples,
}

impl Look {
    pub(super) fn new(stage: &Stage, goal: &'static str, probe: Probe) -> Self {
        let prober = stage.prober(probe);
        Self { goal, probe, prober, idle: Samples::default(), storm: Samples::default() }
    }

    /// How much longer the slowest of a hundred takes than the slowest of a hundred where nothing hangs.
    pub(super) fn finding(&self) -> Finding {
        let what = format!("{}, p99 over idle", self.probe.name());
        let both = self.storm.quantile(990).zip(self.idle.quantile(990)).filter(|_| self.storm.errors == 0);
        Finding::time(self.goal, &what, both.map(|(storm, idle)| storm.saturating_sub(idle)), SOON)
    }
}

pub(super) fn beside_twice_the_limit(variant: Variant, _: &Options) -> Vec<Finding> {
    const LIMITS: [u64; 4] = [12, 16, 64, 2_048];
    let amount = Amount { sparse: 4_096, ..Amount::default() };
    let stage = Stage::new(variant, Setting::usual(amount), &["--deadline", "read=600s"]);
    let mut reads = stage.prober(Probe::UncachedRead);
    let found = LIMITS.map(|limit| {
        let controls = stage.controls().expect("a FUSE mount");
        controls.set_max_background(limit).expect("root may");
        stage.freeze();
        let readers = stage.readers(0..usize::try_from(2 * limit).expect("a small number"));
        let storm = reads.measure(200);
        stage.fail(readers);
        let time = storm.quantile(990).filter(|_| storm.blocked + storm.errors == 0);
        Finding::time("G2", &format!("hot uncached read, p99, limit {limit}"), time, SOON)
    });
    found.into()
}

/// How a storm compares with an idle phase, and how two idle phases do.
#[derive(Default)]
struct Ratios {
    storm: [Vec<f64>; 2],
    idle: [Vec<f64>; 2],
}

impl Ratios {
    fn add(&mut self, first: &Samples, second: &Samples, storm: &Samples) {
        for (at, per_mille) in [500, 990].into_iter().enumerate() {
            let of = |samples: &Samples| {
                samples.quantile(per_mille).map_or(f64::INFINITY, |time| time.as_secs_f64())
            };
            let base = of(first);
            for (ratios, samples) in [(&mut self.storm, storm), (&mut self.idle, second)] {
                ratios.get_mut(at).expect("two").push(of(samples) / base);
            }
        }
    }

    fn findings(self) -> Vec<Finding> {
        let pairs = self.storm.into_iter().zip(self.idle).zip(["p50", "p99"]);
        let finding = |((storm, idle), name)| {
            let [storm, idle] = [storm, idle].map(|ratios| median(ratios).unwrap_or(f64::INFINITY));
            let what = format!("128 KiB hot reads, {name} by idle (idle by idle {idle:.2})");
            Finding::number("G1", &what, storm, 1.25 * idle)
        };
        pairs.map(finding).collect()
    }
}
