//! How a volume behaves.

use std::time::Duration;

use crate::sched::plan::Limits;

/// How a [`Volume`](super::Volume) behaves. The default is what a mount uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeOptions {
    /// Slots, queues and patience of the scheduler.
    pub limits: Limits,
    /// How long after their arrival requests are answered at the latest.
    pub deadlines: Deadlines,
    /// Bytes that are read ahead of a sequential reader, in whole blocks; 0 reads nothing ahead.
    pub read_ahead: u64,
    /// For how long the free space that storage told is not asked for again.
    pub space_age: Duration,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            read_ahead: 1 << 20,
            space_age: Duration::from_secs(10),
        }
    }
}

/// How long after its arrival each kind of request is answered at the latest, whatever storage does.
///
/// They are patient: waiting harms nobody else, and a drive that takes a minute on its own must not fail through us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Looking up a name, and reading a link's target.
    pub lookup: Duration,
    /// Attributes.
    pub attributes: Duration,
    /// Opening a file.
    pub open: Duration,
    /// Listing a directory.
    pub list: Duration,
    /// Kinds and attributes of what a directory lists. Short, because the names can be given without.
    pub entries: Duration,
    /// Reading.
    pub read: Duration,
    /// Making, removing and moving entries, and setting attributes.
    pub change: Duration,
    /// Writing, setting a length, and storing what was written. `None` waits for as long as it takes.
    pub write: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        // The kernel of macOS gives up on a mount that does not answer for a minute.
        let read = if cfg!(target_os = "macos") { 50 } else { 120 };
        Self {
            lookup: Duration::from_secs(20),
            attributes: Duration::from_secs(20),
            open: Duration::from_secs(20),
            list: Duration::from_secs(30),
            entries: Duration::from_secs(3),
            read: Duration::from_secs(read),
            change: Duration::from_secs(30),
            write: Some(Duration::from_secs(read)),
        }
    }
}
