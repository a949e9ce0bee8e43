//! Tests of the `oxcrypt` command from outside: what it prints, writes and returns, and what it leaves alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

#[cfg(target_os = "linux")]
mod broken_off;
#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/child.rs"]
#[expect(dead_code, reason = "the tests of the slow store need more of it")]
mod child;
mod command;
mod create;
mod decrypt;
#[cfg(target_os = "linux")]
mod hanging;
mod hostile;
mod keys;
mod manage;
#[cfg(target_os = "linux")]
mod mount;
mod official;
mod passphrase;
#[cfg(target_os = "linux")]
mod place;
mod put;
mod refusals;
#[cfg(unix)]
mod signals;
#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/store.rs"]
#[expect(dead_code, reason = "the tests of the slow store need more of it")]
mod slow_store;
#[cfg(target_os = "linux")]
mod status;
#[cfg(target_os = "linux")]
mod terminal;
mod unchanged;
#[cfg(target_os = "linux")]
mod unmount;
#[cfg(target_os = "linux")]
mod unsaved;
#[cfg(unix)]
mod writer;
#[cfg(target_os = "linux")]
mod writing;
