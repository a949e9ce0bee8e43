//! What an operation costs in calls of the storage: on a cloud drive each of them is a round trip.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{
    Attributes, BlockStorage, EntryKind, FaultyStorage, MemoryStorage, Method, Verdict,
};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, Entry, ErrorKind, Name, NodeKind, Probe, Vault, VaultOptions};

use crate::fixtures::{unlock, unlock_with};

/// A vault with everything in its root, and the storage that counts.
fn vault(fill: impl FnOnce(&VaultBuilder<'_>)) -> (Vault, Arc<FaultyStorage>) {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    fill(&builder);
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    (unlock(Arc::clone(&storage) as _, "passphrase"), storage)
}

/// The calls that `work` makes.
fn calls<T>(storage: &FaultyStorage, work: impl FnOnce() -> T) -> (Vec<(Method, u64)>, T) {
    const METHODS: [Method; 5] =
        [Method::Open, Method::Metadata, Method::List, Method::ReadAt, Method::TryReadAt];
    let before = storage.counts();
    let result = work();
    let after = storage.counts();
    let difference = |method| after.of(method) - before.of(method);
    let made = METHODS.map(|method| (method, difference(method))).into_iter().filter(|(_, count)| *count > 0);
    let made: Vec<_> = made.collect();
    assert_eq!(made.iter().map(|(_, count)| count).sum::<u64>(), after.total() - before.total());
    (made, result)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn listing_a_directory_of_a_thousand_files_costs_one_scan() {
    let (vault, storage) = vault(|builder| {
        for number in 0..1_000 {
            builder.file(&DirId::root(), &format!("file {number}"), b"").unwrap();
        }
    });
    let now = Instant::now();
    let (made, listing) = calls(&storage, || vault.list(&vault.root(), now).unwrap());
    assert_eq!((made, listing.entries().len()), (vec![(Method::List, 1)], 1_000));
    // And then everything that the scan has told is known: what is there, and what is not.
    let (made, ()) = calls(&storage, || {
        assert_eq!(vault.lookup(&vault.root(), &name("file 7"), now).unwrap().kind(), NodeKind::File);
        assert_eq!(vault.lookup(&vault.root(), &name("none"), now).unwrap_err().kind(), ErrorKind::NotFound);
        vault.list(&vault.root(), now).unwrap();
    });
    assert_eq!(made, []);
}

#[test]
fn what_listed_files_are_like_costs_one_question_for_each_and_is_what_each_tells_alone() {
    let (vault, storage) = vault(|builder| {
        for number in 0..50 {
            builder.file(&DirId::root(), &format!("file {number}"), &vec![7; number]).unwrap();
        }
        builder.file(&DirId::root(), &"l".repeat(200), b"long").unwrap();
        builder.symlink(&DirId::root(), "link", "target").unwrap();
        builder.directory(&DirId::root(), "dir").unwrap();
    });
    let (now, root) = (Instant::now(), vault.root());
    let listing = vault.list(&root, now).unwrap();
    let files: Vec<_> = listing.entries().iter().filter(|entry| entry.shown().starts_with("file")).collect();
    let files: Vec<_> = files.into_iter().cloned().collect();
    let (made, seen) = calls(&storage, || vault.entries(&root, &files, now));
    assert_eq!((made, seen.len()), (vec![(Method::Metadata, 50)], 50));
    let (made, _) = calls(&storage, || vault.entries(&root, &files, now));
    assert_eq!(made, [], "and memory knows it then");
    let Some(Entry::Sound(gone)) = files.get(3) else { panic!("{files:?}") };
    storage.remove(gone.path(), EntryKind::File).unwrap();
    let later = now + Duration::from_hours(1);
    for (entry, seen) in listing.entries().iter().zip(vault.entries(&root, listing.entries(), later)) {
        let Entry::Sound(found) = entry else { panic!("{entry:?}") };
        let node = vault.node(&root, found, later).unwrap();
        assert_eq!(seen.node.map(|node| node.id()), Some(node.id()));
        assert_eq!(seen.attributes, vault.attributes(&node, later).ok());
        assert_eq!(seen.attributes.is_none(), found == gone);
    }
}

#[test]
fn reading_a_megabyte_costs_one_ciphertext_read() {
    let mut path = None;
    let (vault, storage) = vault(|builder| {
        path = Some(builder.file(&DirId::root(), "file", &vec![7; 3 << 20]).unwrap());
    });
    // Without a time nobody could say that the file is what it was when it is opened again.
    let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
    storage.set_attributes(&path.unwrap(), &modified).unwrap();
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &name("file"), now).unwrap();
    let (made, file) = calls(&storage, || vault.open(&node, now).unwrap());
    assert_eq!(made, [(Method::Open, 1)]);
    let read = |offset| calls(&storage, || file.read_at(offset, &mut vec![0; 1 << 20]).unwrap()).0;
    // The header comes along with the first chunk.
    assert_eq!(read(0), [(Method::ReadAt, 1)]);
    assert_eq!(read(0), [], "what was read is in memory");
    assert_eq!(read((1 << 20) + 5), [(Method::ReadAt, 1)]);
    let again = vault.open(&node, now).unwrap();
    let (made, _) = calls(&storage, || again.read_at(100, &mut [0; 100]).unwrap());
    assert_eq!(made, [], "and stays there when the file is closed and opened again");
}

#[test]
fn a_long_cold_read_costs_one_ciphertext_read_for_each_four_megabytes() {
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", &vec![7; 16 << 20]).unwrap();
    });
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &name("file"), now).unwrap();
    // No time: each opening is cold. Only the header lies apart where the first chunk is not wanted.
    for (offset, len, reads) in [(0, 16 << 20, 4), (32_768, 12 << 20, 1 + 3)] {
        let file = vault.open(&node, now).unwrap();
        let (made, _) = calls(&storage, || file.read_at(offset, &mut vec![0; len]).unwrap());
        assert_eq!(made, [(Method::ReadAt, reads)]);
    }
}

