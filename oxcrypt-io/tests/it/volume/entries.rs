//! What memory knows of the entries of a directory whose storage hangs.

use std::time::Duration;

use oxcrypt_core::storage::Method;
use oxcrypt_io::volume::{Deadlines, Wanted};

use super::house::House;

#[test]
fn every_entry_is_told_though_storage_says_nothing_of_any_and_the_window_is_longer_than_the_listing() {
    let house = House::new(|fill| {
        for number in 0..10 {
            fill.file(&number.to_string(), b"x");
        }
    });
    let root = house.root();
    let listing = house.volume.list(&root).wait().unwrap();
    // A listing of storage that tells lengths with its names knows them for a while.
    house.clock.advance(Duration::from_mins(10));
    let gate = house.hold(|call| call.method == Method::Metadata);
    let asked = house.volume.entries(&root, &listing, 4..68, Wanted::Attributes);
    assert!(!asked.is_known());
    let asked = asked.ask();
    gate.wait_for(1);
    house.clock.advance(Deadlines::default().entries);
    assert!(asked.wait().unwrap_err().is_timeout());
    for (range, told) in [(4..68, 6), (0..10, 10), (10..74, 0), (usize::MAX..usize::MAX, 0)] {
        let seen = house.volume.resident_entries(&root, &listing, range.clone(), Wanted::Attributes);
        assert_eq!(seen.len(), told, "{range:?}");
        assert!(seen.iter().all(|seen| seen.node.is_some()), "{range:?}");
    }
    gate.open();
}

#[test]
fn entries_that_memory_knew_are_not_waited_for_as_long_and_what_comes_late_is_for_the_next() {
    let house = House::new(|fill| {
        for number in 0..10 {
            fill.file(&number.to_string(), b"x");
        }
    });
    let root = house.root();
    let listing = house.volume.list(&root).wait().unwrap();
    let entries = || house.volume.entries(&root, &listing, 0..10, Wanted::Attributes);
    entries().wait().unwrap();
    house.clock.advance(Duration::from_mins(10));
    let gate = house.hold(|call| call.method == Method::Metadata);
    let asked = entries();
    assert!(!asked.is_known());
    let asked = asked.ask();
    gate.wait_for(1);
    house.clock.advance(Deadlines::default().entries / 10);
    assert!(asked.wait().unwrap_err().is_timeout());
    let seen = house.volume.resident_entries(&root, &listing, 0..10, Wanted::Attributes);
    assert!(seen.iter().all(|seen| seen.attributes.as_ref().is_some_and(|attributes| attributes.len == 1)));
    gate.open();
    house.settle();
    assert!(entries().is_known());
}
