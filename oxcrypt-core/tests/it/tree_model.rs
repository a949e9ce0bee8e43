//! A tree under random operations is what a tree of maps is: in memory, in storage, and for a vault that knows nothing.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oxcrypt_core::storage::{BlockStorage, Crash, FaultyStorage, LocalStorage, Replace, Verdict};
use oxcrypt_core::{Entry, ErrorKind, File, Node, NodeKind, Vault, VaultOptions};
use proptest::prelude::*;

use crate::checker::{Finding, Report, What};
use crate::lab::{self, Lab, bytes, content, find, name};
use crate::plain::Plain;

mod model;

use model::{Id, Item, Model};

/// A directory, and a name in it, both by number: of the directories that there are, and of the names that are used.
type Place = (usize, usize);

#[derive(Clone, Copy, Debug)]
enum Step {
    Create(Place),
    MakeDir(Place),
    MakeSymlink(Place),
    Remove(Place),
    RemoveDir(Place),
    Rename(Place, Place, Replace),
    /// What memory knows is forgotten, handles and nodes too.
    Forget,
}

fn place() -> impl Strategy<Value = Place> {
    (0..6_usize, 0..6_usize)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![30 => change(), 1 => Just(Step::Forget)]
}

fn change() -> impl Strategy<Value = Step> {
    let replace =
        prop::sample::select(vec![Replace::Always, Replace::Always, Replace::Never, Replace::Exchange]);
    prop_oneof![
        5 => place().prop_map(Step::MakeDir),
        4 => place().prop_map(Step::Create),
        3 => place().prop_map(Step::MakeSymlink),
        3 => place().prop_map(Step::Remove),
        3 => place().prop_map(Step::RemoveDir),
        14 => (place(), place(), replace).prop_map(|(from, to, replace)| Step::Rename(from, to, replace)),
    ]
}

fn labs() -> impl Strategy<Value = Lab> {
    prop::sample::select(vec![Lab::GCM, Lab::CTRMAC, Lab::SHORT])
}

/// What memory may keep: everything, nothing, or nothing that it believes.
fn memories() -> impl Strategy<Value = VaultOptions> {
    let options = VaultOptions::default();
    prop::sample::select(vec![
        options.clone(),
        options.clone().tree_cache_bytes(0),
        options.max_age(Duration::ZERO),
    ])
}

/// On both sides of the border where names are shortened.
fn names(lab: Lab) -> [String; 6] {
    let border = lab.longest_plain_name();
    [
        "a".to_owned(),
        "b".to_owned(),
        "\u{e4}".to_owned(),
        "p".repeat(border),
        "s".repeat(border + 1),
        // Longer in UTF-8 than in characters.
        "\u{e9}".repeat(border / 2 + 1),
    ]
}

/// A vault, its model, and what somebody holds of it.
struct World {
    storage: Arc<dyn BlockStorage>,
    options: VaultOptions,
    vault: Vault,
    model: Model,
    nodes: HashMap<Id, Arc<Node>>,
    handles: HashMap<Id, File>,
}

