//! A vault that always answers.
//!
//! [`oxcrypt-core`](https://docs.rs/oxcrypt-core) blocks for as long as its storage does. This crate will stand above
//! it: a scheduler that gives every request its answer by a deadline, from memory while storage hangs, on a bounded
//! number of threads. So far it only knows what time is.
#![forbid(unsafe_code)]

pub mod clock;
