//! The storm bench: what a mount still answers while many wait for storage that does not.
//!
//! ```text
//! cargo bench -p oxcrypt-cli --bench storm                   oxcrypt and gocryptfs beside 8 to 10,000 cold readers
//! cargo bench -p oxcrypt-cli --bench storm -- --long         all goals, each with a figure and a verdict: two hours
//! cargo bench -p oxcrypt-cli --bench storm -- --long --only G1,G16 --original 120
//! cargo bench -p oxcrypt-cli --bench storm -- --picture storm.svg
//! cargo bench -p oxcrypt-cli --bench storm -- --quick        a minute at most: the negative control alone
//! cargo bench -p oxcrypt-cli --bench storm -- --readers 8,11,12,64 --max-background 16384
//! cargo bench -p oxcrypt-cli --bench storm -- --store rclone
//! cargo bench -p oxcrypt-cli --bench storm -- --vault plain --mount 'bindfs -f {vault} {mountpoint}'
//! cargo bench -p oxcrypt-cli --bench storm -- --help         all options
//! ```
//!
//! A vault lies on a *store* whose answers can be held back: `slow_store` (an example of `oxcrypt-fuse`), by itself or
//! behind `rclone mount`. On it a *subject* mounts the vault: `oxcrypt`, `gocryptfs`, or any command given. Cold readers,
//! each with a file of its own, block in the store's reads. Beside them, *probes* measure what needs nothing of those
//! files, in turn: idle, storm, idle, storm. What is compared is a storm with the idle phase before it.
//!
//! The long form (`goals`) has scenes of its own, each on a new store, as root and as an ordinary user with one session
//! thread. What is compared in time is compared with the same where nothing hangs; the rest are counts, and times that
//! somebody was promised.
//!
//! The judge is judged first: `gocryptfs` is known to stop at 12 cold readers, which is the limit of the kernel's
//! background queue for its mount and for most stores (`max_background`), and not at 11. If that does not show, the bench
//! is wrong and says so, with exit code 1.
//!
//! "Uncached" is said of the mount under test: the file is opened anew for each sample, and dropped from the page cache
//! (`posix_fadvise`). What the subject keeps is its own affair, and if it asks its store again, that has dropped its pages
//! as well, because the slow store lets the kernel do so at every open. A probe that gives no answer within three seconds
//! has blocked: its child is killed and given up.
//!
//! It cannot hang and leaves nothing behind. Only children look at mounts, and nobody waits for them longer than a
//! limit. All of it runs in a worker process. The process that was started looks after that: whatever way it ends (also
//! by Ctrl-C, a panic, or its time limit), all mounts below the run's temporary folder are aborted and undone, the
//! worker's process group is killed, and the folder is removed. If the first process is killed, the worker does the same
//! to itself. Linux and root only.
#![cfg_attr(target_os = "linux", expect(clippy::indexing_slicing, reason = "indexing JSON cannot panic"))]

#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/child.rs"]
mod child;
#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/store/controls.rs"]
mod controls;
#[cfg(target_os = "linux")]
#[path = "../../tests/storm/mounted.rs"]
mod mounted;
#[cfg(target_os = "linux")]
#[path = "storm/mounts.rs"]
mod mounts;
#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/store.rs"]
#[expect(dead_code, reason = "the tests of the slow store need more of it")]
mod slow_store;
#[cfg(target_os = "linux")]
mod storm;
#[cfg(target_os = "linux")]
#[path = "../../tests/storm/who.rs"]
mod who;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    storm::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: the storm bench needs Linux, whose queues it is about");
}
