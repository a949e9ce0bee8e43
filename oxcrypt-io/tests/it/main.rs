//! Tests from outside. The scheduler's rules: a simulated storage, virtual time, and a judge who watches each step. The
//! volume: a vault on storage that hangs.
#![expect(clippy::unwrap_used, reason = "a failed test is to panic")]
#![cfg_attr(not(shuttle), expect(clippy::indexing_slicing, reason = "a failed test is to panic"))]

#[cfg(shuttle)]
mod interleavings;
#[cfg(not(shuttle))]
mod judge;
#[cfg(not(shuttle))]
mod mount;
#[cfg(not(shuttle))]
mod random;
#[cfg(not(shuttle))]
mod scenes;
#[cfg(not(shuttle))]
mod sim;
#[cfg(not(shuttle))]
mod threads;
#[cfg(not(shuttle))]
mod volume;
