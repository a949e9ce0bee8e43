//! The promise, on real mounts: a vault lies on a store that hangs, `oxcrypt mount` mounts it, and children look.
//!
//! Nobody here looks at a mount himself: whoever does may wait for ever. The store is the slow store of `oxcrypt-fuse`.
//! What is compared in time is compared with the same before the storm, and bounded generously; the bench of the same
//! name measures.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/child.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod child;
#[path = "../../../oxcrypt-fuse/examples/slow_store/store/controls.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod controls;
#[path = "../../benches/storm/storm/mounts.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod mounts;
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/store.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod slow_store;

mod answering;
mod callers;
mod commands;
mod descriptors;
mod ending;
mod killed;
mod mounted;
mod putting;
mod queues;
mod scale;
mod scene;
mod session_threads;
mod unsaved;
mod using;
mod who;
mod writers;
