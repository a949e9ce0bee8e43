//! Which time a file shows: that of the last write while it is unsaved, then what the storage says, or what was set.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{Attributes, BlockStorage, Gate, LocalStorage, Method, Verdict};
use oxcrypt_core::{File, Vault, VaultOptions};

use crate::lab::{self, Lab, at, find, flush};

/// A vault in a folder of the host, which keeps times by itself.
fn vault(dir: &tempfile::TempDir) -> (Arc<LocalStorage>, Vault) {
    let storage = LocalStorage::open(dir.path()).unwrap();
    drop(Lab::GCM.make(&storage));
    let storage = Arc::new(storage);
    let vault = lab::open_with(&storage, &VaultOptions::default().max_age(Duration::ZERO));
    (storage, vault)
}

fn modified(vault: &Vault, file: &File) -> SystemTime {
    vault.attributes(file.node(), Instant::now()).unwrap().modified.unwrap()
}

fn set(vault: &Vault, file: &File, time: SystemTime) {
    let times = Attributes { modified: Some(time), ..Attributes::default() };
    vault.set_attributes(file.node(), &times, Instant::now()).unwrap();
}

#[test]
fn an_unsaved_file_shows_when_it_was_written_and_a_saved_one_what_the_storage_says() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, vault) = vault(&dir);
    let before = SystemTime::now() - Duration::from_secs(5);
    let file = lab::create(&vault, "file").unwrap();
    file.write_at(0, b"content", at(1_000)).unwrap();
    assert_eq!(modified(&vault, &file), at(1_000));
    file.set_len(3, at(2_000)).unwrap();
    assert_eq!(modified(&vault, &file), at(2_000));
    flush(&file).unwrap();
    let saved = modified(&vault, &file);
    assert!(saved > before, "{saved:?}");
    let fresh = lab::open(&storage);
    assert_eq!(
        fresh.attributes(&find(&fresh, "file").unwrap(), Instant::now()).unwrap().modified,
        Some(saved)
    );
}

#[test]
fn a_time_that_was_set_outlives_the_flush_and_not_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, vault) = vault(&dir);
    let file = lab::create(&vault, "file").unwrap();
    // As a copying program does it: the time is set before anything is stored.
    lab::write(&file, 0, &vec![7; 100_000]).unwrap();
    set(&vault, &file, at(1_000));
    assert_eq!(modified(&vault, &file), at(1_000));
    flush(&file).unwrap();
    assert_eq!(modified(&vault, &file), at(1_000));
    let fresh = lab::open(&storage);
    let seen = fresh.attributes(&find(&fresh, "file").unwrap(), Instant::now()).unwrap();
    assert_eq!(seen.modified, Some(at(1_000)));
    // And what memory has of the content is still that of this file.
    assert_eq!(lab::content(&file).unwrap(), vec![7; 100_000]);
    file.write_at(0, b"x", at(3_000)).unwrap();
    assert_eq!(modified(&vault, &file), at(3_000));
    flush(&file).unwrap();
    assert!(modified(&vault, &file) > at(3_000), "what was set once is not set again");
}

#[test]
fn a_time_that_is_set_on_a_saved_file_is_set_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, vault) = vault(&dir);
    let file = lab::put(&vault, "file", b"content");
    set(&vault, &file, at(1_000));
    for vault in [&vault, &lab::open(&storage)] {
        let node = find(vault, "file").unwrap();
        assert_eq!(vault.attributes(&node, Instant::now()).unwrap().modified, Some(at(1_000)));
    }
    // It makes no other file of it.
    file.write_at(0, b"C", at(2_000)).unwrap();
    flush(&file).unwrap();
    assert_eq!(lab::read(&lab::open(&storage), "file").unwrap(), b"Content");
}

#[test]
fn a_time_that_was_set_between_two_writes_is_that_of_neither() {
    let dir = tempfile::tempdir().unwrap();
    let (_storage, vault) = vault(&dir);
    let file = lab::create(&vault, "file").unwrap();
    lab::write(&file, 0, b"one").unwrap();
    set(&vault, &file, at(1_000));
    file.write_at(3, b"two", at(2_000)).unwrap();
    assert_eq!(modified(&vault, &file), at(2_000), "the last one to change it says when");
    flush(&file).unwrap();
    assert!(modified(&vault, &file) >= at(2_000));
}

#[test]
fn while_anything_is_unsaved_a_file_was_changed_when_it_was_last_written() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let file = lab::create(&vault, "file").unwrap();
    file.write_at(0, b"content", at(1_000)).unwrap();
    set(&vault, &file, at(500));
    let seen = vault.attributes(file.node(), Instant::now()).unwrap();
    assert_eq!((seen.modified, seen.changed), (Some(at(500)), Some(at(1_000))), "nobody sets the latter");
    flush(&file).unwrap();
    let seen = vault.attributes(file.node(), Instant::now()).unwrap();
    assert_eq!((seen.modified, seen.changed), (Some(at(500)), None), "this storage does not know");
}

