//! Directories that are removed while something comes into them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use oxcrypt_core::storage::{Attributes, BlockStorage, FaultyStorage, Method, Verdict};
use oxcrypt_core::{CiphertextPath, ErrorKind};

use crate::checker::Finding;
use crate::lab::{self, Lab, find, name};

/// A sync client brings a file between our look into the directory and its removal.
#[test]
fn what_a_sync_client_brings_in_the_last_moment_keeps_the_directory() {
    for replaces in [false, true] {
        let storage = Lab::GCM.filled(|vault| {
            lab::make_dir(vault, "dir").unwrap();
            lab::make_dir(vault, "source").unwrap();
        });
        let vault = lab::open(&storage);
        let dir = find(&vault, "dir").unwrap();
        let content_dir: CiphertextPath = vault.content_path(&dir);
        let brought = Lab::GCM
            .make(&oxcrypt_core::storage::MemoryStorage::default())
            .spell(dir.dir_id().unwrap(), "brought")
            .0;
        let (client, is_first) = (Arc::downgrade(&storage), AtomicBool::new(true));
        let path = content_dir.clone();
        storage.on_call(move |call| {
            let is_it = call.method == Method::Remove && call.path.parent().as_ref() == Some(&path);
            if is_it && is_first.swap(false, Ordering::Relaxed) {
                let client: Arc<FaultyStorage> = client.upgrade().unwrap();
                client.write_new(&brought, b"").unwrap();
            }
            Verdict::Pass
        });
        let refused = if replaces {
            lab::rename(&vault, "source", "dir", oxcrypt_core::storage::Replace::Always).unwrap_err()
        } else {
            lab::remove_dir(&vault, "dir").unwrap_err()
        };
        assert_eq!(refused.kind(), ErrorKind::NotEmpty);
        storage.on_call(|_| Verdict::Pass);
        storage.metadata(&content_dir.join("dirid.c9r").unwrap()).expect("the copy of the id is back");
        for vault in [&vault, &lab::open(&storage)] {
            let found = find(vault, "dir").unwrap();
            assert_eq!(found.dir_id(), dir.dir_id());
            let later = Instant::now() + std::time::Duration::from_mins(1);
            let listing = vault.list(&found, later).unwrap();
            assert!(listing.find(&name("brought")).is_some());
            find(vault, "source").unwrap();
        }
        let report = Lab::GCM.check(&*storage);
        assert_eq!(report.worse_than_repairable(&[]), Vec::<&Finding>::new());
    }
}

/// The entry's own file cannot be removed, or replaced, when the content directory is gone already.
#[test]
fn regression_a_directory_that_is_not_removed_in_the_end_keeps_its_content_directory() {
    for (replaces, len) in [(false, 3), (false, 200), (true, 3)] {
        let (target, source) = ("d".repeat(len), "s".repeat(len));
        let storage = Lab::GCM.filled(|vault| {
            lab::make_dir(vault, &target).unwrap();
            lab::make_dir(vault, &source).unwrap();
        });
        let vault = lab::open(&storage);
        let dir = find(&vault, &target).unwrap();
        let content_dir: CiphertextPath = vault.content_path(&dir);
        let private = Attributes { mode: Some(0o700), ..Attributes::default() };
        vault.set_attributes(&dir, &private, Instant::now()).unwrap();
        storage.on_call(|call| match call.method {
            Method::Rename => Verdict::Fail(io::ErrorKind::PermissionDenied),
            Method::Remove if call.path.file_name() == Some("dir.c9r") => {
                Verdict::Fail(io::ErrorKind::PermissionDenied)
            }
            _ => Verdict::Pass,
        });
        let refused = if replaces {
            lab::rename(&vault, &source, &target, oxcrypt_core::storage::Replace::Always).unwrap_err()
        } else {
            lab::remove_dir(&vault, &target).unwrap_err()
        };
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        storage.on_call(|_| Verdict::Pass);
        assert_eq!(storage.metadata(&content_dir).unwrap().owner.unwrap().mode & 0o777, 0o700);
        let report = Lab::GCM.check(&*storage);
        assert_eq!(report.worse_than_repairable(&[]), Vec::<&Finding>::new());
        for vault in [&vault, &lab::open(&storage)] {
            let inner = format!("{target}/inner");
            lab::make_dir(vault, &inner).unwrap();
            lab::remove_dir(vault, &inner).unwrap();
        }
        lab::remove_dir(&vault, &target).unwrap();
    }
}

#[test]
fn a_directory_that_is_removed_while_something_is_made_in_it_loses_nothing() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    for round in 0..200 {
        let dir = lab::make_dir(&vault, "dir").unwrap();
        let begin = Barrier::new(2);
        let now = Instant::now();
        let (removed, made) = thread::scope(|scope| {
            let removal = scope.spawn(|| {
                begin.wait();
                lab::remove_dir(&vault, "dir")
            });
            let creation = scope.spawn(|| {
                begin.wait();
                match round % 3 {
                    0 => vault.create(&dir, &name("new"), now).map(|_| ()),
                    1 => vault.make_dir(&dir, &name("new"), now).map(|_| ()),
                    _ => vault.make_symlink(&dir, &name("new"), "target", now).map(|_| ()),
                }
            });
            (removal.join().unwrap(), creation.join().unwrap())
        });
        match (removed, made) {
            (Ok(()), Err(error)) => assert_eq!(error.kind(), ErrorKind::NotFound),
            (Err(error), Ok(())) => {
                assert_eq!(error.kind(), ErrorKind::NotEmpty);
                vault.unsaved().iter().for_each(|file| lab::flush(file).unwrap());
                let remove = if round % 3 == 1 { lab::remove_dir } else { lab::remove };
                remove(&vault, "dir/new").unwrap();
                lab::remove_dir(&vault, "dir").unwrap();
            }
            both => panic!("{both:?}"),
        }
        let report = Lab::GCM.check(&*storage);
        assert_eq!((report.faults(), report.tree.len()), (vec![], 0), "in round {round}");
    }
}

#[test]
fn nothing_is_found_or_made_in_a_directory_that_is_gone() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let (dir, other) = (lab::make_dir(&vault, "dir").unwrap(), lab::make_dir(&vault, "other").unwrap());
    vault.list(&dir, Instant::now()).unwrap();
    lab::remove_dir(&vault, "dir").unwrap();
    let (now, new, root) = (Instant::now(), name("new"), vault.root());
    let never = oxcrypt_core::storage::Replace::Never;
    let refused = [
        vault.lookup(&dir, &new, now).map(|_| ()),
        vault.list(&dir, now).map(|_| ()),
        vault.create(&dir, &new, now).map(|_| ()),
        vault.make_dir(&dir, &new, now).map(|_| ()),
        vault.make_symlink(&dir, &new, "target", now).map(|_| ()),
        vault.remove(&dir, &new, now),
        vault.remove_dir(&dir, &new, now),
        vault.rename((&dir, &new), (&root, &new), never, now),
        vault.rename((&root, &name("other")), (&dir, &new), never, now),
        vault.attributes(&dir, now).map(|_| ()),
        vault.sync_dir(&dir),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound, "number {number}");
    }
    assert!(dir.is_gone() && !other.is_gone());
    assert_eq!(Lab::GCM.check(&*storage).faults(), Vec::<&Finding>::new());
}
