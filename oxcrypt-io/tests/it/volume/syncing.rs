//! Making durable: by whatever handle, and beside what hangs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::time::Duration;

use oxcrypt_core::storage::{Attributes, Gate, Method, Replace, Verdict};
use oxcrypt_io::volume::Answer;

use super::house::{House, content, name};

#[test]
fn regression_who_may_only_read_a_file_may_ask_for_it_to_be_durable() {
    let house = House::new(|fill| drop(fill.file("file", &content(100))));
    let reader = house.open("file");
    // As a host answers of a file that its owner must not write to.
    house.storage.on_call(|call| match call.method {
        Method::Open => Verdict::Fail(io::ErrorKind::PermissionDenied),
        _ => Verdict::Pass,
    });
    let synced = || house.storage.counts().of(Method::Sync);
    let before = synced();
    house.volume.sync(&reader).wait().unwrap();
    assert_eq!(synced(), before + 1);
    house.storage.on_call(|call| match call.method {
        Method::Sync => Verdict::Fail(io::ErrorKind::Other),
        _ => Verdict::Pass,
    });
    house.volume.sync(&reader).wait().unwrap_err();
}

#[test]
fn regression_who_shares_the_sync_of_another_is_told_of_what_was_given_up() {
    let house = House::new(|fill| drop(fill.file("file", &content(100))));
    let (reader, writer) = (house.open("file"), house.open_for_writing("file"));
    house.volume.write(&writer, 0, b"some").wait().unwrap();
    house.storage.on_call(|call| match call.method {
        Method::WriteAt => Verdict::Fail(io::ErrorKind::Other),
        _ => Verdict::Pass,
    });
    house.volume.flush(&writer).wait().unwrap_err();
    house.settle();
    assert!(house.volume.discard(writer.node().id()));
    let gate = house.hold(|call| call.method == Method::Sync);
    let first = house.volume.sync(&reader).ask();
    gate.wait_for(1);
    // It has begun, so these two share the next.
    let answers = [&reader, &writer].map(|file| house.volume.sync(file).ask());
    gate.open();
    first.wait().unwrap();
    let [read, written] = answers.map(Answer::wait);
    read.unwrap();
    written.unwrap_err();
    house.volume.sync(&writer).wait().unwrap();
}

#[test]
fn what_a_reader_syncs_is_what_others_have_written() {
    let house = House::new(|fill| drop(fill.file("file", &content(100))));
    let (reader, writer) = (house.open("file"), house.open_for_writing("file"));
    house.volume.write(&writer, 0, b"some").wait().unwrap();
    house.volume.sync(&reader).wait().unwrap();
    assert!(!writer.resident().is_unsaved());
}

#[test]
fn regression_what_lies_before_many_zeros_is_stored_when_the_file_is_flushed() {
    let house = House::new(|fill| drop(fill.file("file", &content(100_000))));
    let file = house.open_for_writing("file");
    let (gate, is_first) = (Arc::new(Gate::default()), AtomicBool::new(true));
    let held = Arc::clone(&gate);
    house.storage.on_call(move |call| match call.method {
        Method::WriteAt if is_first.swap(false, Ordering::SeqCst) => Verdict::Hold(Arc::clone(&held)),
        _ => Verdict::Pass,
    });
    let last = house.volume.write(&file, 99_990, b"the end of what was there");
    last.wait().unwrap();
    house.volume.set_len(&file, 70 << 20).wait().unwrap();
    let (answered, answer) = channel();
    house.volume.flush(&file).then(move |flushed| answered.send(flushed).unwrap());
    gate.wait_for(1);
    assert_eq!(answer.try_recv().map(drop), Err(TryRecvError::Empty));
    gate.open();
    answer.recv_timeout(Duration::from_mins(1)).unwrap().unwrap();
    assert_eq!(file.resident().unsaved_bytes(), 0);
    house.settle();
}

#[test]
fn regression_a_directory_whose_sync_hangs_is_changed_all_the_same() {
    let house = House::new(|fill| drop(fill.file("file", b"content")));
    let (volume, root) = (&house.volume, house.root());
    let dir = volume.make_dir(&root, &name("dir"), Attributes::default()).wait().unwrap();
    let gate = house.hold(|call| matches!(call.method, Method::SyncDir | Method::Sync));
    let synced = volume.sync_dir(&root).ask();
    gate.wait_for(1);
    house.clock.advance(Duration::from_secs(1));
    let (answered, answers) = channel();
    let told = |answered: &Sender<_>| {
        let answered = answered.clone();
        move |error: Option<_>| answered.send(error).unwrap()
    };
    let [one, two, three, four] = [(); 4].map(|()| told(&answered));
    volume.create(&root, &name("new"), Attributes::default()).then(move |made| one(made.err()));
    volume.remove(&root, &name("file")).then(move |removed| two(removed.err()));
    volume.create(&dir, &name("inside"), Attributes::default()).then(move |made| three(made.err()));
    // Whose own folder is being synced at this moment.
    volume
        .rename((&root, &name("dir")), (&root, &name("moved")), Replace::Never)
        .then(move |done| four(done.err()));
    for _ in 0..4 {
        let error = answers.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(error.is_none(), "{error:?}");
    }
    gate.open();
    synced.wait().unwrap();
    // What was done meanwhile is made durable by the next.
    let before = house.storage.counts().of(Method::Sync);
    volume.sync_dir(&root).wait().unwrap();
    assert!(house.storage.counts().of(Method::Sync) > before, "the directory has been moved");
    house.settle();
}
