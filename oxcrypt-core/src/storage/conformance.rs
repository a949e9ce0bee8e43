//! What any [`BlockStorage`] must do, as a suite to run against it.
//!
//! Each case panics with what it expected. `Unsupported` is accepted where the trait allows it.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a suite of assertions panics where one fails"
)]

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::thread;

use super::BlockStorage;
use crate::ciphertext_path::CiphertextPath;

mod attributes;
mod entries;
mod files;
mod handles;

type Case = fn(&dyn BlockStorage);

/// All cases by name, for those who want to run them one by one. Each wants an empty store.
pub const CASES: &[(&str, Case)] = &[
    ("opens what is there and nothing else", files::opens_what_is_there_and_nothing_else),
    ("keeps the root where it is", entries::keeps_the_root_where_it_is),
    ("creates only what is new", files::creates_only_what_is_new),
    ("reads short only at the end", files::reads_short_only_at_the_end),
    ("never waits when told not to", files::never_waits_when_told_not_to),
    ("writes anywhere and fills gaps with zeros", files::writes_anywhere_and_fills_gaps_with_zeros),
    ("writes through handles for writing only", files::writes_through_handles_for_writing_only),
    ("cuts and extends", files::cuts_and_extends),
    ("reads small files up to the limit", files::reads_small_files_up_to_the_limit),
    ("lists each entry once with its kind", entries::lists_each_entry_once_with_its_kind),
    ("lists at once what was changed", entries::lists_at_once_what_was_changed),
    ("holds the names of a vault", entries::holds_the_names_of_a_vault),
    ("tells what is there", entries::tells_what_is_there),
    ("tells of many what it tells of each", entries::tells_of_many_what_it_tells_of_each),
    ("tells files apart", entries::tells_files_apart),
    ("removes files and empty folders only", entries::removes_files_and_empty_folders_only),
    ("removes whatever is no folder", entries::removes_whatever_is_no_folder),
    ("renames and replaces", entries::renames_and_replaces),
    ("moves an entry to where it is", entries::moves_an_entry_to_where_it_is),
    ("moves no folder into itself", entries::moves_no_folder_into_itself),
    ("renames without replacing", entries::renames_without_replacing),
    ("exchanges", entries::exchanges),
    ("keeps handles through renames and removals", handles::keeps_handles_through_renames_and_removals),
    ("keeps what was replaced for who has it open", handles::keeps_what_was_replaced_for_who_has_it_open),
    ("keeps handles when their folder moves", handles::keeps_handles_when_their_folder_moves),
    (
        "shows through every handle what another has done",
        handles::shows_through_every_handle_what_another_has_done,
    ),
    ("gives no identity twice", handles::gives_no_identity_twice),
    ("serves many threads on one handle", handles::serves_many_threads_on_one_handle),
    ("keeps attributes", attributes::keeps_attributes),
    ("keeps times to the nanosecond or as it can", attributes::keeps_times_to_the_nanosecond_or_as_it_can),
    ("creates with the mode that is asked for", attributes::creates_with_the_mode_that_is_asked_for),
    ("changes attributes through handles", attributes::changes_attributes_through_handles),
    ("tells that attributes were changed", attributes::tells_that_attributes_were_changed),
    ("changes attributes all or none", attributes::changes_attributes_all_or_none),
    ("tells that content was changed", attributes::tells_that_content_was_changed),
    (
        "keeps a time that is set behind the last write",
        attributes::keeps_a_time_that_is_set_behind_the_last_write,
    ),
    ("changes attributes of the root", attributes::changes_attributes_of_the_root),
    (
        "takes no more than permission bits for a mode",
        attributes::takes_no_more_than_permission_bits_for_a_mode,
    ),
    ("syncs", files::syncs),
];

/// Runs every case, each on a new and empty store.
pub fn check(make: &dyn Fn() -> Arc<dyn BlockStorage>) {
    for (name, case) in CASES {
        // On a thread of its own, for the name of the case in the message of a panic.
        let storage = make();
        let run = thread::Builder::new().name((*name).to_owned()).spawn(move || case(&*storage));
        assert!(run.unwrap().join().is_ok(), "the storage fails the case \"{name}\"");
    }
}

fn path(text: &str) -> CiphertextPath {
    CiphertextPath::parse(text).unwrap()
}

#[track_caller]
fn fails<T>(result: io::Result<T>, kind: io::ErrorKind) {
    match result {
        Ok(_) => panic!("succeeds where {kind:?} is expected"),
        Err(error) => assert_eq!(error.kind(), kind, "fails otherwise than expected: {error}"),
    }
}

/// Whether the store can do it at all.
#[track_caller]
fn supported<T: Debug>(result: io::Result<T>) -> bool {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
        other => {
            assert!(other.is_ok(), "fails where only `Unsupported` may: {other:?}");
            true
        }
    }
}

#[track_caller]
fn content(storage: &dyn BlockStorage, file: &str) -> Vec<u8> {
    storage.read(&path(file), 1 << 20).unwrap()
}
