//! What any [`BlockStorage`] must do, as a suite to run against it.
//!
//! Each case panics with what it expected. `Unsupported` is accepted where the trait allows it.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a suite of assertions panics where one fails"
)]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use super::{Attributes, BlockFile, BlockStorage, EntryKind, Metadata, OpenMode, Owner, Replace};
use crate::ciphertext_path::CiphertextPath;

type Case = fn(&dyn BlockStorage);

/// All cases by name, for those who want to run them one by one. Each wants an empty store.
pub const CASES: &[(&str, Case)] = &[
    ("opens what is there and nothing else", opens_what_is_there_and_nothing_else),
    ("keeps the root where it is", keeps_the_root_where_it_is),
    ("creates only what is new", creates_only_what_is_new),
    ("reads short only at the end", reads_short_only_at_the_end),
    ("never waits when told not to", never_waits_when_told_not_to),
    ("writes anywhere and fills gaps with zeros", writes_anywhere_and_fills_gaps_with_zeros),
    ("writes through handles for writing only", writes_through_handles_for_writing_only),
    ("cuts and extends", cuts_and_extends),
    ("reads small files up to the limit", reads_small_files_up_to_the_limit),
    ("lists each entry once with its kind", lists_each_entry_once_with_its_kind),
    ("tells what is there", tells_what_is_there),
    ("tells files apart", tells_files_apart),
    ("removes files and empty folders only", removes_files_and_empty_folders_only),
    ("renames and replaces", renames_and_replaces),
    ("moves no folder into itself", moves_no_folder_into_itself),
    ("renames without replacing", renames_without_replacing),
    ("exchanges", exchanges),
    ("keeps handles through renames and removals", keeps_handles_through_renames_and_removals),
    ("serves many threads on one handle", serves_many_threads_on_one_handle),
    ("keeps attributes", keeps_attributes),
    ("keeps times to the nanosecond or as it can", keeps_times_to_the_nanosecond_or_as_it_can),
    ("creates with the mode that is asked for", creates_with_the_mode_that_is_asked_for),
    ("changes attributes through handles", changes_attributes_through_handles),
    ("tells that attributes were changed", tells_that_attributes_were_changed),
    ("changes attributes all or none", changes_attributes_all_or_none),
    ("syncs", syncs),
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

fn opens_what_is_there_and_nothing_else(storage: &dyn BlockStorage) {
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

fn keeps_the_root_where_it_is(storage: &dyn BlockStorage) {
    let root = CiphertextPath::root();
    storage.create_dir(&path("dir")).unwrap();
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        fails(storage.open(&root, mode), io::ErrorKind::IsADirectory);
    }
    fails(storage.open(&root, OpenMode::CreateNew { mode: None }), io::ErrorKind::AlreadyExists);
    fails(storage.create_dir(&root), io::ErrorKind::AlreadyExists);
    fails(storage.remove(&root, EntryKind::Directory), io::ErrorKind::InvalidInput);
    fails(storage.remove(&root, EntryKind::File), io::ErrorKind::InvalidInput);
    fails(storage.rename(&root, &path("dir/root"), Replace::Always), io::ErrorKind::InvalidInput);
    fails(storage.rename(&path("dir"), &root, Replace::Always), io::ErrorKind::InvalidInput);
    storage.remove(&path("dir"), EntryKind::Directory).unwrap();
    assert_eq!(storage.list(&root).unwrap(), []);
    assert_eq!(storage.metadata(&root).unwrap().kind, EntryKind::Directory);
}

fn creates_only_what_is_new(storage: &dyn BlockStorage) {
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

fn reads_short_only_at_the_end(storage: &dyn BlockStorage) {
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

fn never_waits_when_told_not_to(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abcdef").unwrap();
    let (file, _) = storage.open(&path("file"), OpenMode::Read).unwrap();
    let mut buf = [0; 3];
    match file.try_read_at(1, &mut buf) {
        Ok(len) => assert_eq!(buf.get(..len), b"bcd".get(..len)),
        Err(error) => assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported)),
    }
}

fn writes_anywhere_and_fills_gaps_with_zeros(storage: &dyn BlockStorage) {
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    file.write_at(5, b"end").unwrap();
    file.write_at(1, b"ab").unwrap();
    assert_eq!(content(storage, "file"), b"\0ab\0\0end");
    for offset in [2, 100] {
        file.write_at(offset, b"").unwrap();
        assert_eq!(storage.metadata(&path("file")).unwrap().len, 8, "nothing was written at {offset}");
    }
}

fn writes_through_handles_for_writing_only(storage: &dyn BlockStorage) {
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

fn cuts_and_extends(storage: &dyn BlockStorage) {
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    file.write_at(0, b"abcdef").unwrap();
    file.set_len(3).unwrap();
    assert_eq!(content(storage, "file"), b"abc");
    file.set_len(5).unwrap();
    assert_eq!(content(storage, "file"), b"abc\0\0");
}

fn reads_small_files_up_to_the_limit(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    assert_eq!(storage.read(&path("file"), 3).unwrap(), b"abc");
    assert_eq!(storage.read(&path("file"), 100).unwrap(), b"abc");
    fails(storage.read(&path("file"), 2), io::ErrorKind::InvalidData);
    fails(storage.read(&path("none"), 2), io::ErrorKind::NotFound);
}

fn lists_each_entry_once_with_its_kind(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.create_dir(&path("dir/sub")).unwrap();
    storage.create_dir(&path("dir-beside")).unwrap();
    storage.write_new(&path("dir/sub/deep"), b"x").unwrap();
    let names: BTreeSet<String> = (0..500).map(|i| format!("file {i}")).collect();
    for name in &names {
        storage.write_new(&path("dir").join(name).unwrap(), b"abc").unwrap();
    }
    let listed = storage.list(&path("dir")).unwrap();
    assert_eq!(listed.len(), 501);
    for entry in listed {
        let name = entry.name.to_str().unwrap();
        let kind = if name == "sub" { EntryKind::Directory } else { EntryKind::File };
        assert!(name == "sub" || names.contains(name), "{name}");
        assert_eq!(entry.kind, kind);
        assert!(entry.len.is_none_or(|len| len == 3 || kind == EntryKind::Directory));
    }
    assert_eq!(storage.list(&CiphertextPath::root()).unwrap().len(), 2);
    fails(storage.list(&path("none")), io::ErrorKind::NotFound);
    fails(storage.list(&path("dir/file 1")), io::ErrorKind::NotADirectory);
    fails(storage.list(&path("dir/file 1/below")), io::ErrorKind::NotADirectory);
}

fn tells_what_is_there(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/file"), b"abc").unwrap();
    assert_eq!(storage.metadata(&path("dir")).unwrap().kind, EntryKind::Directory);
    assert_eq!(storage.metadata(&CiphertextPath::root()).unwrap().kind, EntryKind::Directory);
    let metadata = storage.metadata(&path("dir/file")).unwrap();
    assert_eq!((metadata.kind, metadata.len), (EntryKind::File, 3));
    fails(storage.metadata(&path("dir/none")), io::ErrorKind::NotFound);
    fails(storage.metadata(&path("none/none")), io::ErrorKind::NotFound);
    fails(storage.metadata(&path("dir/file/below")), io::ErrorKind::NotADirectory);
}

fn tells_files_apart(storage: &dyn BlockStorage) {
    storage.write_new(&path("one"), b"").unwrap();
    storage.write_new(&path("two"), b"").unwrap();
    let identity = |name: &str| storage.metadata(&path(name)).unwrap().identity;
    let (Some(one), Some(two)) = (identity("one"), identity("two")) else { return };
    assert_ne!(one, two);
    let (_held, opened) = storage.open(&path("one"), OpenMode::Read).unwrap();
    assert_eq!(opened.identity, Some(one));
    storage.rename(&path("two"), &path("one"), Replace::Always).unwrap();
    assert_eq!(identity("one"), Some(two), "identity moves with the file");
}

fn removes_files_and_empty_folders_only(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/file"), b"abc").unwrap();
    fails(storage.remove(&path("dir"), EntryKind::Directory), io::ErrorKind::DirectoryNotEmpty);
    fails(storage.remove(&path("dir"), EntryKind::File), io::ErrorKind::IsADirectory);
    fails(storage.remove(&path("dir/file"), EntryKind::Directory), io::ErrorKind::NotADirectory);
    fails(storage.remove(&path("dir/none"), EntryKind::File), io::ErrorKind::NotFound);
    fails(storage.remove(&path("dir/none"), EntryKind::Directory), io::ErrorKind::NotFound);
    fails(storage.remove(&path("dir/file/below"), EntryKind::File), io::ErrorKind::NotADirectory);
    storage.remove(&path("dir/file"), EntryKind::File).unwrap();
    storage.remove(&path("dir"), EntryKind::Directory).unwrap();
    assert_eq!(storage.list(&CiphertextPath::root()).unwrap(), []);
}

fn renames_and_replaces(storage: &dyn BlockStorage) {
    for dir in ["dir", "full", "empty"] {
        storage.create_dir(&path(dir)).unwrap();
    }
    storage.write_new(&path("full/file"), b"in full").unwrap();
    storage.write_new(&path("file"), b"abc").unwrap();
    storage.write_new(&path("other"), b"other").unwrap();
    let rename = |from: &str, to: &str| storage.rename(&path(from), &path(to), Replace::Always);
    rename("file", "dir/moved").unwrap();
    assert_eq!(content(storage, "dir/moved"), b"abc");
    rename("dir/moved", "other").unwrap();
    assert_eq!(content(storage, "other"), b"abc");
    fails(rename("none", "other"), io::ErrorKind::NotFound);
    fails(rename("other", "none/other"), io::ErrorKind::NotFound);
    fails(rename("other", "dir"), io::ErrorKind::IsADirectory);
    fails(rename("dir", "other"), io::ErrorKind::NotADirectory);
    fails(rename("dir", "full"), io::ErrorKind::DirectoryNotEmpty);
    fails(rename("other", "full/file/below"), io::ErrorKind::NotADirectory);
    rename("other", "other").unwrap();
    assert_eq!(content(storage, "other"), b"abc", "a file moved to where it is stays");
    rename("full", "empty").unwrap();
    assert_eq!(content(storage, "empty/file"), b"in full", "a folder moves with what is in it");
    fails(storage.metadata(&path("full")), io::ErrorKind::NotFound);
}

fn moves_no_folder_into_itself(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.create_dir(&path("dir/sub")).unwrap();
    storage.create_dir(&path("dir-beside")).unwrap();
    let rename = |from: &str, to: &str, replace| storage.rename(&path(from), &path(to), replace);
    fails(rename("dir", "dir/moved", Replace::Always), io::ErrorKind::InvalidInput);
    fails(rename("dir", "dir/sub/moved", Replace::Always), io::ErrorKind::InvalidInput);
    for replace in [Replace::Never, Replace::Exchange] {
        let to = if replace == Replace::Never { "dir/moved" } else { "dir/sub" };
        match rename("dir", to, replace) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let other = rename("dir", "dir-beside", replace);
                fails(other, io::ErrorKind::Unsupported);
            }
            other => fails(other, io::ErrorKind::InvalidInput),
        }
    }
    rename("dir", "dir-beside/moved", Replace::Always).unwrap();
    assert_eq!(storage.metadata(&path("dir-beside/moved/sub")).unwrap().kind, EntryKind::Directory);
}

