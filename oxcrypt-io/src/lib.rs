//! A vault that always answers.
//!
//! [`oxcrypt-core`](https://docs.rs/oxcrypt-core) blocks for as long as its storage does. This crate stands above it: a
//! scheduler that gives every request its answer by a deadline, from memory while storage hangs, on a bounded number of
//! threads. So far it holds the [rules](sched::plan) of that scheduler; the threads that carry them out are the next
//! step.
#![forbid(unsafe_code)]

pub mod clock;
pub mod sched;
