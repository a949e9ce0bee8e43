//! Files: opening, reading, writing, cutting.

use std::io;

use super::super::{BlockStorage, EntryKind, OpenMode};
use super::{content, fails, path};
use crate::ciphertext_path::CiphertextPath;

pub(super) fn opens_what_is_there_and_nothing_else(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/file"), b"abc").unwrap();
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        let (_, metadata) = storage.open(&path("dir/file"), mode).unwrap();
        assert_eq!((metadata.kind, metadata.len), (EntryKind::File, 3));
        fails(storage.open(&path("dir/none"), mode), io::ErrorKind::NotFound);
        fails(storage.open(&path("none/file"), mode), io::ErrorKind::NotFound);
        fails(storage.open(&path("dir/file/below"), mode), io::ErrorKind::NotADirectory);
        fails(storage.open(&path("dir"), mode), io::ErrorKind::IsADirectory);
    }
}

pub(super) fn creates_only_what_is_new(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    let (file, metadata) = storage.open(&path("dir/file"), OpenMode::CreateNew { mode: None }).unwrap();
    assert_eq!(metadata.len, 0);
    file.write_at(0, b"abc").unwrap();
    let mut buf = [0; 3];
    assert_eq!(file.read_at(0, &mut buf).unwrap(), 3, "a new file can be read through its handle");
    fails(storage.open(&path("dir/file"), OpenMode::CreateNew { mode: None }), io::ErrorKind::AlreadyExists);
    fails(storage.open(&path("dir"), OpenMode::CreateNew { mode: None }), io::ErrorKind::AlreadyExists);
    fails(storage.open(&path("none/file"), OpenMode::CreateNew { mode: None }), io::ErrorKind::NotFound);
    fails(storage.create_dir(&path("dir")), io::ErrorKind::AlreadyExists);
    fails(storage.create_dir(&path("dir/file")), io::ErrorKind::AlreadyExists);
    fails(storage.create_dir(&path("none/dir")), io::ErrorKind::NotFound);
    fails(storage.create_dir(&path("dir/file/dir")), io::ErrorKind::NotADirectory);
    fails(
        storage.open(&path("dir/file/below"), OpenMode::CreateNew { mode: None }),
        io::ErrorKind::NotADirectory,
    );
    fails(storage.write_new(&path("dir/file"), b"x"), io::ErrorKind::AlreadyExists);
    assert_eq!(content(storage, "dir/file"), b"abc");
}

pub(super) fn reads_short_only_at_the_end(storage: &dyn BlockStorage) {
    let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251).to_le_bytes()[0]).collect();
    storage.write_new(&path("file"), &bytes).unwrap();
    let (file, _) = storage.open(&path("file"), OpenMode::Read).unwrap();
    for (offset, want) in [(0, 100_000), (1, 5), (99_990, 100), (100_000, 1), (200_000, 10), (50_000, 0)] {
        let mut buf = vec![0xee; want];
        let len = file.read_at(offset as u64, &mut buf).unwrap();
        let expected = bytes.get(offset..(offset + want).min(bytes.len())).unwrap_or_default();
        assert_eq!(buf.get(..len), Some(expected), "{want} bytes at {offset}");
    }
    for far in [u64::from(u32::MAX) + 7, i64::MAX as u64, u64::MAX] {
        assert_eq!(file.read_at(far, &mut [0; 7]).unwrap(), 0, "bytes at {far}");
        assert!(file.try_read_at(far, &mut [0; 7]).map_or(true, |len| len == 0), "bytes at {far}, tried");
    }
}

pub(super) fn never_waits_when_told_not_to(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abcdef").unwrap();
    let (file, _) = storage.open(&path("file"), OpenMode::Read).unwrap();
    let mut buf = [0; 3];
    match file.try_read_at(1, &mut buf) {
        Ok(len) => assert_eq!(buf.get(..len), b"bcd".get(..len)),
        Err(error) => assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported)),
    }
}

pub(super) fn writes_anywhere_and_fills_gaps_with_zeros(storage: &dyn BlockStorage) {
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    file.write_at(5, b"end").unwrap();
    file.write_at(1, b"ab").unwrap();
    assert_eq!(content(storage, "file"), b"\0ab\0\0end");
    for offset in [2, 100] {
        file.write_at(offset, b"").unwrap();
        assert_eq!(storage.metadata(&path("file")).unwrap().len, 8, "nothing was written at {offset}");
    }
}

pub(super) fn writes_through_handles_for_writing_only(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    let (file, _) = storage.open(&path("file"), OpenMode::Read).unwrap();
    assert!(file.write_at(0, b"x").is_err(), "a handle for reading writes");
    assert!(file.set_len(0).is_err(), "a handle for reading cuts the file");
    assert_eq!(content(storage, "file"), b"abc");
    let (file, _) = storage.open(&path("file"), OpenMode::ReadWrite).unwrap();
    file.write_at(0, b"x").unwrap();
    let mut buf = [0; 3];
    assert_eq!(file.read_at(0, &mut buf).unwrap(), 3);
    assert_eq!(&buf, b"xbc", "a handle for writing reads, too");
}

pub(super) fn cuts_and_extends(storage: &dyn BlockStorage) {
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    file.write_at(0, b"abcdef").unwrap();
    file.set_len(3).unwrap();
    assert_eq!(content(storage, "file"), b"abc");
    file.set_len(5).unwrap();
    assert_eq!(content(storage, "file"), b"abc\0\0");
}

pub(super) fn reads_small_files_up_to_the_limit(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    assert_eq!(storage.read(&path("file"), 3).unwrap(), b"abc");
    assert_eq!(storage.read(&path("file"), 100).unwrap(), b"abc");
    fails(storage.read(&path("file"), 2), io::ErrorKind::InvalidData);
    fails(storage.read(&path("none"), 2), io::ErrorKind::NotFound);
}

pub(super) fn syncs(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    let (file, _) = storage.open(&path("dir/file"), OpenMode::CreateNew { mode: None }).unwrap();
    file.write_at(0, b"abc").unwrap();
    file.sync().unwrap();
    storage.sync_dir(&path("dir")).unwrap();
    storage.sync_dir(&CiphertextPath::root()).unwrap();
    fails(storage.sync_dir(&path("none")), io::ErrorKind::NotFound);
    fails(storage.sync_dir(&path("none/dir")), io::ErrorKind::NotFound);
    fails(storage.sync_dir(&path("dir/file")), io::ErrorKind::NotADirectory);
    match storage.space() {
        Ok(space) => assert!(space.available <= space.total && space.free <= space.total),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
    }
}
