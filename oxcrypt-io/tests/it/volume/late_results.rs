//! Storage that answers when nobody waits any more: after a deadline, or after the end of the volume.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::storage::{Attributes, Gate, Method};
use oxcrypt_io::volume::{Deadlines, OpenFile, Question, Unsaved, Volume};

use super::house::{House, content, name};

const CEILING: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(10);
const CHUNK: usize = 32_768;

fn patience() -> Duration {
    Deadlines::default().write.unwrap()
}

/// Ends the volume while storage hangs at `gate`, and tells what is left then.
fn finish(house: &House, hung: usize, gate: &Gate) -> Vec<Unsaved> {
    // Before any time passes, after which an older answer would do.
    house.volume.drain();
    thread::scope(|scope| {
        let finished = scope.spawn(|| house.volume.finish(PATIENCE));
        gate.wait_for(hung);
        // Time passes for what hangs alone.
        house.until(|| house.volume.unsaved().len() <= hung);
        house.until(|| {
            house.clock.advance(PATIENCE);
            finished.is_finished()
        });
        finished.join().unwrap()
    })
}

/// Drops the volume, and waits until its threads have gone.
fn expect_threads_end(house: House, files: Vec<Arc<OpenFile>>) {
    let House { clock, volume, .. } = house;
    drop((volume, files));
    let since = Instant::now();
    while Arc::strong_count(&clock) > 1 {
        assert!(since.elapsed() < CEILING, "{} threads are left", Arc::strong_count(&clock) - 1);
        thread::yield_now();
    }
}

fn expect_no_panic(volume: &Volume) {
    let snapshot = volume.snapshot();
    assert_eq!((snapshot.counters.panicked, snapshot.replies_panicked), (0, 0));
}

#[test]
fn what_hung_at_the_end_is_stored_when_storage_goes_on_and_nothing_is_named_any_more() {
    for by_itself in [false, true] {
        let house = House::new(|fill| {
            fill.file("hangs", &content(4 * CHUNK));
            fill.file("closed", b"");
            fill.file("sound", b"");
        });
        let [hangs, closed, sound] = ["hangs", "closed", "sound"].map(|name| house.open_for_writing(name));
        let dead = [&hangs, &closed].map(|file| file.node().ciphertext_path());
        let held = dead.clone();
        let gate = house.hold(move |call| call.method == Method::WriteAt && held.contains(&call.path));
        let mut written = content(4 * CHUNK);
        // Not in one run, so that some of it has not begun when the volume ends.
        for at in [10, 2 * CHUNK + 10] {
            house.volume.write(&hangs, at as u64, b"acknowledged").wait().unwrap();
            written[at..at + 12].copy_from_slice(b"acknowledged");
        }
        house.volume.write(&closed, 0, b"acknowledged too").wait().unwrap();
        house.volume.write(&sound, 0, b"stored").wait().unwrap();
        house.volume.release(closed);
        if by_itself {
            house.clock.advance(Duration::from_secs(1));
            gate.wait_for(2);
        }
        let mut left: Vec<_> = finish(&house, 2, &gate).into_iter().map(|left| left.path).collect();
        left.sort_unstable();
        let mut expected = dead.to_vec();
        expected.sort_unstable();
        assert_eq!(left, expected, "what is stored is not named");
        gate.open();
        house.settle();
        assert_eq!(house.volume.unsaved().len(), 0);
        for (name, bytes) in [("hangs", &*written), ("closed", b"acknowledged too"), ("sound", b"stored")] {
            assert!(house.stored(name) == *bytes, "{name}");
        }
        // Nothing is left to be done, so nothing is named at another end.
        assert_eq!(house.volume.finish(PATIENCE).len(), 0);
        expect_no_panic(&house.volume);
        expect_threads_end(house, vec![hangs, sound]);
    }
}

