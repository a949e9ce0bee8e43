//! `fsx`: a random history of one file, which knows at any time what has to be read.

use std::path::Path;

use oxcrypt_core::crypto::CipherCombo;

use crate::stage::{MEMORY, Stage};
use crate::tools::{amount, lacks};
use crate::who::Who;

/// How often it does what.
const WEIGHTS: &str = r"
    close_open = 4
    read = 10
    write = 10
    mapread = 10
    mapwrite = 10
    invalidate = 1
    truncate = 10
    fsync = 0.3
    fdatasync = 0.3
    posix_fallocate = 3
    sendfile = 5
    posix_fadvise = 1
    copy_file_range = 5";

/// Exercises a file of at most `len` bytes for so many operations, and compares it after a remount. `seed` says which.
#[track_caller]
fn exercise(mut stage: Stage, seed: usize, operations: usize, len: usize) {
    stage.lend("fsx");
    stage.run(
        r#"
        printf 'flen = %s\nopsize.max = %s\n[weights]\n%s\n' "$3" "$(($3 / 4))" "$4" > ../fsx.toml
        ../fsx -q -f ../fsx.toml -P .. -S "$1" -N "$2" file"#,
        &[&seed.to_string(), &operations.to_string(), &len.to_string(), WEIGHTS],
    );
    stage.outlives_a_remount();
}

#[test]
fn a_random_history_of_a_small_file_reads_as_it_was_written() {
    if lacks("fsx") {
        return;
    }
    let root = (Who::Root, CipherCombo::SivGcm, amount(1_500, 60_000));
    let ordinary = (Who::Ordinary, CipherCombo::SivCtrMac, amount(500, 20_000));
    for (who, combo, operations) in [root, ordinary] {
        let Some(stage) = Stage::below(Path::new(MEMORY), who, combo, &[]) else { return };
        exercise(stage, 7, operations, 256 << 10);
    }
}

#[test]
fn a_random_history_of_a_large_file_reads_as_it_was_written() {
    if !lacks("fsx") {
        Stage::both().for_each(|stage| exercise(stage, 77, amount(40, 200), 8 << 20));
    }
}

#[test]
fn a_random_history_past_the_page_cache_reads_as_it_was_written() {
    if !lacks("fsx")
        && let Some(stage) = Stage::on_a_store()
    {
        exercise(stage, 777, amount(2_000, 20_000), 256 << 10);
    }
}
