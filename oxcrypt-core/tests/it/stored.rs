//! What files look like in storage when they were written: sizes, nonces, headers; and what is kept where storing fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use oxcrypt_core::VaultOptions;
use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::storage::{BlockStorage, FaultyStorage, MemoryStorage, Method, OpenMode, Verdict};

use crate::checker::Content;
use crate::lab::{self, Lab, at, bytes, content, flush, name};

const P: usize = 32_768;

/// What lies in storage for a file of the root.
fn stored(lab: Lab, storage: &dyn BlockStorage, path: &str) -> Content {
    lab.check(storage).file(path).unwrap().clone()
}

#[test]
fn sizes_are_those_of_the_format() {
    for (lab, sizes) in [
        (Lab::GCM, [68, 97, 132, 32_863, 32_864, 32_893, 65_660]),
        (Lab::CTRMAC, [88, 137, 172, 32_903, 32_904, 32_953, 65_720]),
    ] {
        for (len, size) in [0, 1, 36, 32_767, 32_768, 32_769, 65_536].into_iter().zip(sizes) {
            let storage = Arc::new(lab.empty());
            let vault = lab::open(&storage);
            drop(lab::put(&vault, "written", &bytes(len, 0)));
            let grown = lab::create(&vault, "grown").unwrap();
            grown.set_len(len as u64, at(1)).unwrap();
            flush(&grown).unwrap();
            let cut = lab::put(&vault, "cut", &bytes(100_000, 0));
            cut.set_len(len as u64, at(1)).unwrap();
            flush(&cut).unwrap();
            for path in ["written", "grown", "cut"] {
                assert_eq!(stored(lab, &*storage, path).stored, size, "{path} to {len}");
            }
        }
    }
}

#[test]
fn overwriting_in_the_middle_changes_the_touched_chunks_alone_each_with_a_new_nonce() {
    for lab in [Lab::GCM, Lab::CTRMAC] {
        let storage = Arc::new(lab.empty());
        let vault = lab::open(&storage);
        let mut model = bytes(5 * P + 100, 0);
        drop(lab::put(&vault, "file", &model));
        let before = stored(lab, &*storage, "file");
        // Over the border of chunks 1 and 2, twice the same bytes.
        for _ in 0..2 {
            let file = lab::open_for_writing(&vault, "file").unwrap();
            lab::write(&file, 2 * P as u64 - 5, &[7; 10]).unwrap();
            flush(&file).unwrap();
        }
        model[2 * P - 5..2 * P + 5].fill(7);
        let after = stored(lab, &*storage, "file");
        assert!(after.bytes().unwrap() == model);
        assert_eq!((after.header, after.stored), (before.header, before.stored));
        let changed: Vec<usize> =
            (0..after.nonces.len()).filter(|chunk| after.nonces[*chunk] != before.nonces[*chunk]).collect();
        assert_eq!(changed, [1, 2]);
    }
}

#[test]
fn no_two_writes_of_a_chunk_have_one_nonce() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let file = lab::create(&vault, "file").unwrap();
    let mut nonces = std::collections::BTreeSet::new();
    for round in 0..50_u8 {
        lab::write(&file, 0, &[round % 2; 100]).unwrap();
        flush(&file).unwrap();
        nonces.extend(stored(Lab::GCM, &*storage, "file").nonces);
    }
    assert_eq!(nonces.len(), 50);
}

#[test]
fn a_file_that_is_cut_to_nothing_gets_a_new_header_and_no_other_cut_gives_one() {
    for lab in [Lab::GCM, Lab::CTRMAC] {
        let storage = Arc::new(lab.empty());
        let vault = lab::open(&storage);
        let file = lab::put(&vault, "file", &bytes(100_000, 0));
        let header = || stored(lab, &*storage, "file").header;
        let first = header();
        file.set_len(5, at(1)).unwrap();
        flush(&file).unwrap();
        assert_eq!(header(), first);
        for content in [&b"new content"[..], b""] {
            let before = header();
            file.set_len(0, at(1)).unwrap();
            lab::write(&file, 0, content).unwrap();
            flush(&file).unwrap();
            assert_ne!(header(), before, "a content key is not used for another content");
            assert_eq!(lab::read(&lab::open(&storage), "file").unwrap(), content);
        }
    }
}

#[test]
fn a_gap_reads_as_the_same_bytes_as_zeros_that_were_written() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let (gap, zeros) = (lab::create(&vault, "gap").unwrap(), lab::create(&vault, "zeros").unwrap());
    let end = 10 * PAYLOAD_LEN + 17;
    lab::write(&gap, end, b"end").unwrap();
    lab::write(&zeros, 0, &vec![0; usize::try_from(end).unwrap()]).unwrap();
    lab::write(&zeros, end, b"end").unwrap();
    for file in [&gap, &zeros] {
        flush(file).unwrap();
    }
    let [gap, zeros] = ["gap", "zeros"].map(|path| stored(Lab::GCM, &*storage, path));
    assert!(gap.chunks == zeros.chunks && gap.stored == zeros.stored);
}

#[test]
fn an_empty_chunk_that_a_stream_left_at_the_end_goes_when_more_is_written() {
    for lab in [Lab::GCM, Lab::CTRMAC] {
        for len in [0, P, 2 * P] {
            let storage = MemoryStorage::default();
            let builder = lab.make(&storage);
            let ciphertext = builder.encrypt_as_stream(&bytes(len, 0));
            builder.ciphertext_file(&oxcrypt_core::DirId::root(), "file", &ciphertext).unwrap();
            drop(builder);
            let storage = Arc::new(storage);
            let vault = lab::open(&storage);
            let file = lab::open_for_writing(&vault, "file").unwrap();
            lab::write(&file, len as u64, b"more").unwrap();
            flush(&file).unwrap();
            let report = lab.check(&*storage);
            assert_eq!(report.faults(), Vec::<&crate::checker::Finding>::new(), "{len}");
            let expected = [&bytes(len, 0)[..], b"more"].concat();
            assert!(report.file("file").unwrap().bytes().unwrap() == expected);
        }
    }
}

