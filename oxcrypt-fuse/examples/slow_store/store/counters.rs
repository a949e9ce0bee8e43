//! What reached the store.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::op::Op;

/// As many files are counted one by one; those after them share one row.
const MAX_FILES: usize = 50_000;

/// The row for files beyond [`MAX_FILES`]. No path looks like this.
const OTHERS: &[u8] = b"//others";

/// Counts of requests, per operation and per file. A request is counted when it reaches the store, before any rule.
#[derive(Default)]
pub(crate) struct Counters {
    state: Mutex<State>,
    arrival: Condvar,
}

#[derive(Default)]
struct State {
    all: Counts,
    files: HashMap<Vec<u8>, Counts>,
}

#[derive(Clone, Default)]
struct Counts {
    calls: [Count; Op::ALL.len()],
}

#[derive(Clone, Copy, Default)]
struct Count {
    /// How many reached the store.
    arrived: u64,
    /// How many of those a rule made wait.
    held: u64,
    /// How many were answered with an error, by a rule or by the folder.
    failed: u64,
    /// How many bytes they asked for, where they ask for bytes.
    bytes: u64,
}

impl Counters {
    /// A request of `bytes` bytes for `path` is here.
    pub(crate) fn arrived(&self, op: Op, path: &[u8], bytes: u64) {
        self.update(op, path, |count| {
            count.arrived += 1;
            count.bytes += bytes;
        });
        self.arrival.notify_all();
    }

    /// Waits until at least `count` requests of a kind have arrived, and returns how many have, then or after `limit`.
    pub(crate) fn await_arrived(&self, op: Op, count: u64, limit: Duration) -> u64 {
        let arrived = |state: &State| state.all.calls.get(op as usize).map_or(0, |count| count.arrived);
        let waited = self.arrival.wait_timeout_while(self.lock(), limit, |state| arrived(state) < count);
        arrived(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// It has to wait.
    pub(crate) fn held(&self, op: Op, path: &[u8]) {
        self.update(op, path, |count| count.held += 1);
    }

    /// It was answered with an error.
    pub(crate) fn failed(&self, op: Op, path: &[u8]) {
        self.update(op, path, |count| count.failed += 1);
    }

    /// All counters of operations that happened, by their names.
    pub(crate) fn to_json(&self) -> Value {
        self.lock().all.to_json()
    }

    /// The same for each file, by path.
    pub(crate) fn files_to_json(&self) -> Value {
        let state = self.lock();
        let rows = state.files.iter();
        Value::Object(rows.map(|(path, counts)| (lossy(path), counts.to_json())).collect())
    }

    /// Starts again at zero.
    pub(crate) fn reset(&self) {
        *self.lock() = State::default();
    }

    fn update(&self, op: Op, path: &[u8], change: impl Fn(&mut Count)) {
        let mut state = self.lock();
        let State { all, files } = &mut *state;
        let path = if files.len() < MAX_FILES || files.contains_key(path) { path } else { OTHERS };
        if !files.contains_key(path) {
            files.insert(path.to_vec(), Counts::default());
        }
        let row = files.get_mut(path).and_then(|counts| counts.calls.get_mut(op as usize));
        row.into_iter().chain(all.calls.get_mut(op as usize)).for_each(change);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn to_json(&self) -> Value {
        let happened = Op::ALL.iter().zip(&self.calls).filter(|(_, count)| count.arrived > 0);
        let row = |count: &Count| json!({"arrived": count.arrived, "held": count.held, "failed": count.failed, "bytes": count.bytes});
        Value::Object(happened.map(|(op, count)| (op.name().to_owned(), row(count))).collect::<Map<_, _>>())
    }
}

/// A path as JSON can have it.
pub(crate) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_by_file() {
        let counters = Counters::default();
        counters.arrived(Op::Read, b"a", 10);
        counters.held(Op::Read, b"a");
        counters.arrived(Op::Read, b"b", 5);
        counters.arrived(Op::Open, b"b", 0);
        counters.failed(Op::Open, b"b");
        let row = |arrived, held, failed, bytes| json!({"arrived": arrived, "held": held, "failed": failed, "bytes": bytes});
        assert_eq!(counters.to_json(), json!({"read": row(2, 1, 0, 15), "open": row(1, 0, 1, 0)}));
        assert_eq!(
            counters.files_to_json(),
            json!({"a": {"read": row(1, 1, 0, 10)}, "b": {"read": row(1, 0, 0, 5), "open": row(1, 0, 1, 0)}})
        );
        counters.reset();
        assert_eq!((counters.to_json(), counters.files_to_json()), (json!({}), json!({})));
    }

    #[test]
    fn files_beyond_the_bound_share_a_row() {
        let counters = Counters::default();
        for file in 0..MAX_FILES + 2 {
            counters.arrived(Op::Lookup, file.to_string().as_bytes(), 0);
        }
        let files = counters.files_to_json();
        assert_eq!(files.as_object().map(Map::len), Some(MAX_FILES + 1));
        assert_eq!(files["//others"]["lookup"]["arrived"], json!(2));
        assert_eq!(counters.to_json()["lookup"]["arrived"], json!(MAX_FILES + 2));
    }
}
