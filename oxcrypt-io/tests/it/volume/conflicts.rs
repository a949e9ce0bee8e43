//! A sync client puts another file in the place of one of which something waits to be stored, and nobody asks for that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oxcrypt_core::storage::{BlockStorage, Gate, Method, Replace, Verdict};
use oxcrypt_core::{Node, NodeId};
use oxcrypt_io::volume::OpenFile;

use super::house::{House, content};

const THEIRS: &[u8] = b"what they have written";
const COPY: &str = "letter (conflict 1).txt";
/// When what was written is stored with nobody asking.
const PAUSE: Duration = Duration::from_secs(1);

/// A file with some unsaved bytes, opened by two who write and one who reads, in whose place there is another one by now.
struct Scene {
    house: House,
    node: Arc<Node>,
    handles: Vec<Arc<OpenFile>>,
    /// What everybody should see of it.
    ours: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let house = House::new(|fill| {
            fill.file("letter.txt", &content(100_000));
            fill.file("theirs", THEIRS);
        });
        let open = || house.open_for_writing("letter.txt");
        let handles = vec![open(), open(), house.open("letter.txt")];
        let (node, theirs) = (house.node("letter.txt"), house.node("theirs").ciphertext_path());
        let mut scene = Self { house, node, handles, ours: content(100_000) };
        scene.write(0, 40_000, b"ours");
        scene.house.storage.rename(&theirs, &scene.node.ciphertext_path(), Replace::Always).unwrap();
        scene
    }

    fn unsaved(&self) -> Vec<NodeId> {
        self.house.volume.unsaved().iter().map(|file| file.node.id()).collect()
    }

    fn write(&mut self, handle: usize, offset: usize, bytes: &[u8]) {
        let write = self.house.volume.write(&self.handles[handle], offset as u64, bytes);
        assert_eq!(write.wait().unwrap(), bytes.len());
        let end = offset + bytes.len();
        self.ours.resize(self.ours.len().max(end), 0);
        self.ours[offset..end].copy_from_slice(bytes);
    }

    fn expect_everybody_sees_ours(&self) {
        for handle in &self.handles {
            let read = self.house.volume.read(handle, 0, self.ours.len() + 1).wait().unwrap();
            assert!(*read == *self.ours);
        }
    }

    /// Both files are in storage, and all handles are those of ours, which has another name.
    fn expect_copy(&self) {
        assert_eq!(self.unsaved(), []);
        assert_eq!(self.house.stored_names(), [COPY, "letter.txt"]);
        assert!(self.house.stored(COPY) == self.ours);
        assert_eq!(self.house.stored("letter.txt"), THEIRS);
        assert_eq!(self.house.node(COPY).id(), self.node.id());
        assert_ne!(self.house.node("letter.txt").id(), self.node.id());
        self.expect_everybody_sees_ours();
    }

    /// Holds the question which file it is, and what is written to the copy then.
    fn hold(&self) -> [Arc<Gate>; 2] {
        let (old, gates) = (self.node.ciphertext_path(), [(); 2].map(|()| Arc::new(Gate::default())));
        let [asked, copied] = gates.clone();
        self.house.storage.on_call(move |call| match call.method {
            Method::Metadata if call.path == old => Verdict::Hold(Arc::clone(&asked)),
            Method::WriteAt if call.path != old => Verdict::Hold(Arc::clone(&copied)),
            _ => Verdict::Pass,
        });
        gates
    }
}

#[test]
fn a_file_that_was_replaced_is_stored_as_a_copy_with_nobody_asking() {
    let mut scene = Scene::new();
    assert_eq!(scene.unsaved(), [scene.node.id()]);
    scene.house.clock.advance(PAUSE);
    scene.house.until(|| scene.unsaved().is_empty());
    scene.house.settle();
    scene.expect_copy();
    // Whoever has it open goes on with the copy, and makes no second one.
    scene.write(1, 99_990, b"more than there was");
    scene.house.volume.sync(&scene.handles[1]).wait().unwrap();
    scene.write(0, 0, b"and more");
    scene.house.clock.advance(PAUSE);
    scene.house.until(|| scene.unsaved().is_empty());
    scene.expect_copy();
}

#[test]
fn a_copy_that_hangs_keeps_nobody_from_reading_and_what_is_written_meanwhile_gets_there() {
    let mut scene = Scene::new();
    let [asked, copied] = scene.hold();
    scene.house.clock.advance(PAUSE);
    asked.wait_for(1);
    // What storage will not have when it is copied.
    scene.write(0, 40_000, b"meanwhile");
    asked.open();
    copied.wait_for(1);
    scene.expect_everybody_sees_ours();
    // Over what is being copied, beside it, and behind it.
    scene.write(1, 40_002, b"newer");
    scene.write(0, 10, b"another chunk");
    scene.write(1, 100_000, b"the end");
    scene.expect_everybody_sees_ours();
    assert_eq!(scene.unsaved(), [scene.node.id()]);
    copied.open();
    scene.house.settle();
    scene.expect_everybody_sees_ours();
    // That comes after the copy.
    scene.house.until(|| {
        scene.house.clock.advance(PAUSE);
        scene.unsaved().is_empty()
    });
    scene.expect_copy();
}

#[test]
fn a_copy_is_made_though_nobody_has_the_file_open_any_more() {
    let mut scene = Scene::new();
    scene.handles.clear();
    scene.house.settle();
    assert_eq!(scene.unsaved(), [scene.node.id()]);
    scene.house.clock.advance(PAUSE);
    scene.house.until(|| scene.unsaved().is_empty());
    scene.house.settle();
    scene.expect_copy();
}

#[test]
fn a_copy_that_fails_is_made_later_and_leaves_no_half_of_it() {
    for method in [Method::WriteAt, Method::Sync, Method::Metadata] {
        let scene = Scene::new();
        let (old, tries) = (scene.node.ciphertext_path(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&tries);
        scene.house.storage.on_call(move |call| {
            let is_of_copy = call.method == method && call.path != old;
            let fails = is_of_copy && counted.fetch_add(1, Ordering::SeqCst) < 2;
            if fails { Verdict::Fail(io::ErrorKind::Other) } else { Verdict::Pass }
        });
        scene.house.clock.advance(PAUSE);
        scene.house.until(|| tries.load(Ordering::SeqCst) > 0);
        scene.house.settle();
        assert_eq!(scene.unsaved(), [scene.node.id()], "{method:?}");
        scene.expect_everybody_sees_ours();
        scene.house.until(|| {
            scene.house.clock.advance(PAUSE);
            scene.unsaved().is_empty()
        });
        scene.house.settle();
        assert!(tries.load(Ordering::SeqCst) > 2, "{method:?}");
        scene.expect_copy();
    }
}
