//! The end of a volume: what storage refuses at first it is asked to take again, as long as there is patience.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::VaultOptions;
use oxcrypt_core::storage::{Gate, Method, Verdict};
use oxcrypt_io::sched::plan::{WaiterId, Why};
use oxcrypt_io::volume::Unsaved;

use super::house::{House, name};

const CEILING: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// A file with something unsaved, whose first `failures` writes fail in such a way. Counts them.
fn house(failures: usize, kind: io::ErrorKind) -> (House, Arc<AtomicUsize>) {
    let house = House::new(|fill| drop(fill.file("file", b"")));
    let file = house.open_for_writing("file");
    house.volume.write(&file, 0, b"some").wait().unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    house.storage.on_call(move |call| {
        let fails = call.method == Method::WriteAt && counted.fetch_add(1, Ordering::SeqCst) < failures;
        if fails { Verdict::Fail(kind) } else { Verdict::Pass }
    });
    (house, writes)
}

/// Ends the volume, and turns time on meanwhile; tells how much of it that took.
fn finish(house: &House) -> (Vec<Unsaved>, Duration) {
    let hand = Hand::new(house, 0);
    // What is to be stored later, with nobody asking, does not wait any more.
    house.volume.drain();
    thread::scope(|scope| {
        let finished = scope.spawn(|| house.volume.finish(PATIENCE));
        let time = hand.turn_until(|| finished.is_finished());
        (finished.join().unwrap(), time)
    })
}

/// Turns the clock of a house on, but not while anything is under way that does not hang.
struct Hand<'h> {
    house: &'h House,
    /// Operations that do.
    hanging: usize,
    somebody: WaiterId,
}

impl<'h> Hand<'h> {
    /// Before the volume is drained.
    fn new(house: &'h House, hanging: usize) -> Self {
        let somebody = house.volume.lookup(&house.root(), &name("none")).then(drop).unwrap();
        Self { house, hanging, somebody }
    }

    /// Until something is so; returns how much time that took.
    fn turn_until(&self, is_so: impl Fn() -> bool) -> Duration {
        let (step, since) = (Duration::from_millis(10), Instant::now());
        let mut time = Duration::ZERO;
        while !is_so() {
            if since.elapsed() > CEILING {
                // Whoever waits for the time is not to wait for ever.
                self.house.clock.advance(PATIENCE);
                panic!("it never is so: {:#?}", self.house.volume.snapshot());
            }
            let census = self.house.volume.snapshot().census;
            let under_way: usize = census.classes.iter().map(|count| count.waiting + count.running).sum();
            if census.delayed > 0 && under_way == self.hanging {
                self.house.clock.advance(step);
                time += step;
                // A step of the scheduler does what is due.
                self.house.volume.cancel(self.somebody, Why::Abandoned);
            } else {
                thread::yield_now();
            }
        }
        time
    }
}

#[test]
fn regression_what_failed_is_tried_again_until_patience_ends() {
    let (house, writes) = house(3, io::ErrorKind::Other);
    let (left, time) = finish(&house);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(writes.load(Ordering::SeqCst), 4);
    assert!(time < PATIENCE / 2, "it ended when nothing was left, after {time:?}");
    let fresh = house.volume.vault().afresh(&VaultOptions::default());
    let file = fresh.lookup(&fresh.root(), &name("file"), Instant::now()).unwrap();
    assert_eq!(fresh.attributes(&file, Instant::now()).unwrap().len, 4);
}

#[test]
fn what_fails_to_the_end_is_named_when_patience_ends() {
    let (house, writes) = house(usize::MAX, io::ErrorKind::Other);
    let (left, time) = finish(&house);
    assert_eq!(left.len(), 1);
    assert!(left[0].error.is_some());
    assert!(time <= PATIENCE, "{time:?}");
    let tries = writes.load(Ordering::SeqCst);
    assert!((5..50).contains(&tries), "tried {tries} times, after longer and longer pauses");
}

#[test]
fn what_no_retry_mends_is_named_at_once() {
    let (house, writes) = house(usize::MAX, io::ErrorKind::ReadOnlyFilesystem);
    let (left, time) = finish(&house);
    assert_eq!((left.len(), time), (1, Duration::ZERO));
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}

#[test]
fn a_file_that_hangs_keeps_no_other_from_being_tried_again() {
    let house = House::new(|fill| {
        fill.file("hangs", b"");
        fill.file("fails", b"");
    });
    let [hangs, fails] = ["hangs", "fails"].map(|name| house.open_for_writing(name));
    for file in [&hangs, &fails] {
        house.volume.write(file, 0, b"some").wait().unwrap();
    }
    let paths = [&hangs, &fails].map(|file| file.node().ciphertext_path());
    let (gate, tries) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let held = Arc::clone(&gate);
    house.storage.on_call(move |call| match call.method {
        Method::WriteAt if call.path == paths[0] => Verdict::Hold(Arc::clone(&held)),
        Method::WriteAt if tries.fetch_add(1, Ordering::SeqCst) < 2 => Verdict::Fail(io::ErrorKind::Other),
        _ => Verdict::Pass,
    });
    let hand = Hand::new(&house, 1);
    let (left, time) = thread::scope(|scope| {
        let finished = scope.spawn(|| house.volume.finish(PATIENCE));
        gate.wait_for(1);
        let time = hand.turn_until(|| !fails.resident().is_unsaved());
        house.clock.advance(PATIENCE);
        (finished.join().unwrap(), time)
    });
    assert!(time < PATIENCE / 2, "it is stored while the other hangs, after {time:?}");
    assert_eq!(left.iter().map(|left| left.node.id()).collect::<Vec<_>>(), [hangs.node().id()]);
    gate.open();
}
