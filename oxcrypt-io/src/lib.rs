//! A vault that always answers.
//!
//! [`oxcrypt-core`](https://docs.rs/oxcrypt-core) blocks for as long as its storage does. This crate stands above it: a
//! [scheduler](sched) that gives every request its answer by a deadline while storage hangs, on a fixed number of
//! threads. It knows nothing of vaults so far; joining the two is the next step.
#![forbid(unsafe_code)]

pub mod clock;
pub mod sched;
mod sync;
