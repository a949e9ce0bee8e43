//! Threads that change one vault, under shuttle, which runs them one at a time and chooses who goes on at each step. Who
//! waits for whom for ever shows as a deadlock.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use oxcrypt_core::storage::{BlockStorage, MemoryStorage, Replace};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, ErrorKind, Name, Node, Probe, Vault, VaultOptions};
use shuttle::thread;

/// Tries many interleavings at random, and many more that differ in few decisions.
fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    // Ciphers wipe the stack below them, and need that much of it.
    let config = || {
        let mut config = shuttle::Config::default();
        config.stack_size = 1 << 20;
        config.max_steps = shuttle::MaxSteps::None;
        config
    };
    shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(400), config()).run(test);
    shuttle::Runner::new(shuttle::scheduler::PctScheduler::new(3, 400), config()).run(test);
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A vault with a directory `a` and a directory `b`, and the file `a/file` of two chunks.
fn vault() -> (Arc<MemoryStorage>, Arc<Vault>) {
    let storage = Arc::new(MemoryStorage::default());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let a = builder.directory(&DirId::root(), "a").unwrap();
    builder.directory(&DirId::root(), "b").unwrap();
    builder.file(&a, "file", &vec![1; 40_000]).unwrap();
    let vault = open(&storage);
    (storage, vault)
}

fn open(storage: &Arc<MemoryStorage>) -> Arc<Vault> {
    let locked = Locked::read(Arc::clone(storage) as Arc<dyn BlockStorage>).unwrap();
    Arc::new(locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap())
}

fn lookup(vault: &Vault, dir: &Arc<Node>, entry: &str) -> oxcrypt_core::Result<Arc<Node>> {
    vault.lookup(dir, &name(entry), Instant::now())
}

fn rename(vault: &Vault, from: (&Arc<Node>, &str), to: (&Arc<Node>, &str)) -> oxcrypt_core::Result<()> {
    let (old, new) = (name(from.1), name(to.1));
    vault.rename((from.0, &old), (to.0, &new), Replace::Always, Instant::now())
}

#[test]
fn two_crossing_renames_make_no_circle() {
    check(|| {
        let (storage, vault) = vault();
        let root = vault.root();
        let (a, b) = (lookup(&vault, &root, "a").unwrap(), lookup(&vault, &root, "b").unwrap());
        let other = {
            let (vault, root, b) = (Arc::clone(&vault), Arc::clone(&root), Arc::clone(&b));
            thread::spawn(move || rename(&vault, (&root, "a"), (&b, "inside")))
        };
        let one = rename(&vault, (&root, "b"), (&a, "inside"));
        let other = other.join().unwrap();
        let losers = [one, other].into_iter().filter_map(Result::err).map(|error| error.kind());
        assert_eq!(losers.collect::<Vec<_>>(), [ErrorKind::InvalidArgument]);
        let fresh = open(&storage);
        let left = fresh.list(&fresh.root(), Instant::now()).unwrap();
        assert_eq!(left.entries().len(), 1);
    });
}

#[test]
fn files_and_directories_that_move_across_each_other_all_get_there() {
    check(|| {
        let (storage, vault) = vault();
        let (root, now) = (vault.root(), Instant::now());
        let (a, b) = (lookup(&vault, &root, "a").unwrap(), lookup(&vault, &root, "b").unwrap());
        drop(vault.create(&b, &name("other"), now).unwrap());
        vault.make_dir(&a, &name("empty"), now).unwrap();
        let mover = |from: &Arc<Node>, old: &'static str, to: &Arc<Node>, new: &'static str| {
            let (vault, from, to) = (Arc::clone(&vault), Arc::clone(from), Arc::clone(to));
            thread::spawn(move || rename(&vault, (&from, old), (&to, new)).unwrap())
        };
        let movers = [
            mover(&a, "file", &b, "moved"),
            mover(&b, "other", &a, "moved"),
            mover(&root, "b", &a, "inside"),
        ];
        vault.remove_dir(&a, &name("empty"), now).unwrap();
        movers.into_iter().for_each(|mover| mover.join().unwrap());
        let fresh = open(&storage);
        let a = lookup(&fresh, &fresh.root(), "a").unwrap();
        let inside = lookup(&fresh, &a, "inside").unwrap();
        lookup(&fresh, &inside, "moved").unwrap();
        lookup(&fresh, &a, "moved").unwrap();
        assert_eq!(fresh.list(&a, now).unwrap().entries().len(), 2);
    });
}

