//! What memory has of a file opens it while storage hangs.

use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{BlockStorage as _, Method, Replace, Verdict};
use oxcrypt_core::{ErrorKind, Node, VaultOptions};
use oxcrypt_io::volume::Deadlines;

use super::house::{BLOCK, House, content, name, set_time};

const PATIENCE: Duration = Duration::from_millis(30);
const LEN: usize = 3 * BLOCK;

/// A house with a file of which memory has the first block.
fn house() -> (House, Arc<Node>) {
    let house = House::new(|fill| {
        fill.file("file", &content(LEN));
        fill.file("unread", &content(LEN));
    });
    let file = house.open("file");
    house.volume.read(&file, 0, 100).wait().unwrap();
    let node = Arc::clone(file.node());
    drop(file);
    house.settle();
    (house, node)
}

fn opened(house: &House) -> u64 {
    house.storage.counts().of(Method::Open)
}

#[test]
fn a_file_is_opened_from_memory_after_30_ms_and_read_as_far_as_that_goes() {
    let (house, node) = house();
    let (volume, before) = (&house.volume, opened(&house));
    let gate = house.hold(|_| true);
    let open = volume.open(&node);
    assert!(!open.is_known(), "storage is asked first");
    let open = open.ask();
    gate.wait_for(1);
    house.clock.advance(PATIENCE);
    let file = open.wait().unwrap();
    let head = volume.read(&file, 10, 1_000);
    assert!(head.is_known());
    assert_eq!(*head.wait().unwrap(), content(LEN)[10..1_010]);
    let tail = volume.read(&file, BLOCK as u64, 10).ask();
    gate.wait_for(2);
    house.clock.advance(Deadlines::default().read);
    assert!(tail.wait().unwrap_err().is_timeout());
    // Whatever opened it in storage in the end, the rest is read by that.
    gate.open();
    house.settle();
    assert_eq!(volume.read(&file, 0, LEN).wait().unwrap().len(), LEN);
    assert_eq!(opened(&house), before + 2, "by the request, and by who read more");
}

#[test]
fn an_opening_that_comes_late_is_the_files() {
    let (house, node) = house();
    let before = opened(&house);
    let gate = house.hold(|call| call.method == Method::Open);
    let open = house.volume.open(&node).ask();
    gate.wait_for(1);
    house.clock.advance(PATIENCE);
    let file = open.wait().unwrap();
    gate.open();
    house.settle();
    assert_eq!(*house.volume.read(&file, 0, LEN).wait().unwrap(), content(LEN));
    assert_eq!(opened(&house), before + 1);
}

#[test]
fn opening_for_writing_waits_and_so_does_opening_what_memory_has_nothing_of() {
    let (house, node) = house();
    let unread = house.node("unread");
    let gate = house.hold(|_| true);
    let asked = [house.volume.open_for_writing(&node).ask(), house.volume.open(&unread).ask()];
    gate.wait_for(2);
    house.clock.advance(PATIENCE);
    house.clock.advance(Deadlines::default().open);
    for answer in asked {
        assert!(answer.wait().unwrap_err().is_timeout());
    }
    assert_eq!(house.volume.snapshot().counters.stale, 0);
    gate.open();
}

#[test]
fn a_file_that_is_not_there_any_more_says_so_to_who_reads_what_memory_lacks() {
    let (house, node) = house();
    let volume = &house.volume;
    let gate = house.hold(|_| true);
    let open = volume.open(&node).ask();
    gate.wait_for(1);
    house.clock.advance(PATIENCE);
    let file = open.wait().unwrap();
    house.storage.on_call(|call| match call.method {
        Method::Open => Verdict::Fail(io::ErrorKind::NotFound),
        _ => Verdict::Pass,
    });
    let tail = volume.read(&file, BLOCK as u64, 10).wait();
    assert_eq!(tail.unwrap_err().kind(), Some(ErrorKind::NotFound));
    assert!(volume.read(&file, 0, 10).is_known());
    gate.open();
}

#[test]
fn a_storage_that_answers_is_asked_whether_the_file_is_still_there() {
    let (house, node) = house();
    house.storage.on_call(|call| match call.method {
        Method::Open => Verdict::Fail(io::ErrorKind::NotFound),
        _ => Verdict::Pass,
    });
    let open = house.volume.open(&node).wait();
    assert_eq!(open.unwrap_err().kind(), Some(ErrorKind::NotFound));
}

