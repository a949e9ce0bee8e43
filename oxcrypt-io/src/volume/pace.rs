//! Which files storage has at hand.
//!
//! Where storage's own queue is full of reads that hang, the next one would hang behind them. But the last places are
//! kept for files that answered at once a short while ago, because these most likely do so again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oxcrypt_core::NodeId;

use crate::clock::Time;

/// An answer that takes longer is not at once. A busy machine takes some of that by itself.
const AT_ONCE: Duration = Duration::from_millis(20);
/// For how long that says something.
const MEMORY: Duration = Duration::from_mins(1);
/// How many files are remembered. When there are more, all are forgotten: it is a hint only.
const FILES: usize = 4_096;

/// When files last answered at once.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<NodeId, Time>>);

impl Pace {
    /// Takes note of a read that storage has answered.
    pub(super) fn note(&self, file: NodeId, began: Time, now: Time) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(began) > AT_ONCE {
            known.remove(&file);
            return;
        }
        if known.len() >= FILES && !known.contains_key(&file) {
            known.clear();
        }
        known.insert(file, now);
    }

    /// Whether the next read will most likely be answered at once.
    pub(super) fn is_quick(&self, file: NodeId, now: Time) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&file).is_some_and(|last| now.since(*last) < MEMORY)
    }
}
