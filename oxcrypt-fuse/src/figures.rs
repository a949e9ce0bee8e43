//! What a mount is and holds at a moment, for people.

use std::time::Duration;

use crate::callers::HeldRequest;

/// What a mount holds. Touches no storage.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// What was agreed upon with the kernel; `None` before it has asked.
    pub negotiated: Option<Negotiated>,
    /// Entries that the kernel knows.
    pub inodes: usize,
    /// Files and directories that programs have open.
    pub handles: usize,
    /// Requests without an answer, the one that has waited longest first.
    pub held: Vec<HeldRequest>,
    /// How long ago a program asked for something that concerns files last, or let go of one.
    pub unused_for: Duration,
    /// What was found damaged, the oldest first.
    pub damaged: Vec<String>,
}

/// What was agreed upon with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// How many background requests it was asked for. What counts is what the kernel made of that.
    pub max_background: u16,
    /// How far it reads ahead, in bytes.
    pub max_readahead: u32,
    /// Whether lookups in one directory run beside each other.
    pub parallel_directories: bool,
    /// Whether files can be mapped that bypass the page cache.
    pub direct_io_maps: bool,
}
