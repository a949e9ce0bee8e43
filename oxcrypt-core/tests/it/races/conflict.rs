//! A sync client puts another file in the place of one that is being written.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{Attributes, BlockStorage, EntryKind, MemoryStorage, Replace};
use oxcrypt_core::{CiphertextPath, File, Stored, Vault, VaultOptions};

use super::P;
use crate::lab::{self, Lab, bytes, content, find, flush};
use crate::plain::Plain;

/// A vault with a file that is open, of which one chunk is changed and not stored, and what should be read of it.
struct Scene {
    storage: Arc<MemoryStorage>,
    vault: Vault,
    file: File,
    model: Vec<u8>,
    /// The ciphertext of the file, and of another one.
    path: CiphertextPath,
    theirs: Vec<u8>,
}

const THEIRS: &[u8] = b"what they have written";

impl Scene {
    fn new(name: &str, cache: usize) -> Self {
        let storage = Arc::new(Lab::GCM.empty());
        let theirs = Lab::GCM.make(&MemoryStorage::default()).encrypt(THEIRS);
        let options = VaultOptions::default().chunk_cache_bytes(cache);
        let vault = lab::open_with(&storage, &options);
        let mut model = bytes(3 * P + 5, 0);
        drop(lab::put(&vault, name, &model));
        let file = lab::open_for_writing(&vault, name).unwrap();
        lab::write(&file, P as u64 + 7, b"changed").unwrap();
        model[P + 7..][..7].copy_from_slice(b"changed");
        let path = vault.content_path(file.node());
        Self { storage, vault, file, model, path, theirs }
    }

    fn replace(&self) {
        let temporary = CiphertextPath::parse("temporary").unwrap();
        self.storage.write_new(&temporary, &self.theirs).unwrap();
        self.storage.rename(&temporary, &self.path, Replace::Always).unwrap();
    }

    fn flush(&self) -> Stored {
        self.file.flush(Instant::now()).unwrap()
    }

    fn shown(&self) -> Vec<String> {
        let vault = lab::open(&self.storage);
        let listing = vault.list(&vault.root(), Instant::now()).unwrap();
        listing.entries().iter().map(|entry| entry.shown().to_owned()).collect()
    }

    /// Our content is under `copy`, theirs under the old name, for us and for everybody else.
    fn expect_copy(&self, name: &str, copy: &str) {
        for vault in [&self.vault, &lab::open(&self.storage)] {
            assert!(lab::read(vault, copy).unwrap() == self.model);
            assert_eq!(lab::read(vault, name).unwrap(), THEIRS);
        }
        assert!(content(&self.file).unwrap() == self.model);
        assert!(
            Arc::ptr_eq(&find(&self.vault, copy).unwrap(), self.file.node()),
            "the node moves with the content"
        );
        assert!(!Arc::ptr_eq(&find(&self.vault, name).unwrap(), self.file.node()));
        assert_eq!(Lab::GCM.check(&*self.storage).faults(), Vec::<&crate::checker::Finding>::new());
    }
}

#[test]
fn what_was_written_goes_to_a_copy_where_somebody_has_replaced_the_file() {
    for cache in [0, 64 << 20] {
        for (name, copy) in [("file", "file (conflict 1)"), ("letter.txt", "letter (conflict 1).txt")] {
            let scene = Scene::new(name, cache);
            scene.replace();
            assert_eq!(scene.flush(), Stored::ConflictCopy { lost_chunks: 0 });
            scene.expect_copy(name, copy);
            assert_eq!(scene.vault.unsaved().len(), 0);
        }
    }
}

#[test]
fn every_handle_goes_on_with_the_copy() {
    let mut scene = Scene::new("file", 64 << 20);
    let other = scene.vault.open(scene.file.node(), Instant::now()).unwrap();
    scene.replace();
    assert_eq!(scene.flush(), Stored::ConflictCopy { lost_chunks: 0 });
    assert!(content(&other).unwrap() == scene.model);
    lab::write(&scene.file, 0, b"more").unwrap();
    scene.model[..4].copy_from_slice(b"more");
    flush(&scene.file).unwrap();
    assert!(content(&other).unwrap() == scene.model);
    scene.expect_copy("file", "file (conflict 1)");
}

#[test]
fn a_name_that_is_taken_is_not_that_of_the_copy() {
    let scene = Scene::new("file", 64 << 20);
    drop(lab::put(&scene.vault, "file (conflict 1)", b"another copy"));
    scene.replace();
    assert_eq!(scene.flush(), Stored::ConflictCopy { lost_chunks: 0 });
    scene.expect_copy("file", "file (conflict 2)");
    assert_eq!(lab::read(&scene.vault, "file (conflict 1)").unwrap(), b"another copy");
}

#[test]
fn the_copy_of_a_file_with_a_long_name_has_one_too() {
    let name = "l".repeat(140);
    let scene = Scene::new(&name, 64 << 20);
    scene.replace();
    assert_eq!(scene.flush(), Stored::ConflictCopy { lost_chunks: 0 });
    scene.expect_copy(&name, &format!("{name} (conflict 1)"));
}

#[test]
fn what_was_written_goes_to_a_copy_where_somebody_has_removed_the_file() {
    let scene = Scene::new("file", 64 << 20);
    scene.storage.remove(&scene.path, EntryKind::File).unwrap();
    assert_eq!(scene.flush(), Stored::ConflictCopy { lost_chunks: 0 });
    assert_eq!(scene.shown(), ["file (conflict 1)"]);
    assert!(lab::read(&lab::open(&scene.storage), "file (conflict 1)").unwrap() == scene.model);
}

