//! Tests of the `oxcrypt` command from outside: what it prints, writes and returns, and what it leaves alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

mod command;
mod decrypt;
mod hostile;
mod official;
mod passphrase;
mod refusals;
#[cfg(unix)]
mod signals;
mod unchanged;
