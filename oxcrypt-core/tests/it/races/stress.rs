//! Many threads in one vault: what anybody reads is what somebody has written, and in the end everything is there once.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{Entry, ErrorKind, File, Vault, VaultOptions};
use sha2::{Digest, Sha256};

use super::P;
use crate::checker::Finding;
use crate::lab::{self, Lab, content, find, flush};

/// So many bytes are written at once, and never across chunks.
const RECORD: usize = 512;
/// A file has so many records: three chunks, and a part.
const RECORDS: usize = 3 * P / RECORD + 7;
const WRITERS: u64 = 3;

/// What a writer writes: who and which, and a checksum over that and the place.
fn record(file: u64, place: usize, version: u64) -> Vec<u8> {
    let head = [file.to_le_bytes(), (place as u64).to_le_bytes(), version.to_le_bytes()].concat();
    let sum = Sha256::digest(&head);
    head.iter().chain(&sum).copied().cycle().take(RECORD).collect()
}

/// Whether a record was written by anybody, for this file and place; zeros are where nobody has written yet.
fn is_whole(file: u64, place: usize, bytes: &[u8]) -> bool {
    if bytes.iter().all(|byte| *byte == 0) {
        return true;
    }
    let version = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    bytes == record(file, place, version)
}

/// A generator for each thread.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// A file that is worked on, and until when.
struct Work<'w> {
    vault: &'w Vault,
    file: &'w File,
    number: u64,
    until: Instant,
}

impl Work<'_> {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Writes records anywhere, and stores them now and then.
    fn write(&self) {
        let (mut dice, mut version) = (Dice(self.number), 0);
        while self.goes_on() {
            let place = dice.roll(RECORDS);
            version += 1;
            lab::write(self.file, (place * RECORD) as u64, &record(self.number, place, version)).unwrap();
            match dice.roll(20) {
                0 => flush(self.file).unwrap(),
                1 => lab::sync(self.file).unwrap(),
                2 => drop(self.file.store_some().unwrap()),
                _ => {}
            }
        }
    }

    /// Reads anywhere.
    fn read(&self) {
        let mut dice = Dice(self.number + 100);
        let mut buf = vec![0; 40 * RECORD];
        while self.goes_on() {
            let place = dice.roll(RECORDS);
            let len = dice.roll(40) * RECORD;
            let read = self.file.read_at((place * RECORD) as u64, &mut buf[..len]).unwrap();
            for (at, bytes) in (place..).zip(buf[..read].chunks(RECORD)) {
                assert!(is_whole(self.number, at, bytes), "record {at} of file {} is torn", self.number);
            }
        }
    }

    /// Moves it, to short names and long ones, within a directory and to the other.
    fn rename(&self) {
        let mut dice = Dice(self.number + 200);
        let mut place = first_place(self.number);
        while self.goes_on() {
            let dir = DIRS[dice.roll(2)];
            let new = format!("{dir}/{}{}", self.number, "n".repeat(dice.roll(2) * 20));
            lab::rename(self.vault, &place, &new, Replace::Always).unwrap();
            place = new;
            let found = find(self.vault, &place).unwrap();
            assert!(Arc::ptr_eq(&found, self.file.node()), "there is one node of a file");
            self.vault.open(&found, Instant::now()).unwrap();
        }
    }
}

const DIRS: [&str; 2] = ["one", "another one"];

fn first_place(number: u64) -> String {
    format!("{}/file {number}", DIRS[0])
}

/// Makes and removes what is in everybody's way.
fn make_and_remove(vault: &Vault, until: Instant) {
    let mut dice = Dice(7);
    while Instant::now() < until {
        let path = format!("{}/temporary", DIRS[dice.roll(2)]);
        drop(lab::put(vault, &path, b"temporary"));
        assert_eq!(lab::read(vault, &path).unwrap(), b"temporary");
        lab::remove(vault, &path).unwrap();
        assert_eq!(find(vault, &path).unwrap_err().kind(), ErrorKind::NotFound);
        lab::make_dir(vault, &path).unwrap();
        lab::remove_dir(vault, &path).unwrap();
    }
}