fn renames_without_replacing(storage: &dyn BlockStorage) {
    storage.write_new(&path("one"), b"1").unwrap();
    storage.write_new(&path("two"), b"2").unwrap();
    let rename = |from: &str, to: &str| storage.rename(&path(from), &path(to), Replace::Never);
    if supported(rename("one", "three")) {
        assert_eq!(content(storage, "three"), b"1");
        fails(rename("three", "two"), io::ErrorKind::AlreadyExists);
        fails(rename("none", "four"), io::ErrorKind::NotFound);
        storage.create_dir(&path("dir")).unwrap();
        fails(rename("three", "dir"), io::ErrorKind::AlreadyExists);
        fails(rename("dir", "two"), io::ErrorKind::AlreadyExists);
    }
    assert_eq!(content(storage, "two"), b"2");
}

fn exchanges(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/in"), b"in").unwrap();
    storage.write_new(&path("file"), b"abc").unwrap();
    let exchange = |from: &str, to: &str| storage.rename(&path(from), &path(to), Replace::Exchange);
    if supported(exchange("dir", "file")) {
        assert_eq!(content(storage, "dir"), b"abc");
        assert_eq!(content(storage, "file/in"), b"in");
        fails(exchange("dir", "none"), io::ErrorKind::NotFound);
        fails(exchange("none", "dir"), io::ErrorKind::NotFound);
    } else {
        assert_eq!(content(storage, "file"), b"abc");
    }
}

