//! Tests of the scheduler's rules from outside: a simulated storage, virtual time, and a judge who watches each step.
#![expect(clippy::unwrap_used, reason = "a failed test is to panic")]
#![cfg_attr(not(shuttle), expect(clippy::indexing_slicing, reason = "a failed test is to panic"))]

#[cfg(shuttle)]
mod interleavings;
#[cfg(not(shuttle))]
mod judge;
#[cfg(not(shuttle))]
mod random;
#[cfg(not(shuttle))]
mod scenes;
#[cfg(not(shuttle))]
mod sim;
#[cfg(not(shuttle))]
mod threads;
