//! A slow store: a folder, mounted as it is, whose answers can be delayed, held back or refused while it runs.
//!
//! It plays the cloud drive that hangs, for tests and benches of what is stacked on it. Rules say which operations on
//! which files wait or fail; they come and go through a unix socket, and so do counters of all that reached the store.
//! A request that waits costs an entry in a table and no thread, so that ten thousand may wait at once. Whatever it is
//! told to hold, the store itself always ends when asked to: it answers everything first.
//!
//! ```text
//! slow_store --socket /run/s --max-background 12 FOLDER MOUNTPOINT    prints "ready" once it answers
//! slow_store ctl /run/s freeze read '*.c9r' min-size=1M               rule 1: those reads wait
//! slow_store ctl /run/s await held 12 10s                             until twelve of them do
//! slow_store ctl /run/s counters files                                what reached it, as JSON
//! slow_store ctl /run/s thaw                                          all rules go, all that waits is carried out
//! slow_store ctl /run/s quit                                          or SIGTERM, SIGINT, or an unmount
//! ```
//!
//! `slow_store --help` has all options and commands.
//!
//! What its user has to know of the kernel, as measured on Linux 6.18. Buffered reads of a file below 16 KiB need no
//! place in a full background queue (`--max-background`), so that whoever wants to see the queue block takes longer
//! files. Closing a file and writing back `mmap`ed pages do need one: while the queue is full no `release` arrives, and
//! `msync` hangs. Plain writes, `fsync` and all that is about names do not.

#[cfg(target_os = "linux")]
mod store;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    store::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("slow_store: only Linux has what this is about");
    std::process::ExitCode::FAILURE
}
