//! Many threads change one vault at once, and each finds what it has done.

use std::sync::Arc;
use std::thread;

use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::{Attributes, FaultyStorage, MemoryStorage, Replace};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{ErrorKind, VaultOptions};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::volume::{OpenFile, Volume};

use super::histories::bytes;
use super::house::{name, small_volume, unlock};

const THREADS: usize = 6;
const ROUNDS: usize = 20;
/// Bytes in a row that one thread has to itself, in a file that all write to.
const STRIPE: usize = 7_000;
const STRIPES: usize = 24;

/// Numbers that look drawn, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

fn volume(combo: CipherCombo, options: &VaultOptions) -> Volume {
    let memory = MemoryStorage::default();
    VaultBuilder::create(&memory, Recipe { combo, ..Recipe::default() }).unwrap();
    let vault = unlock(Arc::new(FaultyStorage::new(&memory)), options);
    small_volume(vault, Arc::new(SystemClock::new()))
}

/// Next to nothing may be unsaved, or all; no chunk is kept, or all.
fn volumes() -> Vec<Volume> {
    let options = VaultOptions::default();
    vec![
        volume(CipherCombo::SivGcm, &options),
        volume(CipherCombo::SivCtrMac, &options.clone().unsaved_bytes(65_536, 98_304)),
        volume(CipherCombo::SivGcm, &options.chunk_cache_bytes(0).unsaved_bytes(65_536, 98_304)),
    ]
}

fn content(volume: &Volume, text: &str) -> Vec<u8> {
    let vault = volume.vault().afresh(&VaultOptions::default());
    let fresh = small_volume(Arc::new(vault), Arc::new(SystemClock::new()));
    let node = fresh.lookup(&fresh.vault().root(), &name(text)).wait().unwrap();
    let file = fresh.open(&node).wait().unwrap();
    fresh.read(&file, 0, 1 << 21).wait().unwrap().to_vec()
}

/// Writes, reads and stores the stripes of one thread.
fn work(volume: &Volume, file: &Arc<OpenFile>, thread: usize) -> Vec<(usize, Vec<u8>)> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ ((thread as u64) << 7));
    let mut stripes = vec![None; STRIPES];
    for round in 0..ROUNDS {
        let stripe = dice.below(STRIPES);
        let offset = (stripe * THREADS + thread) * STRIPE;
        let bytes = bytes(round * THREADS + thread, STRIPE);
        assert_eq!(volume.write(file, offset as u64, &bytes).wait().unwrap(), STRIPE);
        stripes[stripe] = Some((offset, bytes));
        let (offset, expected) =
            stripes.iter().flatten().nth(dice.below(stripes.iter().flatten().count())).unwrap();
        let read = volume.read(file, *offset as u64, STRIPE).wait().unwrap();
        let wrong = expected.iter().zip(&*read).position(|(expected, read)| expected != read);
        assert_eq!((read.len(), wrong), (STRIPE, None), "thread {thread} in round {round}, at {offset}");
        match dice.below(12) {
            0 => volume.flush(file).wait().unwrap(),
            1 => volume.sync(file).wait().unwrap(),
            2 => {
                // Longer by zeros than it is, or not at all.
                let len = file.resident().len();
                if len > (STRIPES * THREADS * STRIPE) as u64 {
                    continue;
                }
                volume.write(file, (STRIPES * THREADS * STRIPE) as u64, b"end").wait().unwrap();
            }
            _ => {}
        }
    }
    stripes.into_iter().flatten().collect()
}

#[test]
fn threads_that_write_to_different_bytes_of_one_file_lose_none_of_them() {
    for volume in volumes() {
        let root = volume.vault().root();
        let file = volume.create(&root, &name("file"), Attributes::default()).wait().unwrap();
        let written: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn({
                        let (volume, file) = (&volume, &file);
                        move || work(volume, file, thread)
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        volume.sync(&file).wait().unwrap();
        let (memory, stored) = (volume.read(&file, 0, 1 << 21).wait().unwrap(), content(&volume, "file"));
        assert!(*memory == *stored, "memory and storage");
        for (offset, bytes) in written {
            assert!(stored[offset..offset + STRIPE] == *bytes, "{STRIPE} bytes at {offset}");
        }
    }
}

/// As editors do: a new file takes the place of the old one, and whoever opens it finds one or the other, whole.
#[test]
fn a_file_that_others_replace_all_the_time_is_always_whole() {
    const LEN: usize = 40_000;
    for volume in volumes() {
        let root = volume.vault().root();
        let save = |thread: usize, round: usize| {
            let draft = name(&format!("draft {thread}"));
            let file = volume.create(&root, &draft, Attributes::default()).wait().unwrap();
            let byte = u8::try_from(1 + thread * ROUNDS + round).unwrap();
            assert_eq!(volume.write(&file, 0, &vec![byte; LEN]).wait().unwrap(), LEN);
            volume.rename((&root, &draft), (&root, &name("file")), Replace::Always).wait().unwrap();
        };
        save(0, 0);
        thread::scope(|scope| {
            for thread in 0..3 {
                let save = &save;
                scope.spawn(move || (0..ROUNDS).for_each(|round| save(thread, round)));
            }
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let node = volume.lookup(&root, &name("file")).wait().unwrap();
                        let file = match volume.open(&node).wait() {
                            Ok(file) => file,
                            // It was replaced between the two.
                            Err(error) if error.kind() == Some(ErrorKind::NotFound) => continue,
                            Err(error) => panic!("{error}"),
                        };
                        let read = volume.read(&file, 0, LEN + 1).wait().unwrap();
                        assert_eq!(read.len(), LEN);
                        assert!(read.iter().all(|byte| *byte == read[0]), "two contents in one file");
                    }
                });
            }
        });
        let last = content(&volume, "file");
        assert!(last.len() == LEN && last.iter().all(|byte| *byte == last[0]));
        let listing = volume.list(&root).wait().unwrap();
        assert_eq!(listing.entries().len(), 1, "no draft is left");
    }
}
