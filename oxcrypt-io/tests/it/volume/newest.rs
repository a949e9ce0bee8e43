//! A write that hangs in storage is never overtaken by a newer one of the same file, whoever makes that and however; and in
//! the end storage has the newest.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxcrypt_core::storage::{Gate, Method, Verdict};
use oxcrypt_io::sched::plan::Class;
use oxcrypt_io::volume::{Deadlines, OpenFile, Result};

use super::house::{House, content};

const CEILING: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);
const CHUNK: usize = 32_768;
const LEN: usize = 2 * CHUNK + 100;
/// More than there ever is.
const ALL: usize = 4 * LEN;

/// A file whose first change of its bytes in storage hangs, after so many bytes of it where that says so.
struct Scene {
    house: House,
    file: Arc<OpenFile>,
    gate: Arc<Gate>,
    /// Changes of the file's bytes that storage was asked for.
    changes: Arc<AtomicUsize>,
    /// What everybody should see.
    newest: Vec<u8>,
}

impl Scene {
    fn new(torn_after: Option<usize>) -> Self {
        let house = House::new(|fill| drop(fill.file("file", &content(LEN))));
        let file = house.open_for_writing("file");
        let (gate, changes) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
        let (held, counted, path) = (Arc::clone(&gate), Arc::clone(&changes), file.node().ciphertext_path());
        house.storage.on_call(move |call| {
            if !matches!(call.method, Method::WriteAt | Method::SetLen) || call.path != path {
                return Verdict::Pass;
            }
            match (counted.fetch_add(1, Ordering::SeqCst), torn_after) {
                (0, None) => Verdict::Hold(Arc::clone(&held)),
                (0, Some(bytes)) => Verdict::HoldAfter(bytes, Arc::clone(&held)),
                _ => Verdict::Pass,
            }
        });
        Self { house, file, gate, changes, newest: content(LEN) }
    }

    /// Has the first write hang: with nobody asking, because what hangs is write-back's own, or for a flush.
    fn hang(&mut self, is_flushed: bool) {
        self.write(&Arc::clone(&self.file), CHUNK + 10, b"the first");
        if is_flushed {
            self.house.volume.flush(&self.file).then(drop);
        } else {
            self.house.clock.advance(PAUSE);
        }
        self.gate.wait_for(1);
        assert_eq!(self.changes.load(Ordering::SeqCst), 1);
    }