fn list(vault: &Vault, until: Instant) {
    while Instant::now() < until {
        for dir in DIRS {
            let listing = vault.list(&find(vault, dir).unwrap(), Instant::now()).unwrap();
            let shown: BTreeSet<_> = listing.entries().iter().map(Entry::shown).collect();
            assert_eq!(shown.len(), listing.entries().len());
        }
    }
}

#[test]
fn threads_that_read_write_rename_and_remove_lose_nothing() {
    for (chunk_cache, unsaved) in [(0, 2 * P), (P + 200, 16 << 20), (64 << 20, 4 * P)] {
        let storage = Arc::new(Lab::SHORT.empty());
        let options = VaultOptions::default()
            .chunk_cache_bytes(chunk_cache)
            .unsaved_bytes(unsaved, 2 * unsaved)
            .max_age(Duration::from_millis(5));
        let vault = lab::open_with(&storage, &options);
        for dir in DIRS {
            lab::make_dir(&vault, dir).unwrap();
        }
        let files: Vec<_> =
            (0..WRITERS).map(|number| lab::create(&vault, &first_place(number)).unwrap()).collect();
        let until = Instant::now() + Duration::from_millis(1_500);
        thread::scope(|scope| {
            let vault = &vault;
            for (number, file) in (0..WRITERS).zip(&files) {
                let work = || Work { vault, file, number, until };
                let [writes, reads, renames] = [work(), work(), work()];
                scope.spawn(move || writes.write());
                scope.spawn(move || reads.read());
                scope.spawn(move || renames.rename());
            }
            scope.spawn(move || make_and_remove(vault, until));
            scope.spawn(move || list(vault, until));
        });
        for file in &files {
            flush(file).unwrap();
        }
        assert_eq!(vault.unsaved().len(), 0);
        let fresh = lab::open(&storage);
        for (number, file) in (0..WRITERS).zip(&files) {
            let ours = content(file).unwrap();
            assert!(lab::read(&fresh, &file.node().path().to_string()).unwrap() == ours);
            for (at, bytes) in ours.chunks(RECORD).enumerate() {
                assert!(is_whole(number, at, bytes));
            }
        }
        let report = Lab::SHORT.check(&*storage);
        assert_eq!(report.faults(), Vec::<&Finding>::new());
        assert_eq!(report.tree.len(), DIRS.len() + files.len());
    }
}

#[test]
fn two_crossing_renames_make_no_circle() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    // Different parents, so that they have no directory in common but those that they move.
    for dir in ["p", "q"] {
        lab::make_dir(&vault, dir).unwrap();
    }
    for round in 0..150 {
        let moved = ["p/a", "q/b"].map(|path| lab::make_dir(&vault, path).unwrap());
        let begin = Barrier::new(2);
        let results = thread::scope(|scope| {
            let move_into = |from: usize, to: usize| {
                let (vault, begin, moved) = (&vault, &begin, &moved);
                let (dir, name) = (moved[from].parent().unwrap(), moved[from].name().unwrap());
                scope.spawn(move || {
                    begin.wait();
                    let to = (&moved[to], &lab::name("inside"));
                    vault.rename((&dir, &name), to, Replace::Always, Instant::now())
                })
            };
            [move_into(0, 1), move_into(1, 0)].map(|thread| thread.join().unwrap())
        });
        let done = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "in round {round}: {results:?}");
        let report = Lab::GCM.check(&*storage);
        assert_eq!((report.faults(), report.tree.len()), (vec![], 4), "in round {round}");
        let outer = if find(&vault, "p/a").is_ok() { "p/a" } else { "q/b" };
        lab::remove_dir(&vault, &format!("{outer}/inside")).unwrap();
        lab::remove_dir(&vault, outer).unwrap();
    }
}
