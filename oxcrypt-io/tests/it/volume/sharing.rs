//! What several want is read once, and nobody is made to start over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use oxcrypt_core::storage::{BlockStorage, Method, OpenMode};
use oxcrypt_core::{ErrorKind, VaultOptions};
use oxcrypt_io::volume::Cause;

use super::house::{BLOCK, House, content, set_time};

#[test]
fn a_hundred_readers_of_one_cold_chunk_cost_one_read() {
    let house = House::new(|fill| {
        fill.file("file", &content(100_000));
    });
    let files = [house.open("file"), house.open("file")];
    let before = house.reads();
    let gate = house.hold(|call| call.method == Method::ReadAt);
    let reads: Vec<_> =
        (0..100).map(|at| house.volume.read(&files[at % 2], at as u64, 4_096).ask()).collect();
    gate.wait_for(1);
    gate.open();
    for (at, read) in reads.into_iter().enumerate() {
        assert_eq!(*read.wait().unwrap(), content(100_000)[at..at + 4_096]);
    }
    assert_eq!(house.reads() - before, 1);
}

#[test]
fn ranges_that_overlap_meet_in_their_blocks() {
    let house = House::new(|fill| {
        fill.file("file", &content(4 * BLOCK));
    });
    let file = house.open("file");
    house.volume.read(&file, 0, 1).wait().unwrap();
    let before = house.reads();
    let gate = house.hold(|call| call.method == Method::ReadAt);
    let (a, b) = (BLOCK as u64, 2 * BLOCK as u64);
    let first = house.volume.read(&file, a, 2 * BLOCK).ask();
    let second = house.volume.read(&file, b, 2 * BLOCK).ask();
    gate.wait_for(3);
    gate.open();
    assert_eq!(*first.wait().unwrap(), content(4 * BLOCK)[BLOCK..3 * BLOCK]);
    assert_eq!(*second.wait().unwrap(), content(4 * BLOCK)[2 * BLOCK..]);
    assert_eq!(house.reads() - before, 3, "the one in the middle is shared");
}

#[test]
fn who_joins_the_first_read_of_a_file_for_other_chunks_shares_another_one_then() {
    const CHUNK: usize = BLOCK / 4;
    let house = House::new(|fill| {
        fill.file("file", &content(BLOCK));
    });
    let file = house.open("file");
    let before = house.reads();
    let gate = house.hold(|call| call.method == Method::ReadAt);
    let first = house.volume.read(&file, 0, 4_096).ask();
    gate.wait_for(1);
    let whole = house.volume.read(&file, 0, BLOCK).ask();
    let others: Vec<_> =
        (CHUNK..CHUNK + 100).map(|at| house.volume.read(&file, at as u64, 2 * CHUNK).ask()).collect();
    gate.open();
    assert_eq!(*first.wait().unwrap(), content(BLOCK)[..4_096]);
    assert_eq!(*whole.wait().unwrap(), content(BLOCK));
    for (at, other) in (CHUNK..).zip(others) {
        assert_eq!(*other.wait().unwrap(), content(BLOCK)[at..at + 2 * CHUNK]);
    }
    assert_eq!(house.reads() - before, 2, "no chunk is read twice");
}

#[test]
fn eviction_between_fill_and_reply_starts_nobody_over() {
    // There is room for one chunk.
    let house = House::with(&VaultOptions::default().chunk_cache_bytes(40_000), |fill| {
        fill.file("file", &content(4 * BLOCK));
    });
    let file = house.open("file");
    house.volume.read(&file, 0, 1).wait().unwrap();
    house.settle();
    let before = house.reads();
    let calls = AtomicU64::new(0);
    let gate =
        house.hold(move |call| call.method == Method::ReadAt && calls.fetch_add(1, Ordering::SeqCst) == 2);
    let read = house.volume.read(&file, BLOCK as u64, 3 * BLOCK).ask();
    gate.wait_for(1);
    house.until(|| house.volume.snapshot().census.flights <= 1);
    gate.open();
    assert_eq!(*read.wait().unwrap(), content(4 * BLOCK)[BLOCK..]);
    assert_eq!(house.reads() - before, 3);
}

