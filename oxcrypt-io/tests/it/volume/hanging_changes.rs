//! Changes beside one that hangs in storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use oxcrypt_core::Name;
use oxcrypt_core::storage::{Attributes, Call, Gate, Method, Replace, Verdict};
use oxcrypt_io::sched::plan::{Class, Why};
use oxcrypt_io::volume::Cause;

use super::house::House;

#[test]
fn a_dirty_file_that_replaces_another_stops_no_other_change_of_its_directory_while_it_is_stored() {
    let house = House::new(|fill| drop(fill.file("old", b"old")));
    let (volume, root) = (&house.volume, house.volume.vault().root());
    let name = |text| Name::new(text).unwrap();
    let file = volume.create(&root, &name("new"), Attributes::default()).wait().unwrap();
    volume.write(&file, 0, b"new").wait().unwrap();
    let gate = house.hold(|call| call.method == Method::WriteAt);
    let renamed = volume.rename((&root, &name("new")), (&root, &name("old")), Replace::Always).ask();
    gate.wait_for(1);
    volume.create(&root, &name("other"), Attributes::default()).wait().unwrap();
    volume.remove(&root, &name("other")).wait().unwrap();
    gate.open();
    renamed.wait().unwrap();
    let fresh = volume.vault().afresh(&oxcrypt_core::VaultOptions::default());
    let now = Instant::now();
    let found = fresh.lookup(&fresh.root(), &name("old"), now).unwrap();
    assert_eq!(fresh.attributes(&found, now).unwrap().len, 3);
    let mut bytes = [0; 3];
    fresh.open(&found, now).unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"new");
}

#[test]
fn regression_a_directory_whose_mode_cannot_be_set_stops_no_change_of_another() {
    let house = House::new(|_| {});
    let (volume, root) = (&house.volume, house.volume.vault().root());
    let name = |text| Name::new(text).unwrap();
    let [dead, other] = ["dead", "other"]
        .map(|text| volume.make_dir(&root, &name(text), Attributes::default()).wait().unwrap());
    drop(volume.create(&dead, &name("file"), Attributes::default()).wait().unwrap());
    house.settle();
    let gate = house.hold(|call| call.method == Method::SetAttributes);
    let mode = Attributes { mode: Some(0o700), ..Attributes::default() };
    let hangs = volume.set_attributes(&dead, mode).ask();
    gate.wait_for(1);
    let since = Instant::now();
    let soon = || {
        assert!(since.elapsed() < Duration::from_mins(1), "nothing that it needs hangs");
        std::thread::yield_now();
    };
    house.clock.advance(Duration::from_millis(30));
    while volume.snapshot().census.classes[Class::Namespace].stalled == 0 {
        soon();
    }
    // It wants both directories, and waits for the dead one.
    let moved = volume.rename((&dead, &name("file")), (&other, &name("file")), Replace::Always).ask();
    let entries = Arc::new(AtomicUsize::new(0));
    for text in ["a", "b"] {
        let entries = Arc::clone(&entries);
        volume.make_dir(&other, &name(text), Attributes::default()).then(move |dir| {
            dir.unwrap();
            entries.fetch_add(1, Ordering::Release);
        });
    }
    while entries.load(Ordering::Acquire) < 2 {
        soon();
    }
    gate.open();
    hangs.wait().unwrap();
    moved.wait().unwrap();
    volume.lookup(&other, &name("file")).wait().unwrap();
}

#[test]
fn regression_who_waits_for_the_second_step_of_a_change_can_be_let_go() {
    let house = House::new(|fill| drop(fill.file("old", b"old")));
    let (volume, root) = (&house.volume, house.root());
    let name = |text| Name::new(text).unwrap();
    let file = volume.create(&root, &name("new"), Attributes::default()).wait().unwrap();
    volume.write(&file, 0, b"new").wait().unwrap();
    let gate = house.hold(|call| call.method == Method::Rename);
    let (answered, answer) = channel();
    // First it is stored, and then moved.
    let renamed = volume.rename((&root, &name("new")), (&root, &name("old")), Replace::Always);
    let waiter = renamed.then(move |renamed| answered.send(renamed).unwrap()).unwrap();
    gate.wait_for(1);
    volume.cancel(waiter, Why::Interrupted);
    let error = answer.try_recv().unwrap().unwrap_err();
    assert!(matches!(error.cause(), Cause::Interrupted), "{error}");
    gate.open();
    house.settle();
}

