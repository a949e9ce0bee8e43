//! Files that memory alone has opened: storage is asked for them when somebody needs more.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use oxcrypt_core::storage::{Attributes, BlockStorage as _, FaultyStorage, Gate, Method, Replace, Verdict};
use oxcrypt_core::{ErrorKind, File, Node, Vault};

use crate::lab::{self, Lab, at, bytes, content, find, flush};

const P: usize = 32_768;
const LEN: usize = 2 * P + 100;

/// A vault with a file of three chunks, of which memory has the first.
struct Scene {
    storage: Arc<FaultyStorage>,
    vault: Vault,
    node: Arc<Node>,
}

impl Scene {
    fn new() -> Self {
        let storage = Lab::GCM.filled(|vault| {
            drop(lab::put(vault, "file", &bytes(LEN, 0)));
            drop(lab::put(vault, "other", &bytes(LEN, 1)));
        });
        let vault = lab::open(&storage);
        for name in ["file", "other"] {
            date(&storage, &vault, name, 1);
        }
        let node = find(&vault, "file").unwrap();
        let file = vault.open(&node, Instant::now()).unwrap();
        assert_eq!(file.read_at(0, &mut [0; 10]).unwrap(), 10);
        Self { storage, vault, node }
    }

    /// Opens the file with what memory has of it.
    fn open(&self) -> File {
        let calls = self.storage.counts().total();
        let known = self.vault.resident().file(self.node.id()).ready().unwrap();
        let file = self.vault.open_resident(&self.node, &known, Instant::now()).unwrap();
        assert_eq!(self.storage.counts().total(), calls);
        assert_eq!(file.len(), LEN as u64);
        file
    }

    /// How often files were opened in storage.
    fn opened(&self) -> u64 {
        self.storage.counts().of(Method::Open)
    }
}

/// Without a time nobody could say that a file is what it was.
fn date(storage: &FaultyStorage, vault: &Vault, path: &str, seconds: u64) {
    let modified = Attributes { modified: Some(at(seconds)), ..Attributes::default() };
    storage.set_attributes(&vault.content_path(&find(vault, path).unwrap()), &modified).unwrap();
}

/// Reads what memory has.
#[track_caller]
fn head_is_there(file: &File) {
    let mut head = vec![0; 1_000];
    assert_eq!(file.read_at(100, &mut head).unwrap(), 1_000);
    assert_eq!(head, bytes(LEN, 0)[100..1_100]);
}

fn failure(file: &File) -> ErrorKind {
    file.read_at(P as u64, &mut [0; 10]).unwrap_err().kind()
}

#[test]
fn what_memory_has_is_read_without_storage_and_the_rest_opens_the_file_once() {
    let scene = Scene::new();
    let calls = scene.storage.counts().total();
    let (file, again) = (scene.open(), scene.open());
    head_is_there(&file);
    assert!(file.try_read_block(1..2).ready().is_none(), "not to wait is not to open");
    drop(again);
    assert_eq!(scene.storage.counts().total(), calls);
    let opened = scene.opened();
    assert_eq!(content(&file).unwrap(), bytes(LEN, 0));
    assert_eq!(content(&scene.open()).unwrap(), bytes(LEN, 0));
    assert_eq!(scene.opened(), opened + 1);
}

#[test]
fn one_that_nobody_needs_more_of_is_never_opened() {
    let scene = Scene::new();
    let calls = scene.storage.counts().total();
    head_is_there(&scene.open());
    head_is_there(&scene.open());
    assert_eq!(scene.storage.counts().total(), calls);
}

