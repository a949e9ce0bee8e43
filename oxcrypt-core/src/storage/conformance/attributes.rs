//! Times, modes and owners.

use std::io;
use std::time::{Duration, SystemTime};

use super::super::{Attributes, BlockStorage, EntryKind, Metadata, OpenMode, Owner};
use super::{content, fails, path, supported};
use crate::ciphertext_path::CiphertextPath;

pub(super) fn keeps_attributes(storage: &dyn BlockStorage) {
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
pub(super) fn keeps_times_to_the_nanosecond_or_as_it_can(storage: &dyn BlockStorage) {
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

pub(super) fn creates_with_the_mode_that_is_asked_for(storage: &dyn BlockStorage) {
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

pub(super) fn changes_attributes_through_handles(storage: &dyn BlockStorage) {
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

pub(super) fn tells_that_attributes_were_changed(storage: &dyn BlockStorage) {
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

pub(super) fn changes_attributes_all_or_none(storage: &dyn BlockStorage) {
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

/// Whoever looks for changes of others looks at the time of the content, where there is one.
pub(super) fn tells_that_content_was_changed(storage: &dyn BlockStorage) {
    let (file, created) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    if created.modified.is_none() {
        return;
    }
    let long_ago = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let changes: [&dyn Fn() -> io::Result<()>; 3] =
        [&|| file.write_at(0, b"abc"), &|| file.write_at(1, b"x"), &|| file.set_len(1)];
    for (number, change) in changes.into_iter().enumerate() {
        let modified = Attributes { modified: long_ago, ..Attributes::default() };
        if supported(storage.set_attributes(&path("file"), &modified)) {
            change().unwrap();
            file.sync().unwrap();
            let told = storage.metadata(&path("file")).unwrap().modified;
            assert_ne!(told, long_ago, "change {number} is not told");
        }
    }
}

pub(super) fn keeps_a_time_that_is_set_behind_the_last_write(storage: &dyn BlockStorage) {
    let (file, _) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    let long_ago = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let modified = Attributes { modified: long_ago, ..Attributes::default() };
    file.write_at(0, b"abc").unwrap();
    if supported(storage.set_attributes(&path("file"), &modified)) {
        file.sync().unwrap();
        drop(file);
        assert_eq!(storage.metadata(&path("file")).unwrap().modified, long_ago);
        assert_eq!(content(storage, "file"), b"abc");
    }
}

pub(super) fn changes_attributes_of_the_root(storage: &dyn BlockStorage) {
    let root = CiphertextPath::root();
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let change = Attributes { modified, ..Attributes::default() };
    if supported(storage.set_attributes(&root, &change)) {
        assert_eq!(storage.metadata(&root).unwrap().modified, modified);
    }
    let told = storage.set_attributes(&root, &Attributes::default()).unwrap();
    assert_eq!(told, storage.metadata(&root).unwrap(), "nothing is changed, and told");
}

pub(super) fn takes_no_more_than_permission_bits_for_a_mode(storage: &dyn BlockStorage) {
    let (file, before) = storage.open(&path("file"), OpenMode::CreateNew { mode: None }).unwrap();
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let change = Attributes { mode: Some(0o100_644), modified, ..Attributes::default() };
    for result in [storage.set_attributes(&path("file"), &change), file.set_attributes(&change)] {
        let kind = result.unwrap_err().kind();
        assert!(matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported), "{kind:?}");
    }
    let after = storage.metadata(&path("file")).unwrap();
    assert_eq!((after.modified, after.owner), (before.modified, before.owner), "something was changed");
}