#[test]
fn at_the_end_of_a_file_there_is_nothing_to_read_again() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.file(&DirId::root(), "file", &[1; 1_000]).unwrap();
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    let options = VaultOptions::default().chunk_cache_bytes(0);
    let vault = unlock_with(Arc::clone(&storage) as _, &options);
    let now = Instant::now();
    let file = vault.open(&vault.lookup(&vault.root(), &name("file"), now).unwrap(), now).unwrap();
    let read = |offset| calls(&storage, || file.read_at(offset, &mut [0; 4_096]).unwrap());
    assert_eq!(read(0), (vec![(Method::ReadAt, 1)], 1_000));
    for offset in [1_000, 1_001, 1 << 40] {
        assert_eq!(read(offset), (vec![], 0));
    }
}

#[test]
fn a_hole_in_the_cache_costs_one_read_for_each_run_around_it() {
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", &vec![7; 1 << 20]).unwrap();
    });
    let now = Instant::now();
    let file = vault.open(&vault.lookup(&vault.root(), &name("file"), now).unwrap(), now).unwrap();
    let (made, _) = calls(&storage, || file.read_at(10 * 32_768, &mut [0; 10]).unwrap());
    assert_eq!(made, [(Method::ReadAt, 2)], "the header, and the chunk");
    let (made, _) = calls(&storage, || file.read_at(0, &mut vec![0; 1 << 20]).unwrap());
    assert_eq!(made, [(Method::ReadAt, 2)], "before it, and behind it");
}

#[test]
fn a_lookup_costs_what_there_is_to_know() {
    let long = "l".repeat(200);
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", b"x").unwrap();
        builder.file(&DirId::root(), &long, b"x").unwrap();
        builder.symlink(&DirId::root(), "link", "target").unwrap();
        builder.directory(&DirId::root(), "dir").unwrap();
    });
    let now = Instant::now();
    let lookup = |text: &str| calls(&storage, || vault.lookup(&vault.root(), &name(text), now).map(|_| ())).0;
    let total = |made: &[(Method, u64)]| made.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(lookup("file"), [(Method::Metadata, 1)]);
    // A shortened entry may say that it is another: its folder, and its name.
    assert_eq!(lookup(&long), [(Method::Open, 1), (Method::List, 1), (Method::ReadAt, 1)]);
    assert!(total(&lookup("link")) <= 3);
    assert!(total(&lookup("dir")) <= 4);
    for known in ["file", "link", "dir", &long] {
        assert_eq!(lookup(known), [], "{known}");
    }
}

