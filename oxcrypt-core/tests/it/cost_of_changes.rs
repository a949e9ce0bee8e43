//! What a change costs in calls of the storage: on a cloud drive each of them is a round trip.
//!
//! A bar is a promise and no wish: a call more fails here, a call less is to be written down here.

use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{Attributes, FaultyStorage, Method, Replace};
use oxcrypt_core::{Name, Node, Vault};

use crate::lab::{self, Lab, bytes, find, flush, name, sync};

const P: usize = 32_768;

/// A vault in use: its directories have been listed, so that memory knows what is there and what is not.
struct Scene {
    storage: Arc<FaultyStorage>,
    vault: Vault,
}

impl Scene {
    fn new(fill: impl FnOnce(&Vault)) -> Self {
        let storage = Lab::GCM.filled(fill);
        let vault = lab::open(&storage);
        let scene = Self { storage, vault };
        scene.list("");
        scene
    }

    fn list(&self, path: &str) {
        self.vault.list(&find(&self.vault, path).unwrap(), Instant::now()).unwrap();
    }

    fn root(&self) -> Arc<Node> {
        self.vault.root()
    }

    /// The calls that `work` makes, by method.
    fn calls<T>(&self, work: impl FnOnce() -> T) -> (Calls, T) {
        let before = self.storage.counts();
        let result = work();
        let after = self.storage.counts();
        let made = METHODS.map(|method| (method, after.of(method) - before.of(method)));
        let made: Vec<_> = made.into_iter().filter(|(_, count)| *count > 0).collect();
        (Calls(made), result)
    }

    fn cost<T>(&self, work: impl FnOnce() -> T) -> u64 {
        self.calls(work).0.total()
    }
}

const METHODS: [Method; 14] = [
    Method::Open,
    Method::Metadata,
    Method::List,
    Method::CreateDir,
    Method::Remove,
    Method::Rename,
    Method::SyncDir,
    Method::SetAttributes,
    Method::Space,
    Method::ReadAt,
    Method::TryReadAt,
    Method::WriteAt,
    Method::SetLen,
    Method::Sync,
];

#[derive(Debug, PartialEq, Eq)]
struct Calls(Vec<(Method, u64)>);