#[test]
fn operations_of_every_kind_that_return_after_the_end_harm_nothing() {
    let house = House::new(|fill| {
        fill.file("old", &content(100_000));
        fill.file("moved", b"moved");
    });
    let (volume, root, node) = (&house.volume, house.root(), house.node("old"));
    let [file, moved] = [house.open_for_writing("old"), house.open("moved")];
    house.settle();
    let gate = house.hold(|_| true);
    let (answered, answers) = channel();
    ask(volume.read(&file, 0, 10), &answered);
    ask(volume.lookup(&root, &name("none")), &answered);
    ask(volume.list(&root), &answered);
    ask(volume.open(&node), &answered);
    ask(volume.create(&root, &name("new"), Attributes::default()), &answered);
    ask(volume.sync(&moved), &answered);
    gate.wait_for(6);
    assert!(finish(&house, 6, &gate).is_empty());
    for _ in 0..6 {
        assert_eq!(answers.try_recv(), Ok(false), "all are answered at the end, and none with a value");
    }
    let calls = house.storage.counts().total();
    gate.open();
    house.settle();
    assert!(house.storage.counts().total() > calls, "what had begun goes on");
    // The change had begun when the volume ended: it is made, and whole.
    assert_eq!(house.stored_names(), ["moved", "new", "old"]);
    assert_eq!((house.stored("new"), house.stored("moved")), (Vec::new(), b"moved".to_vec()));
    expect_no_panic(&house.volume);
    drop(answered);
    assert!(answers.recv().is_err(), "nobody is answered a second time");
    expect_threads_end(house, vec![file, moved]);
}

/// Has somebody told whether it went well.
fn ask<T: Send + 'static>(question: Question<T>, answered: &Sender<bool>) {
    let answered = answered.clone();
    question.then(move |answer| answered.send(answer.is_ok()).unwrap());
}

/// A file of which something is unsaved, and storage that hangs in `method`.
fn hanging(method: Method) -> (House, Arc<OpenFile>, Arc<Gate>) {
    let house = House::new(|fill| drop(fill.file("file", &content(100))));
    let file = house.open_for_writing("file");
    house.volume.write(&file, 10, b"written").wait().unwrap();
    let gate = house.hold(move |call| call.method == method);
    (house, file, gate)
}

fn expect_written(house: &House) {
    let mut expected = content(100);
    expected[10..17].copy_from_slice(b"written");
    assert!(house.stored("file") == expected);
}

#[test]
fn a_flush_that_came_too_late_is_told_once_and_stored_once() {
    for method in [Method::WriteAt, Method::Metadata] {
        let (house, file, gate) = hanging(method);
        let before = house.storage.counts().of(Method::WriteAt);
        let flushed = house.volume.flush(&file).ask();
        gate.wait_for(1);
        house.clock.advance(patience());
        let error = flushed.wait().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        // It goes on, and what it has not stored is unsaved.
        assert_eq!(house.volume.unsaved().len(), 1);
        assert!(house.volume.unsaved()[0].error.is_none(), "nothing has failed");
        gate.open();
        house.settle();
        house.volume.flush(&file).wait().unwrap();
        house.volume.sync(&file).wait().unwrap();
        assert_eq!(house.volume.unsaved().len(), 0);
        assert_eq!(house.storage.counts().of(Method::WriteAt), before + 1);
        expect_written(&house);
        // Nobody is told at the end either.
        assert_eq!(house.volume.finish(PATIENCE).len(), 0);
    }
}

#[test]
fn a_sync_that_came_too_late_is_told_once_and_the_next_makes_durable() {
    let (house, file, gate) = hanging(Method::Sync);
    let other = house.open_for_writing("file");
    let synced = house.volume.sync(&file).ask();
    gate.wait_for(1);
    house.clock.advance(patience());
    assert!(synced.wait().unwrap_err().is_timeout());
    // What hangs is not joined: it may have begun before something that was written since. So this waits behind it.
    let again = house.volume.sync(&other).ask();
    house.clock.advance(patience());
    assert!(again.wait().unwrap_err().is_timeout());
    let before = house.storage.counts().of(Method::Sync);
    let next = house.volume.sync(&file).ask();
    gate.open();
    next.wait().unwrap();
    assert!(house.storage.counts().of(Method::Sync) > before);
    house.volume.sync(&other).wait().unwrap();
    assert_eq!(house.volume.unsaved().len(), 0);
    expect_written(&house);
}

#[test]
fn a_flush_that_waits_behind_one_that_hangs_is_told_at_its_own_deadline() {
    let (house, file, gate) = hanging(Method::WriteAt);
    let first = house.volume.flush(&file).ask();
    gate.wait_for(1);
    house.clock.advance(patience() / 2);
    house.volume.write(&file, 10, b"WRITTEN").wait().unwrap();
    let (answered, answer) = channel();
    ask(house.volume.flush(&file), &answered);
    house.clock.advance(patience() / 2);
    assert!(first.wait().unwrap_err().is_timeout());
    assert!(answer.try_recv().is_err(), "it has half of its time left");
    gate.open();
    assert!(answer.recv_timeout(CEILING).unwrap());
    house.settle();
    assert_eq!(house.stored("file")[10..17], *b"WRITTEN");
}
