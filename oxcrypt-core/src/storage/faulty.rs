//! A store that fails on purpose, and remembers what a crash would have left.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{
    Attributes, BlockFile, BlockStorage, EntryKind, Listed, MemoryStorage, Metadata, OpenMode, Replace, Space,
};
use crate::ciphertext_path::CiphertextPath;
use crate::sync::{Mutex, MutexGuard, PoisonError};

mod call;
mod coin;
mod extent;
mod file;
mod gate;
mod journal;
mod losses;
mod mutation;

pub use call::{Call, CallCounts, Method};
use extent::{Extent, on_purpose};
use file::FaultyFile;
pub use gate::Gate;
pub use journal::Crash;
use journal::Journal;
use mutation::Mutation;

/// A [`MemoryStorage`] whose calls are counted, recorded, and answered as a test wants.
///
/// Each call of a required method counts once; what a provided method is made of counts as such. The script set by
/// [`on_call`](Self::on_call) is asked before each call and may fail it, at once or when it is partly or wholly done,
/// cut it short, hold it at a [`Gate`], or panic. All mutations are recorded, and [`crash_image`](Self::crash_image) makes what would be left of them after a crash.
pub struct FaultyStorage {
    inner: MemoryStorage,
    shared: Arc<Shared>,
}

type Script = Box<dyn Fn(&Call) -> Verdict + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    script: Mutex<Option<Arc<Script>>>,
}

struct State {
    counts: CallCounts,
    journal: Journal,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is made.
    Pass,
    /// It fails, and nothing is done.
    Fail(io::ErrorKind),
    /// It is made in part, and fails then: a write stores so many bytes at most, everything else is done whole.
    FailAfter(usize, io::ErrorKind),
    /// A read gives so many bytes at most, as if the file ended there. Every other call is made.
    Short(usize),
    /// It waits until the gate is open, and is made then.
    Hold(Arc<Gate>),
    /// It is made, and waits until the gate is open before it returns. A write stores so many bytes at most before it
    /// waits, and the others then: whoever reads meanwhile sees it torn.
    HoldAfter(usize, Arc<Gate>),
    /// It panics.
    Panic,
}

impl FaultyStorage {
    /// Begins with a copy of `content`.
    #[must_use]
    pub fn new(content: &MemoryStorage) -> Self {
        let state = State { counts: CallCounts::default(), journal: Journal::new(content.snapshot()) };
        let shared = Shared { state: Mutex::new(state), script: Mutex::new(None) };
        Self { inner: content.snapshot(), shared: Arc::new(shared) }
    }

    /// Sets what is asked before each call, in place of what was asked before.
    pub fn on_call(&self, script: impl Fn(&Call) -> Verdict + Send + Sync + 'static) {
        let script: Script = Box::new(script);
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(script));
    }

    /// How often each method was called so far, whatever became of the calls.
    #[must_use]
    pub fn counts(&self) -> CallCounts {
        self.shared.lock().counts
    }

    /// How many mutations were made so far.
    #[must_use]
    pub fn mutations(&self) -> usize {
        self.shared.lock().journal.len()
    }

    /// What the storage would hold if the process, or the machine, had stopped at mutation number `at`.
    #[must_use]
    pub fn crash_image(&self, at: usize, crash: Crash) -> MemoryStorage {
        self.shared.lock().journal.image(at, crash)
    }

    fn call<T>(
        &self,
        method: Method,
        path: &CiphertextPath,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.shared.admit(method, path)?.end(make())
    }

    /// A call that changes something, recorded if it does.
    fn mutate<T>(
        &self,
        method: Method,
        path: &CiphertextPath,
        mutation: impl FnOnce() -> Mutation,
        change: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.shared.admit(method, path)?.end(self.shared.record(mutation, change))
    }
}

impl Shared {
    /// Counts a call and asks the script about it, with no lock held while it waits.
    fn admit(&self, method: Method, path: &CiphertextPath) -> io::Result<Extent> {
        let call = {
            let mut state = self.lock();
            let number = state.counts.total();
            state.counts.count(method);
            Call { number, method, path: path.clone() }
        };
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match script.map_or(Verdict::Pass, |script| script(&call)) {
            Verdict::Pass => Ok(Extent::Whole),
            Verdict::Fail(kind) => Err(on_purpose(kind)),
            Verdict::FailAfter(bytes, kind) => Ok(Extent::Part(bytes, kind)),
            Verdict::Short(bytes) => Ok(Extent::Short(bytes)),
            Verdict::Hold(gate) => {
                gate.pass();
                Ok(Extent::Whole)
            }
            Verdict::HoldAfter(bytes, gate) => Ok(Extent::InTwo(bytes, gate)),
            Verdict::Panic => panic!("panicked on purpose in {call:?}"),
        }
    }

    /// Makes a change and records it in one step, so that the order of the journal is that of the changes.
    fn record<T>(
        &self,
        mutation: impl FnOnce() -> Mutation,
        change: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        let made = change()?;
        state.journal.push(mutation());
        Ok(made)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl fmt::Debug for FaultyStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStorage({:?})", self.counts())
    }
}

