//! What the scheduler is doing, for people who ask.

use super::plan::{Census, Counters, Running};

/// One moment. Taking it touches no storage, and takes as long as there are operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What there is.
    pub census: Census,
    /// What has been.
    pub counters: Counters,
    /// What runs, the oldest first.
    pub running: Vec<Running>,
    /// Replies that panicked when they were given their answer.
    pub replies_panicked: u64,
}
