//! Writes that memory cannot take at once: those that are taken back or come too late, and those that get there.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::VaultOptions;
use oxcrypt_core::storage::{Gate, Method};
use oxcrypt_io::sched::plan::Why;
use oxcrypt_io::volume::{Cause, Deadlines, OpenFile};

use super::house::{House, content, name};

const CHUNK: usize = 32_768;
const CEILING: Duration = Duration::from_mins(1);

fn house() -> House {
    House::new(|fill| {
        fill.file("file", &content(4 * CHUNK));
    })
}

/// A chunk that is written over whole, and one of which only storage has the rest.
#[test]
fn regression_a_write_that_waits_for_a_chunk_has_changed_nothing() {
    for is_late in [true, false] {
        let house = house();
        let file = house.open_for_writing("file");
        let gate = house.hold(|call| call.method == Method::ReadAt);
        let (answered, answer) = channel();
        let write = house.volume.write(&file, 0, &vec![7; CHUNK + 10]);
        let write = write.then(move |written| answered.send(written).unwrap()).unwrap();
        gate.wait_for(1);
        assert!(house.volume.unsaved().is_empty());
        if is_late {
            house.clock.advance(Deadlines::default().write.unwrap());
            assert!(answer.recv_timeout(CEILING).unwrap().unwrap_err().is_timeout());
        } else {
            house.volume.cancel(write, Why::Interrupted);
            let error = answer.try_recv().unwrap().unwrap_err();
            assert!(matches!(error.cause(), Cause::Interrupted), "{error}");
        }
        gate.open();
        house.settle();
        assert_eq!(file.resident().unsaved_bytes(), 0);
        let read = house.volume.read(&file, 0, 4 * CHUNK).wait().unwrap();
        assert!(*read == content(4 * CHUNK));
    }
}

/// Each chunk that is read for it takes the place of the other.
#[test]
fn regression_a_write_across_two_blocks_gets_there_though_memory_keeps_one_chunk() {
    let border = 4 * CHUNK;
    let house = House::with(&VaultOptions::default().chunk_cache_bytes(CHUNK + 200), |fill| {
        fill.file("file", &content(border + 100));
    });
    let file = house.open_for_writing("file");
    house.volume.read(&file, border as u64, 1).wait().unwrap();
    house.settle();
    let (answered, answer) = channel();
    let write = house.volume.write(&file, border as u64 - 1, b"ab");
    write.then(move |written| answered.send(written).unwrap());
    assert_eq!(answer.recv_timeout(CEILING).unwrap().unwrap(), 2);
    let read = house.volume.read(&file, border as u64 - 1, 2).wait().unwrap();
    assert_eq!(*read, *b"ab");
}

/// As many files as use up what memory may hold, whose writes hang, and one more.
struct Crowd {
    house: House,
    gate: Arc<Gate>,
    alive: Arc<OpenFile>,
}

/// What memory may hold of all files in a crowd.
const ALL: usize = 32 * CHUNK;

impl Crowd {
    fn new(dead: usize) -> Self {
        let options = VaultOptions::default().unsaved_bytes(8 * CHUNK, ALL);
        let house = House::with(&options, |fill| {
            fill.file("alive", b"");
            (0..dead).for_each(|number| drop(fill.file(&number.to_string(), b"")));
        });
        let alive = house.open_for_writing("alive");
        let path = alive.node().ciphertext_path();
        let gate = house.hold(move |call| call.method == Method::WriteAt && call.path != path);
        Self { house, gate, alive }
    }

    /// Writes to each of the dead files until their answers would have to wait. Returns what memory has taken of them.
    fn fill(&self, dead: usize, bytes: &[u8]) -> usize {
        let files = (0..dead).map(|number| self.house.open_for_writing(&number.to_string()));
        files
            .map(|file| {
                let write = self.house.volume.write(&file, 0, bytes);
                if write.is_known() {
                    return write.wait().unwrap();
                }
                write.then(drop);
                0
            })
            .sum()
    }
}

#[test]
fn a_healthy_file_is_written_and_stored_while_dead_ones_use_up_all_memory() {
    let crowd = Crowd::new(8);
    let (house, alive) = (&crowd.house, &crowd.alive);
    assert_eq!(crowd.fill(8, &content(4 * CHUNK)), ALL);
    let written = content(20 * CHUNK + 10);
    // Across the border of a chunk, and of more than it may hold at once.
    assert_eq!(house.volume.write(alive, 100, &written).wait().unwrap(), written.len());
    house.volume.flush(alive).wait().unwrap();
    assert_eq!(*house.volume.read(alive, 100, written.len()).wait().unwrap(), *written);
    let fresh = house.volume.vault().afresh(&VaultOptions::default());
    let node = fresh.lookup(&fresh.root(), &name("alive"), Instant::now()).unwrap();
    let mut stored = vec![0; written.len()];
    assert_eq!(fresh.open(&node, Instant::now()).unwrap().read_at(100, &mut stored).unwrap(), stored.len());
    assert!(stored == written);
    crowd.gate.open();
    house.settle();
}

#[test]
fn dead_files_hold_no_more_than_memory_may_and_a_chunk_each() {
    let dead = 100;
    let crowd = Crowd::new(dead);
    crowd.fill(dead, &content(4 * CHUNK));
    let (vault, most) = (crowd.house.volume.vault(), ALL + dead * CHUNK);
    // Those that wait get their chunk when they have a thread, and then have none for the next.
    let step = Duration::from_millis(100);
    let steps = Deadlines::default().write.unwrap().as_millis() / step.as_millis();
    for _ in 0..steps {
        assert!(vault.unsaved_bytes() <= most);
        crowd.house.clock.advance(step);
        thread::yield_now();
    }
    assert!((ALL..=most).contains(&vault.unsaved_bytes()), "{}", vault.unsaved_bytes());
    crowd.gate.open();
    crowd.house.settle();
}

#[test]
fn a_write_that_was_taken_in_part_by_the_deadline_says_how_much() {
    let crowd = Crowd::new(8);
    let house = &crowd.house;
    crowd.fill(8, &content(4 * CHUNK));
    let gate = house.hold(|call| call.method == Method::WriteAt);
    let (answered, answer) = channel();
    let write = house.volume.write(&crowd.alive, 0, &content(2 * CHUNK));
    write.then(move |written| answered.send(written).unwrap());
    // The first chunk is in memory, and on its way to storage.
    gate.wait_for(1);
    house.clock.advance(Deadlines::default().write.unwrap());
    assert_eq!(answer.recv_timeout(CEILING).unwrap().unwrap(), CHUNK);
    assert_eq!(crowd.alive.resident().len(), CHUNK as u64);
    let refused = house.volume.write(&crowd.alive, CHUNK as u64, &content(CHUNK)).ask();
    house.clock.advance(Deadlines::default().write.unwrap());
    assert!(refused.wait().unwrap_err().is_timeout());
    assert_eq!(
        crowd.alive.resident().len(),
        CHUNK as u64,
        "who was told that nothing was written was told the truth"
    );
    gate.open();
    crowd.gate.open();
    house.settle();
    assert_eq!(*house.volume.read(&crowd.alive, 0, CHUNK).wait().unwrap(), *content(CHUNK));
}