impl BlockStorage for FaultyStorage {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        let extent = self.shared.admit(Method::Open, path)?;
        let mut state = self.shared.lock();
        let (file, metadata) = self.inner.open(path, mode)?;
        let id = metadata.identity.map_or(0, |identity| identity.file);
        if let OpenMode::CreateNew { mode } = mode {
            state.journal.push(Mutation::Create { path: path.clone(), id, mode });
        }
        drop(state);
        let file = FaultyFile { inner: file, path: path.clone(), id, shared: Arc::clone(&self.shared) };
        extent.end(Ok((Box::new(file), metadata)))
    }

    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        self.call(Method::Metadata, path, || self.inner.metadata(path))
    }

    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        self.call(Method::List, dir, || self.inner.list(dir))
    }

    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        let mutation = || Mutation::CreateDir { path: dir.clone() };
        self.mutate(Method::CreateDir, dir, mutation, || self.inner.create_dir(dir))
    }

    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        let mutation = || Mutation::Remove { path: path.clone(), kind };
        self.mutate(Method::Remove, path, mutation, || self.inner.remove(path, kind))
    }

    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        let mutation = || Mutation::Rename { from: from.clone(), to: to.clone(), replace };
        self.mutate(Method::Rename, from, mutation, || self.inner.rename(from, to, replace))
    }

    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        let mutation = || Mutation::SyncDir { path: dir.clone() };
        self.mutate(Method::SyncDir, dir, mutation, || self.inner.sync_dir(dir))
    }

    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        let mutation = || Mutation::SetAttributes { path: path.clone(), change: change.clone() };
        self.mutate(Method::SetAttributes, path, mutation, || self.inner.set_attributes(path, change))
    }

    fn space(&self) -> io::Result<Space> {
        self.call(Method::Space, &CiphertextPath::root(), || self.inner.space())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::storage::conformance;

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    #[test]
    fn conforms_while_nothing_fails() {
        conformance::check(&|| Arc::new(FaultyStorage::new(&MemoryStorage::default())));
    }

    #[test]
    fn provided_methods_count_as_their_parts() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.write_new(&path("a"), b"abc").unwrap();
        storage.read(&path("a"), 10).unwrap();
        let counts = storage.counts();
        assert_eq!(
            (counts.of(Method::Open), counts.of(Method::WriteAt), counts.of(Method::ReadAt)),
            (2, 1, 1)
        );
        assert_eq!(counts.total(), 4);
    }

    #[test]
    fn a_failed_call_does_nothing() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.on_call(|call| match call.number {
            1.. => Verdict::Fail(io::ErrorKind::StorageFull),
            _ => Verdict::Pass,
        });
        let (file, _) = storage.open(&path("a"), OpenMode::CreateNew { mode: None }).unwrap();
        let error = file.write_at(0, b"abc").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!((storage.mutations(), storage.counts().total()), (1, 2));
    }

    #[test]
    fn what_is_no_write_may_be_done_and_fail_all_the_same() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.on_call(|_| Verdict::FailAfter(0, io::ErrorKind::TimedOut));
        assert_eq!(storage.create_dir(&path("dir")).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let error = storage.open(&path("a"), OpenMode::CreateNew { mode: None }).unwrap_err();
        assert_eq!((error.kind(), storage.mutations()), (io::ErrorKind::TimedOut, 2));
        storage.on_call(|_| Verdict::Pass);
        assert_eq!(storage.list(&CiphertextPath::root()).unwrap().len(), 2);
    }

    #[test]
    fn a_gate_holds_a_call_until_it_is_opened_and_no_other_call() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        storage.on_call(move |call| match call.path.as_str() {
            "held" => Verdict::Hold(Arc::clone(&held)),
            _ => Verdict::Pass,
        });
        thread::scope(|scope| {
            let call = scope.spawn(|| storage.create_dir(&path("held")));
            gate.wait_for(1);
            storage.create_dir(&path("free")).unwrap();
            assert_eq!(storage.mutations(), 1);
            gate.open();
            call.join().unwrap().unwrap();
        });
        assert_eq!(storage.mutations(), 2);
    }

    #[test]
    fn an_answer_may_be_old_when_it_arrives() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.create_dir(&path("a")).unwrap();
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        storage.on_call(move |call| match call.method {
            Method::Metadata => Verdict::HoldAfter(0, Arc::clone(&held)),
            _ => Verdict::Pass,
        });
        thread::scope(|scope| {
            let old = scope.spawn(|| storage.metadata(&path("a")));
            gate.wait_for(1);
            storage.remove(&path("a"), EntryKind::Directory).unwrap();
            gate.open();
            old.join().unwrap().unwrap();
        });
        storage.metadata(&path("a")).unwrap_err();
    }

    #[test]
    #[should_panic(expected = "on purpose")]
    fn a_panic_on_demand() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.on_call(|_| Verdict::Panic);
        let _never = storage.space();
    }
}