#[test]
fn regression_where_memory_has_learnt_meanwhile_that_it_is_another_file_storage_is_waited_for() {
    let (house, node) = house();
    let volume = &house.volume;
    let other = house.node("unread").ciphertext_path();
    let gate = house.hold(|call| call.method == Method::Open);
    let open = volume.open(&node).ask();
    gate.wait_for(1);
    house.storage.rename(&other, &node.ciphertext_path(), Replace::Always).unwrap();
    volume.attributes(&node).wait().unwrap();
    house.clock.advance(PATIENCE);
    gate.open();
    let file = open.wait().unwrap();
    assert_eq!(*volume.read(&file, 0, LEN).wait().unwrap(), content(LEN));
}

/// Somebody else writes over all of a file.
fn rewrite(house: &House, node: &Node, bytes: &[u8]) {
    let (others, now) = (house.volume.vault().afresh(&VaultOptions::default()), Instant::now());
    let file = others.lookup(&others.root(), &name("file"), now).unwrap();
    let file = others.open_for_writing(&file, now).unwrap();
    file.write_at(0, bytes, SystemTime::now()).unwrap();
    file.flush(now).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    set_time(&*house.storage, &node.ciphertext_path(), modified);
}

#[test]
fn regression_nobody_reads_a_part_of_the_file_as_it_was_when_he_opened_it_and_the_rest_as_it_is() {
    // Memory has all of the file or a part, and learns of the change by the opening, or by what somebody else asks.
    for (cached, by_opening) in [(LEN, true), (LEN, false), (100, true), (100, false)] {
        let (house, node) = house();
        let volume = &house.volume;
        volume.read(&house.open("file"), 0, cached).wait().unwrap();
        house.settle();
        let now = vec![7; LEN];
        rewrite(&house, &node, &now);
        let held = house.hold(|call| call.method == Method::Open);
        let open = volume.open(&node).ask();
        held.wait_for(1);
        house.clock.advance(PATIENCE);
        let file = open.wait().unwrap();
        assert_eq!(*volume.read(&file, 0, 100).wait().unwrap(), content(LEN)[..100]);
        if !by_opening {
            house.clock.advance(Duration::from_mins(1));
            volume.attributes(&node).wait().unwrap();
        }
        held.open();
        house.settle();
        for (offset, len) in [(BLOCK as u64, 10), (0, 10), (0, LEN + 1)] {
            let read = volume.read(&file, offset, len).wait();
            assert_eq!(read.unwrap_err().kind(), Some(ErrorKind::NotFound), "{cached} {by_opening}");
        }
        let again = volume.open(&node).wait().unwrap();
        assert!(*volume.read(&again, 0, LEN).wait().unwrap() == now);
    }
}

#[test]
fn who_has_opened_it_from_memory_reads_what_is_written_to_it_later_as_everybody_does() {
    let (house, node) = house();
    let volume = &house.volume;
    let gate = house.hold(|call| call.method == Method::Open);
    let open = volume.open(&node).ask();
    gate.wait_for(1);
    house.clock.advance(PATIENCE);
    let file = open.wait().unwrap();
    gate.open();
    house.settle();
    let ours = house.open_for_writing("file");
    volume.set_len(&ours, 10).wait().unwrap();
    assert_eq!(*volume.read(&file, 0, LEN).wait().unwrap(), content(LEN)[..10]);
    volume.flush(&ours).wait().unwrap();
    drop(ours);
    house.settle();
    // Storage has told since then that the file was the one that memory knew.
    let now = vec![7; LEN];
    rewrite(&house, &node, &now);
    house.clock.advance(Duration::from_mins(1));
    volume.attributes(&node).wait().unwrap();
    assert!(*volume.read(&file, 0, LEN).wait().unwrap() == now);
}

#[test]
fn who_has_opened_a_file_from_memory_reads_on_when_it_is_removed_or_replaced() {
    for replace in [false, true] {
        let (house, node) = house();
        let (volume, root) = (&house.volume, house.root());
        let (fail, failed) = channel();
        let failed = Mutex::new(failed);
        house.storage.on_call(move |call| match call.method {
            Method::Open => {
                failed.lock().unwrap().recv().unwrap();
                Verdict::Fail(io::ErrorKind::TimedOut)
            }
            _ => Verdict::Pass,
        });
        let open = volume.open(&node).ask();
        while volume.snapshot().census.classes.iter().all(|count| count.running == 0) {
            thread::yield_now();
        }
        house.clock.advance(PATIENCE);
        let file = open.wait().unwrap();
        fail.send(()).unwrap();
        house.settle();
        house.storage.on_call(|_| Verdict::Pass);
        if replace {
            volume.rename((&root, &name("unread")), (&root, &name("file")), Replace::Always).wait().unwrap();
        } else {
            volume.remove(&root, &name("file")).wait().unwrap();
        }
        assert_eq!(*volume.read(&file, 0, LEN).wait().unwrap(), content(LEN));
    }
}