/// Fifty entries whose names are shortened: to list them costs a hundred calls more than one scan.
fn fifty_long_names(builder: &VaultBuilder<'_>) {
    for number in 0..50 {
        builder.file(&DirId::root(), &format!("{}{number}", "l".repeat(200)), b"").unwrap();
    }
}

#[test]
fn that_a_name_is_not_there_is_asked_once_in_a_directory() {
    let (vault, storage) = vault(fifty_long_names);
    let (now, root) = (Instant::now(), vault.root());
    let absent = |text: &str| {
        let (made, error) = calls(&storage, || vault.lookup(&root, &name(text), now).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::NotFound);
        made
    };
    // Under its own spelling first, then among what the directory shows: a copy may be shown by this name.
    let first = [(Method::Open, 50), (Method::Metadata, 1), (Method::List, 1), (Method::ReadAt, 50)];
    assert_eq!(absent("absent"), first);
    assert_eq!(absent("absent"), []);
    assert_eq!(absent("another"), []);
    assert_eq!(absent(&"m".repeat(200)), []);
}

#[test]
fn that_a_name_is_not_there_costs_one_question_where_the_listing_could_not_tell_all() {
    let (vault, storage) = vault(fifty_long_names);
    let (now, root) = (Instant::now(), vault.root());
    let unreadable = std::sync::OnceLock::new();
    storage.on_call(move |call| match call.path.file_name() {
        Some("name.c9s") if *unreadable.get_or_init(|| call.path.clone()) == call.path => {
            Verdict::Fail(std::io::ErrorKind::PermissionDenied)
        }
        _ => Verdict::Pass,
    });
    let absent = |text: &str| {
        let (made, error) = calls(&storage, || vault.lookup(&root, &name(text), now).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::NotFound);
        made
    };
    let first = [(Method::Open, 50), (Method::Metadata, 1), (Method::List, 1), (Method::ReadAt, 49)];
    assert_eq!(absent("absent"), first);
    assert_eq!(absent("absent"), []);
    assert_eq!(absent("another"), [(Method::Metadata, 1)]);
    assert_eq!(absent("another"), []);
    let (made, listing) = calls(&storage, || vault.list(&root, now).unwrap());
    assert_eq!((made, listing.entries().len()), (vec![], 50));
    // What it does show is known: only what kind of entry it is must be asked.
    let Some(Entry::Sound(shown)) = listing.entries().last() else { panic!("{listing:?}") };
    let (made, node) = calls(&storage, || vault.lookup(&root, shown.name(), now).unwrap());
    assert_eq!((made, node.kind()), (vec![(Method::List, 1)], NodeKind::File));
}

#[test]
fn a_directory_too_large_for_the_cache_is_listed_once_all_the_same() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    for number in 0..1_000 {
        builder.file(&DirId::root(), &format!("file {number}"), b"").unwrap();
    }
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock_with(Arc::clone(&storage) as _, &VaultOptions::default().tree_cache_bytes(10_000));
    let (now, root) = (Instant::now(), vault.root());
    vault.list(&root, now).unwrap();
    let (made, ()) = calls(&storage, || {
        for number in 0..1_000 {
            vault.lookup(&root, &name(&format!("file {number}")), now).unwrap();
            vault.lookup(&root, &name(&format!("absent {number}")), now).unwrap_err();
        }
    });
    assert_eq!(made, []);
}