#[test]
fn nothing_goes_to_a_copy_where_we_have_removed_or_replaced_the_file_ourselves() {
    let scene = Scene::new("file", 64 << 20);
    lab::remove(&scene.vault, "file").unwrap();
    assert_eq!(scene.flush(), Stored::InPlace);
    assert_eq!(scene.shown(), Vec::<String>::new());
    assert!(content(&scene.file).unwrap() == scene.model);

    let scene = Scene::new("file", 64 << 20);
    drop(lab::put(&scene.vault, "other", b"other"));
    lab::rename(&scene.vault, "other", "file", Replace::Always).unwrap();
    assert_eq!(scene.flush(), Stored::InPlace);
    assert_eq!(scene.shown(), ["file"]);
    assert!(content(&scene.file).unwrap() == scene.model);
    assert_eq!(lab::read(&scene.vault, "file").unwrap(), b"other");
}

#[test]
fn nothing_goes_to_a_copy_where_we_have_moved_the_file_ourselves() {
    for to in ["moved", &"m".repeat(200)] {
        let scene = Scene::new("file", 64 << 20);
        lab::rename(&scene.vault, "file", to, Replace::Never).unwrap();
        assert_eq!(scene.flush(), Stored::InPlace);
        assert_eq!(scene.shown(), [to]);
        assert!(lab::read(&lab::open(&scene.storage), to).unwrap() == scene.model);
    }
}

#[test]
fn a_file_that_was_only_read_makes_no_copy() {
    let scene = Scene::new("file", 64 << 20);
    flush(&scene.file).unwrap();
    scene.replace();
    assert_eq!(scene.flush(), Stored::InPlace);
    assert_eq!(scene.shown(), ["file"]);
    assert_eq!(lab::read(&lab::open(&scene.storage), "file").unwrap(), THEIRS);
}

/// A copy that cannot be made leaves everything as it was, and the next flush makes it.
#[test]
fn a_copy_that_fails_is_made_by_the_next_flush() {
    use oxcrypt_core::storage::{FaultyStorage, Verdict};

    let content_before = bytes(2 * P, 0);
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &content_before)));
    for failing in 0..12 {
        let image = storage.crash_image(usize::MAX, oxcrypt_core::storage::Crash::Kill { pages: 0 });
        let storage = Arc::new(FaultyStorage::new(&image));
        let vault = lab::open(&storage);
        let file = lab::open_for_writing(&vault, "file").unwrap();
        lab::write(&file, 0, b"changed").unwrap();
        let path = vault.content_path(file.node());
        storage.remove(&path, EntryKind::File).unwrap();
        storage.write_new(&path, &Lab::GCM.make(&MemoryStorage::default()).encrypt(THEIRS)).unwrap();
        let first = storage.counts().total();
        storage.on_call(move |call| {
            if call.number == first + failing {
                Verdict::Fail(io::ErrorKind::StorageFull)
            } else {
                Verdict::Pass
            }
        });
        let failed = file.flush(Instant::now());
        storage.on_call(|_| Verdict::Pass);
        if failed.is_err() {
            assert_eq!(file.flush(Instant::now()).unwrap(), Stored::ConflictCopy { lost_chunks: 0 });
        }
        let expected = [&b"changed"[..], &content_before[7..]].concat();
        assert!(content(&file).unwrap() == expected);
        let fresh = lab::open(&storage);
        let shown: Vec<_> = fresh
            .list(&fresh.root(), Instant::now())
            .unwrap()
            .entries()
            .iter()
            .map(|entry| entry.shown().to_owned())
            .collect();
        assert!(
            shown.iter().any(|name| lab::read(&fresh, name).unwrap() == expected),
            "call {failing}: {shown:?}"
        );
        assert_eq!(lab::read(&fresh, "file").unwrap(), THEIRS);
    }
}

#[test]
fn regression_a_store_that_cannot_tell_files_apart_takes_no_harm_from_two_who_write() {
    for has_times in [true, false] {
        let memory = Arc::new(Lab::GCM.empty());
        let plain = Plain { inner: Arc::clone(&memory), tells_files_apart: false, always_replaces: false };
        let storage = Arc::new(plain);
        let vault = lab::open(&storage);
        let file = lab::create(&vault, "file").unwrap();
        let mut model = Vec::new();
        for round in 0..10_u8 {
            let handle = lab::open_for_writing(&vault, "file").unwrap();
            lab::write(&handle, model.len() as u64, &[round; 10_000]).unwrap();
            model.extend([round; 10_000]);
            flush(&handle).unwrap();
            if has_times {
                let modified = Some(lab::at(u64::from(round) + 1));
                let times = Attributes { modified, ..Attributes::default() };
                vault.set_attributes(file.node(), &times, Instant::now()).unwrap();
            }
            lab::write(&file, 0, &[round; 3]).unwrap();
            model[..3].fill(round);
            flush(&file).unwrap();
            assert!(content(&file).unwrap() == model && content(&handle).unwrap() == model);
        }
        assert!(lab::read(&lab::open(&memory), "file").unwrap() == model);
        let root = vault.list(&vault.root(), Instant::now()).unwrap();
        assert_eq!(root.entries().len(), 1);
    }
}
