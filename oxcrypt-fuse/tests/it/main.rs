//! What mounts for real. Everything here needs Linux, root and `/dev/fuse`, and says so where it lacks them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]
#![expect(clippy::disallowed_methods, reason = "tests start children and wait")]

#[path = "../../examples/slow_store/fixture/child.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod child;
mod ending;
mod file_system;
mod hanging;
mod house;
mod janitor;
mod limits;
mod looks;
mod open_files;
mod slow_store;
#[path = "../../examples/slow_store/fixture/store.rs"]
mod store;
mod writing;
