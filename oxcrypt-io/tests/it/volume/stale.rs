//! An older answer is better than none.

use std::time::Duration;

use oxcrypt_core::DirId;
use oxcrypt_io::volume::Deadlines;

use super::house::{House, content, name};

/// Longer than what storage said is believed.
const LATER: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_millis(30);

#[test]
fn where_storage_takes_long_the_older_answer_is_given() {
    let house = House::new(|fill| {
        fill.file("file", &content(10));
        fill.builder.symlink(&DirId::root(), "link", "target").unwrap();
    });
    let (volume, root) = (&house.volume, house.root());
    let (node, link) = (house.node("file"), house.node("link"));
    volume.list(&root).wait().unwrap();
    volume.attributes(&node).wait().unwrap();
    volume.readlink(&link).wait().unwrap();
    house.clock.advance(LATER);
    let gate = house.hold(|_| true);
    let lookup = volume.lookup(&root, &name("file"));
    assert!(!lookup.is_known(), "it is too old to be believed at once");
    let (lookup, list) = (lookup.ask(), volume.list(&root).ask());
    let (attributes, target) = (volume.attributes(&node).ask(), volume.readlink(&link).ask());
    gate.wait_for(4);
    house.clock.advance(PATIENCE);
    assert_eq!(lookup.wait().unwrap().id(), node.id());
    assert_eq!(list.wait().unwrap().entries().len(), 2);
    assert_eq!(attributes.wait().unwrap().len, 10);
    assert_eq!(target.wait().unwrap().as_str(), "target");
    assert_eq!(volume.snapshot().counters.stale, 4);
    // And the answers that come later are for whoever asks then.
    gate.open();
    house.settle();
    assert!(volume.attributes(&node).is_known());
}

#[test]
fn that_something_was_not_there_is_no_older_answer() {
    let house = House::new(|_| ());
    let (volume, root) = (&house.volume, house.root());
    assert!(volume.lookup(&root, &name("none")).wait().is_err());
    house.clock.advance(LATER);
    let gate = house.hold(|_| true);
    let lookup = volume.lookup(&root, &name("none")).ask();
    house.clock.advance(Deadlines::default().lookup);
    assert!(lookup.wait().unwrap_err().is_timeout());
    gate.open();
}
