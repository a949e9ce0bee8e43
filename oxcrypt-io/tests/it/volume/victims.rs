//! Removing, moving and replacing files that hang: that stops nothing else, in their directory or elsewhere.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use oxcrypt_core::CiphertextPath;
use oxcrypt_core::storage::{Attributes, Call, Gate, Method, Replace};

use super::house::{House, name};

const CEILING: Duration = Duration::from_mins(1);

/// A directory with these files, one of which hangs in what `hangs` says.
fn house(hangs: impl Fn(&Call, &CiphertextPath) -> bool + Send + Sync + 'static) -> (House, Arc<Gate>) {
    let house = House::new(|fill| {
        fill.file("dead", b"content");
        fill.file("new", b"other content");
    });
    let path = house.node("dead").ciphertext_path();
    house.node("new");
    let gate = house.hold(move |call| hangs(call, &path));
    (house, gate)
}

/// Makes and removes something in the directory, which is to be answered.
fn expect_changes_go_on(house: &House) {
    let (answered, answer) = channel();
    let created = house.volume.create(&house.root(), &name("more"), Attributes::default());
    created.then(move |made| answered.send(made.map(drop)).unwrap());
    answer.recv_timeout(CEILING).unwrap().unwrap();
    let (answered, answer) = channel();
    house.volume.remove(&house.root(), &name("more")).then(move |removed| answered.send(removed).unwrap());
    answer.recv_timeout(CEILING).unwrap().unwrap();
}

#[test]
fn who_has_a_dead_file_open_whose_header_is_not_read_keeps_it_from_no_change() {
    for replace in [false, true] {
        let (house, gate) = house(|call, dead| call.method == Method::ReadAt && call.path == *dead);
        let file = house.open("dead");
        let (volume, root) = (&house.volume, house.root());
        let (answered, answer) = channel();
        let changed = if replace {
            volume.rename((&root, &name("new")), (&root, &name("dead")), Replace::Always)
        } else {
            volume.remove(&root, &name("dead"))
        };
        changed.then(move |changed| answered.send(changed).unwrap());
        answer.recv_timeout(CEILING).unwrap().unwrap();
        expect_changes_go_on(&house);
        gate.open();
        assert_eq!(*house.volume.read(&file, 0, 100).wait().unwrap(), *b"content");
    }
}

#[test]
fn regression_a_dead_file_that_is_to_be_removed_or_replaced_stops_no_other_change_of_its_directory() {
    for change in 0..3 {
        let (house, gate) = house(|call, dead| call.method == Method::Metadata && call.path == *dead);
        let (volume, root) = (&house.volume, house.root());
        // What memory knows of it is not believed any more.
        house.clock.advance(Duration::from_mins(1));
        let (answered, answer) = channel();
        let changed = match change {
            0 => volume.remove(&root, &name("dead")),
            1 => volume.rename((&root, &name("new")), (&root, &name("dead")), Replace::Always),
            _ => volume.rename((&root, &name("dead")), (&root, &name("new")), Replace::Always),
        };
        changed.then(move |changed| answered.send(changed).unwrap());
        gate.wait_for(1);
        expect_changes_go_on(&house);
        gate.open();
        answer.recv_timeout(CEILING).unwrap().unwrap();
        let left = volume.list(&root).wait().unwrap();
        assert_eq!(left.entries().len(), 1, "{change}");
    }
}

#[test]
fn regression_a_file_whose_move_to_another_directory_hangs_stops_no_other_move() {
    let house = House::new(|fill| {
        fill.file("dead", b"");
        fill.file("alive", b"");
    });
    let (volume, root) = (&house.volume, house.root());
    let make_dir = |text| volume.make_dir(&root, &name(text), Attributes::default()).wait().unwrap();
    let [from, to, second, folder] = ["from", "to", "second", "folder"].map(make_dir);
    for (dir, file) in [(&from, "dead"), (&second, "alive")] {
        house.node(file);
        volume.rename((&root, &name(file)), (dir, &name(file)), Replace::Always).wait().unwrap();
    }
    let path = volume.lookup(&from, &name("dead")).wait().unwrap().ciphertext_path();
    let gate = house.hold(move |call| call.method == Method::Rename && call.path == path);
    let (answered, answer) = channel();
    let dead = volume.rename((&from, &name("dead")), (&to, &name("dead")), Replace::Always);
    dead.then(move |moved| answered.send(moved).unwrap());
    gate.wait_for(1);
    house.clock.advance(Duration::from_secs(1));
    // Another file, to a directory that nobody else changes, and then that directory.
    let moves = [((&second, "alive"), (&folder, "alive")), ((&root, "folder"), (&second, "folder"))];
    for ((from, old), (to, new)) in moves {
        let (answered, answer) = channel();
        let renamed = volume.rename((from, &name(old)), (to, &name(new)), Replace::Always);
        renamed.then(move |moved| answered.send(moved).unwrap());
        answer.recv_timeout(CEILING).unwrap().unwrap();
    }
    gate.open();
    answer.recv_timeout(CEILING).unwrap().unwrap();
}