impl World {
    fn new(lab: Lab, storage: Arc<dyn BlockStorage>, options: VaultOptions) -> Self {
        let vault = crate::fixtures::unlock_with(Arc::clone(&storage), &options);
        Self {
            storage,
            options,
            vault,
            model: Model::new(lab),
            nodes: HashMap::new(),
            handles: HashMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        let before = self.model.clone();
        let expected = self.model.step(step);
        let done = self.make(&before, step);
        match (&expected, done) {
            (Ok(()), Ok(())) => {}
            (Err(kinds), Err(error)) => {
                assert!(kinds.contains(&error.kind()), "{step:?}: {error} and not {kinds:?}");
            }
            (Ok(()), Err(error)) => panic!("{step:?}: {error}"),
            (Err(kinds), Ok(())) => panic!("{step:?} was made in spite of {kinds:?}"),
        }
        self.compare();
    }

    /// Makes a step in the vault. `model` is as it was before.
    fn make(&mut self, model: &Model, step: Step) -> oxcrypt_core::Result<()> {
        let now = Instant::now();
        let dir = |number| find(&self.vault, &model.directory(number).0);
        let names = names(model.lab);
        let next = model.items.len();
        match step {
            Step::Create((dir_number, name_number)) => {
                let file = self.vault.create(&dir(dir_number)?, &name(&names[name_number]), now)?;
                lab::write(&file, 0, &bytes(next * 10, next))?;
                lab::flush(&file)?;
                self.nodes.insert(next, Arc::clone(file.node()));
                self.handles.insert(next, file);
            }
            Step::MakeDir((dir_number, name_number)) => {
                let node = self.vault.make_dir(&dir(dir_number)?, &name(&names[name_number]), now)?;
                self.nodes.insert(next, node);
            }
            Step::MakeSymlink((dir_number, name_number)) => {
                let target = format!("target {next}");
                let name = name(&names[name_number]);
                let node = self.vault.make_symlink(&dir(dir_number)?, &name, &target, now)?;
                self.nodes.insert(next, node);
            }
            Step::Remove((dir_number, name_number)) => {
                self.vault.remove(&dir(dir_number)?, &name(&names[name_number]), now)?;
            }
            Step::RemoveDir((dir_number, name_number)) => {
                self.vault.remove_dir(&dir(dir_number)?, &name(&names[name_number]), now)?;
            }
            Step::Rename(from, to, replace) => {
                let (from_name, to_name) = (name(&names[from.1]), name(&names[to.1]));
                self.vault.rename((&dir(from.0)?, &from_name), (&dir(to.0)?, &to_name), replace, now)?;
            }
            Step::Forget => {
                self.nodes.clear();
                self.handles.clear();
                self.vault = crate::fixtures::unlock_with(Arc::clone(&self.storage), &self.options);
            }
        }
        Ok(())
    }

    fn compare(&mut self) {
        let paths = self.model.paths();
        for (path, id) in &paths {
            let node = check_entry(&self.vault, &self.model, path, *id);
            let known = self.nodes.entry(*id).or_insert_with(|| Arc::clone(&node));
            assert!(Arc::ptr_eq(known, &node), "{path} is another node by now");
            assert!(!node.is_gone());
        }
        for (id, node) in &self.nodes {
            if !paths.values().any(|there| there == id) {
                assert!(node.is_gone(), "{node:?} was removed");
                assert!(node.parent().is_none() && node.name().is_none());
            }
        }
        for (id, file) in &self.handles {
            let Item::File(expected) = &self.model.items[*id] else { panic!("a handle of no file") };
            assert!(content(file).unwrap() == *expected, "{:?} goes on", file.node());
        }
        let report = self.model.lab.check(&*self.storage);
        assert_eq!(report.faults(), Vec::<&Finding>::new());
        assert!(self.model.is(&report), "{:?} is not {:?}", report.tree, self.model);
        let fresh = crate::fixtures::unlock_with(Arc::clone(&self.storage), &VaultOptions::default());
        compare_all(&fresh, &self.model);
    }
}

fn compare_all(vault: &Vault, model: &Model) {
    for (path, id) in model.paths() {
        check_entry(vault, model, &path, id);
    }
}

/// Compares an entry as it is found by its path, and what it holds.
fn check_entry(vault: &Vault, model: &Model, path: &str, id: Id) -> Arc<Node> {
    let now = Instant::now();
    let node = find(vault, path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(node.path().to_string(), format!("/{path}"));
    let attributes = vault.attributes(&node, now).unwrap();
    let len = match &model.items[id] {
        Item::Directory(children) => {
            let listing = vault.list(&node, now).unwrap();
            let shown: Vec<&str> = listing.entries().iter().map(Entry::shown).collect();
            assert_eq!(shown, children.keys().map(String::as_str).collect::<Vec<_>>(), "in {path}");
            let is_sound = |entry: &Entry| matches!(entry, Entry::Sound(found) if !found.is_conflict());
            assert!(listing.entries().iter().all(is_sound));
            for absent in names(model.lab).iter().filter(|name| !children.contains_key(*name)) {
                let error = vault.lookup(&node, &name(absent), now).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound, "{absent} in {path}");
            }
            0
        }
        Item::Link(target) => {
            assert_eq!(vault.read_link(&node, now).unwrap().as_str(), target);
            target.len()
        }
        Item::File(content) => content.len(),
    };
    assert_eq!((attributes.kind, attributes.len), (model.items[id].kind(), len as u64), "{path}");
    node
}

proptest! {
    #![proptest_config(lab::cases(48))]

    #[test]
    fn a_tree_is_a_tree_of_maps(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(lab, Arc::new(lab.empty()), memory);
        for step in steps {
            world.step(step);
        }
    }

    /// A store that has no rename but one that replaces, and cannot tell files apart.
    #[test]
    fn a_tree_in_a_plain_store_is_a_tree_of_maps(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let inner = Arc::new(lab.empty());
        let storage = Plain { inner, tells_files_apart: false, always_replaces: true };
        let mut world = World::new(lab, Arc::new(storage), memory);
        world.model.exchanges = false;
        for step in steps {
            world.step(step);
        }
    }

    /// A step that fails was made or was not. What it leaves besides can be mended without loss.
    #[test]
    fn a_step_that_fails_was_made_or_was_not(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 0..25),
        last in change(),
        after in 0..12_u64,
        failures in 1..4_u64,
        is_done in prop::option::of(prop::sample::select(vec![0, usize::MAX])),
    ) {
        let storage = Arc::new(FaultyStorage::new(&lab.empty()));
        let mut world = World::new(lab, Arc::clone(&storage) as _, memory);
        for step in steps {
            world.step(step);
        }
        let left = AtomicU64::new(after + failures);
        storage.on_call(move |_| {
            let left = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            match left {
                Ok(left) if left <= failures => match is_done {
                    Some(bytes) => Verdict::FailAfter(bytes, io::ErrorKind::TimedOut),
                    None => Verdict::Fail(io::ErrorKind::StorageFull),
                },
                _ => Verdict::Pass,
            }
        });
        let before = world.model.clone();
        let mut after = before.clone();
        let expected = after.step(last);
        let done = world.make(&before, last);
        storage.on_call(|_| Verdict::Pass);
        prop_assert!(expected.is_ok() || done.is_err(), "{last:?} was made in spite of {expected:?}");
        let left = left_by(last);
        let look = || {
            let report = lab.check(&*storage);
            prop_assert_eq!(report.worse_than_repairable(left), Vec::<&Finding>::new());
            let made = outcome(&before, &after, last, &report);
            prop_assert!(made.is_some(), "{:?} failed: {:?}, from {:?}", last, report, before);
            prop_assert!(done.is_err() || after.is(&report));
            Ok(made.unwrap())
        };
        look()?;
        // What could not be stored is tried again.
        world.vault.unsaved().iter().for_each(|file| lab::flush(file).unwrap());
        let made = look()?;
        // What was left half made may be listed as damage, but for memory and for a vault that knows nothing it is the
        // same, and so is everything else.
        let fresh = crate::fixtures::unlock_with(Arc::clone(&world.storage), &VaultOptions::default());
        for vault in [&world.vault, &fresh] {
            for (path, id) in made.paths() {
                let node = find(vault, &path).unwrap();
                prop_assert_eq!(node.kind(), made.items[id].kind());
                if let (Item::File(expected), NodeKind::File) = (&made.items[id], node.kind()) {
                    prop_assert!(lab::read(vault, &path).unwrap() == *expected);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(lab::cases(32))]

    /// Wherever a process is killed, the step that it was in was made or was not.
    #[test]
    fn a_step_that_is_killed_was_made_or_was_not(
        lab in labs(),
        steps in prop::collection::vec(step(), 0..25),
        last in change(),
    ) {
        let storage = Arc::new(FaultyStorage::new(&lab.empty()));
        let mut world = World::new(lab, Arc::clone(&storage) as _, VaultOptions::default());
        for step in steps {
            world.step(step);
        }
        let before = world.model.clone();
        let mut after = before.clone();
        let first = storage.mutations();
        let expected = after.step(last);
        let done = world.make(&before, last);
        prop_assert_eq!(expected.is_ok(), done.is_ok());
        for call in first..=storage.mutations() {
            for pages in 0..2 {
                let image = Arc::new(storage.crash_image(call, Crash::Kill { pages }));
                let report = lab.check(&*image);
                let place = format!("{last:?} at call {call} and page {pages}");
                let worse = report.worse_than_repairable(left_by(last));
                prop_assert_eq!(worse, Vec::<&Finding>::new(), "{}", place);
                let left = outcome(&before, &after, last, &report);
                prop_assert!(left.is_some(), "{place}: {report:?}, from {before:?}");
                let vault = lab::open(&image);
                for (path, id) in left.unwrap().paths() {
                    prop_assert_eq!(find(&vault, &path).unwrap().kind(), after.items[id].kind(), "{}", place);
                }
            }
        }
    }
}

/// What a step may leave when it fails, besides what any may.
fn left_by(step: Step) -> &'static [What] {
    match step {
        Step::MakeDir(_) => &[What::EmptyDirFile],
        Step::MakeSymlink(_) => &[What::HalfLink],
        Step::RemoveDir(_) | Step::Rename(_, _, Replace::Always) => &[What::MissingContentDir],
        _ => &[],
    }
}

/// The tree that a failed step has left.
fn outcome(before: &Model, after: &Model, step: Step, report: &Report) -> Option<Model> {
    let mut possible = vec![before.clone(), after.clone()];
    match step {
        // Made, and not filled.
        Step::Create(_) => {
            let mut empty = after.clone();
            if let Some(Item::File(content)) = empty.items.last_mut() {
                content.clear();
            }
            possible.push(empty);
        }
        // A file over a link, or the reverse: the one that is replaced goes first where a name is shortened, else last,
        // from the other's place.
        Step::Rename(from, to, Replace::Always) => {
            let (_, dir, name) = before.resolve(to);
            let mut without = before.clone();
            without.children_mut(dir).remove(&name);
            let mut exchanged = before.clone();
            let exchange = Step::Rename(from, to, Replace::Exchange);
            possible.push(without);
            if exchanged.step(exchange).is_ok() {
                possible.push(exchanged);
            }
        }
        _ => {}
    }
    possible.into_iter().find(|model| model.is(report))
}

proptest! {
    #![proptest_config(lab::cases(12))]

    #[test]
    fn a_tree_in_a_folder_of_the_host_is_a_tree_of_maps(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(dir.path()).unwrap();
        drop(lab.make(&storage));
        let mut world = World::new(lab, Arc::new(storage), memory);
        for step in steps {
            world.step(step);
        }
    }
}
