//! What a file is after what could not be stored of it was given up.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{FaultyStorage, Method, Verdict};
use oxcrypt_core::{File, Vault};

use crate::lab::{self, Lab, at, bytes, content, flush};

const P: usize = 32_768;

/// A file of two chunks and a part, open for writing.
fn stored() -> (Arc<FaultyStorage>, Vault, File, Vec<u8>) {
    let model = bytes(2 * P + 100, 3);
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &model)));
    let vault = lab::open(&storage);
    let file = lab::open_for_writing(&vault, "file").unwrap();
    (storage, vault, file, model)
}

fn fail(storage: &FaultyStorage, method: Method) {
    storage.on_call(
        move |call| if call.method == method { Verdict::Fail(io::ErrorKind::Other) } else { Verdict::Pass },
    );
}

/// Gives up what is unsaved, has storage work again, and stores whatever is left. Returns what storage has then.
fn discarded(storage: &Arc<FaultyStorage>, vault: &Vault, file: &File) -> Vec<u8> {
    assert!(vault.discard(file.node().id()));
    storage.on_call(|_| Verdict::Pass);
    for left in vault.unsaved() {
        flush(&left).unwrap();
    }
    let fresh = lab::read(&lab::open(storage), "file").unwrap();
    assert!(content(file).unwrap() == fresh, "whoever has it open sees what storage has");
    fresh
}

#[test]
fn regression_a_cut_that_was_given_up_damages_nothing() {
    let (storage, vault, file, model) = stored();
    file.set_len(P as u64 + 1_000, at(1)).unwrap();
    fail(&storage, Method::SetLen);
    flush(&file).unwrap_err();
    assert!(discarded(&storage, &vault, &file) == model, "storage was never cut");
}

#[test]
fn regression_a_cut_that_storage_has_made_keeps_the_chunk_at_the_new_end() {
    let (storage, vault, file, model) = stored();
    file.set_len(P as u64 + 1_000, at(1)).unwrap();
    fail(&storage, Method::WriteAt);
    flush(&file).unwrap_err();
    assert!(discarded(&storage, &vault, &file) == model[..P + 1_000]);
}

#[test]
fn regression_a_cut_that_storage_has_made_and_called_a_failure_damages_nothing() {
    for keep in [P + 1_000, 2 * P] {
        let (storage, vault, file, model) = stored();
        file.set_len(keep as u64, at(1)).unwrap();
        lab::write(&file, 10, &[9; 20]).unwrap();
        storage.on_call(|call| match call.method {
            Method::SetLen => Verdict::FailAfter(0, io::ErrorKind::Other),
            Method::WriteAt => Verdict::Fail(io::ErrorKind::Other),
            _ => Verdict::Pass,
        });
        flush(&file).unwrap_err();
        assert!(discarded(&storage, &vault, &file) == model[..keep], "{keep}");
    }
}

#[test]
fn regression_a_file_begun_anew_is_what_it_was_when_that_is_given_up() {
    let (storage, vault, file, model) = stored();
    file.set_len(0, at(1)).unwrap();
    lab::write(&file, 0, b"another").unwrap();
    fail(&storage, Method::SetLen);
    flush(&file).unwrap_err();
    assert!(discarded(&storage, &vault, &file) == model, "storage was never cut");
    lab::write(&file, 5, b"and on").unwrap();
    flush(&file).unwrap();
    assert_eq!(lab::read(&lab::open(&storage), "file").unwrap()[5..11], *b"and on");
}

#[test]
fn what_was_written_over_and_behind_is_what_it_was_when_that_is_given_up() {
    let (storage, vault, file, model) = stored();
    lab::write(&file, 10, &[9; 20]).unwrap();
    lab::write(&file, 3 * P as u64, &[9; 20]).unwrap();
    fail(&storage, Method::WriteAt);
    flush(&file).unwrap_err();
    assert!(discarded(&storage, &vault, &file) == model);
}

#[test]
fn regression_what_was_stored_since_a_new_file_was_begun_anew_is_not_given_up() {
    let storage = Lab::GCM.filled(|_| ());
    let vault = lab::open(&storage);
    let file = lab::create(&vault, "file").unwrap();
    // Nothing of it is in storage, so there is nothing to cut.
    file.set_len(0, at(1)).unwrap();
    lab::write(&file, 0, b"stored").unwrap();
    flush(&file).unwrap();
    lab::write(&file, 0, b"failed").unwrap();
    fail(&storage, Method::WriteAt);
    flush(&file).unwrap_err();
    assert_eq!(discarded(&storage, &vault, &file), b"stored");
}

#[test]
fn regression_what_was_stored_of_it_counts_in_its_length_at_once() {
    let (storage, vault, file, model) = stored();
    let told = || vault.attributes(file.node(), Instant::now()).unwrap().len;
    assert_eq!(told(), model.len() as u64);
    lab::write(&file, model.len() as u64, &bytes(2 << 20, 5)).unwrap();
    assert!(file.store_some().unwrap());
    fail(&storage, Method::WriteAt);
    flush(&file).unwrap_err();
    let kept = discarded(&storage, &vault, &file);
    assert!(kept.len() > model.len() && told() == kept.len() as u64, "{} of {}", told(), kept.len());
}
