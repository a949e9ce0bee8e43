//! A long time of ordinary use, with some of it cold: nothing grows.

use std::time::{Duration, Instant};

use super::Variant;
use super::finding::Finding;
use super::stage::{Setting, Stage};
use crate::storm::options::Options;
use crate::storm::samples::median;
use crate::storm::served::Usage;
use crate::storm::vault::Amount;

/// How many cold files there are: more than memory holds.
const COLD: usize = 700;

/// Reads, one time of ten a cold file, and writes now and then, as long as there is a mount.
const USE: &str = r#"
    for user in $(seq 8); do
        (while test -e hot; do
            for i in 1 2 3 4 5 6 7 8 9; do cat "hot/hot $((RANDOM % 20))" > /dev/null; done
            cat "cold/cold $((RANDOM % $1))" > /dev/null
            if [ $user = 1 ]; then seq $((RANDOM % 5000)) > work/new; mv work/new work/file; fi
            ls listed > /dev/null
        done) &
    done
    wait"#;

pub(super) fn is_flat(variant: Variant, options: &Options) -> Vec<Finding> {
    let amount = Amount { cold: COLD, ..Amount::default() };
    let mut stage = Stage::new(variant, Setting::usual(amount), &[]);
    stage.store.command("delay 200ms read ** min-size=160K");
    let _users = stage.bash(USE, &[&COLD.to_string()]);
    // Caches fill first.
    let (mut samples, started) = (Vec::new(), Instant::now());
    while started.elapsed() < options.soak {
        std::thread::sleep(Duration::from_secs(1));
        samples.push(stage.usage());
    }
    let quarter = samples.len() / 4;
    let (first, last) = (samples.get(quarter..2 * quarter), samples.get(samples.len() - quarter..));
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    let grown = |of: fn(&Usage) -> f64| {
        let [first, last] =
            [first, last].map(|part| median(part.iter().map(of).collect()).unwrap_or(f64::NAN));
        (last / first - 1.0).abs() * 100.0
    };
    let what =
        |what: &str| format!("% that {what} changed by, last quarter of {:.0?} by the second", options.soak);
    vec![
        Finding::number("G18", &what("threads"), grown(|usage| f64_of(usage.threads)), 5.0),
        Finding::number("G18", &what("handles"), grown(|usage| f64_of(usage.handles as u64)), 5.0),
        Finding::number("G18", &what("memory"), grown(|usage| f64_of(usage.resident_kib)), 5.0),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "no count here is that large")]
fn f64_of(count: u64) -> f64 {
    count as f64
}
