//! A volume and what it should hold, side by side.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::{Attributes, FaultyStorage, MemoryStorage, Method, Verdict};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, Entry, ErrorKind, Node, NodeKind, Vault, VaultOptions};
use oxcrypt_io::clock::ManualClock;
use oxcrypt_io::volume::{OpenFile, Question, Result, Volume};

use super::super::house::{name, small_volume, unlock};
use super::plain::{Id, Item, Plain};
use super::{DIRS, Fault, NAMES, Place, Step, long};

/// What belongs to the tree, and to no content.
const SMALL_FILES: [&str; 4] = ["dir.c9r", "dirid.c9r", "symlink.c9r", "name.c9s"];

pub(super) struct World {
    storage: Arc<FaultyStorage>,
    clock: Arc<ManualClock>,
    options: VaultOptions,
    volume: Volume,
    plain: Plain,
    handles: Vec<(Arc<OpenFile>, Id)>,
    /// Calls that are still to fail may have failed, and what came of it need not be over.
    is_faulty: bool,
    steps: usize,
}

/// What fills a write, so that no two look the same.
pub(in super::super) fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at / 7 + at + seed * 31) % 251).unwrap()).collect()
}

fn start(vault: Arc<Vault>, clock: &Arc<ManualClock>) -> Volume {
    small_volume(vault, Arc::clone(clock) as _)
}

impl World {
    pub(super) fn new(combo: CipherCombo, options: VaultOptions) -> Self {
        let memory = MemoryStorage::default();
        let builder = VaultBuilder::create(&memory, Recipe { combo, ..Recipe::default() }).unwrap();
        for dir in &DIRS[1..] {
            builder.directory(&DirId::root(), dir).unwrap();
        }
        let storage = Arc::new(FaultyStorage::new(&memory));
        let clock = Arc::new(ManualClock::default());
        let volume = start(unlock(Arc::clone(&storage) as _, &options), &clock);
        let plain = Plain::default();
        Self { storage, clock, options, volume, plain, handles: Vec::new(), is_faulty: false, steps: 0 }
    }

    pub(super) fn step(&mut self, step: &Step) {
        self.steps += 1;
        match *step {
            Step::Create(place) => self.create(place),
            Step::MakeDir(place) => {
                let made = self.answer(self.volume.make_dir(
                    &self.dir(place.0),
                    &name(&long(place.1)),
                    Attributes::default(),
                ));
                self.compare(step, made.map(drop), |plain| plain.make(place, Item::Directory));
            }
            Step::MakeLink(place) => {
                let target = format!("target {}", self.steps);
                let made = self.answer(self.volume.make_symlink(
                    &self.dir(place.0),
                    &name(&long(place.1)),
                    &target,
                    Attributes::default(),
                ));
                self.compare(step, made.map(drop), |plain| plain.make(place, Item::Link(target)));
            }
            Step::Remove(place) => {
                let removed = self.answer(self.volume.remove(&self.dir(place.0), &name(&long(place.1))));
                self.compare(step, removed, |plain| plain.remove(place, false));
            }
            Step::RemoveDir(place) => {
                let removed = self.answer(self.volume.remove_dir(&self.dir(place.0), &name(&long(place.1))));
                self.compare(step, removed, |plain| plain.remove(place, true));
            }
            Step::Rename(from, to, replace) => {
                let (source, target) = (self.dir(from.0), self.dir(to.0));
                let renamed = self.answer(self.volume.rename(
                    (&source, &name(&long(from.1))),
                    (&target, &name(&long(to.1))),
                    replace,
                ));
                self.compare(step, renamed, |plain| plain.rename(from, to, replace));
            }
            Step::Open(place) => {
                if let Some(id) = self.plain.file(place)
                    && let Some(file) = self.open(place)
                {
                    self.handles.push((file, id));
                }
            }
            Step::Close(handle) => {
                if !self.handles.is_empty() {
                    drop(self.handles.swap_remove(handle % self.handles.len()));
                }
            }
            Step::Write { handle, offset, len } => self.write(handle, offset, len),
            Step::Read { handle, offset, len } => self.read(handle, offset, len),
            Step::SetLen { handle, len } => self.set_len(handle, len),
            Step::Truncate(place, len) => self.truncate(place, len),
            Step::Flush(handle) => self.flush(handle, Volume::flush),
            Step::Sync(handle) => self.flush(handle, Volume::sync),
            Step::SyncDir(dir) => self.tolerate(self.answer(self.volume.sync_dir(&self.dir(dir)))),
            Step::Wait(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Fail(fault) => self.fail(fault),
            Step::Reopen => self.reopen(),
            // What a failed write has left is torn until it is stored, as after a kill.
            Step::Lose if self.is_faulty => self.reopen(),
            Step::Lose => self.lose(),
        }
    }

    /// Waits for an answer, and turns the clock only where nothing that runs can bring it.
    fn answer<T: Send + 'static>(&self, question: Question<T>) -> Result<T> {
        let (told, answer) = channel();
        question.then(move |answer| told.send(answer).unwrap_or_default());
        loop {
            match answer.try_recv() {
                Ok(answer) => return answer,
                Err(TryRecvError::Disconnected) => panic!("a request without an answer"),
                Err(TryRecvError::Empty) => {
                    let snapshot = self.volume.snapshot();
                    if snapshot.running.is_empty() && snapshot.census.waiters > 0 {
                        self.clock.advance(Duration::from_millis(100));
                    }
                    thread::yield_now();
                }
            }
        }
    }

