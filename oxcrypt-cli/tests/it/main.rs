//! Tests of the `oxcrypt` command from outside: what it prints, writes and returns, and what it leaves alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

mod command;
mod decrypt;
mod hostile;
#[cfg(target_os = "linux")]
mod mount;
mod official;
mod passphrase;
#[cfg(target_os = "linux")]
mod place;
mod refusals;
#[cfg(unix)]
mod signals;
#[cfg(target_os = "linux")]
mod status;
mod unchanged;
#[cfg(target_os = "linux")]
mod unmount;