#[test]
fn reads_of_what_is_being_stored_are_answered_from_memory() {
    let house = House::new(|fill| drop(fill.file("file", &[1; 100])));
    let volume = &house.volume;
    let file = volume.open_for_writing(&house.node("file")).wait().unwrap();
    volume.write(&file, 10, b"acknowledged").wait().unwrap();
    let gate = house.hold(|call| call.method == Method::WriteAt);
    let flushed = volume.flush(&file).ask();
    gate.wait_for(1);
    assert_eq!(&*volume.read(&file, 10, 12).wait().unwrap(), b"acknowledged");
    assert!(volume.write(&file, 10, b"A").is_known(), "memory takes more of it");
    assert_eq!(volume.unsaved().len(), 1);
    gate.open();
    flushed.wait().unwrap();
    volume.flush(&file).wait().unwrap();
    assert_eq!(&*volume.read(&file, 10, 12).wait().unwrap(), b"Acknowledged");
    assert!(volume.unsaved().is_empty());
}

#[test]
fn a_volume_that_ends_stores_what_it_can_and_names_the_rest() {
    let house = House::new(|fill| {
        fill.file("sound", b"");
        fill.file("dead", b"");
    });
    let volume = &house.volume;
    let [sound, dead] =
        ["sound", "dead"].map(|name| volume.open_for_writing(&house.node(name)).wait().unwrap());
    let path = dead.node().ciphertext_path();
    for file in [&sound, &dead] {
        volume.write(file, 0, b"some").wait().unwrap();
    }
    let held = path.clone();
    let gate = house.hold(move |call| call.method == Method::WriteAt && call.path == held);
    let left = std::thread::scope(|scope| {
        let finished = scope.spawn(|| volume.finish(Duration::from_secs(10)));
        gate.wait_for(1);
        let since = Instant::now();
        while volume.unsaved().len() > 1 && since.elapsed() < Duration::from_mins(1) {
            std::thread::yield_now();
        }
        house.clock.advance(Duration::from_secs(11));
        finished.join().unwrap()
    });
    assert_eq!(left.iter().map(|left| left.path.clone()).collect::<Vec<_>>(), [path]);
    let refused = volume.write(&sound, 0, b"late").wait().unwrap_err();
    assert!(matches!(refused.cause(), Cause::Stopped));
    gate.open();
}

#[test]
fn regression_what_fails_for_long_delays_no_other_file() {
    let house = House::new(|fill| {
        fill.file("failing", b"");
        fill.file("sound", b"");
    });
    let volume = &house.volume;
    let failing = house.open_for_writing("failing");
    let path = failing.node().ciphertext_path();
    house.storage.on_call(move |call| {
        let fails = call.method == Method::WriteAt && call.path == path;
        if fails { Verdict::Fail(std::io::ErrorKind::Other) } else { Verdict::Pass }
    });
    volume.write(&failing, 0, b"some").wait().unwrap();
    // Again and again, after longer and longer pauses.
    for _ in 0..10 {
        house.clock.advance(Duration::from_mins(1));
        house.settle();
    }
    let sound = house.open_for_writing("sound");
    volume.write(&sound, 0, b"some").wait().unwrap();
    house.clock.advance(Duration::from_secs(1));
    let since = Instant::now();
    while sound.resident().is_unsaved() {
        assert!(since.elapsed() < Duration::from_mins(1), "it is stored after a second");
        std::thread::yield_now();
    }
    assert!(failing.resident().failure().is_some());
}

#[test]
fn what_is_less_than_a_run_is_stored_after_a_second_and_not_before_and_then_nothing_wakes_up() {
    let house = House::new(|fill| drop(fill.file("file", b"")));
    let file = house.open_for_writing("file");
    let written = || house.storage.counts().of(Method::WriteAt);
    let before = written();
    house.volume.write(&file, 0, b"a few bytes").wait().unwrap();
    house.clock.advance(Duration::from_millis(999));
    house.settle();
    assert_eq!((written(), file.resident().is_unsaved()), (before, true));
    assert_eq!(house.volume.snapshot().census.delayed, 1);
    house.clock.advance(Duration::from_millis(1));
    let since = Instant::now();
    while file.resident().is_unsaved() || house.volume.snapshot().census.flights > 0 {
        assert!(since.elapsed() < Duration::from_mins(1), "a second has passed");
        std::thread::yield_now();
    }
    assert_eq!(written(), before + 1);
}

