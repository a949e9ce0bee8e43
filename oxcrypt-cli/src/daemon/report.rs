//! What `oxcrypt status` is told. Made from memory alone.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use oxcrypt_fuse::{FuseMount, HeldRequest, MountStatus};
use oxcrypt_io::sched::Snapshot;
use oxcrypt_io::sched::plan::{Class, Running};
use oxcrypt_io::volume::{Unsaved, Volume};
use serde_json::{Map, Value, json};

use crate::control::About;
use crate::output::exact_time;

/// One object, as the help of `oxcrypt status` describes it.
pub(super) fn report(about: &About, volume: &Volume, mount: &FuseMount) -> Value {
    let snapshot = volume.snapshot();
    let mut report = scheduler(&snapshot);
    let own = serde_json::to_value(about).unwrap_or_default();
    let MountStatus { max_background, waiting, figures, .. } = mount.status();
    let places: HashSet<_> = figures.held.iter().map(|held| &held.place).collect();
    let rest = json!({
        "requests": figures.held.len(),
        "files": places.len(),
        "operations": by_operation(&figures.held),
        "oldest": figures.held.first().map(oldest),
        "kernel": { "waiting": waiting, "maxBackground": max_background },
        "unsaved": unsaved(&volume.unsaved()),
        "inodes": figures.inodes,
        "handles": figures.handles,
        "damaged": figures.damaged,
        "memory": { "residentBytes": resident_bytes() },
    });
    for more in [own, rest] {
        report.extend(more.as_object().cloned().unwrap_or_default());
    }
    Value::Object(report)
}

/// What storage has not taken yet, by ciphertext, as everything here.
fn unsaved(unsaved: &[Unsaved]) -> Value {
    let errors: Vec<_> = unsaved
        .iter()
        .filter_map(|unsaved| {
            let error = unsaved.error.as_ref()?;
            Some(json!({ "path": unsaved.path.to_string(), "bytes": unsaved.bytes, "error": error }))
        })
        .collect();
    let oldest = unsaved.iter().filter_map(|unsaved| unsaved.written).min();
    json!({
        "files": unsaved.len(),
        "bytes": unsaved.iter().map(|unsaved| unsaved.bytes).sum::<usize>(),
        "failed": errors.len(),
        "oldest": exact_time(oldest),
        "errors": errors,
    })
}

fn oldest(held: &HeldRequest) -> Value {
    json!({ "operation": held.operation, "path": held.place, "ageMs": held.age.as_millis() })
}

/// How many of each wait for an answer.
fn by_operation(held: &[HeldRequest]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for request in held {
        *counts.entry(request.operation).or_insert(0) += 1;
    }
    counts
}

fn scheduler(snapshot: &Snapshot) -> Map<String, Value> {
    let census = &snapshot.census;
    let stalled = census.classes.iter().any(|count| count.stalled > 0);
    let storage = match (census.down, stalled) {
        (true, _) => "down",
        (false, true) => "stalled",
        (false, false) => "answers",
    };
    let classes: Map<_, _> = Class::ALL.into_iter().map(|class| of_class(snapshot, class)).collect();
    let report = json!({
        "storage": storage,
        "held": census.held,
        "reserveLeft": census.reserve_left,
        "running": snapshot.running.first().map(operation),
        "classes": classes,
        "counters": counters(snapshot),
    });
    report.as_object().cloned().unwrap_or_default()
}

fn of_class(snapshot: &Snapshot, class: Class) -> (String, Value) {
    let (count, latency) = (snapshot.census.classes[class], snapshot.counters.latency[class]);
    let micros = |per_mille| latency.quantile(per_mille).map(|time| time.as_micros());
    let report = json!({
        "waiting": count.waiting,
        "running": count.running,
        "stalled": count.stalled,
        "count": latency.count(),
        "p50Us": micros(500),
        "p99Us": micros(990),
    });
    (class_name(class).to_owned(), report)
}

fn counters(snapshot: &Snapshot) -> Value {
    let counters = &snapshot.counters;
    json!({
        "submitted": counters.submitted,
        "begun": counters.begun,
        "scouts": counters.scouts,
        "stalled": counters.stalled,
        "joined": counters.joined,
        "adopted": counters.adopted,
        "timedOut": counters.timed_out,
        "recalled": counters.recalled,
        "stale": counters.stale,
        "shed": counters.shed,
        "panicked": counters.panicked,
        "repliesPanicked": snapshot.replies_panicked,
    })
}

fn operation(running: &Running) -> Value {
    json!({
        "class": class_name(running.class),
        "ageMs": running.age.as_millis(),
        "stalled": running.stalled,
        "waiters": running.waiters,
    })
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Hot => "hot",
        Class::Meta => "meta",
        Class::Demand => "demand",
        Class::Background => "background",
        Class::Close => "close",
        Class::Namespace => "namespace",
        Class::WriteBack => "writeBack",
    }
}

/// Memory of this process that is in use now.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
