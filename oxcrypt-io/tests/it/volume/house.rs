//! A vault made to order, its storage, and a volume over it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{
    Attributes, BlockStorage, Call, FaultyStorage, Gate, MemoryStorage, Method, Verdict,
};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{CiphertextPath, DirId, Name, Node, Vault, VaultOptions};
use oxcrypt_io::clock::{Clock, ManualClock};
use oxcrypt_io::sched::plan::Limits;
use oxcrypt_io::volume::{OpenFile, Volume, VolumeOptions};

pub(crate) const BLOCK: usize = 4 * 32_768;

pub(crate) struct House {
    pub(crate) storage: Arc<FaultyStorage>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) volume: Volume,
}

/// What a file holds, so that no two places look the same.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Fills a vault's root.
pub(crate) struct Filler<'s> {
    pub(crate) builder: VaultBuilder<'s>,
    storage: &'s MemoryStorage,
}

impl Filler<'_> {
    /// A file, with a time: without one nobody could say that it is what it was when it is opened again.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> CiphertextPath {
        let path = self.builder.file(&DirId::root(), name, content).unwrap();
        set_time(self.storage, &path, SystemTime::UNIX_EPOCH);
        path
    }

    pub(crate) fn ciphertext(&self, name: &str, ciphertext: &[u8]) {
        let path = self.builder.ciphertext_file(&DirId::root(), name, ciphertext).unwrap();
        set_time(self.storage, &path, SystemTime::UNIX_EPOCH);
    }
}

pub(crate) fn set_time(storage: &dyn BlockStorage, path: &CiphertextPath, time: SystemTime) {
    let modified = Attributes { modified: Some(time), ..Attributes::default() };
    storage.set_attributes(path, &modified).unwrap();
}

/// The vault's storage.
pub(crate) fn filled(fill: impl FnOnce(&Filler<'_>)) -> Arc<FaultyStorage> {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    fill(&Filler { builder, storage: &storage });
    Arc::new(FaultyStorage::new(&storage))
}

pub(crate) fn unlock(storage: Arc<dyn BlockStorage>, options: &VaultOptions) -> Arc<Vault> {
    Arc::new(Locked::read(storage).unwrap().unlock(&Passphrase::new("passphrase"), options).unwrap())
}

/// A volume with so few threads that many can be started one after the other.
pub(crate) fn small_volume(vault: Arc<Vault>, clock: Arc<dyn Clock>) -> Volume {
    let limits = Limits {
        hot: 2,
        pool: 10,
        demand_and_background: 8,
        background: 2,
        reserve: 16,
        scouts: 4,
        ..Limits::default()
    };
    Volume::start(vault, VolumeOptions { limits, ..VolumeOptions::default() }, clock).unwrap()
}

impl House {
    pub(crate) fn new(fill: impl FnOnce(&Filler<'_>)) -> Self {
        Self::with(&VaultOptions::default(), fill)
    }

    pub(crate) fn with(options: &VaultOptions, fill: impl FnOnce(&Filler<'_>)) -> Self {
        let storage = filled(fill);
        let clock = Arc::new(ManualClock::default());
        let vault = unlock(Arc::clone(&storage) as _, options);
        let volume = Volume::start(vault, VolumeOptions::default(), Arc::clone(&clock) as _).unwrap();
        let house = Self { storage, clock, volume };
        // The first question of a volume is for the free space.
        house.until(|| house.volume.statfs().is_some());
        house.settle();
        house
    }

    pub(crate) fn root(&self) -> Arc<Node> {
        self.volume.vault().root()
    }

    pub(crate) fn node(&self, text: &str) -> Arc<Node> {
        self.volume.lookup(&self.root(), &name(text)).wait().unwrap()
    }

    pub(crate) fn open(&self, text: &str) -> Arc<OpenFile> {
        self.volume.open(&self.node(text)).wait().unwrap()
    }

    pub(crate) fn open_for_writing(&self, text: &str) -> Arc<OpenFile> {
        self.volume.open_for_writing(&self.node(text)).wait().unwrap()
    }

    /// Holds every call from now on of which `which` says so.
    pub(crate) fn hold(&self, which: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        self.storage.on_call(
            move |call| {
                if which(call) { Verdict::Hold(Arc::clone(&held)) } else { Verdict::Pass }
            },
        );
        gate
    }

    pub(crate) fn reads(&self) -> u64 {
        self.storage.counts().of(Method::ReadAt)
    }

    /// What somebody who comes anew finds in storage.
    pub(crate) fn stored(&self, text: &str) -> Vec<u8> {
        let (fresh, now) = (self.fresh(), Instant::now());
        let node = fresh.lookup(&fresh.root(), &name(text), now).unwrap();
        let len = usize::try_from(fresh.attributes(&node, now).unwrap().len).unwrap();
        let mut bytes = vec![0; len + 1];
        let read = fresh.open(&node, now).unwrap().read_at(0, &mut bytes).unwrap();
        bytes.truncate(read);
        bytes
    }

    /// The names that he finds.
    pub(crate) fn stored_names(&self) -> Vec<String> {
        let fresh = self.fresh();
        let listing = fresh.list(&fresh.root(), Instant::now()).unwrap();
        listing.entries().iter().map(|entry| entry.shown().to_owned()).collect()
    }

    fn fresh(&self) -> Vault {
        self.volume.vault().afresh(&VaultOptions::default())
    }

    /// As [`until`] of its volume.
    pub(crate) fn until(&self, is_so: impl Fn() -> bool) {
        until(&self.volume, is_so);
    }

    /// As [`settle`] of its volume.
    pub(crate) fn settle(&self) {
        settle(&self.volume);
    }
}

/// Waits until something is so that the volume brings about.
pub(crate) fn until(volume: &Volume, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_mins(1), "it never is so: {:#?}", volume.snapshot());
        thread::yield_now();
    }
}

/// Waits until nothing runs or waits any more, but for its time.
pub(crate) fn settle(volume: &Volume) {
    until(volume, || {
        let census = volume.snapshot().census;
        census.classes.iter().all(|count| count.waiting + count.running == 0)
    });
}
