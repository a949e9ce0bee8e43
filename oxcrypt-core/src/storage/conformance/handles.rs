//! Open files: several handles, several threads, and names that change.

use std::thread;

use super::super::{BlockFile, BlockStorage, EntryKind, OpenMode, Replace};
use super::{content, path};

pub(super) fn keeps_handles_through_renames_and_removals(storage: &dyn BlockStorage) {
    // Hosts that do not let an open file be moved or removed say so; then there is nothing to keep.
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    file.write_at(0, b"abc").unwrap();
    if storage.rename(&path("file"), &path("moved"), Replace::Always).is_ok() {
        file.write_at(3, b"def").unwrap();
        assert_eq!(content(storage, "moved"), b"abcdef");
        if storage.remove(&path("moved"), EntryKind::File).is_ok() {
            let mut buf = [0; 6];
            assert_eq!(file.read_at(0, &mut buf).unwrap(), 6);
            storage.write_new(&path("moved"), b"new").unwrap();
            file.write_at(0, b"old").unwrap();
            assert_eq!(content(storage, "moved"), b"new");
        }
    }
}

pub(super) fn serves_many_threads_on_one_handle(storage: &dyn BlockStorage) {
    const PART: usize = 10_000;
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    let file: &dyn BlockFile = &*file;
    thread::scope(|scope| {
        for number in 0..8u8 {
            scope.spawn(move || {
                let offset = u64::from(number) * PART as u64;
                for round in 0..20 {
                    file.write_at(offset, &[number ^ round; PART]).unwrap();
                    let mut buf = [0; PART];
                    assert_eq!(file.read_at(offset, &mut buf).unwrap(), PART);
                    assert_eq!(buf, [number ^ round; PART]);
                }
            });
        }
    });
}

pub(super) fn keeps_what_was_replaced_for_who_has_it_open(storage: &dyn BlockStorage) {
    for replace in [Replace::Always, Replace::Exchange] {
        let [new, old] = ["new", "old"].map(|name| path(&format!("{name} {replace:?}")));
        storage.write_new(&new, b"new").unwrap();
        storage.write_new(&old, b"old!").unwrap();
        let (reader, opened) = storage.open(&old, OpenMode::Read).unwrap();
        let (writer, _) = storage.open(&old, OpenMode::ReadWrite).unwrap();
        // Hosts that do not let an open file be replaced say so.
        if storage.rename(&new, &old, replace).is_err() {
            continue;
        }
        writer.write_at(0, b"OLD").unwrap();
        let mut buf = [0; 10];
        assert_eq!(reader.read_at(0, &mut buf).unwrap(), 4, "{replace:?}");
        assert_eq!(buf.get(..4), Some(&b"OLD!"[..]), "{replace:?}");
        assert_eq!(storage.read(&old, 10).unwrap(), b"new", "{replace:?}");
        let there = storage.metadata(&old).unwrap().identity;
        assert!(there.is_none() || there != opened.identity, "{replace:?} takes one file for another");
        if replace == Replace::Exchange {
            assert_eq!(storage.read(&new, 10).unwrap(), b"OLD!", "it is elsewhere now");
        }
    }
}

pub(super) fn keeps_handles_when_their_folder_moves(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.create_dir(&path("dir/sub")).unwrap();
    storage.write_new(&path("dir/sub/file"), b"abc").unwrap();
    let (file, _) = storage.open(&path("dir/sub/file"), OpenMode::ReadWrite).unwrap();
    if storage.rename(&path("dir"), &path("moved"), Replace::Always).is_ok() {
        storage.create_dir(&path("dir")).unwrap();
        storage.create_dir(&path("dir/sub")).unwrap();
        storage.write_new(&path("dir/sub/file"), b"another").unwrap();
        file.write_at(3, b"def").unwrap();
        assert_eq!(content(storage, "moved/sub/file"), b"abcdef");
        assert_eq!(content(storage, "dir/sub/file"), b"another");
    }
}

pub(super) fn shows_through_every_handle_what_another_has_done(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), &[1; 10_000]).unwrap();
    let (reader, _) = storage.open(&path("file"), OpenMode::Read).unwrap();
    let (writer, _) = storage.open(&path("file"), OpenMode::ReadWrite).unwrap();
    let (other, _) = storage.open(&path("file"), OpenMode::ReadWrite).unwrap();
    let sees = |expected: &[u8]| {
        for handle in [&reader, &writer, &other] {
            let mut buf = vec![0; 20_000];
            let len = handle.read_at(0, &mut buf).unwrap();
            assert!(buf.get(..len) == Some(expected), "{len} bytes, or not those that were written");
            // What needs no waiting is no older.
            let len = handle.try_read_at(0, &mut buf).unwrap_or(0);
            assert_eq!(buf.get(..len), expected.get(..len));
        }
        assert_eq!(storage.metadata(&path("file")).unwrap().len, expected.len() as u64);
    };
    sees(&[1; 10_000]);
    writer.write_at(0, &[2; 5_000]).unwrap();
    other.write_at(10_000, &[3; 5_000]).unwrap();
    sees(&[vec![2; 5_000], vec![1; 5_000], vec![3; 5_000]].concat());
    writer.set_len(4_097).unwrap();
    sees(&[2; 4_097]);
    other.set_len(6_000).unwrap();
    sees(&[vec![2; 4_097], vec![0; 1_903]].concat());
}

pub(super) fn gives_no_identity_twice(storage: &dyn BlockStorage) {
    let (held, first) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    let told = storage.metadata(&path("file")).unwrap().identity;
    assert_eq!(first.identity, told, "of a new file, by its handle and by its path");
    if first.identity.is_none() || storage.remove(&path("file"), EntryKind::File).is_err() {
        return;
    }
    for _ in 0..20 {
        let (_, next) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
        assert_ne!(next.identity, first.identity, "the one before is still open");
        storage.remove(&path("file"), EntryKind::File).unwrap();
    }
    drop(held);
}