/// Storage has what was written, memory has not, and a block under way was read before.
#[test]
fn regression_a_read_shares_no_block_that_is_older_than_what_was_written_before_it() {
    const CHUNK: usize = BLOCK / 4;
    let house = House::with(&VaultOptions::default().chunk_cache_bytes(0), |fill| {
        fill.file("file", &content(BLOCK));
    });
    let volume = &house.volume;
    let file = volume.open_for_writing(&house.node("file")).wait().unwrap();
    volume.read(&file, 0, 1).wait().unwrap();
    // What is unsaved parts the block into two reads, the second of which hangs.
    volume.write(&file, CHUNK as u64, &[1; CHUNK / 2]).wait().unwrap();
    house.settle();
    let reads = AtomicU64::new(0);
    let gate =
        house.hold(move |call| call.method == Method::ReadAt && reads.fetch_add(1, Ordering::SeqCst) == 1);
    let before = volume.read(&file, 0, BLOCK).ask();
    gate.wait_for(1);
    assert_eq!(volume.write(&file, 0, &content(2 * CHUNK)[CHUNK..]).wait().unwrap(), CHUNK);
    volume.flush(&file).wait().unwrap();
    let after = volume.read(&file, 0, CHUNK).ask();
    gate.open();
    assert!(*after.wait().unwrap() == content(2 * CHUNK)[CHUNK..]);
    assert_eq!(before.wait().unwrap().len(), BLOCK);
}

#[test]
fn an_error_reaches_every_waiter_and_says_where() {
    let house = House::new(|fill| fill.ciphertext("file", &[0; 200]));
    let file = house.open("file");
    let gate = house.hold(|call| call.method == Method::ReadAt);
    let reads: Vec<_> = (0..20).map(|at| house.volume.read(&file, at, 10).ask()).collect();
    gate.wait_for(1);
    gate.open();
    let errors: Vec<_> = reads.into_iter().map(|read| read.wait().unwrap_err()).collect();
    let Cause::Vault(first) = errors[0].cause() else { panic!("{}", errors[0]) };
    let place = file.node().ciphertext_path();
    for error in &errors {
        assert_eq!(error.kind(), Some(ErrorKind::Damaged));
        assert!(error.to_string().contains(place.as_str()), "{error}");
        assert!(matches!(error.cause(), Cause::Vault(cause) if Arc::ptr_eq(cause, first)));
    }
}

#[test]
fn a_torn_file_is_read_up_to_the_cut() {
    let whole = content(2 * 32_768);
    let house = House::new(|fill| {
        let sealed = fill.builder.encrypt(&whole);
        fill.ciphertext("file", &sealed[..68 + 32_796 + 20]);
    });
    let file = house.open("file");
    assert_eq!(*house.volume.read(&file, 0, 32_768).wait().unwrap(), whole[..32_768]);
    let error = house.volume.read(&file, 0, 32_769).wait().unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Damaged));
}

#[test]
fn a_file_that_changes_under_a_read_is_read_as_it_is_then() {
    let (mut path, mut sealed) = (None, Vec::new());
    let house = House::new(|fill| {
        path = Some(fill.file("file", &content(1_000)));
        sealed = fill.builder.encrypt(&[7; 2_000]);
    });
    let (path, file) = (path.unwrap(), house.open("file"));
    let read = house.volume.read(&file, 0, 4_096);
    let (handle, _) = house.storage.open(&path, OpenMode::ReadWrite).unwrap();
    handle.write_at(0, &sealed).unwrap();
    set_time(&*house.storage, &path, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    // Somebody looks at it, and so it becomes known.
    house.clock.advance(Duration::from_secs(6));
    assert_eq!(house.volume.attributes(file.node()).wait().unwrap().len, 2_000);
    assert_eq!(*read.wait().unwrap(), [7; 2_000]);
}