    fn dir(&self, number: usize) -> Arc<Node> {
        let root = self.volume.vault().root();
        if number == 0 { root } else { self.answer(self.volume.lookup(&root, &name(DIRS[number]))).unwrap() }
    }

    /// Opens a file, unless something fails that may.
    fn open(&mut self, place: Place) -> Option<Arc<OpenFile>> {
        let dir = self.dir(place.0);
        let node = self.answer(self.volume.lookup(&dir, &name(&long(place.1)))).unwrap();
        match self.answer(self.volume.open_for_writing(&node)) {
            Ok(file) => Some(file),
            Err(error) => {
                assert!(self.is_faulty, "{error}");
                None
            }
        }
    }

    fn create(&mut self, place: Place) {
        let created =
            self.answer(self.volume.create(&self.dir(place.0), &name(&long(place.1)), Attributes::default()));
        let file = created.as_ref().ok().cloned();
        let is_known = file.as_ref().is_some_and(|file| self.volume.attributes(file.node()).is_known());
        self.compare(&Step::Create(place), created.map(drop), |plain| plain.create(place));
        if let Some(file) = file {
            assert!(is_known, "attributes of what was just made");
            self.handles.push((file, self.plain.contents.len() - 1));
        }
    }

    /// Compares what became of a change with what should have, and looks at the directories. One that failed because
    /// storage did was not made.
    fn compare(
        &mut self,
        step: &Step,
        made: Result<()>,
        expected: impl FnOnce(&mut Plain) -> std::result::Result<(), Vec<ErrorKind>>,
    ) {
        let mut after = self.plain.clone();
        match (expected(&mut after), made) {
            (Ok(()), Ok(())) => self.plain = after,
            (Ok(()), Err(error)) => assert!(self.is_faulty, "{step:?}: {error}"),
            (Err(kinds), Ok(())) => panic!("{step:?} was made in spite of {kinds:?}"),
            (Err(kinds), Err(error)) => {
                let is_expected = error.kind().is_some_and(|kind| kinds.contains(&kind));
                assert!(is_expected || self.is_faulty, "{step:?}: {error} and not {kinds:?}");
            }
        }
        self.look();
    }

    /// Looks at all directories.
    fn look(&self) {
        for number in 0..DIRS.len() {
            let listing = self.answer(self.volume.list(&self.dir(number))).unwrap();
            let shown: Vec<&str> = listing.entries().iter().map(Entry::shown).collect();
            let mut expected: Vec<String> = (0..NAMES)
                .filter(|name| self.plain.entries.contains_key(&(number, *name)))
                .map(long)
                .chain(DIRS[1..].iter().filter(|_| number == 0).map(|dir| (*dir).to_owned()))
                .collect();
            expected.sort();
            assert_eq!(shown, expected, "in directory {number}");
        }
    }

    fn handle(&self, number: usize) -> Option<(Arc<OpenFile>, Id)> {
        (!self.handles.is_empty()).then(|| self.handles[number % self.handles.len()].clone())
    }

    fn write(&mut self, handle: usize, offset: usize, len: usize) {
        let Some((file, id)) = self.handle(handle) else { return };
        let bytes = bytes(self.steps, len);
        match self.answer(self.volume.write(&file, offset as u64, &bytes)) {
            Ok(taken) => {
                assert!((1..=len).contains(&taken), "{taken} of {len} bytes");
                assert!(taken == len || self.is_faulty, "{taken} of {len} bytes");
                self.plain.contents[id].write(offset, &bytes[..taken]);
            }
            Err(error) => assert!(self.is_faulty, "{error}"),
        }
        self.expect_len(&file, id);
    }

    fn read(&mut self, handle: usize, offset: usize, len: usize) {
        let Some((file, id)) = self.handle(handle) else { return };
        match self.answer(self.volume.read(&file, offset as u64, len)) {
            Ok(bytes) => {
                let expected = self.plain.contents[id].read(offset, len);
                assert!(*bytes == *expected, "{len} bytes at {offset} of content {id}");
            }
            Err(error) => {
                assert!(self.is_faulty, "{error}");
                assert_ne!(error.kind(), Some(ErrorKind::Damaged), "{error}");
            }
        }
    }

    fn set_len(&mut self, handle: usize, len: usize) {
        let Some((file, id)) = self.handle(handle) else { return };
        match self.answer(self.volume.set_len(&file, len as u64)) {
            Ok(()) => self.plain.contents[id].set_len(len),
            Err(error) => assert!(self.is_faulty, "{error}"),
        }
        self.expect_len(&file, id);
    }

