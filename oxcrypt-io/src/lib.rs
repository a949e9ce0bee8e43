//! A vault that always answers.
//!
//! [`oxcrypt-core`](oxcrypt_core) blocks for as long as its storage does. This crate stands above it, for programs that
//! must not: what memory has is answered at once while storage hangs, and everything else by its deadline.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`clock`] | time as a number that somebody hands in, and deadlines |
//! | [`sched`] | work on storage that may hang, on a fixed number of threads; it knows nothing of vaults |
//! | [`volume`] | a vault whose every request goes to memory first, and to the scheduler else |
//! | [`mount`] | what a backend provides that makes a volume part of the host's tree of files |
//!
//! Whoever wants a vault begins at [`volume::Volume`]. There is no async runtime in here: answers come by callback, or
//! to a thread that waits.
#![forbid(unsafe_code)]

pub mod clock;
// Shuttle tries threads and locks of its own, which core does not use.
#[cfg(not(shuttle))]
pub mod mount;
pub mod sched;
mod sync;
#[cfg(not(shuttle))]
pub mod volume;