    fn write(&mut self, file: &Arc<OpenFile>, at: usize, bytes: &[u8]) {
        assert_eq!(self.house.volume.write(file, at as u64, bytes).wait().unwrap(), bytes.len());
        self.newest.resize(self.newest.len().max(at + bytes.len()), 0);
        self.newest[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn flush(&self, file: &Arc<OpenFile>) -> Receiver<bool> {
        let (answered, answer) = channel();
        self.house.volume.flush(file).then(move |flushed| answered.send(flushed.is_ok()).unwrap());
        answer
    }

    /// Whatever may begin has begun, and nothing of it was asked of storage.
    fn expect_nobody_overtakes(&self) {
        let census = || self.house.volume.snapshot().census;
        // Write-back has its turn, too, and more than once.
        for _ in 0..3 {
            self.house.clock.advance(PAUSE);
            self.house.until(|| {
                let others = Class::ALL.into_iter().filter(|class| *class != Class::WriteBack);
                let runs = |class: Class| census().classes[class].running + census().classes[class].waiting;
                others.map(runs).sum::<usize>() == 0 && census().classes[Class::WriteBack].running == 1
            });
        }
        assert_eq!(
            self.changes.load(Ordering::SeqCst),
            1,
            "something was stored beside the write that hangs"
        );
    }

    fn expect_newest(self, answers: &[Receiver<bool>]) {
        let Self { house, file, gate, newest, .. } = self;
        let read = house.volume.read(&file, 0, ALL).wait().unwrap();
        assert!(*read == *newest, "memory");
        gate.open();
        for answer in answers {
            assert!(answer.recv_timeout(CEILING).unwrap());
        }
        house.until(|| {
            house.clock.advance(PAUSE);
            house.volume.unsaved().is_empty()
        });
        house.settle();
        assert!(house.stored("file") == newest, "storage");
        assert!(*house.volume.read(&file, 0, ALL).wait().unwrap() == *newest, "memory, afterwards");
    }
}

/// The whole write hangs before it is made, or is torn, or made and its answer hangs.
const TORN: [Option<usize>; 3] = [None, Some(1_000), Some(usize::MAX)];

#[test]
fn a_hung_write_is_not_overtaken_by_one_of_the_same_chunk() {
    for torn in TORN {
        for is_flushed in [false, true] {
            let mut scene = Scene::new(torn);
            scene.hang(is_flushed);
            scene.write(&Arc::clone(&scene.file), CHUNK + 12, b"the second");
            let flushed = scene.flush(&scene.file);
            scene.expect_nobody_overtakes();
            assert_eq!(flushed.try_recv(), Err(TryRecvError::Empty));
            scene.expect_newest(&[flushed]);
        }
    }
}

#[test]
fn a_hung_write_is_not_overtaken_by_who_opened_the_file_meanwhile() {
    for torn in TORN {
        let mut scene = Scene::new(torn);
        scene.hang(false);
        let other = scene.house.open_for_writing("file");
        scene.write(&other, CHUNK + 9, b"by another");
        let (synced, answer) = channel();
        scene.house.volume.sync(&other).then(move |done| synced.send(done.is_ok()).unwrap());
        // Who has it no longer has left something to be stored.
        scene.house.volume.release(other);
        scene.expect_nobody_overtakes();
        scene.expect_newest(&[answer]);
    }
}

#[test]
fn a_hung_write_is_not_overtaken_by_a_cut() {
    for (torn, len) in
        [(None, 0), (None, 10), (Some(1_000), CHUNK + 5), (Some(usize::MAX), CHUNK + 5), (None, 3 * LEN)]
    {
        for by_name in [false, true] {
            let mut scene = Scene::new(torn);
            scene.hang(true);
            let (answered, answer) = channel();
            let done = move |cut: Result<()>| answered.send(cut.is_ok()).unwrap();
            if by_name {
                scene.house.volume.truncate(scene.file.node(), len as u64).then(done);
            } else {
                scene.house.volume.set_len(&scene.file, len as u64).then(done);
            }
            scene.expect_nobody_overtakes();
            let is_cut = answer.try_recv() == Ok(true);
            if is_cut {
                scene.newest.resize(len, 0);
            }
            let file = Arc::clone(&scene.file);
            if is_cut {
                scene.write(&file, 3, b"after the cut");
                scene.expect_nobody_overtakes();
                scene.expect_newest(&[]);
                continue;
            }
            // It waits for the write that hangs. What is written meanwhile is cut with the rest.
            scene.write(&file, 3, b"before the cut");
            assert!(*scene.house.volume.read(&file, 0, ALL).wait().unwrap() == *scene.newest);
            scene.gate.open();
            assert!(answer.recv_timeout(CEILING).unwrap());
            scene.newest.resize(len, 0);
            scene.write(&file, 3, b"after the cut");
            scene.expect_newest(&[]);
        }
    }
}

#[test]
fn a_hung_write_whose_waiters_have_given_up_is_not_overtaken() {
    let mut scene = Scene::new(None);
    scene.hang(true);
    let file = Arc::clone(&scene.file);
    scene.house.clock.advance(Deadlines::default().write.unwrap());
    scene.write(&file, CHUNK + 10, b"when it was told to be late");
    let flushed = scene.flush(&file);
    scene.expect_nobody_overtakes();
    scene.expect_newest(&[flushed]);
}

#[test]
fn what_is_being_stored_is_not_given_up_and_stays_when_that_succeeds() {
    // First nothing has failed yet, and then the write that hangs is the second try.
    for has_failed in [false, true] {
        let house = House::new(|fill| drop(fill.file("file", &content(LEN))));
        let file = house.open_for_writing("file");
        let mut newest = content(LEN);
        house.volume.write(&file, CHUNK as u64, b"written").wait().unwrap();
        newest[CHUNK..CHUNK + 7].copy_from_slice(b"written");
        if has_failed {
            house.storage.on_call(|call| match call.method {
                Method::WriteAt => Verdict::Fail(io::ErrorKind::Other),
                _ => Verdict::Pass,
            });
            house.volume.flush(&file).wait().unwrap_err();
            house.settle();
        }
        let gate = house.hold(|call| call.method == Method::WriteAt);
        let flushed = house.volume.flush(&file).ask();
        gate.wait_for(1);
        assert!(!house.volume.discard(file.node().id()), "nobody knows what becomes of it");
        assert_eq!(house.volume.unsaved().len(), 1);
        assert!(*house.volume.read(&file, 0, ALL).wait().unwrap() == *newest);
        gate.open();
        flushed.wait().unwrap();
        house.settle();
        // It is stored, so there is nothing to give up, and nobody is told that something was.
        assert!(!house.volume.discard(file.node().id()));
        house.volume.sync(&file).wait().unwrap();
        assert_eq!(house.volume.unsaved().len(), 0);
        assert!(house.stored("file") == newest);
    }
}

#[test]
fn what_is_given_up_after_a_try_that_hung_and_failed_does_not_come_back() {
    let house = House::new(|fill| drop(fill.file("file", &content(LEN))));
    let file = house.open_for_writing("file");
    house.volume.write(&file, CHUNK as u64, b"given up").wait().unwrap();
    let (hangs, it_hangs) = channel();
    let (let_go, signal) = channel::<()>();
    let (signal, tries) = (Mutex::new(signal), AtomicUsize::new(0));
    house.storage.on_call(move |call| {
        if call.method != Method::WriteAt {
            return Verdict::Pass;
        }
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Verdict::Fail(io::ErrorKind::Other),
            1 => {
                hangs.send(()).unwrap();
                let _ = signal.lock().unwrap().recv();
                Verdict::Fail(io::ErrorKind::Other)
            }
            _ => Verdict::Pass,
        }
    });
    house.volume.flush(&file).wait().unwrap_err();
    house.settle();
    house.clock.advance(PAUSE);
    it_hangs.recv_timeout(CEILING).unwrap();
    assert!(!house.volume.discard(file.node().id()));
    let_go.send(()).unwrap();
    house.settle();
    assert!(house.volume.discard(file.node().id()));
    assert_eq!(house.volume.unsaved().len(), 0);
    for _ in 0..10 {
        house.clock.advance(PAUSE);
        house.settle();
    }
    assert!(house.stored("file") == content(LEN));
    assert!(*house.volume.read(&file, 0, ALL).wait().unwrap() == content(LEN));
    // Told once, whoever has it open may go on.
    house.volume.flush(&file).wait().unwrap_err();
    house.volume.write(&file, CHUNK as u64, b"since").wait().unwrap();
    house.volume.flush(&file).wait().unwrap();
    assert_eq!(house.stored("file")[CHUNK..CHUNK + 5], *b"since");
}