// Other hosts keep times less finely, and no modes.
#[cfg(unix)]
#[test]
fn times_keep_their_nanoseconds_and_a_write_leaves_the_time_of_access() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, vault) = vault(&dir);
    let file = lab::create(&vault, "file").unwrap();
    file.write_at(0, b"content", at(1_000)).unwrap();
    let (modified, accessed) = (at(2_000) + Duration::from_nanos(1), at(3_000) + Duration::from_nanos(999));
    let times = Attributes { modified: Some(modified), accessed: Some(accessed), ..Attributes::default() };
    vault.set_attributes(file.node(), &times, Instant::now()).unwrap();
    let times = |vault: &Vault| {
        let seen = vault.attributes(&find(vault, "file").unwrap(), Instant::now()).unwrap();
        (seen.modified.unwrap(), seen.accessed.unwrap())
    };
    assert_eq!(times(&vault), (modified, accessed), "before they are stored");
    flush(&file).unwrap();
    assert_eq!(times(&vault), (modified, accessed));
    assert_eq!(times(&lab::open(&storage)), (modified, accessed));
    set(&vault, &file, at(4_000));
    file.write_at(0, b"C", at(5_000)).unwrap();
    assert_eq!(times(&vault), (at(5_000), accessed));
    flush(&file).unwrap();
    assert_eq!(times(&lab::open(&storage)).1, accessed, "whoever writes reads nothing");
}

#[cfg(unix)]
#[test]
fn a_mode_that_is_set_changes_when_a_file_was_changed_and_not_when_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_storage, vault) = vault(&dir);
    let file = lab::put(&vault, "file", b"content");
    let node = lab::make_dir(&vault, "dir").unwrap();
    for node in [file.node(), &node] {
        let before = vault.attributes(node, Instant::now()).unwrap();
        let mode = Attributes { mode: Some(0o700), ..Attributes::default() };
        vault.set_attributes(node, &mode, Instant::now()).unwrap();
        let after = vault.attributes(node, Instant::now()).unwrap();
        assert_eq!(after.owner.unwrap().mode, 0o700);
        assert_eq!(after.modified, before.modified);
        // The host's clock may be coarse.
        assert!(after.changed.unwrap() >= before.changed.unwrap());
    }
}

/// What a program does to a directory to change what is in it.
#[cfg(unix)]
type Act = (&'static str, fn(&Vault));

// Other hosts may take their time.
#[cfg(unix)]
#[test]
fn a_directory_shows_at_once_when_what_is_in_it_was_changed() {
    use oxcrypt_core::storage::Replace;
    let host = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(host.path()).unwrap();
    drop(Lab::SHORT.make(&storage));
    // Memory believes what it knows.
    let vault = lab::open(&Arc::new(storage));
    let dirs = ["dir", "other"].map(|path| lab::make_dir(&vault, path).unwrap());
    let acts: [Act; 11] = [
        ("create", |vault| drop(lab::put(vault, "dir/file", b"x"))),
        ("create, long", |vault| drop(lab::put(vault, "dir/a longer name", b"x"))),
        ("make a directory", |vault| drop(lab::make_dir(vault, "dir/sub").unwrap())),
        ("make a link", |vault| drop(lab::make_symlink(vault, "dir/link", "target").unwrap())),
        ("rename", |vault| lab::rename(vault, "dir/file", "dir/moved", Replace::Never).unwrap()),
        ("lengthen", |vault| lab::rename(vault, "dir/moved", "dir/moved elsewhere", Replace::Never).unwrap()),
        ("shorten", |vault| lab::rename(vault, "dir/moved elsewhere", "dir/file", Replace::Never).unwrap()),
        ("replace", |vault| lab::rename(vault, "dir/file", "dir/a longer name", Replace::Always).unwrap()),
        ("remove a link", |vault| lab::remove(vault, "dir/link").unwrap()),
        ("remove a directory", |vault| lab::remove_dir(vault, "dir/sub").unwrap()),
        ("move away", |vault| lab::rename(vault, "dir/a longer name", "other/x", Replace::Never).unwrap()),
    ];
    for (what, act) in acts {
        let times = Attributes { modified: Some(at(1_000)), ..Attributes::default() };
        for dir in &dirs {
            vault.set_attributes(dir, &times, Instant::now()).unwrap();
        }
        let modified = |dir| vault.attributes(dir, Instant::now()).unwrap().modified.unwrap();
        assert_eq!(modified(&dirs[0]), at(1_000));
        act(&vault);
        assert!(modified(&dirs[0]) > at(1_000), "{what}");
        assert_eq!(modified(&dirs[1]) > at(1_000), what == "move away", "{what}");
    }
}

// As programs do to leave a mark of when they were there.
#[test]
fn regression_an_empty_file_that_is_emptied_again_was_modified_then() {
    let dir = tempfile::tempdir().unwrap();
    let (_storage, vault) = vault(&dir);
    let file = lab::put(&vault, "file", b"");
    let acts: [fn(&File); 2] =
        [|file| file.set_len(0, at(2_000)).unwrap(), |file| assert!(file.try_set_len(0, at(2_000)).unwrap())];
    for empty in acts {
        set(&vault, &file, at(1_000));
        empty(&file);
        assert_eq!(modified(&vault, &file), at(2_000));
        flush(&file).unwrap();
        assert!(modified(&vault, &file) > at(2_000), "when storage took it");
    }
}

#[test]
fn regression_a_file_that_is_given_the_length_it_has_was_modified_then() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, vault) = vault(&dir);
    let file = lab::put(&vault, "file", b"content");
    let acts: [fn(&File); 2] =
        [|file| file.set_len(7, at(2_000)).unwrap(), |file| assert!(file.try_set_len(7, at(2_000)).unwrap())];
    for act in acts {
        set(&vault, &file, at(1_000));
        act(&file);
        assert_eq!(modified(&vault, &file), at(2_000));
        flush(&file).unwrap();
        assert_eq!(modified(&vault, &file), at(2_000));
        let fresh = lab::open(&storage);
        let seen = fresh.attributes(&find(&fresh, "file").unwrap(), Instant::now()).unwrap();
        assert_eq!(seen.modified, Some(at(2_000)));
        assert_eq!(lab::content(&file).unwrap(), b"content");
    }
}

