//! Closing the backing file is an operation like others: it may hang, and nobody waits for it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oxcrypt_core::storage::{
    Attributes, BlockFile, BlockStorage, EntryKind, FaultyStorage, Listed, Metadata, OpenMode, Replace,
    Space, Verdict,
};
use oxcrypt_core::{CiphertextPath, VaultOptions};
use oxcrypt_io::clock::ManualClock;
use oxcrypt_io::volume::{Deadlines, Volume, VolumeOptions};

use super::house::{filled, name, settle, unlock, until};

/// A storage whose files close when somebody lets them, once they are asked to wait.
#[derive(Debug)]
struct SlowToClose {
    inner: Arc<FaultyStorage>,
    closing: Arc<Closing>,
}

#[derive(Debug)]
struct Closing {
    /// Where a close says who it is.
    begun: Sender<thread::ThreadId>,
    /// What it waits for.
    signals: Mutex<Receiver<()>>,
    closed: AtomicUsize,
}

#[derive(Debug)]
struct SlowFile(Box<dyn BlockFile>, Arc<Closing>);

impl Drop for SlowFile {
    fn drop(&mut self) {
        let _ = self.1.begun.send(thread::current().id());
        let _ = self.1.signals.lock().unwrap().recv();
        self.1.closed.fetch_add(1, Ordering::SeqCst);
    }
}

impl BlockFile for SlowFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, buf)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl BlockStorage for SlowToClose {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        let (file, metadata) = self.inner.open(path, mode)?;
        // The files of the vault itself are closed as ever.
        if !path.as_str().starts_with("d/") {
            return Ok((file, metadata));
        }
        Ok((Box::new(SlowFile(file, Arc::clone(&self.closing))), metadata))
    }
    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        self.inner.metadata(path)
    }
    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        self.inner.list(dir)
    }
    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.inner.create_dir(dir)
    }
    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        self.inner.remove(path, kind)
    }
    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        self.inner.rename(from, to, replace)
    }
    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        self.inner.set_attributes(path, change)
    }
    fn space(&self) -> io::Result<Space> {
        self.inner.space()
    }
}

struct Bench {
    storage: Arc<FaultyStorage>,
    closing: Arc<Closing>,
    begins: Receiver<thread::ThreadId>,
    let_go: Sender<()>,
    clock: Arc<ManualClock>,
    volume: Volume,
}

impl Bench {
    fn new() -> Self {
        let storage = filled(|fill| {
            fill.file("file", b"content");
        });
        let (begun, begins) = channel();
        let (let_go, signals) = channel();
        let closing = Arc::new(Closing { begun, signals: Mutex::new(signals), closed: AtomicUsize::new(0) });
        let slow = SlowToClose { inner: Arc::clone(&storage), closing: Arc::clone(&closing) };
        let clock = Arc::new(ManualClock::default());
        let vault = unlock(Arc::new(slow), &VaultOptions::default());
        let volume = Volume::start(vault, VolumeOptions::default(), Arc::clone(&clock) as _).unwrap();
        Self { storage, closing, begins, let_go, clock, volume }
    }

    fn closed(&self) -> usize {
        self.closing.closed.load(Ordering::SeqCst)
    }

    /// Lets a close go on that has begun, and waits until it has ended.
    fn let_close(&self) {
        let before = self.closed();
        self.let_go.send(()).unwrap();
        until(&self.volume, || self.closed() > before);
    }

    fn wait_for_close(&self) {
        let closer = self.begins.recv_timeout(Duration::from_mins(1)).unwrap();
        assert_ne!(closer, thread::current().id());
    }
}

#[test]
fn releasing_a_handle_whose_close_hangs_blocks_nobody() {
    let bench = Bench::new();
    let node = bench.volume.lookup(&bench.volume.vault().root(), &name("file")).wait().unwrap();
    let file = bench.volume.open(&node).wait().unwrap();
    bench.volume.read(&file, 0, 10).wait().unwrap();
    bench.volume.release(file);
    bench.wait_for_close();
    assert_eq!(bench.closed(), 0);
    let again = bench.volume.open(&node).wait().unwrap();
    assert_eq!(*bench.volume.read(&again, 0, 10).wait().unwrap(), *b"content");
    bench.let_close();
    // A file that outlives its volume is closed all the same, and by nobody who is waited for.
    drop(bench.volume);
    drop(again);
    let closer = bench.begins.recv_timeout(Duration::from_mins(1)).unwrap();
    assert_ne!(closer, thread::current().id());
    bench.let_go.send(()).unwrap();
}

#[test]
fn a_file_whose_close_hangs_takes_a_descriptor_until_it_is_closed() {
    let bench = Bench::new();
    let node = bench.volume.lookup(&bench.volume.vault().root(), &name("file")).wait().unwrap();
    let file = bench.volume.open(&node).wait().unwrap();
    settle(&bench.volume);
    assert_eq!(bench.volume.descriptors(), 1);
    bench.volume.release(file);
    bench.wait_for_close();
    assert_eq!(bench.volume.descriptors(), 1);
    bench.let_close();
    until(&bench.volume, || bench.volume.descriptors() == 0);
}

#[test]
fn a_file_that_was_opened_too_late_is_closed_again() {
    let bench = Bench::new();
    let node = bench.volume.lookup(&bench.volume.vault().root(), &name("file")).wait().unwrap();
    let gate = Arc::new(oxcrypt_core::storage::Gate::default());
    let held = Arc::clone(&gate);
    bench.storage.on_call(move |_| Verdict::Hold(Arc::clone(&held)));
    let open = bench.volume.open(&node).ask();
    gate.wait_for(1);
    bench.clock.advance(Deadlines::default().open);
    assert!(open.wait().unwrap_err().is_timeout());
    gate.open();
    bench.wait_for_close();
    bench.let_close();
}

#[test]
fn an_opening_that_comes_late_is_closed_with_the_file_that_memory_has_opened() {
    let bench = Bench::new();
    let node = bench.volume.lookup(&bench.volume.vault().root(), &name("file")).wait().unwrap();
    let file = bench.volume.open(&node).wait().unwrap();
    bench.volume.read(&file, 0, 10).wait().unwrap();
    drop(file);
    bench.wait_for_close();
    bench.let_close();
    let gate = Arc::new(oxcrypt_core::storage::Gate::default());
    let held = Arc::clone(&gate);
    bench.storage.on_call(move |_| Verdict::Hold(Arc::clone(&held)));
    let open = bench.volume.open(&node).ask();
    gate.wait_for(1);
    bench.clock.advance(Duration::from_millis(30));
    let file = open.wait().unwrap();
    gate.open();
    // Who reads more has the handle that came late, or opens another, which is closed while the file stays open.
    settle(&bench.volume);
    assert_eq!(*bench.volume.read(&file, 0, 10).wait().unwrap(), *b"content");
    assert_eq!(bench.closed(), 1);
    drop(file);
    bench.wait_for_close();
    bench.let_close();
    assert_eq!(bench.closed(), 2);
}
