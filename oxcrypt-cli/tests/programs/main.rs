//! Programs that people use, on real mounts of `oxcrypt mount`: they do what they do in any other folder, and what they
//! wrote is there byte by byte when the vault is mounted again.
//!
//! Nobody here looks at a mount himself: whoever does may wait for ever. Scripts are run in a folder of the mount and in
//! a plain folder, and have to say the same. Some have more to do in CI, where `CI=true`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/child.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod child;
#[path = "../../../oxcrypt-core/tests/interop/command.rs"]
mod command;
#[path = "../../../oxcrypt-fuse/examples/slow_store/store/controls.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod controls;
#[path = "../../../oxcrypt-core/tests/interop/judge.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod judge;
#[path = "../../../oxcrypt-core/tests/it/manifest.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod manifest;
#[path = "../storm/mounted.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod mounted;
#[path = "../../benches/storm/storm/mounts.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod mounts;
#[path = "../../../oxcrypt-core/tests/interop/operation.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod operation;
#[path = "../../../oxcrypt-fuse/examples/slow_store/fixture/store.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod slow_store;
#[path = "../../../oxcrypt-core/tests/interop/suite.rs"]
#[expect(dead_code, reason = "others need more of it")]
mod suite;
#[path = "../storm/who.rs"]
mod who;

mod archives;
mod building;
mod coreutils;
mod crowd;
mod databases;
mod exerciser;
mod git;
mod judged;
mod large;
mod pjdfstest;
mod posix;
mod stage;
mod tools;
mod verified;
