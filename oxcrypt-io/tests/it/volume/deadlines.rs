//! Answers that come in time, and results that come too late.

use std::sync::mpsc::{TryRecvError, channel};
use std::time::Duration;

use oxcrypt_core::storage::Method;
use oxcrypt_io::sched::plan::{Caller, Why};
use oxcrypt_io::volume::{Cause, Deadlines};

use super::house::{House, content, name};

const CEILING: Duration = Duration::from_mins(1);

fn house() -> House {
    House::new(|fill| {
        fill.file("file", &content(100_000));
    })
}

#[test]
fn a_deadline_is_kept_at_its_moment_and_not_before() {
    let house = house();
    let (file, patience) = (house.open("file"), Deadlines::default().read);
    let gate = house.hold(|_| true);
    let (answered, answer) = channel();
    house.volume.read(&file, 0, 10).then(move |bytes| answered.send(bytes).unwrap());
    house.clock.advance(patience.checked_sub(Duration::from_nanos(1)).unwrap());
    // A step of the scheduler does what is due, and this is not.
    house.volume.cancel(house.volume.read(&file, 0, 1).then(drop).unwrap(), Why::Abandoned);
    assert_eq!(answer.try_recv().map(drop), Err(TryRecvError::Empty));
    house.clock.advance(Duration::from_nanos(1));
    let error = answer.recv_timeout(CEILING).unwrap().unwrap_err();
    assert!(error.is_timeout());
    assert!(error.to_string().contains(file.node().ciphertext_path().as_str()), "{error}");
    gate.open();
}

#[test]
fn a_late_result_makes_the_retry_a_hit() {
    let house = house();
    let file = house.open("file");
    let gate = house.hold(|_| true);
    let read = house.volume.read(&file, 0, 100_000).ask();
    gate.wait_for(1);
    house.clock.advance(Deadlines::default().read);
    assert!(read.wait().unwrap_err().is_timeout());
    gate.open();
    house.settle();
    let calls = house.storage.counts();
    let again = house.volume.read(&file, 0, 100_000);
    assert!(again.is_known());
    assert_eq!(*again.wait().unwrap(), content(100_000));
    assert_eq!(house.storage.counts(), calls);
    assert_eq!(house.volume.snapshot().counters.adopted, 1);
}

#[test]
fn who_was_told_that_it_took_too_long_is_not_kept_waiting_again() {
    let house = house();
    let file = house.open("file");
    let gate = house.hold(|_| true);
    let read = house.volume.read(&file, 0, 10).by(Caller(7)).ask();
    gate.wait_for(1);
    house.clock.advance(Deadlines::default().read);
    assert!(read.wait().unwrap_err().is_timeout());
    assert!(house.volume.read(&file, 4_096, 10).by(Caller(7)).wait().unwrap_err().is_timeout());
    let other = house.volume.read(&file, 4_096, 10).by(Caller(8)).ask();
    gate.open();
    assert!(other.wait().is_ok());
}

#[test]
fn a_storage_that_gives_up_is_a_deadline_that_came_early() {
    let house = house();
    let file = house.open("file");
    house.storage.on_call(|call| match call.method {
        Method::ReadAt => oxcrypt_core::storage::Verdict::Fail(std::io::ErrorKind::TimedOut),
        _ => oxcrypt_core::storage::Verdict::Pass,
    });
    assert!(house.volume.read(&file, 0, 10).wait().unwrap_err().is_timeout());
}

#[test]
fn drain_answers_every_request_in_one_step() {
    let house = house();
    let (root, node, file) = (house.root(), house.node("file"), house.open("file"));
    let gate = house.hold(|_| true);
    let (answered, answers) = channel();
    let volume = &house.volume;
    for number in 0..1_000 {
        let answered = answered.clone();
        let told = move |error: Option<_>| answered.send(error.unwrap()).unwrap();
        match number % 4 {
            0 => volume.read(&file, number, 10).then(move |read| told(read.err())),
            1 => volume.lookup(&root, &name(&format!("{number}"))).then(move |node| told(node.err())),
            2 => volume.list(&root).then(move |listing| told(listing.err())),
            _ => volume.open(&node).then(move |file| told(file.err())),
        };
    }
    assert_eq!(answers.try_recv().map(drop), Err(TryRecvError::Empty));
    volume.drain();
    for _ in 0..1_000 {
        assert!(matches!(answers.try_recv().unwrap().cause(), Cause::Stopped));
    }
    assert!(matches!(volume.list(&root).wait().unwrap_err().cause(), Cause::Stopped));
    gate.open();
}
