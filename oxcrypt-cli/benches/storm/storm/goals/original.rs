//! The failure that this project began with: large files that a cloud drive does not deliver.

use std::time::{Duration, Instant};

use super::Variant;
use super::finding::Finding;
use super::hot_reads::THREADS;
use super::stage::{Setting, Stage};
use crate::storm::options::Options;
use crate::storm::probe::Probe;
use crate::storm::samples::Samples;
use crate::storm::vault::Amount;

/// How many files there are, and who reads them.
const FILES: usize = 300;
const READERS: usize = 48;

/// Reads blocks of one file after the other, at its head, its middle and its tail, and says what came of each, as long
/// as there is a mount. A line is written at once: dd writes it in pieces, between which those of others come.
const READ: &str = r#"
    for reader in $(seq "$2"); do
        (while test -e hot; do
            for place in 0 400 799; do
                said=$(dd if="large/large $((RANDOM % $1))" of=/dev/null bs=128K count=1 skip=$place status=none 2>&1) ||
                    echo "$said"
            done
        done) &
    done
    wait"#;

pub(super) fn failure(variant: Variant, options: &Options) -> Vec<Finding> {
    let amount = Amount { large: FILES, ..Amount::default() };
    let mut stage = Stage::new(variant, Setting::usual(amount), &[]);
    let mut reads = stage.prober(Probe::UncachedRead);
    let mut lists = stage.prober(Probe::List);
    let mut work = stage.prober(Probe::Work);
    let idle = stage.usage();
    stage.store.command("fail ETIMEDOUT read ** min-size=1M after=60s");
    let readers = stage.bash(READ, &[&FILES.to_string(), &READERS.to_string()]);
    let started = Instant::now();
    let (mut hot, mut listed, mut worked) = (Samples::default(), Samples::default(), Samples::default());
    let mut most = idle;
    while started.elapsed() < options.original {
        hot.extend(&reads.measure(20));
        listed.extend(&lists.measure(5));
        worked.extend(&work.measure(5));
        most = most.max(stage.usage());
        std::thread::sleep(Duration::from_millis(500));
    }
    let said = String::from_utf8_lossy(&readers.output()).into_owned();
    let gone = ["Transport endpoint", "connection abort"]
        .map(|text| said.matches(text).count())
        .iter()
        .sum::<usize>();
    // The last line may not be all there yet.
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let others: Vec<_> = whole.lines().filter(|line| !line.contains("timed out")).collect();
    let other = format!("answers of large files that are not ETIMEDOUT {}", others.first().unwrap_or(&""));
    let panics = String::from_utf8_lossy(&stage.mounted.process().output()).matches("panicked").count();
    let counters = stage.mounted.status()["counters"]["panicked"].as_u64().expect("a counter");
    stage.store.command("answer ETIMEDOUT");
    stage.thaw();
    let all = |samples: &Samples| samples.quantile(990).filter(|_| samples.errors + samples.blocked == 0);
    let minutes = options.original.as_secs_f64() / 60.0;
    let what =
        |what: &str, samples: &Samples| format!("{what}, p99 of {} in {minutes:.0} minutes", samples.len());
    vec![
        Finding::time("G16", &what("hot uncached read", &hot), all(&hot), Duration::from_millis(5)),
        Finding::time("G16", &what("ls", &listed), all(&listed), Duration::from_millis(50)),
        Finding::time("G16", &what("create to rename", &worked), all(&worked), Duration::from_millis(500)),
        Finding::count("G16", "readers who lost the mount", gone as u64, 0),
        Finding::count("G16", other.trim_end(), others.len() as u64, 0),
        Finding::count("G16", "panics", panics as u64 + counters, 0),
        Finding::count("G16", "threads", most.threads, THREADS),
    ]
}
