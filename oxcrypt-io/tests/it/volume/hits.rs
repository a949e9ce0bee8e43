//! What memory has is answered there and then, whatever storage does.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use oxcrypt_core::storage::{Attributes, BlockStorage as _, LocalStorage, OpenMode, Replace};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, ErrorKind, Node, VaultOptions};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::volume::{Volume, VolumeOptions};

use super::house::{House, content, name, unlock, until};

#[test]
fn with_every_storage_call_hanging_each_resident_operation_answers() {
    let house = House::new(|fill| {
        fill.file("file", &content(100_000));
        fill.file("unread", b"");
        fill.builder.symlink(&DirId::root(), "link", "target").unwrap();
    });
    let (volume, root) = (&house.volume, house.root());
    volume.list(&root).wait().unwrap();
    let (node, link, file) = (house.node("file"), house.node("link"), house.open("file"));
    volume.attributes(&node).wait().unwrap();
    volume.readlink(&link).wait().unwrap();
    volume.read(&file, 0, 100_000).wait().unwrap();
    house.settle();

    let gate = house.hold(|_| true);
    let calls = house.storage.counts();
    let lookup = volume.lookup(&root, &name("file"));
    assert!(lookup.is_known());
    assert_eq!(lookup.wait().unwrap().id(), node.id());
    assert_eq!(
        volume.lookup(&root, &name("none")).wait().unwrap_err().kind(),
        Some(ErrorKind::NotFound),
        "a fresh listing says what is not there"
    );
    let list = volume.list(&root);
    assert!(list.is_known());
    assert_eq!(list.wait().unwrap().entries().len(), 3);
    let attributes = volume.attributes(&node);
    assert!(attributes.is_known());
    assert_eq!(attributes.wait().unwrap().len, 100_000);
    let target = volume.readlink(&link);
    assert!(target.is_known());
    assert_eq!(target.wait().unwrap().as_str(), "target");
    let read = volume.read(&file, 50_000, 200_000);
    assert!(read.is_known());
    assert_eq!(*read.wait().unwrap(), content(100_000)[50_000..]);
    assert!(volume.statfs().is_some());
    volume.release(file);
    assert_eq!(house.storage.counts(), calls, "nobody asked storage");
    // What memory lacks does not hold up who asks for it either.
    let (answered, answer) = channel();
    let unread = volume.lookup(&root, &name("unread")).wait().unwrap();
    volume.open(&unread).then(move |file| answered.send(file.map(drop)).unwrap());
    gate.wait_for(1);
    house.clock.advance(Duration::from_secs(20));
    assert!(answer.recv_timeout(Duration::from_mins(1)).unwrap().unwrap_err().is_timeout());
    gate.open();
}

#[test]
fn while_10_000_cold_reads_wait_hits_cost_no_storage_call() {
    let house = House::new(|fill| {
        fill.file("hot", &content(50_000));
        for cold in 0..10_000 {
            fill.file(&format!("cold {cold}"), b"cold");
        }
    });
    let (volume, root) = (&house.volume, house.root());
    volume.list(&root).wait().unwrap();
    let hot = house.open("hot");
    volume.read(&hot, 0, 50_000).wait().unwrap();
    volume.attributes(hot.node()).wait().unwrap();
    let cold: Vec<_> = (0..10_000).map(|cold| house.open(&format!("cold {cold}"))).collect();
    house.settle();

    let gate = house.hold(|_| true);
    let waiting: Vec<_> = cold.iter().map(|file| volume.read(file, 0, 100).ask()).collect();
    // All that may run at once hang.
    gate.wait_for(56);
    assert_eq!(volume.snapshot().census.waiters, 10_000);
    let calls = house.storage.counts();
    for _ in 0..100 {
        assert_eq!(*volume.read(&hot, 40_000, 10_000).wait().unwrap(), content(50_000)[40_000..]);
        assert!(volume.attributes(hot.node()).wait().is_ok());
        assert!(volume.lookup(&root, &name("hot")).wait().is_ok());
        assert!(volume.list(&root).wait().is_ok());
    }
    assert_eq!(house.storage.counts(), calls);
    gate.open();
    for read in waiting {
        assert_eq!(*read.wait().unwrap(), *b"cold");
    }
}