#[test]
fn what_others_have_changed_is_read_by_who_opens_it_again_and_not_by_who_may_have_read_what_was() {
    let scene = Scene::new();
    let file = scene.open();
    let others = lab::open(&scene.storage);
    let writer = lab::open_for_writing(&others, "file").unwrap();
    lab::write(&writer, 0, &bytes(LEN + P, 2)).unwrap();
    flush(&writer).unwrap();
    date(&scene.storage, &others, "file", 2);
    head_is_there(&file);
    assert_eq!(failure(&file), ErrorKind::NotFound);
    assert_eq!(file.read_at(0, &mut [0; 10]).unwrap_err().kind(), ErrorKind::NotFound);
    let again = scene.vault.open(&scene.node, Instant::now()).unwrap();
    assert!(content(&again).unwrap() == bytes(LEN + P, 2));
    // And by who opens it from memory, now that it knows.
    let known = scene.vault.resident().file(scene.node.id()).ready().unwrap();
    let again = scene.vault.open_resident(&scene.node, &known, Instant::now()).unwrap();
    assert!(content(&again).unwrap() == bytes(LEN + P, 2));
}

#[test]
fn where_nobody_can_have_read_what_was_all_of_it_is_read_as_it_is() {
    let scene = Scene::new();
    let unread = find(&scene.vault, "other").unwrap();
    let opened = scene.vault.open(&unread, Instant::now()).unwrap();
    let known = scene.vault.resident().file(unread.id()).ready().unwrap();
    let file = scene.vault.open_resident(&unread, &known, Instant::now()).unwrap();
    let others = lab::open(&scene.storage);
    let writer = lab::open_for_writing(&others, "other").unwrap();
    lab::write(&writer, 0, &bytes(LEN, 2)).unwrap();
    flush(&writer).unwrap();
    date(&scene.storage, &others, "other", 2);
    drop(scene.vault.open(&unread, Instant::now()).unwrap());
    assert!(content(&file).unwrap() == bytes(LEN, 2));
    assert!(content(&opened).unwrap() == bytes(LEN, 2));
}

#[test]
fn what_we_have_stored_ourselves_is_read_on_when_the_store_dates_it_anew() {
    let scene = Scene::new();
    let writer = scene.vault.open_for_writing(&scene.node, Instant::now()).unwrap();
    lab::write(&writer, 0, &bytes(LEN, 2)).unwrap();
    flush(&writer).unwrap();
    drop(writer);
    date(&scene.storage, &scene.vault, "file", 2);
    let file = scene.open();
    drop(scene.vault.open(&scene.node, Instant::now()).unwrap());
    assert!(content(&file).unwrap() == bytes(LEN, 2));
}

