//! What is read before anybody asks.

use super::house::{BLOCK, House, content};

fn house() -> House {
    House::new(|fill| {
        fill.file("file", &content(30 * BLOCK));
    })
}

#[test]
fn reads_in_order_find_what_follows_in_memory() {
    let house = house();
    let file = house.open("file");
    let before = house.reads();
    for offset in [0, 4_096] {
        house.volume.read(&file, offset, 4_096).wait().unwrap();
    }
    house.settle();
    assert_eq!(house.reads() - before, 1 + 8, "the first chunk, and a megabyte behind its block");
    house.volume.read(&file, 8_192, BLOCK).wait().unwrap();
    let ahead = house.volume.read(&file, 8_192, 8 * BLOCK);
    assert!(ahead.is_known());
    assert_eq!(*ahead.wait().unwrap(), content(30 * BLOCK)[8_192..8_192 + 8 * BLOCK]);
}

#[test]
fn reads_in_no_order_bring_what_they_ask_for_and_no_more() {
    let house = house();
    let file = house.open("file");
    house.volume.read(&file, 0, 1).wait().unwrap();
    let before = house.reads();
    for block in [20, 3, 11, 4, 29] {
        house.volume.read(&file, (block * BLOCK) as u64, 4_096).wait().unwrap();
    }
    house.settle();
    assert_eq!(house.reads() - before, 5);
}

#[test]
fn nothing_is_read_ahead_of_the_end() {
    let house = House::new(|fill| {
        fill.file("file", &content(2 * BLOCK + 10));
    });
    let file = house.open("file");
    let before = house.reads();
    for offset in [0, 4_096, 8_192] {
        house.volume.read(&file, offset, 4_096).wait().unwrap();
    }
    house.settle();
    assert_eq!(house.reads() - before, 3, "the first chunk, and two blocks");
    house.volume.read(&file, 0, BLOCK).wait().unwrap();
    assert!(house.volume.read(&file, 0, 3 * BLOCK).is_known());
}
