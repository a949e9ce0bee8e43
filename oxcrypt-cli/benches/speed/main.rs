//! How fast a mount is, beside `gocryptfs` and a bare folder in the same run.
//!
//! ```text
//! cargo bench -p oxcrypt-cli --bench speed              three rounds
//! cargo bench -p oxcrypt-cli --bench speed -- 5         five
//! cargo bench -p oxcrypt-cli --bench speed -- 3 read    three, of the tasks whose name has "read" in it
//! ```
//!
//! All three have the same files, each in a place of its own, whose bytes are in the page cache. For each task there is a
//! new mount, so that neither program, nor the kernel, knows anything yet; what a task needs is made in that mount, before
//! the clock runs. Who begins changes with each round. A row shows the medians of the seconds, the median, the least and
//! the greatest of the ratios of the pairs of programs, how much time of the processor each program took meanwhile, and
//! the most memory it ever had. Nothing is synced: what counts is what programs wait for, closing included. The last rows
//! lie on the slow store of `oxcrypt-fuse`, which holds nothing back here, but might.
//!
//! All lies below `TMPDIR`. In a folder in memory no disk has a part in it.
//!
//! Only children look at mounts. Linux and root only.
#![cfg_attr(target_os = "linux", expect(clippy::indexing_slicing, reason = "indexing JSON cannot panic"))]

#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/child.rs"]
#[expect(dead_code, reason = "the tests of the slow store need more of it")]
mod child;
#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/store/controls.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod controls;
#[cfg(target_os = "linux")]
#[path = "../storm/storm/mounts.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod mounts;
#[cfg(target_os = "linux")]
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/store.rs"]
#[expect(dead_code, reason = "the tests of the slow store need more of it")]
mod slow_store;
#[cfg(target_os = "linux")]
mod speed;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    speed::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: this bench needs Linux");
}