#[test]
fn where_another_file_is_or_none_only_memory_answers() {
    let ways: [fn(&Vault); 2] = [
        |others| lab::rename(others, "other", "file", Replace::Always).unwrap(),
        |others| lab::remove(others, "file").unwrap(),
    ];
    for others_take_it in ways {
        let scene = Scene::new();
        let file = scene.open();
        others_take_it(&lab::open(&scene.storage));
        for _ in 0..2 {
            assert_eq!(failure(&file), ErrorKind::NotFound);
            head_is_there(&file);
        }
        // Whoever looks for the name finds what is there.
        match find(&scene.vault, "file") {
            Ok(node) => {
                assert_ne!(node.id(), scene.node.id());
                assert!(lab::read(&scene.vault, "file").unwrap() == bytes(LEN, 1));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
}

#[test]
fn a_place_is_asked_for_when_the_file_is_opened_there() {
    let scene = Scene::new();
    let file = scene.open();
    lab::make_dir(&scene.vault, "dir").unwrap();
    lab::rename(&scene.vault, "file", "dir/moved", Replace::Never).unwrap();
    assert_eq!(content(&file).unwrap(), bytes(LEN, 0));
}

#[test]
fn a_file_that_is_opened_in_storage_before_we_remove_or_replace_it_is_read_on() {
    let ways: [fn(&Vault); 2] = [
        |vault| lab::remove(vault, "file").unwrap(),
        |vault| lab::rename(vault, "other", "file", Replace::Always).unwrap(),
    ];
    for lose_name in ways {
        let scene = Scene::new();
        let file = scene.open();
        assert!(file.resident().is_unopened());
        scene.vault.open_in_storage(&scene.node).unwrap();
        assert!(!file.resident().is_unopened());
        lose_name(&scene.vault);
        assert_eq!(content(&file).unwrap(), bytes(LEN, 0));
        let known = scene.vault.resident().file(scene.node.id()).ready().unwrap();
        assert!(scene.vault.open_resident(&scene.node, &known, Instant::now()).is_none());
    }
}

#[test]
fn a_file_that_we_remove_unopened_is_what_memory_has() {
    let scene = Scene::new();
    let file = scene.open();
    lab::remove(&scene.vault, "file").unwrap();
    head_is_there(&file);
    assert_eq!(failure(&file), ErrorKind::NotFound);
}

#[test]
fn what_storage_says_of_the_opening_is_told_and_asked_for_again() {
    let scene = Scene::new();
    let file = scene.open();
    for kind in [io::ErrorKind::TimedOut, io::ErrorKind::PermissionDenied] {
        scene.storage.on_call(move |call| match call.method {
            Method::Open => Verdict::Fail(kind),
            _ => Verdict::Pass,
        });
        assert_eq!(failure(&file), oxcrypt_core::Error::from(io::Error::from(kind)).kind());
    }
    scene.storage.on_call(|_| Verdict::Pass);
    assert_eq!(content(&file).unwrap(), bytes(LEN, 0));
}

#[test]
fn damage_fails_the_reads_that_touch_it_and_no_other() {
    let scene = Scene::new();
    let file = scene.open();
    let path = scene.vault.content_path(&scene.node);
    let (stored, told) = scene.storage.open(&path, oxcrypt_core::storage::OpenMode::ReadWrite).unwrap();
    stored.write_at(told.len - 50, &[0; 50]).unwrap();
    date(&scene.storage, &scene.vault, "file", 1);
    let mut middle = vec![0; P];
    assert_eq!(file.read_at(P as u64, &mut middle).unwrap(), P);
    assert!(middle == bytes(LEN, 0)[P..2 * P]);
    assert_eq!(file.read_at(2 * P as u64, &mut [0; 10]).unwrap_err().kind(), ErrorKind::Damaged);
    head_is_there(&file);
}

#[test]
fn an_opening_that_comes_late_serves_whoever_memory_has_answered() {
    let scene = Scene::new();
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    scene.storage.on_call(move |call| match call.method {
        Method::Open => Verdict::Hold(Arc::clone(&held)),
        _ => Verdict::Pass,
    });
    thread::scope(|scope| {
        let late = scope.spawn(|| drop(scene.vault.open(&scene.node, Instant::now()).unwrap()));
        gate.wait_for(1);
        let file = scene.open();
        gate.open();
        late.join().unwrap();
        let opened = scene.opened();
        assert_eq!(content(&file).unwrap(), bytes(LEN, 0));
        assert_eq!(scene.opened(), opened, "it has the handle that came late");
    });
}

#[test]
fn whoever_opens_it_for_writing_is_seen() {
    let scene = Scene::new();
    let file = scene.open();
    let writer = scene.vault.open_for_writing(&scene.node, Instant::now()).unwrap();
    lab::write(&writer, 50, b"written").unwrap();
    let mut read = [0; 7];
    file.read_at(50, &mut read).unwrap();
    assert_eq!(&read, b"written");
    flush(&writer).unwrap();
    drop(writer);
    assert_eq!(content(&file).unwrap()[P..], bytes(LEN, 0)[P..]);
}

#[test]
fn a_file_of_which_memory_knows_another_by_now_is_not_opened_from_memory() {
    let scene = Scene::new();
    let known = scene.vault.resident().file(scene.node.id()).ready().unwrap();
    lab::rename(&lab::open(&scene.storage), "other", "file", Replace::Always).unwrap();
    let other = scene.vault.open(&scene.node, Instant::now()).unwrap();
    assert!(content(&other).unwrap() == bytes(LEN, 1));
    assert!(scene.vault.open_resident(&scene.node, &known, Instant::now()).is_none());
}