#[test]
fn space_is_answered_at_once_and_asked_for_again_when_it_is_old() {
    let house = House::new(|_| ());
    let calls = house.storage.counts().total();
    let told = house.volume.statfs();
    assert!(told.is_some());
    assert_eq!(house.storage.counts().total(), calls);
    house.clock.advance(Duration::from_secs(10));
    let gate = house.hold(|_| true);
    assert_eq!(house.volume.statfs(), told);
    gate.wait_for(1);
    assert_eq!(house.volume.statfs(), told);
    assert_eq!(house.storage.counts().total(), calls + 1, "one question at a time");
    gate.open();
}

/// Where the host promises to have it at hand, a read goes nowhere.
#[test]
fn what_the_host_has_at_hand_is_read_where_the_request_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalStorage::open(dir.path()).unwrap());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let path = builder.file(&DirId::root(), "file", &content(100_000)).unwrap();
    let (file, _) = storage.open(&path, OpenMode::Read).unwrap();
    if file.try_read_at(0, &mut [0; 100]).is_err() {
        // Few file systems can promise that: overlayfs, for one, cannot.
        println!("SKIPPED: the host of temporary files promises nothing");
        return;
    }
    let vault = unlock(storage as _, &VaultOptions::default());
    let volume = Volume::start(vault, VolumeOptions::default(), Arc::new(SystemClock::new())).unwrap();
    let node = volume.lookup(&volume.vault().root(), &name("file")).wait().unwrap();
    let file = volume.open(&node).wait().unwrap();
    for (offset, len) in [(50_000, 10), (0, 100_000), (99_990, 100)] {
        let question = volume.read(&file, offset, len);
        assert!(question.is_known(), "{len} bytes at {offset}");
        let start = usize::try_from(offset).unwrap();
        assert!(*question.wait().unwrap() == content(100_000)[start..(start + len).min(100_000)]);
    }
}

/// On a disk, whoever looks up some names of a directory finds the others in memory, with their attributes.
#[test]
fn the_names_that_follow_are_there_before() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalStorage::open(dir.path()).unwrap());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    for number in 0..20 {
        builder.file(&DirId::root(), &number.to_string(), b"x").unwrap();
    }
    let vault = unlock(storage as _, &VaultOptions::default());
    let volume = Volume::start(vault, VolumeOptions::default(), Arc::new(SystemClock::new())).unwrap();
    let lookup = |number: usize| volume.lookup(&volume.vault().root(), &name(&number.to_string()));
    for number in 0..3 {
        lookup(number).wait().unwrap();
    }
    until(&volume, || volume.snapshot().census.flights == 0);
    for number in 3..20 {
        let found = lookup(number);
        assert!(found.is_known(), "{number}");
        assert!(volume.attributes(&found.wait().unwrap()).is_known(), "{number}");
    }
}

/// The kernel asks for the attributes of a directory after each change in it. On a disk nobody waits for an operation then.
#[test]
fn a_directory_that_was_changed_is_known_when_the_change_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalStorage::open(dir.path()).unwrap());
    VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let vault = unlock(storage as _, &VaultOptions::default());
    let volume = Volume::start(vault, VolumeOptions::default(), Arc::new(SystemClock::new())).unwrap();
    let (root, made) = (volume.vault().root(), Attributes::default());
    let is_known = |dir: &Arc<Node>| volume.attributes(dir).is_known();
    let below = volume.make_dir(&root, &name("below"), made.clone()).wait().unwrap();
    assert!(is_known(&root) && is_known(&below), "made");
    drop(volume.create(&root, &name("file"), made.clone()).wait().unwrap());
    assert!(is_known(&root), "created");
    volume.make_symlink(&root, &name("link"), "target", made).wait().unwrap();
    assert!(is_known(&root), "linked");
    volume.rename((&root, &name("file")), (&below, &name("moved")), Replace::Always).wait().unwrap();
    assert!(is_known(&root) && is_known(&below), "moved");
    volume.remove(&below, &name("moved")).wait().unwrap();
    assert!(is_known(&below), "removed");
    volume.remove_dir(&root, &name("below")).wait().unwrap();
    assert!(is_known(&root), "removed a directory");
}