/// The file may be written to, and belongs to another.
#[test]
fn a_store_that_refuses_the_time_of_a_change_does_not_refuse_the_change() {
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", b"content")));
    let vault = lab::open(&storage);
    let file = lab::open_for_writing(&vault, "file").unwrap();
    storage.on_call(|call| match call.method {
        Method::SetAttributes => Verdict::Fail(std::io::ErrorKind::PermissionDenied),
        _ => Verdict::Pass,
    });
    file.set_len(7, at(2_000)).unwrap();
    flush(&file).unwrap();
    assert!(!file.resident().is_unsaved());
}

// The host says that a file was changed when it was moved; who copies it, and compares, must not see that come late.
#[cfg(unix)]
#[test]
fn regression_a_file_that_was_moved_shows_at_once_when_that_was() {
    use oxcrypt_core::storage::Replace;
    let host = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(host.path()).unwrap();
    drop(Lab::SHORT.make(&storage));
    let storage = Arc::new(storage);
    // Memory believes what it knows.
    let vault = lab::open(&storage);
    let file = lab::put(&vault, "file", b"content");
    drop(lab::put(&vault, "other", b"content"));
    let changed = || vault.attributes(file.node(), Instant::now()).unwrap().changed.unwrap();
    let host_says = || storage.metadata(&vault.content_path(file.node())).unwrap().changed.unwrap();
    let host_clock = || {
        std::fs::write(host.path().join("clock"), b"tick").unwrap();
        std::fs::metadata(host.path().join("clock")).unwrap().modified().unwrap()
    };
    let acts = [
        ("file", "moved", Replace::Never),
        ("moved", "a longer name", Replace::Never),
        ("a longer name", "other", Replace::Always),
        ("other", "moved", Replace::Never),
    ];
    for (from, to, replace) in acts {
        let before = changed();
        while host_clock() <= before {}
        lab::rename(&vault, from, to, replace).unwrap();
        assert!(changed() == host_says() && changed() > before, "{from} to {to}");
    }
}

#[test]
fn regression_what_was_told_of_a_directory_before_it_was_changed_is_not_kept() {
    let storage = Lab::GCM.filled(|vault| drop(lab::make_dir(vault, "dir").unwrap()));
    let vault = lab::open(&storage);
    let dir = find(&vault, "dir").unwrap();
    let content_dir = vault.content_path(&dir);
    let gate = Arc::new(Gate::default());
    let (held, path) = (Arc::clone(&gate), content_dir.clone());
    storage.on_call(move |call| match call.method {
        Method::Metadata if call.path == path => Verdict::HoldAfter(0, Arc::clone(&held)),
        _ => Verdict::Pass,
    });
    std::thread::scope(|scope| {
        let old = scope.spawn(|| vault.attributes(&dir, Instant::now()).unwrap());
        gate.wait_for(1);
        drop(lab::create(&vault, "dir/new").unwrap());
        // The host does this by itself.
        let times = Attributes { modified: Some(at(7)), ..Attributes::default() };
        storage.set_attributes(&content_dir, &times).unwrap();
        gate.open();
        // What storage told was overtaken, so that it was asked again.
        assert_eq!(old.join().unwrap().modified, Some(at(7)));
    });
    assert_eq!(vault.attributes(&dir, Instant::now()).unwrap().modified, Some(at(7)));
}
