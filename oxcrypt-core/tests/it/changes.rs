//! Files that somebody else changes or replaces while a vault is open: what is read is of one file, and of one time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{Attributes, BlockStorage, EntryKind, MemoryStorage, OpenMode, Replace};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{CiphertextPath, DirId, ErrorKind, File, Name, Node, Probe, Vault};

use crate::fixtures::unlock;
use crate::plain::Plain;

const OLD: &[u8] = b"the old content";
const NEW: &[u8] = b"THE NEW CONTENT";

/// A vault with one file, and a second content for it.
struct Scene {
    storage: Arc<MemoryStorage>,
    path: CiphertextPath,
    new: Vec<u8>,
    vault: Vault,
}

impl Scene {
    fn new(old: &[u8], new: &[u8], tells_files_apart: bool) -> Self {
        let storage = Arc::new(MemoryStorage::default());
        let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
        let path = builder.file(&DirId::root(), "file", old).unwrap();
        let new = builder.encrypt(new);
        drop(builder);
        let shared = Arc::clone(&storage);
        let shared: Arc<dyn BlockStorage> =
            Arc::new(Plain { inner: shared, tells_files_apart, always_replaces: false });
        let vault = unlock(shared, "passphrase");
        Self { storage, path, new, vault }
    }

    fn node(&self) -> Arc<Node> {
        self.vault.lookup(&self.vault.root(), &Name::new("file").unwrap(), Instant::now()).unwrap()
    }

    fn open(&self) -> File {
        self.vault.open(&self.node(), Instant::now()).unwrap()
    }

    /// Sets the file's time to so many seconds.
    fn stamp(&self, path: &CiphertextPath, seconds: u64) {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        self.storage.set_attributes(path, &Attributes { modified, ..Attributes::default() }).unwrap();
    }

    /// Writes the new content into the same file.
    fn rewrite(&self) {
        let (file, _) = self.storage.open(&self.path, OpenMode::ReadWrite).unwrap();
        file.set_len(self.new.len() as u64).unwrap();
        file.write_at(0, &self.new).unwrap();
    }

    /// Puts another file with the new content in the place of the old one.
    fn replace(&self, seconds: Option<u64>) {
        let temporary = CiphertextPath::parse("temporary").unwrap();
        self.storage.write_new(&temporary, &self.new).unwrap();
        if let Some(seconds) = seconds {
            self.stamp(&temporary, seconds);
        }
        self.storage.rename(&temporary, &self.path, Replace::Always).unwrap();
    }
}

fn content(file: &File) -> Vec<u8> {
    let mut buf = vec![0; 200_000];
    let len = file.read_at(0, &mut buf).unwrap();
    buf.truncate(len);
    buf
}

#[test]
fn two_files_never_share_what_memory_has_of_one() {
    for seconds in [Some(2), None] {
        let scene = Scene::new(OLD, NEW, false);
        if seconds.is_some() {
            scene.stamp(&scene.path, 1);
        }
        let old = scene.open();
        scene.replace(seconds);
        let new = scene.open();
        // The old file's header and chunks come to memory first.
        assert_eq!(content(&old), OLD);
        assert_eq!(content(&new), NEW);
        assert_eq!(content(&old), OLD);
    }
}

#[test]
fn a_file_that_was_read_again_after_a_change_is_shared_with_no_handle_of_another() {
    // Two chunks, so that one can be read before the change and one after it.
    let (old, new) = (vec![1; 40_000], vec![2; 40_001]);
    let scene = Scene::new(&old, &new, false);
    scene.stamp(&scene.path, 1);
    let first = scene.open();
    scene.rewrite();
    scene.stamp(&scene.path, 2);
    assert_eq!(content(&first), new);
    scene.replace(Some(2));
    let second = scene.open();
    assert!(!Arc::ptr_eq(first.resident(), second.resident()));
}

#[test]
fn a_file_without_times_is_read_again_when_it_is_opened_again() {
    for tells_files_apart in [true, false] {
        let scene = Scene::new(OLD, NEW, tells_files_apart);
        assert_eq!(content(&scene.open()), OLD);
        scene.rewrite();
        assert_eq!(content(&scene.open()), NEW);
    }
}

#[test]
fn a_file_that_is_rewritten_while_it_is_open_is_read_as_it_is_now() {
    let old = vec![1; 100_000];
    // The same length, longer, and shorter: also by so much that the wanted range is gone.
    for len in [100_000, 150_000, 50_000, 10] {
        for has_times in [true, false] {
            let new = vec![2; len];
            let scene = Scene::new(&old, &new, true);
            if has_times {
                scene.stamp(&scene.path, 1);
            }
            let file = scene.open();
            file.read_at(0, &mut [0; 10]).unwrap();
            scene.rewrite();
            if has_times {
                scene.stamp(&scene.path, 2);
            }
            let mut buf = vec![0; 200_000];
            let read = file.read_at(40_000, &mut buf).unwrap();
            assert_eq!(buf[..read], new[40_000.min(len)..], "{len} bytes, times: {has_times}");
            assert_eq!(content(&file), new);
        }
    }
}

#[test]
fn what_takes_the_place_of_a_file_is_another_node_and_the_old_handle_goes_on() {
    let scene = Scene::new(OLD, b"new, and longer than it was", true);
    let old = scene.open();
    assert_eq!(content(&old), OLD);
    scene.replace(None);
    let later = Instant::now() + Duration::from_mins(1);
    let attributes = scene.vault.attributes(old.node(), later).unwrap();
    assert_eq!(attributes.len, 27);
    // Memory does not answer for the new file with what it has of the old one.
    assert_eq!(scene.vault.resident().file(old.node().id()).ready().map(|file| file.len()), None);
    assert_eq!(content(&old), OLD);
    let new = scene.open();
    assert_ne!(new.node().id(), old.node().id());
    assert_eq!(content(&new), b"new, and longer than it was");
}

#[test]
fn an_open_file_is_known_to_memory_however_many_were_opened_since() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    for number in 0..4_500 {
        builder.file(&DirId::root(), &number.to_string(), b"x").unwrap();
    }
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let now = Instant::now();
    let open = |number: usize| {
        let name = Name::new(&number.to_string()).unwrap();
        vault.open(&vault.lookup(&vault.root(), &name, now).unwrap(), now).unwrap()
    };
    let held = open(0);
    held.read_at(0, &mut [0; 1]).unwrap();
    (1..4_500).for_each(|number| drop(open(number)));
    let known = vault.resident().file(held.node().id()).ready().unwrap();
    assert!(Arc::ptr_eq(&known, held.resident()));
    assert_eq!(known.read(0, &mut [0; 1]), Probe::Ready(1));
}

#[test]
fn a_file_that_is_gone_is_not_found() {
    let scene = Scene::new(OLD, NEW, true);
    let node = scene.node();
    scene.storage.remove(&scene.path, EntryKind::File).unwrap();
    let now = Instant::now();
    assert_eq!(scene.vault.open(&node, now).unwrap_err().kind(), ErrorKind::NotFound);
    let name = Name::new("file").unwrap();
    assert_eq!(
        scene.vault.lookup(&scene.vault.root(), &name, now).unwrap_err().kind(),
        ErrorKind::NotFound,
        "what was learnt by opening is known to lookups"
    );
}