#[test]
fn a_file_is_one_node_whoever_looks_for_it_while_it_moves() {
    check(|| {
        let (_storage, vault) = vault();
        let root = vault.root();
        let (a, b) = (lookup(&vault, &root, "a").unwrap(), lookup(&vault, &root, "b").unwrap());
        let finders: Vec<_> = [(&a, "file"), (&b, "moved")]
            .into_iter()
            .map(|(dir, entry)| {
                let (vault, dir) = (Arc::clone(&vault), Arc::clone(dir));
                thread::spawn(move || lookup(&vault, &dir, entry))
            })
            .collect();
        rename(&vault, (&a, "file"), (&b, "moved")).unwrap();
        let moved = lookup(&vault, &b, "moved").unwrap();
        for found in finders {
            match found.join().unwrap() {
                Ok(node) => assert_eq!(node.id(), moved.id()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            }
        }
        assert_eq!(lookup(&vault, &a, "file").unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn regression_a_name_whose_file_is_replaced_is_always_there() {
    check(|| {
        let (_storage, vault) = vault();
        let (root, now) = (vault.root(), Instant::now());
        let a = lookup(&vault, &root, "a").unwrap();
        drop(vault.create(&a, &name("draft"), now).unwrap());
        vault.list(&a, now).unwrap();
        let old = lookup(&vault, &a, "file").unwrap();
        let looker = {
            let (vault, a) = (Arc::clone(&vault), Arc::clone(&a));
            thread::spawn(move || {
                let listing = vault.list(&a, now).unwrap();
                assert!(listing.find(&name("file")).is_some());
                lookup(&vault, &a, "file").unwrap()
            })
        };
        rename(&vault, (&a, "draft"), (&a, "file")).unwrap();
        let new = lookup(&vault, &a, "file").unwrap();
        let found = looker.join().unwrap();
        assert!(found.id() == old.id() || found.id() == new.id());
    });
}

#[test]
fn a_reader_sees_the_old_bytes_or_the_new_ones_and_never_damage() {
    check(|| {
        let (_storage, vault) = vault();
        let now = Instant::now();
        let a = lookup(&vault, &vault.root(), "a").unwrap();
        let node = lookup(&vault, &a, "file").unwrap();
        let file = vault.open_for_writing(&node, now).unwrap();
        let reader = {
            let (vault, node) = (Arc::clone(&vault), Arc::clone(&node));
            thread::spawn(move || {
                let mut buf = vec![0; 40_000];
                let file = vault.open(&node, now).unwrap();
                assert_eq!(file.read_at(0, &mut buf).unwrap(), 40_000);
                (buf[0], buf[39_999])
            })
        };
        assert_eq!(file.write_at(0, &[2; 40_000], SystemTime::now()).unwrap(), 40_000);
        file.flush(now).unwrap();
        let (first, last) = reader.join().unwrap();
        assert!(matches!((first, last), (1 | 2, 1 | 2)));
        let mut buf = [0; 1];
        file.read_at(39_999, &mut buf).unwrap();
        assert_eq!(buf, [2]);
    });
}

#[test]
fn no_write_is_lost_while_another_thread_flushes_and_renames() {
    check(|| {
        let (storage, vault) = vault();
        let (root, now) = (vault.root(), Instant::now());
        let a = lookup(&vault, &root, "a").unwrap();
        let node = lookup(&vault, &a, "file").unwrap();
        let file = Arc::new(vault.open_for_writing(&node, now).unwrap());
        let flusher = {
            let (vault, root, a, file) =
                (Arc::clone(&vault), Arc::clone(&root), Arc::clone(&a), Arc::clone(&file));
            thread::spawn(move || {
                file.flush(now).unwrap();
                rename(&vault, (&a, "file"), (&root, "moved")).unwrap();
                file.flush(now).unwrap();
            })
        };
        for byte in 2..4 {
            file.write_at(u64::from(byte), &[byte], SystemTime::now()).unwrap();
        }
        file.write_at(40_000, &[9; 10], SystemTime::now()).unwrap();
        flusher.join().unwrap();
        file.flush(now).unwrap();
        let fresh = open(&storage);
        let node = lookup(&fresh, &fresh.root(), "moved").unwrap();
        let mut buf = vec![0; 50_000];
        assert_eq!(fresh.open(&node, now).unwrap().read_at(0, &mut buf).unwrap(), 40_010);
        assert_eq!((buf[1], buf[2], buf[3], buf[4], buf[40_009]), (1, 2, 3, 1, 9));
    });
}

#[test]
fn of_two_who_make_the_same_name_one_does() {
    check(|| {
        let (storage, vault) = vault();
        let root = vault.root();
        let other = {
            let (vault, root) = (Arc::clone(&vault), Arc::clone(&root));
            thread::spawn(move || vault.make_dir(&root, &name("new"), Instant::now()).map(drop))
        };
        let one = vault.create(&root, &name("new"), Instant::now()).map(drop);
        let made = [one.is_ok(), other.join().unwrap().is_ok()];
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        let fresh = open(&storage);
        assert_eq!(fresh.list(&fresh.root(), Instant::now()).unwrap().entries().len(), 3);
    });
}

#[test]
fn a_directory_that_is_removed_takes_nothing_with_it_that_was_made_in_it() {
    check(|| {
        let (_storage, vault) = vault();
        let (root, now) = (vault.root(), Instant::now());
        let b = lookup(&vault, &root, "b").unwrap();
        let other = {
            let (vault, b) = (Arc::clone(&vault), Arc::clone(&b));
            thread::spawn(move || vault.create(&b, &name("new"), now).map(drop).map_err(|error| error.kind()))
        };
        let removed = vault.remove_dir(&root, &name("b"), now).map_err(|error| error.kind());
        match (other.join().unwrap(), removed) {
            (Ok(()), Err(ErrorKind::NotEmpty)) | (Err(ErrorKind::NotFound), Ok(())) => {}
            both => panic!("{both:?}"),
        }
    });
}

#[test]
fn regression_a_file_that_memory_opens_while_another_closes_it_is_told_as_unopened() {
    check(|| {
        let (_storage, vault) = vault();
        let a = lookup(&vault, &vault.root(), "a").unwrap();
        let node = lookup(&vault, &a, "file").unwrap();
        vault.open(&node, Instant::now()).unwrap().read_at(0, &mut [0; 10]).unwrap();
        let Probe::Ready(known) = vault.resident().file(node.id()) else { panic!("memory has it") };
        let open = || vault.open_resident(&node, &known, Instant::now()).unwrap();
        let first = open();
        let closer = thread::spawn(move || drop(first));
        let second = open();
        closer.join().unwrap();
        assert!(known.is_unopened());
        drop(second);
        assert!(!known.is_unopened());
    });
}
