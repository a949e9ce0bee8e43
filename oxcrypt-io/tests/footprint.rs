//! What those who wait take of memory, in bytes: a process of its own, because it counts all that is allocated.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a failed test is to panic")]

use std::alloc::System;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use oxcrypt_core::storage::{Attributes, BlockStorage, FaultyStorage, Gate, MemoryStorage, Method, Verdict};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, Name, VaultOptions};
use oxcrypt_io::clock::ManualClock;
use oxcrypt_io::sched::plan::Limits;
use oxcrypt_io::volume::{OpenFile, Volume, VolumeOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time: each counts what the process allocates.
static TURN: Mutex<()> = Mutex::new(());

struct House {
    storage: Arc<FaultyStorage>,
    volume: Volume,
    clock: Arc<ManualClock>,
    gate: Arc<Gate>,
}

impl House {
    /// So many files of this length, whose content storage does not give.
    fn new(files: usize, len: usize) -> Self {
        Self::with(files, len, &VaultOptions::default())
    }

    fn with(files: usize, len: usize, options: &VaultOptions) -> Self {
        let storage = MemoryStorage::default();
        let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
        for number in 0..files {
            let path = builder.file(&DirId::root(), &name(number), &vec![1; len]).unwrap();
            let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
            storage.set_attributes(&path, &modified).unwrap();
        }
        let storage = Arc::new(FaultyStorage::new(&storage));
        let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
        let vault = locked.unlock(&Passphrase::new("passphrase"), options).unwrap();
        let clock = Arc::new(ManualClock::default());
        let volume =
            Volume::start(Arc::new(vault), VolumeOptions::default(), Arc::clone(&clock) as _).unwrap();
        let mut house = Self { storage, volume, clock, gate: Arc::default() };
        house.hang();
        house
    }

    /// From now on content is held back again.
    fn hang(&mut self) {
        self.gate = Arc::new(Gate::default());
        let held = Arc::clone(&self.gate);
        self.storage.on_call(move |call| {
            if call.method == Method::ReadAt { Verdict::Hold(Arc::clone(&held)) } else { Verdict::Pass }
        });
    }

    /// Opens all of them and reads a page of each.
    fn read_all(&self, files: usize) -> Vec<Arc<OpenFile>> {
        let root = self.volume.vault().root();
        let open = (0..files).map(|number| {
            let node = self.volume.lookup(&root, &Name::new(&name(number)).unwrap()).wait().unwrap();
            let file = self.volume.open(&node).wait().unwrap();
            assert!(self.volume.read(&file, 0, 4_096).then(|_| ()).is_some(), "it is not known");
            file
        });
        let open = open.collect();
        self.gate.wait_for(files.min(Limits::default().demand_and_background));
        open
    }
}

fn name(number: usize) -> String {
    format!("file {number}")
}

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

#[test]
fn a_file_that_is_open_and_a_read_of_it_that_waits_take_less_than_three_kilobytes() {
    // Just after the tables of all this have grown, when they have the most room that is not used.
    const FILES: usize = 4_000;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let house = House::new(FILES, 100);
    let before = allocated();
    let open = house.read_all(FILES);
    let each = (allocated() - before) / FILES;
    house.gate.open();
    drop(open);
    assert!(each < 3_000, "{each} bytes");
}

#[test]
fn the_first_read_of_a_file_holds_a_buffer_for_no_more_than_is_wanted_while_it_hangs() {
    const CHUNK: usize = 32_768;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let files = Limits::default().demand_and_background;
    let house = House::new(files, 4 * CHUNK);
    let before = allocated();
    let open = house.read_all(files);
    let each = (allocated() - before) / files;
    house.gate.open();
    drop(open);
    assert!(each < CHUNK + 6_000, "{each} bytes");
}

#[test]
fn what_a_crowd_took_is_given_back_however_often_it_comes() {
    const FILES: usize = 2_000;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // No chunk is kept, so that all of them hang each time.
    let mut house = House::with(FILES, 100, &VaultOptions::default().chunk_cache_bytes(0));
    let after = [(); 6].map(|()| {
        house.hang();
        let open = house.read_all(FILES);
        house.gate.open();
        drop(open);
        while house.volume.snapshot().census.flights > 0 {
            thread::yield_now();
        }
        // By then nobody remembers which files storage had at hand.
        house.clock.advance(Duration::from_mins(2));
        allocated()
    });
    // What is known of the files now came with the first two.
    let grown = after[5].saturating_sub(after[1]);
    assert!(grown < 10_000, "{grown} bytes: {after:?}");
}
