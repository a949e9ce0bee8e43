//! Where there is no room: what cannot be stored is refused, kept, or said, and never half of it taken for the whole.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use oxcrypt_core::chunk::MAX_FILE_LEN;
use oxcrypt_core::storage::{FaultyStorage, Method, Verdict};
use oxcrypt_core::{Attempt, ErrorKind, File, Stored, Vault, VaultOptions};

use crate::lab::{self, Lab, at, bytes, content, find, flush};

const P: usize = 32_768;

/// A vault on a store that does not tell how much room it has.
fn vault() -> (Arc<FaultyStorage>, Vault) {
    let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
    storage.on_call(|call| match call.method {
        Method::Space => Verdict::Fail(io::ErrorKind::Unsupported),
        _ => Verdict::Pass,
    });
    let vault = lab::open(&storage);
    (storage, vault)
}

#[test]
fn no_file_is_longer_than_offsets_can_tell() {
    let (_storage, vault) = vault();
    let file = lab::put(&vault, "file", b"content");
    for offset in [MAX_FILE_LEN, 1 << 60, u64::MAX - 1, u64::MAX] {
        assert_eq!(file.write_at(offset, b"x", at(1)).unwrap_err().kind(), ErrorKind::TooLarge, "{offset}");
        assert_eq!(file.set_len(offset.saturating_add(1), at(1)).unwrap_err().kind(), ErrorKind::TooLarge);
    }
    assert_eq!((file.len(), content(&file).unwrap()), (7, b"content".to_vec()));
    assert_eq!(file.read_at(u64::MAX, &mut [0; 10]).unwrap(), 0);
    assert_eq!(vault.unsaved().len(), 0);
}

#[test]
fn a_file_that_would_be_longer_than_there_is_room_for_is_refused_at_once() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let file = lab::put(&vault, "file", b"content");
    for len in [1 << 40, MAX_FILE_LEN] {
        assert_eq!(file.write_at(len - 1, b"x", at(1)).unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(file.set_len(len, at(1)).unwrap_err().kind(), ErrorKind::NoSpace);
    }
    assert_eq!(content(&file).unwrap(), b"content");
    assert_eq!(vault.unsaved().len(), 0);
}

#[test]
fn a_file_that_cannot_be_stored_does_not_stop_the_writers_of_others() {
    let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
    let options = VaultOptions::default().unsaved_bytes(8 * P, 4 * P);
    let vault = lab::open_with(&storage, &options);
    let (dead, alive) = (lab::create(&vault, "dead").unwrap(), lab::create(&vault, "alive").unwrap());
    let path = vault.content_path(dead.node());
    storage.on_call(move |call| {
        if call.path == path && call.method == Method::WriteAt {
            Verdict::Fail(io::ErrorKind::TimedOut)
        } else {
            Verdict::Pass
        }
    });
    let long = bytes(20 * P, 0);
    let mut taken = 0;
    // It takes some, and then says why it takes no more.
    let refused = loop {
        match dead.write_at(taken as u64, &long[taken..], at(1)) {
            Ok(more) => taken += more,
            Err(error) => break error,
        }
        assert!(taken < long.len(), "memory is not for all of what cannot be stored");
    };
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    for round in 0..50_u64 {
        lab::write(&alive, round * 10_000, &[1; 10_000]).unwrap();
    }
    flush(&alive).unwrap();
    assert_eq!(lab::read(&lab::open(&storage), "alive").unwrap(), vec![1; 500_000]);
    // What it has taken it has, and stores it when it can.
    storage.on_call(|_| Verdict::Pass);
    assert!(content(&dead).unwrap() == long[..taken]);
    flush(&dead).unwrap();
    assert!(lab::read(&lab::open(&storage), "dead").unwrap() == long[..taken]);
}

#[test]
fn regression_memory_takes_no_more_than_it_may_hold_and_a_chunk_of_each_file() {
    let storage = Arc::new(Lab::GCM.empty());
    let (most, count) = (64 << 20, 3_000);
    let vault = lab::open_with(&storage, &VaultOptions::default().unsaved_bytes(16 << 20, most));
    let files: Vec<_> = (0..count).map(|number| lab::create(&vault, &number.to_string()).unwrap()).collect();
    let written = bytes(4 * P, 0);
    // Nothing of it is ever stored.
    let takes = |file: &File, offset, len| {
        file.try_write_at(offset, &written[..len], &[], at(1)).unwrap() == Attempt::Done
    };
    let all = files.iter().filter(|file| takes(file, 0, 4 * P)).count();
    assert_eq!(all, most / (4 * P), "as many as there is room for");
    for file in &files {
        let is_in = file.resident().unsaved_bytes() > 0;
        assert_eq!(takes(file, 4 * P as u64, P), !is_in, "one that holds nothing takes a chunk");
    }
    assert_eq!(vault.unsaved_bytes(), most + (count - all) * P);
}