fn keeps_handles_through_renames_and_removals(storage: &dyn BlockStorage) {
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

fn serves_many_threads_on_one_handle(storage: &dyn BlockStorage) {
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

fn keeps_attributes(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let change = Attributes { modified: Some(modified), ..Attributes::default() };
    if supported(storage.set_attributes(&path("file"), &change)) {
        let (_held, opened) = storage.open(&path("file"), OpenMode::Read).unwrap();
        assert_eq!(storage.metadata(&path("file")).unwrap().modified, Some(modified));
        assert_eq!(opened.modified, Some(modified));
    }
    storage.create_dir(&path("dir")).unwrap();
    if supported(storage.set_attributes(&path("dir"), &change)) {
        assert_eq!(storage.metadata(&path("dir")).unwrap().modified, Some(modified), "of a folder");
    }
    let accessed = Attributes { accessed: Some(modified), ..Attributes::default() };
    if supported(storage.set_attributes(&path("file"), &accessed)) {
        let told = storage.metadata(&path("file")).unwrap().modified;
        assert!(told.is_none_or(|told| told == modified), "the time of the content is another");
        let told = storage.metadata(&path("file")).unwrap().accessed;
        assert!(told.is_none_or(|told| told == modified), "and what was set is not told");
    }
    for bits in [0o640, 0o000, 0o600] {
        let mode = Attributes { mode: Some(bits), ..Attributes::default() };
        if supported(storage.set_attributes(&path("file"), &mode)) {
            assert_eq!(storage.metadata(&path("file")).unwrap().owner.unwrap().mode, bits);
        }
    }
    fails(storage.set_attributes(&path("none"), &change), io::ErrorKind::NotFound);
    fails(storage.set_attributes(&path("none/file"), &change), io::ErrorKind::NotFound);
    fails(storage.set_attributes(&path("file/below"), &change), io::ErrorKind::NotADirectory);
    storage.set_attributes(&path("file"), &Attributes::default()).unwrap();
    assert_eq!(content(storage, "file"), b"abc");
}

/// A store need not keep times finely, but never as another second.
fn keeps_times_to_the_nanosecond_or_as_it_can(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for nanos in [0, 1, 123_456_789, 999_999_999] {
        let time = Some(second + Duration::from_nanos(nanos));
        let change = Attributes { modified: time, accessed: time, ..Attributes::default() };
        if supported(storage.set_attributes(&path("file"), &change)) {
            let told = storage.metadata(&path("file")).unwrap();
            for told in [told.modified, told.accessed].into_iter().flatten() {
                let off = told.duration_since(second).unwrap();
                assert!(off <= Duration::from_nanos(nanos), "{nanos} nanoseconds are told as {off:?}");
            }
        }
    }
}

fn creates_with_the_mode_that_is_asked_for(storage: &dyn BlockStorage) {
    for bits in [0o666, 0o640, 0o4755, 0o000] {
        let file = path(&format!("file {bits:o}"));
        let (handle, created) = storage.open(&file, OpenMode::CreateNew { mode: Some(bits) }).unwrap();
        let told = storage.metadata(&file).unwrap().owner;
        let mode = |owner: Option<Owner>| owner.map(|owner| owner.mode);
        assert_eq!(mode(created.owner), mode(told), "{bits:o}");
        let holds_modes = Attributes { mode: Some(bits), ..Attributes::default() };
        if supported(storage.set_attributes(&file, &holds_modes)) {
            assert_eq!(mode(created.owner), Some(bits));
        }
        handle.write_at(0, b"abc").unwrap();
    }
}

fn changes_attributes_through_handles(storage: &dyn BlockStorage) {
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let all = Attributes { modified, accessed: modified, mode: Some(0o640), ..Attributes::default() };
    let told = match file.set_attributes(&all) {
        Err(error) => return assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        Ok(told) => told,
    };
    assert_eq!((told.modified, told.owner.map(|owner| owner.mode)), (modified, Some(0o640)));
    assert_eq!(storage.metadata(&path("file")).unwrap(), told);
    let nothing = file.set_attributes(&Attributes::default()).unwrap();
    assert_eq!(nothing, told, "nothing is changed, and told");
    if storage.remove(&path("file"), EntryKind::File).is_ok() {
        storage.write_new(&path("file"), b"another").unwrap();
        let mode = Attributes { mode: Some(0o600), ..Attributes::default() };
        let told = file.set_attributes(&mode).unwrap();
        assert_eq!((told.len, told.owner.map(|owner| owner.mode)), (0, Some(0o600)));
        assert_ne!(storage.metadata(&path("file")).unwrap().modified, modified, "it has another name's");
    }
    let (reader, _) = storage.open(&path("file"), OpenMode::Read).unwrap();
    reader.set_attributes(&all).unwrap();
    assert_eq!(storage.metadata(&path("file")).unwrap().modified, modified, "to read is enough");
}

fn tells_that_attributes_were_changed(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    let long_ago = Some(SystemTime::UNIX_EPOCH);
    let before = storage.metadata(&path("file")).unwrap().changed;
    let changes = [
        Attributes { modified: long_ago, accessed: long_ago, ..Attributes::default() },
        Attributes { mode: Some(0o640), ..Attributes::default() },
    ];
    for change in changes {
        if supported(storage.set_attributes(&path("file"), &change)) {
            let after = storage.metadata(&path("file")).unwrap().changed;
            assert!(after >= before, "{change:?} has set when it was changed: {after:?}");
        }
    }
}

fn changes_attributes_all_or_none(storage: &dyn BlockStorage) {
    storage.write_new(&path("file"), b"abc").unwrap();
    let before = storage.metadata(&path("file")).unwrap();
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let all = Attributes { modified, accessed: modified, mode: Some(0o640), ..Attributes::default() };
    let done = storage.set_attributes(&path("file"), &all);
    let after = storage.metadata(&path("file")).unwrap();
    if let Ok(told) = &done {
        assert_eq!(*told, after);
    }
    if supported(done) {
        assert_eq!((after.modified, after.owner.map(|owner| owner.mode)), (modified, Some(0o640)));
    } else {
        // To put something back is a change, too.
        let before = Metadata { changed: after.changed, ..before };
        assert_eq!(after, before, "`Unsupported`, and something was changed");
    }
}

fn syncs(storage: &dyn BlockStorage) {
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
