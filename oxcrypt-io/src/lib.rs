//! A vault that always answers.
//!
//! [`oxcrypt-core`](https://docs.rs/oxcrypt-core) blocks for as long as its storage does. This crate will stand above
//! it: a scheduler that gives every request its answer by a deadline, from memory while storage hangs, on a bounded
//! number of threads. It is empty so far: the version that has it is the next one.
#![forbid(unsafe_code)]