impl Calls {
    fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

fn long(letter: &str) -> Name {
    name(&letter.repeat(200))
}

#[test]
fn creating_a_file_costs_one_call_and_four_where_its_name_is_shortened() {
    let scene = Scene::new(|_| {});
    let create =
        |name: &Name| scene.calls(|| scene.vault.create(&scene.root(), name, Instant::now()).unwrap());
    let (made, _file) = create(&name("short"));
    assert_eq!(made, Calls(vec![(Method::Open, 1)]));
    let (made, _file) = create(&long("l"));
    assert_eq!(made, Calls(vec![(Method::Open, 2), (Method::CreateDir, 1), (Method::WriteAt, 1)]));
}

#[test]
fn creating_a_file_costs_the_same_where_memory_knows_nothing() {
    let storage = Lab::GCM.filled(|_| {});
    let vault = lab::open(&storage);
    let before = storage.counts().total();
    let _file = lab::create(&vault, "new").unwrap();
    assert_eq!(storage.counts().total() - before, 1);
}

#[test]
fn the_mode_of_a_new_entry_costs_nothing_and_another_owner_one_call() {
    let scene = Scene::new(|_| {});
    let made = |uid| Attributes { mode: Some(0o640), uid, gid: uid, ..Attributes::default() };
    let create = |text: &str, uid| {
        let now = Instant::now();
        scene.calls(|| scene.vault.create_with(&scene.root(), &name(text), &made(uid), now).unwrap())
    };
    assert_eq!(create("one", None).0, Calls(vec![(Method::Open, 1)]));
    // Who makes a file owns it.
    assert_eq!(create("two", Some(0)).0, Calls(vec![(Method::Open, 1)]));
    let (made_for_other, file) = create("three", Some(7));
    assert_eq!(made_for_other, Calls(vec![(Method::Open, 1), (Method::SetAttributes, 1)]));
    let known = scene.cost(|| {
        let seen = scene.vault.attributes(file.node(), Instant::now()).unwrap().owner.unwrap();
        assert_eq!((seen.mode, seen.uid), (0o640, 7));
    });
    assert_eq!(known, 0);
}

#[test]
fn the_mode_of_a_new_directory_costs_two_calls_and_its_attributes_are_known_then() {
    let scene = Scene::new(|_| {});
    let private = Attributes { mode: Some(0o700), ..Attributes::default() };
    let (root, name, now) = (scene.root(), name("dir"), Instant::now());
    let (made, dir) = scene.calls(|| scene.vault.make_dir_with(&root, &name, &private, now).unwrap());
    assert!(made.total() <= 9, "{made:?}");
    assert_eq!(scene.cost(|| scene.vault.attributes(&dir, Instant::now()).unwrap()), 0);
}

#[test]
fn setting_attributes_costs_one_call_and_they_are_known_then() {
    let scene = Scene::new(|vault| drop(lab::put(vault, "file", b"x")));
    let node = find(&scene.vault, "file").unwrap();
    let (time, now) = (Some(lab::at(7)), Instant::now());
    let change = Attributes { modified: time, mode: Some(0o600), ..Attributes::default() };
    let (made, ()) = scene.calls(|| scene.vault.set_attributes(&node, &change, now).unwrap());
    assert_eq!(made, Calls(vec![(Method::SetAttributes, 1)]));
    let known = scene.cost(|| assert_eq!(scene.vault.attributes(&node, now).unwrap().modified, time));
    assert_eq!(known, 0);
}

#[test]
fn the_first_write_costs_a_write_and_a_question_whose_file_it_is() {
    for len in [1, P, 10 * P + 5] {
        let scene = Scene::new(|_| {});
        let file = lab::create(&scene.vault, "file").unwrap();
        let (made, ()) = scene.calls(|| {
            lab::write(&file, 0, &bytes(len, 0)).unwrap();
            flush(&file).unwrap();
        });
        assert_eq!(made, Calls(vec![(Method::Metadata, 1), (Method::WriteAt, 1)]), "{len} bytes");
        assert_eq!(scene.cost(|| flush(&file).unwrap()), 0, "nothing is left to be stored");
    }
}

#[test]
fn overwriting_a_chunk_that_memory_has_costs_a_write_and_a_question() {
    let scene = Scene::new(|vault| drop(lab::put(vault, "file", &bytes(3 * P, 0))));
    let file = lab::open_for_writing(&scene.vault, "file").unwrap();
    file.read_at(P as u64, &mut [0; 10]).unwrap();
    for _ in 0..2 {
        let (made, ()) = scene.calls(|| {
            lab::write(&file, P as u64 + 5, b"new").unwrap();
            flush(&file).unwrap();
        });
        assert_eq!(made, Calls(vec![(Method::Metadata, 1), (Method::WriteAt, 1)]));
    }
    // A whole chunk need not be known; a part of one is read.
    let whole = scene.cost(|| {
        lab::write(&file, 0, &bytes(P, 1)).unwrap();
        flush(&file).unwrap();
    });
    assert_eq!(whole, 2);
    let (made, ()) = scene.calls(|| {
        lab::write(&file, 2 * P as u64 + 5, b"new").unwrap();
        flush(&file).unwrap();
    });
    assert_eq!(made, Calls(vec![(Method::Metadata, 1), (Method::ReadAt, 1), (Method::WriteAt, 1)]));
}

#[test]
fn appending_costs_a_write_and_a_question() {
    let scene = Scene::new(|_| {});
    let file = lab::create(&scene.vault, "file").unwrap();
    for round in 0..20 {
        let append = || {
            lab::write(&file, round * 10_000, &[7; 10_000]).unwrap();
            flush(&file).unwrap();
        };
        assert_eq!(scene.cost(append), 2, "in round {round}");
    }
}

#[test]
fn a_long_run_is_stored_a_megabyte_at_a_time() {
    let scene = Scene::new(|_| {});
    let file = lab::create(&scene.vault, "file").unwrap();
    let (made, ()) = scene.calls(|| {
        lab::write(&file, 0, &bytes(4 << 20, 0)).unwrap();
        flush(&file).unwrap();
    });
    // To make a file much longer asks for room first.
    let bar = Calls(vec![(Method::Metadata, 1), (Method::WriteAt, 4)]);
    assert!(made == bar || made.total() <= bar.total() + 1, "{made:?}");
}

#[test]
fn syncing_costs_one_call_more_and_two_for_a_new_file() {
    let scene = Scene::new(|vault| drop(lab::put(vault, "old", &bytes(100, 0))));
    let old = lab::open_for_writing(&scene.vault, "old").unwrap();
    lab::write(&old, 0, b"new").unwrap();
    flush(&old).unwrap();
    assert_eq!(scene.calls(|| sync(&old).unwrap()).0, Calls(vec![(Method::Sync, 1)]));
    let new = lab::create(&scene.vault, "new").unwrap();
    lab::write(&new, 0, b"new").unwrap();
    flush(&new).unwrap();
    let (made, ()) = scene.calls(|| sync(&new).unwrap());
    assert_eq!(made, Calls(vec![(Method::SyncDir, 1), (Method::Sync, 1)]));
    assert_eq!(scene.calls(|| sync(&new).unwrap()).0, Calls(vec![(Method::Sync, 1)]), "the entry is durable");
}

#[test]
fn cutting_costs_a_cut_a_write_and_a_question() {
    for (len, bar) in [(P + 5, 3), (P, 3), (0, 3)] {
        let scene = Scene::new(|vault| drop(lab::put(vault, "file", &bytes(3 * P, 0))));
        let file = lab::open_for_writing(&scene.vault, "file").unwrap();
        lab::content(&file).unwrap();
        let made = scene.cost(|| {
            file.set_len(len as u64, lab::at(1)).unwrap();
            flush(&file).unwrap();
        });
        assert!(made <= bar, "to {len} bytes: {made}");
    }
}

#[test]
fn a_directory_costs_seven_calls_and_a_link_three() {
    let scene = Scene::new(|_| {});
    assert!(scene.cost(|| lab::make_dir(&scene.vault, "dir").unwrap()) <= 7);
    assert!(scene.cost(|| lab::make_symlink(&scene.vault, "link", "target").unwrap()) <= 3);
}

#[test]
fn a_rename_costs_one_call_and_one_more_where_the_target_may_be_there() {
    let scene = Scene::new(|vault| {
        drop(lab::put(vault, "file", b"x"));
        drop(lab::put(vault, "other", b"x"));
        lab::make_dir(vault, "dir").unwrap();
        lab::make_dir(vault, "dir/inside").unwrap();
        lab::make_symlink(vault, "link", "target").unwrap();
    });
    for path in ["dir", "link"] {
        find(&scene.vault, path).unwrap();
    }
    let rename = |from: &str, to: &str| {
        scene.calls(|| lab::rename(&scene.vault, from, to, Replace::Always).unwrap()).0
    };
    assert_eq!(rename("file", "moved"), Calls(vec![(Method::Rename, 1)]));
    assert_eq!(rename("moved", "other"), Calls(vec![(Method::Rename, 1)]), "over another that is known");
    assert_eq!(rename("dir", "moved dir"), Calls(vec![(Method::Rename, 1)]));
    assert_eq!(rename("link", "moved link"), Calls(vec![(Method::Rename, 1)]));
    // Nobody has listed this directory.
    let into = rename("other", "moved dir/file");
    assert_eq!(into, Calls(vec![(Method::Metadata, 1), (Method::Rename, 1)]));
}

#[test]
fn a_rename_across_the_threshold_costs_five_calls_up_and_four_down() {
    for kind in ["file", "dir", "link"] {
        let scene = Scene::new(|vault| match kind {
            "file" => drop(lab::put(vault, kind, b"x")),
            "dir" => drop(lab::make_dir(vault, kind).unwrap()),
            _ => drop(lab::make_symlink(vault, kind, "target").unwrap()),
        });
        find(&scene.vault, kind).unwrap();
        let long = "l".repeat(200);
        let up = scene.calls(|| lab::rename(&scene.vault, kind, &long, Replace::Always).unwrap()).0;
        // What has a folder of its own leaves that behind.
        assert!(up.total() <= 5, "{kind}: {up:?}");
        let down = scene.calls(|| lab::rename(&scene.vault, &long, kind, Replace::Always).unwrap()).0;
        let bar = if kind == "file" { 3 } else { 4 };
        assert!(down.total() <= bar, "{kind}: {down:?}");
    }
}

#[test]
fn removing_costs_one_call_and_a_question_where_memory_does_not_know_what_it_is() {
    let scene = Scene::new(|vault| {
        for path in ["known", "unknown"] {
            drop(lab::put(vault, path, b"x"));
        }
    });
    let (made, ()) = scene.calls(|| lab::remove(&scene.vault, "known").unwrap());
    assert_eq!(made, Calls(vec![(Method::Remove, 1)]));
    let vault = lab::open(&scene.storage);
    let before = scene.storage.counts().total();
    lab::remove(&vault, "unknown").unwrap();
    assert_eq!(scene.storage.counts().total() - before, 2);
}

#[test]
fn removing_a_directory_costs_five_calls() {
    let scene = Scene::new(|vault| drop(lab::make_dir(vault, "dir").unwrap()));
    find(&scene.vault, "dir").unwrap();
    let (made, ()) = scene.calls(|| lab::remove_dir(&scene.vault, "dir").unwrap());
    assert_eq!(made, Calls(vec![(Method::List, 1), (Method::Remove, 4)]));
}

#[test]
fn what_we_have_changed_ourselves_need_not_be_asked_for() {
    let scene = Scene::new(|vault| drop(lab::put(vault, "old", b"x")));
    let file = lab::create(&scene.vault, "new").unwrap();
    lab::write(&file, 0, b"content").unwrap();
    flush(&file).unwrap();
    lab::make_dir(&scene.vault, "dir").unwrap();
    lab::rename(&scene.vault, "new", "moved", Replace::Always).unwrap();
    lab::remove(&scene.vault, "old").unwrap();
    let known = scene.cost(|| {
        let listing = scene.vault.list(&scene.root(), Instant::now()).unwrap();
        assert_eq!(listing.entries().len(), 2);
        for (path, is_there) in [("moved", true), ("dir", true), ("new", false), ("old", false)] {
            assert_eq!(find(&scene.vault, path).is_ok(), is_there);
        }
        assert_eq!(lab::content(&file).unwrap(), b"content");
    });
    assert_eq!(known, 0);
    let len = || scene.vault.attributes(file.node(), Instant::now()).unwrap().len;
    assert_eq!(scene.cost(|| assert_eq!(len(), 7)), 1, "the host alone knows when it was moved");
    assert_eq!(scene.cost(|| assert_eq!(len(), 7)), 0);
}
