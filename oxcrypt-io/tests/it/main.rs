//! Tests of the scheduler's rules from outside: a simulated storage, virtual time, and a judge who watches each step.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

mod judge;
mod random;
mod scenes;
mod sim;
mod threads;