#[test]
fn an_error_sticks_until_everything_is_stored() {
    let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
    let vault = lab::open(&storage);
    let file = lab::put(&vault, "file", b"stored");
    lab::write(&file, 6, b" and not").unwrap();
    storage.on_call(|call| match call.method {
        Method::WriteAt => Verdict::Fail(io::ErrorKind::StorageFull),
        _ => Verdict::Pass,
    });
    for _ in 0..2 {
        assert_eq!(flush(&file).unwrap_err().kind(), oxcrypt_core::ErrorKind::NoSpace);
        assert_eq!(lab::write(&file, 0, b"x").unwrap_err().kind(), oxcrypt_core::ErrorKind::NoSpace);
        assert_eq!(content(&file).unwrap(), b"stored and not", "a refused write takes nothing");
    }
    assert_eq!(vault.unsaved().len(), 1);
    storage.on_call(|_| Verdict::Pass);
    // Writes do not find out by themselves that storage works again.
    assert_eq!(lab::write(&file, 0, b"x").unwrap_err().kind(), oxcrypt_core::ErrorKind::NoSpace);
    flush(&file).unwrap();
    lab::write(&file, 0, b"S").unwrap();
    flush(&file).unwrap();
    assert_eq!(lab::read(&lab::open(&storage), "file").unwrap(), b"Stored and not");
}

#[test]
fn what_a_dropped_handle_has_not_stored_is_left_to_the_vault() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let file = lab::create(&vault, "file").unwrap();
    lab::write(&file, 0, b"unsaved").unwrap();
    drop(file);
    // Whoever opens it now sees it, as in any file system.
    assert_eq!(lab::read(&vault, "file").unwrap(), b"unsaved");
    let unsaved = vault.unsaved();
    assert_eq!(unsaved.len(), 1);
    assert_eq!(unsaved[0].node().name(), Some(name("file")));
    flush(&unsaved[0]).unwrap();
    drop(unsaved);
    assert_eq!(vault.unsaved().len(), 0);
    assert_eq!(lab::read(&lab::open(&storage), "file").unwrap(), b"unsaved");
}

#[test]
fn what_nobody_can_read_any_more_is_not_stored() {
    let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
    let vault = lab::open(&storage);
    let file = lab::put(&vault, "file", b"stored");
    lab::write(&file, 0, b"unsaved").unwrap();
    lab::remove(&vault, "file").unwrap();
    assert_eq!(content(&file).unwrap(), b"unsaved");
    drop(file);
    assert_eq!(vault.unsaved().len(), 0);
    assert_eq!(
        lab::open(&storage).list(&lab::open(&storage).root(), Instant::now()).unwrap().entries().len(),
        0
    );
}

#[test]
fn regression_the_end_of_a_chunk_that_has_become_longer_is_not_its_beginning() {
    let vault = lab::open_with(&Arc::new(Lab::GCM.empty()), &VaultOptions::default().chunk_cache_bytes(0));
    let file = lab::put(&vault, "file", &bytes(100, 0));
    file.set_len(101, at(1)).unwrap();
    // As much of the chunk as storage has, and not from where that begins.
    let mut buf = [0xee; 100];
    assert_eq!(file.read_at(1, &mut buf).unwrap(), 100);
    assert_eq!(buf[..], [&bytes(100, 0)[1..], &[0]].concat());
}

#[test]
fn regression_a_failed_append_behind_an_empty_chunk_leaves_a_file_that_is_whole() {
    for lab in [Lab::GCM, Lab::CTRMAC] {
        let storage = MemoryStorage::default();
        let builder = lab.make(&storage);
        let ciphertext = builder.encrypt_as_stream(&bytes(P, 0));
        builder.ciphertext_file(&oxcrypt_core::DirId::root(), "file", &ciphertext).unwrap();
        drop(builder);
        let storage = Arc::new(FaultyStorage::new(&storage));
        let vault = lab::open(&storage);
        let file = lab::open_for_writing(&vault, "file").unwrap();
        lab::write(&file, P as u64, &[7; 5_000]).unwrap();
        let is_first = std::sync::atomic::AtomicBool::new(true);
        storage.on_call(move |call| match call.method {
            Method::WriteAt if is_first.swap(false, Ordering::Relaxed) => {
                Verdict::FailAfter(10, io::ErrorKind::StorageFull)
            }
            _ => Verdict::Pass,
        });
        flush(&file).unwrap_err();
        assert!(stored(lab, &*storage, "file").bytes() == Some(bytes(P, 0)), "what was there is as it was");
        flush(&file).unwrap();
        assert!(lab::read(&lab::open(&storage), "file").unwrap() == [bytes(P, 0), vec![7; 5_000]].concat());
    }
}

#[test]
fn regression_a_torn_file_that_is_cut_to_what_is_whole_of_it_is_whole_in_storage() {
    let model = bytes(P, 3);
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &model)));
    let path = lab::find(&lab::open(&storage), "file").unwrap().ciphertext_path();
    let (host, seen) = storage.open(&path, OpenMode::ReadWrite).unwrap();
    host.write_at(seen.len, &[1; 10]).unwrap();
    let vault = lab::open(&storage);
    let file = lab::open_for_writing(&vault, "file").unwrap();
    assert_eq!(file.torn().unwrap().readable, P as u64);
    file.set_len(P as u64, at(1)).unwrap();
    flush(&file).unwrap();
    assert!(lab::read(&lab::open(&storage), "file").unwrap() == model);
}