#[test]
fn damage_is_said_after_one_question_whether_the_file_has_changed() {
    let mut path = None;
    let (vault, storage) = vault(|builder| {
        path = Some(builder.ciphertext_file(&DirId::root(), "file", &[1; 1_000]).unwrap());
    });
    let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
    storage.set_attributes(&path.unwrap(), &modified).unwrap();
    let now = Instant::now();
    let file = vault.open(&vault.lookup(&vault.root(), &name("file"), now).unwrap(), now).unwrap();
    let (made, error) = calls(&storage, || file.read_at(0, &mut [0; 10]).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(made, [(Method::Metadata, 1), (Method::ReadAt, 1)]);
}

#[test]
fn attributes_cost_one_question_and_open_nothing() {
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", &[1; 100]).unwrap();
    });
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &name("file"), now).unwrap();
    let (made, attributes) = calls(&storage, || vault.attributes(&node, now).unwrap());
    assert_eq!((made, attributes.len), (vec![], 100), "the lookup has told them");
    let later = now + VaultOptions::default().max_age * 2;
    let (made, attributes) = calls(&storage, || vault.attributes(&node, later).unwrap());
    assert_eq!((made, attributes.len), (vec![(Method::Metadata, 1)], 100));
}

#[test]
fn a_failed_question_is_asked_again_and_never_remembered_as_an_answer() {
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", &[1; 100]).unwrap();
        builder.file(&DirId::root(), &"l".repeat(200), b"x").unwrap();
    });
    let (now, root) = (Instant::now(), vault.root());
    storage.on_call(|_| Verdict::Fail(std::io::ErrorKind::TimedOut));
    assert_eq!(vault.lookup(&root, &name("file"), now).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(vault.list(&root, now).unwrap_err().kind(), ErrorKind::TimedOut);
    // Only the long name cannot be read: the listing says so, and is not believed where it shows nothing.
    storage.on_call(|call| match call.path.file_name() {
        Some("name.c9s") => Verdict::Fail(std::io::ErrorKind::TimedOut),
        _ => Verdict::Pass,
    });
    assert_eq!(vault.list(&root, now).unwrap().entries().len(), 2);
    assert!(vault.resident().list(&root, now).ready().is_some());
    assert!(vault.resident().lookup(&root, &name("file"), now).ready().unwrap().is_ok());
    assert!(matches!(vault.resident().lookup(&root, &name(&"l".repeat(200)), now), Probe::Absent));
    storage.on_call(|_| Verdict::Pass);
    let node = vault.lookup(&root, &name("file"), now).unwrap();
    let file = vault.open(&node, now).unwrap();
    storage.on_call(|_| Verdict::Fail(std::io::ErrorKind::TimedOut));
    assert_eq!(file.read_at(0, &mut [0; 10]).unwrap_err().kind(), ErrorKind::TimedOut);
    storage.on_call(|_| Verdict::Pass);
    assert_eq!(file.read_at(0, &mut [0; 10]).unwrap(), 10);
}

#[test]
fn memory_answers_while_every_call_hangs() {
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", &vec![1; 100_000]).unwrap();
        builder.symlink(&DirId::root(), "link", "target").unwrap();
    });
    let (now, root) = (Instant::now(), vault.root());
    let file = vault.open(&vault.lookup(&root, &name("file"), now).unwrap(), now).unwrap();
    file.read_at(0, &mut vec![0; 100_000]).unwrap();
    let link = vault.lookup(&root, &name("link"), now).unwrap();
    vault.read_link(&link, now).unwrap();
    vault.list(&root, now).unwrap();
    // Any call would panic now, instead of hanging the test.
    storage.on_call(|_| Verdict::Panic);
    let resident = vault.resident();
    assert!(resident.list(&root, now).ready().is_some());
    assert!(resident.lookup(&root, &name("link"), now).ready().unwrap().is_ok());
    assert_eq!(resident.read_link(&link, now).ready().as_deref(), Some("target"));
    assert_eq!(resident.attributes(file.node(), now).ready().unwrap().len, 100_000);
    let known = resident.file(file.node().id()).ready().unwrap();
    assert_eq!(known.read(99_990, &mut [0; 100]), Probe::Ready(10));
    assert_eq!(known.read(0, &mut vec![0; 100_000]), Probe::Ready(100_000));
}

#[test]
fn what_is_too_old_is_asked_again() {
    let (vault, storage) = vault(|builder| {
        builder.file(&DirId::root(), "file", b"x").unwrap();
    });
    let (now, root) = (Instant::now(), vault.root());
    vault.list(&root, now).unwrap();
    let (made, _) = calls(&storage, || vault.list(&root, now + Duration::from_mins(1)).unwrap());
    assert_eq!(made, [(Method::List, 1)]);
}
