//! Writes that memory cannot take at once: those that are taken back or come too late, and those that get there.

use std::sync::mpsc::channel;
use std::time::Duration;

use oxcrypt_core::VaultOptions;
use oxcrypt_core::storage::Method;
use oxcrypt_io::sched::plan::Why;
use oxcrypt_io::volume::{Cause, Deadlines};

use super::house::{House, content};

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
