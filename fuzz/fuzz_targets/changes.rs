//! Any changes of one file and its entry, on storage that fails for a while: memory and storage agree with a plain vector
//! once storage works again, and nothing is ever read that nobody wrote.
#![no_main]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::{BlockStorage, FaultyStorage, MemoryStorage, Replace, Verdict};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{ErrorKind, File, Name, Node, Vault, VaultOptions};

#[derive(Arbitrary, Debug)]
struct Input {
    ctr_mac: bool,
    short_names: bool,
    small_memory: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Write {
        chunk: u8,
        offset: i8,
        len: u16,
        byte: u8,
    },
    SetLen {
        chunk: u8,
        offset: i8,
    },
    Read {
        chunk: u8,
        offset: i8,
        len: u16,
    },
    Flush,
    Sync,
    Reopen,
    Rename {
        long: bool,
    },
    /// So many of the next calls of storage fail.
    Fail {
        calls: u8,
    },
}

/// A position near the border of one of the first chunks, where all mistakes are.
fn near(chunk: u8, offset: i8) -> u64 {
    (u64::from(chunk % 8) * 32_768).saturating_add_signed(offset.into())
}

struct World {
    storage: Arc<FaultyStorage>,
    /// So many of the next calls fail.
    failing: Arc<AtomicU32>,
    /// Any has failed so far.
    has_failed: Arc<AtomicBool>,
    vault: Vault,
    root: Arc<Node>,
    name: Name,
    file: File,
    model: Vec<u8>,
    now: Instant,
}

fuzz_target!(|input: Input| {
    let mut world = World::new(&input);
    for step in input.steps.iter().take(40) {
        world.step(step);
    }
    world.end();
});

impl World {
    fn new(input: &Input) -> Self {
        let recipe = Recipe {
            combo: if input.ctr_mac { CipherCombo::SivCtrMac } else { CipherCombo::SivGcm },
            threshold: if input.short_names { 36 } else { 220 },
            ..Recipe::default()
        };
        let memory = MemoryStorage::default();
        VaultBuilder::create(&memory, recipe).unwrap();
        let storage = Arc::new(FaultyStorage::new(&memory));
        let failing = Arc::new(AtomicU32::new(0));
        let has_failed = Arc::new(AtomicBool::new(false));
        let (left, noted) = (Arc::clone(&failing), Arc::clone(&has_failed));
        let mut options = VaultOptions::default();
        if input.small_memory {
            options = options.chunk_cache_bytes(33_000).unsaved_bytes(70_000, 70_000);
        }
        let locked = Locked::read(Arc::clone(&storage) as Arc<dyn BlockStorage>).unwrap();
        let vault = locked.unlock(&Passphrase::new(recipe.passphrase), &options).unwrap();
        storage.on_call(move |_| {
            let fails =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            noted.fetch_or(fails, Ordering::Relaxed);
            if fails { Verdict::Fail(io::ErrorKind::StorageFull) } else { Verdict::Pass }
        });
        let (root, now, name) = (vault.root(), Instant::now(), Name::new("file").unwrap());
        let file = vault.create(&root, &name, now).unwrap();
        Self { storage, failing, has_failed, vault, root, name, file, model: Vec::new(), now }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { chunk, offset, len, byte } => {
                let (offset, bytes) = (near(chunk, offset), vec![byte; len.into()]);
                // An error has taken nothing.
                let written = self.file.write_at(offset, &bytes, SystemTime::UNIX_EPOCH);
                if let Some(len) = written.ok().filter(|len| *len > 0) {
                    let start = usize::try_from(offset).unwrap();
                    self.model.resize(self.model.len().max(start + len), 0);
                    self.model[start..][..len].copy_from_slice(&bytes[..len]);
                }
            }
            Step::SetLen { chunk, offset } => {
                let len = near(chunk, offset);
                if self.file.set_len(len, SystemTime::UNIX_EPOCH).is_ok() {
                    self.model.resize(usize::try_from(len).unwrap(), 0);
                }
            }
            Step::Read { chunk, offset, len } => {
                let mut buf = vec![0xee; len.into()];
                let offset = near(chunk, offset);
                if let Ok(len) = self.file.read_at(offset, &mut buf) {
                    let rest = self.model.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
                    assert!(buf[..len] == rest[..rest.len().min(buf.len())]);
                } else {
                    assert!(self.has_failed.load(Ordering::Relaxed), "a read failed on storage that works");
                }
            }
            Step::Flush => {
                let done = self.file.flush(self.now);
                assert!(done.is_ok() || self.has_failed.load(Ordering::Relaxed), "{done:?}");
            }
            Step::Sync => {
                let done = self.file.sync(self.now);
                assert!(done.is_ok() || self.has_failed.load(Ordering::Relaxed), "{done:?}");
            }
            Step::Reopen => {
                if let Ok(file) = self.vault.open_for_writing(&Arc::clone(self.file.node()), self.now) {
                    self.file = file;
                }
            }
            Step::Rename { long } => {
                let new = Name::new(&if long { "l".repeat(180) } else { "file".to_owned() }).unwrap();
                let (from, to) = ((&self.root, &self.name), (&self.root, &new));
                match self.vault.rename(from, to, Replace::Never, self.now) {
                    Ok(()) => self.name = new,
                    Err(error) => {
                        assert!(
                            error.kind() == ErrorKind::AlreadyExists
                                || self.has_failed.load(Ordering::Relaxed),
                            "{error}"
                        );
                    }
                }
            }
            Step::Fail { calls } => self.failing.store((calls % 8).into(), Ordering::Relaxed),
        }
    }

    fn end(self) {
        self.failing.store(0, Ordering::Relaxed);
        self.file.flush(self.now).unwrap();
        for file in self.vault.unsaved() {
            file.flush(self.now).unwrap();
        }
        let locked = Locked::read(Arc::clone(&self.storage) as Arc<dyn BlockStorage>).unwrap();
        let passphrase = Passphrase::new(Recipe::default().passphrase);
        let fresh = locked.unlock(&passphrase, &VaultOptions::default()).unwrap();
        let later = self.now + Duration::from_mins(1);
        for vault in [&self.vault, &fresh] {
            let node = vault.lookup(&vault.root(), &self.name, later).unwrap();
            let mut buf = vec![0; 400_000];
            let len = vault.open(&node, later).unwrap().read_at(0, &mut buf).unwrap();
            assert!(buf[..len] == self.model);
        }
    }
}