#[test]
fn regression_many_small_files_wake_nobody_one_by_one_after_they_are_stored() {
    let house = House::new(|_| ());
    let (volume, root) = (&house.volume, house.root());
    for number in 0..50 {
        let name = Name::new(&number.to_string()).unwrap();
        let file = volume.create(&root, &name, Attributes::default()).wait().unwrap();
        volume.write(&file, 0, b"a few bytes").wait().unwrap();
        volume.flush(&file).wait().unwrap();
        drop(file);
        house.clock.advance(Duration::from_millis(1));
    }
    house.settle();
    let begun = || volume.snapshot().counters.begun;
    let before = begun();
    house.clock.advance(Duration::from_millis(949));
    let since = Instant::now();
    for moment in 1..=50 {
        house.clock.advance(Duration::from_millis(1));
        while begun() < before + moment && volume.snapshot().census.flights > 0 {
            assert!(since.elapsed() < Duration::from_mins(1), "something is due");
            std::thread::yield_now();
        }
    }
    assert_eq!(begun(), before + 1);
    assert_eq!(volume.snapshot().census.flights, 0);
}

#[test]
fn regression_nothing_waits_to_be_stored_for_who_closes_a_file_that_he_has_only_read() {
    let house = House::new(|fill| drop(fill.file("file", &[1; 100])));
    let (writer, reader) = (house.open_for_writing("file"), house.open("file"));
    house.volume.write(&writer, 10, b"some").wait().unwrap();
    drop(reader);
    house.settle();
    let gate = house.hold(|call| call.method == Method::WriteAt);
    house.clock.advance(Duration::from_secs(1));
    gate.wait_for(1);
    let storing = || house.volume.snapshot().census.classes[Class::WriteBack];
    while storing().running > 1 {
        std::thread::yield_now();
    }
    assert_eq!(storing().waiting, 0, "the writer's hangs, and there is no other");
    gate.open();
    house.settle();
}

#[test]
fn regression_a_writer_is_not_told_that_all_is_stored_by_who_only_reads() {
    let house = House::new(|fill| drop(fill.file("other", b"")));
    let (volume, root) = (&house.volume, house.root());
    let name = Name::new("file").unwrap();
    let writer = volume.create(&root, &name, Attributes::default()).wait().unwrap();
    // Its header is unsaved, so it is not all stored when the reader closes it.
    drop(volume.open(writer.node()).wait().unwrap());
    house.clock.advance(Duration::from_millis(500));
    volume.write(&writer, 0, &vec![1; 2 << 20]).wait().unwrap();
    house.settle();
    // Of two writes the first takes its time, and the second fails.
    volume.write(&writer, 0, b"begin").wait().unwrap();
    volume.write(&writer, 1 << 20, b"end").wait().unwrap();
    let (gate, calls) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let held = Arc::clone(&gate);
    house.storage.on_call(move |call| {
        if call.method != Method::WriteAt {
            return Verdict::Pass;
        }
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Verdict::Hold(Arc::clone(&held)),
            1 => Verdict::Fail(std::io::ErrorKind::Other),
            _ => Verdict::Pass,
        }
    });
    let flushed = volume.flush(&writer).ask();
    gate.wait_for(1);
    house.clock.advance(Duration::from_secs(2));
    let storing = || house.volume.snapshot().census.classes[Class::WriteBack];
    // What is to be stored by and by waits for that.
    while storing().waiting == 0 || storing().running > 1 {
        std::thread::yield_now();
    }
    gate.open();
    flushed.wait().unwrap_err();
    house.settle();
    for _ in 0..100 {
        house.clock.advance(Duration::from_secs(1));
        house.settle();
    }
    assert!(!writer.resident().is_unsaved(), "it was tried again");
}

#[test]
fn regression_nobody_is_told_that_what_was_given_up_is_durable() {
    let house = House::new(|fill| drop(fill.file("file", b"")));
    let [one, other] = ["file", "file"].map(|name| house.open_for_writing(name));
    let fails = |call: &Call| call.method == Method::WriteAt;
    house.storage.on_call(
        move |call| {
            if fails(call) { Verdict::Fail(std::io::ErrorKind::Other) } else { Verdict::Pass }
        },
    );
    house.volume.write(&one, 0, b"some").wait().unwrap();
    house.clock.advance(Duration::from_secs(1));
    while one.resident().failure().is_none() {
        std::thread::yield_now();
    }
    house.settle();
    assert!(house.volume.discard(one.node().id()));
    house.storage.on_call(|_| Verdict::Pass);
    let late = house.open_for_writing("file");
    house.volume.sync(&one).wait().unwrap_err();
    house.volume.flush(&other).wait().unwrap_err();
    house.volume.flush(&late).wait().unwrap();
    // Told once, they may go on.
    for file in [&one, &other, &late] {
        house.volume.write(file, 0, b"more").wait().unwrap();
        house.volume.sync(file).wait().unwrap();
    }
}
