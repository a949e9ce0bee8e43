//! What mounts for real. Everything here needs Linux, root and `/dev/fuse`, and says so where it lacks them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

mod child;
mod slow_store;
mod store;
