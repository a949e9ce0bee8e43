//! What other implementations say of vaults that we wrote, and what we say of theirs. The bytes do not depend on the
//! host, so one system is enough.
//!
//! The official one is asked through the program in `java`. It needs a JDK (17 or newer) and Maven; without them the
//! tests are skipped with a line on standard error, and fail where `CI=true`. `JAVA_HOME` chooses the JDK, else it is the
//! newest, and that chooses the version: cryptofs 2.9.0 from JDK 21 on, 2.6.9 before. A second opinion, on vaults of
//! `SIV_GCM`, is that of `pycryptomator`; it needs Python with pip, and is skipped likewise.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

mod command;
mod draft;
mod histories;
mod judge;
mod key_files;
#[path = "../it/manifest.rs"]
mod manifest;
mod model;
mod official_faults;
mod operation;
mod orphans;
mod ours;
mod scene;
mod second_opinion;
mod suite;
mod the_judge;
mod to_order;

use proptest::test_runner::Config;

/// How random tests run here: few cases, because each asks other processes; `PROPTEST_CASES` has more of them.
fn few(cases: u32) -> Config {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = wanted.unwrap_or(cases);
    Config { cases, max_shrink_iters: 300, failure_persistence: None, ..Config::default() }
}