#[test]
fn a_full_disk_keeps_what_was_there_and_tells_every_time() {
    let before = bytes(2 * P + 100, 0);
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &before)));
    let vault = lab::open(&storage);
    let file = lab::open_for_writing(&vault, "file").unwrap();
    lab::write(&file, before.len() as u64, &bytes(3 * P, 1)).unwrap();
    for written in [0, 10, 5_000, P] {
        let is_first = AtomicBool::new(true);
        storage.on_call(move |call| match call.method {
            Method::WriteAt if is_first.swap(false, Ordering::Relaxed) => {
                Verdict::FailAfter(written, io::ErrorKind::StorageFull)
            }
            _ => Verdict::Pass,
        });
        assert_eq!(file.flush(Instant::now()).unwrap_err().kind(), ErrorKind::NoSpace);
        // In storage is the file as it was.
        let seen = Lab::GCM.check(&*storage);
        assert_eq!(seen.faults(), Vec::<&crate::checker::Finding>::new(), "{written}");
        let stored = seen.file("file").unwrap().bytes().unwrap();
        assert!(stored == before, "{written}: {} bytes", stored.len());
        storage.on_call(|_| Verdict::Pass);
    }
    flush(&file).unwrap();
    let expected = [before, bytes(3 * P, 1)].concat();
    assert!(lab::read(&lab::open(&storage), "file").unwrap() == expected);
}

/// A server has put another file in the place of the open one, which can be neither read nor written any more.
#[test]
fn what_cannot_be_read_of_a_stale_file_is_counted_and_is_zeros_in_the_copy() {
    for cache in [0, 64 << 20] {
        let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &bytes(3 * P + 7, 0))));
        let vault = lab::open_with(&storage, &VaultOptions::default().chunk_cache_bytes(cache));
        let file = lab::open_for_writing(&vault, "file").unwrap();
        lab::write(&file, P as u64, &bytes(P, 1)).unwrap();
        let path = vault.content_path(file.node());
        storage.on_call(move |call| match call.method {
            Method::ReadAt | Method::WriteAt | Method::SetLen | Method::Sync if call.path == path => {
                Verdict::Fail(io::ErrorKind::StaleNetworkFileHandle)
            }
            _ => Verdict::Pass,
        });
        let stored = file.flush(Instant::now()).unwrap();
        assert_eq!(stored, Stored::ConflictCopy { lost_chunks: 3 });
        storage.on_call(|_| Verdict::Pass);
        let mut expected = vec![0; 3 * P + 7];
        expected[P..2 * P].copy_from_slice(&bytes(P, 1));
        for vault in [&vault, &lab::open(&storage)] {
            assert!(lab::read(vault, "file (conflict 1)").unwrap() == expected);
            assert!(lab::read(vault, "file").unwrap() == bytes(3 * P + 7, 0), "theirs is as it was");
        }
        assert!(content(&file).unwrap() == expected);
        assert!(!Arc::ptr_eq(&find(&vault, "file").unwrap(), file.node()));
    }
}

/// The longest name whose encrypted form a `name.c9s` can hold.
const LONGEST_NAME: usize = 7_661;

#[test]
fn a_name_that_no_entry_can_have_is_refused_and_storage_is_not_asked() {
    let (storage, vault) = vault();
    drop(lab::put(&vault, "file", b"content"));
    let longest = "n".repeat(LONGEST_NAME);
    drop(lab::put(&vault, &longest, b"content"));
    assert_eq!(lab::read(&lab::open(&storage), &longest).unwrap(), b"content");
    let (root, now) = (vault.root(), Instant::now());
    for len in [LONGEST_NAME + 1, 1 << 20] {
        let name = lab::name(&"n".repeat(len));
        let calls = storage.counts().total();
        let always = oxcrypt_core::storage::Replace::Always;
        let refused = [
            vault.lookup(&root, &name, now).map(drop),
            vault.create(&root, &name, now).map(drop),
            vault.make_dir(&root, &name, now).map(drop),
            vault.make_symlink(&root, &name, "target", now).map(drop),
            vault.remove(&root, &name, now),
            vault.remove_dir(&root, &name, now),
            vault.rename((&root, &lab::name("file")), (&root, &name), always, now),
            vault.rename((&root, &name), (&root, &lab::name("file")), always, now),
        ];
        for (number, result) in refused.into_iter().enumerate() {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::NameTooLong, "number {number}");
        }
        assert_eq!(storage.counts().total(), calls);
    }
}