    /// One that failed may have been made: what could not be stored stays.
    fn truncate(&mut self, place: Place, len: usize) {
        let Some(id) = self.plain.file(place) else { return };
        let dir = self.dir(place.0);
        let node = self.answer(self.volume.lookup(&dir, &name(&long(place.1)))).unwrap();
        match self.answer(self.volume.truncate(&node, len as u64)) {
            Ok(()) => self.plain.contents[id].set_len(len),
            Err(error) => {
                assert!(self.is_faulty, "{error}");
                let shown = self.answer(self.volume.attributes(&node)).unwrap().len;
                if shown == len as u64 {
                    self.plain.contents[id].set_len(len);
                } else {
                    assert_eq!(shown, self.plain.contents[id].now.len() as u64);
                }
            }
        }
    }

    fn expect_len(&self, file: &Arc<OpenFile>, id: Id) {
        let expected = self.plain.contents[id].now.len() as u64;
        assert_eq!(file.resident().len(), expected, "content {id}");
        if !file.node().is_gone() {
            assert_eq!(
                self.answer(self.volume.attributes(file.node())).unwrap().len,
                expected,
                "content {id}"
            );
        }
    }

    fn flush(&mut self, handle: usize, flush: fn(&Volume, &Arc<OpenFile>) -> Question<()>) {
        let Some((file, id)) = self.handle(handle) else { return };
        match self.answer(flush(&self.volume, &file)) {
            Ok(()) => self.plain.contents[id].stored(),
            Err(error) => assert!(self.is_faulty, "{error}"),
        }
    }

    fn tolerate<T>(&self, result: Result<T>) {
        if let Err(error) = result {
            assert!(self.is_faulty, "{error}");
        }
    }

    /// Lets the next calls fail that are about contents.
    fn fail(&mut self, fault: Fault) {
        self.is_faulty = true;
        let calls = AtomicU64::new(0);
        self.storage.on_call(move |call| {
            let is_small = SMALL_FILES.iter().any(|small| call.path.as_str().ends_with(small));
            if is_small || !matches!(call.method, Method::WriteAt | Method::ReadAt | Method::SetLen) {
                return Verdict::Pass;
            }
            let number = calls.fetch_add(1, Ordering::SeqCst);
            if !(fault.after..fault.after + fault.calls).contains(&number) {
                return Verdict::Pass;
            }
            match (call.method, fault.part) {
                (Method::WriteAt, Some(bytes)) => Verdict::FailAfter(bytes, io::ErrorKind::Other),
                _ => Verdict::Fail(io::ErrorKind::Other),
            }
        });
    }

    /// Storage is well again, and takes all there is.
    fn heal(&mut self) {
        self.storage.on_call(|_| Verdict::Pass);
        for (file, _) in &self.handles {
            self.answer(self.volume.flush(file)).unwrap();
        }
        for file in self.volume.vault().unsaved() {
            file.flush(Instant::now()).unwrap();
        }
        assert_eq!(self.volume.vault().unsaved().len(), 0);
        for content in &mut self.plain.contents {
            content.stored();
        }
        self.is_faulty = false;
    }

    /// Stores everything, and looks at it from a vault that knows nothing.
    pub(super) fn reopen(&mut self) {
        self.heal();
        for number in 0..self.handles.len() {
            self.read(number, 0, 1 << 21);
        }
        self.leave();
        self.look();
        for (place, content) in self.contents() {
            let Some(Item::File(id)) = self.plain.entries.get(&place) else { panic!("{place:?}") };
            assert!(content == self.plain.contents[*id].now, "what storage has at {place:?}");
        }
    }

    /// Leaves the volume as it is: what nobody has stored is lost, and nothing else.
    fn lose(&mut self) {
        self.storage.on_call(|_| Verdict::Pass);
        self.leave();
        self.is_faulty = false;
        self.look();
        for (place, content) in self.contents() {
            let Some(Item::File(id)) = self.plain.entries.get(&place) else { panic!("{place:?}") };
            self.plain.contents[*id].lose(content);
        }
    }

    /// Goes on with a vault that knows nothing, once nobody works with the one before any more.
    fn leave(&mut self) {
        self.handles.clear();
        let (vault, options) = (Arc::downgrade(self.volume.vault()), self.options.clone());
        let fresh = Arc::new(self.volume.vault().afresh(&options));
        drop(std::mem::replace(&mut self.volume, start(fresh, &self.clock)));
        while vault.strong_count() > 0 {
            thread::yield_now();
        }
    }

    /// What storage has of each file.
    fn contents(&self) -> Vec<(Place, Vec<u8>)> {
        let places = self.plain.entries.iter();
        let files = places.filter_map(|(place, item)| matches!(item, Item::File(_)).then_some(*place));
        let read = |place: Place| {
            let node = self.answer(self.volume.lookup(&self.dir(place.0), &name(&long(place.1)))).unwrap();
            assert_eq!(node.kind(), NodeKind::File);
            let file = self.answer(self.volume.open(&node)).unwrap();
            self.answer(self.volume.read(&file, 0, 1 << 21)).unwrap().to_vec()
        };
        files.map(|place| (place, read(place))).collect()
    }
}
