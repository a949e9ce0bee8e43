//! Faults that were found by reading the code: each had a call of the library do what it must not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{
    Attributes, BlockStorage, Crash, EntryKind, FaultyStorage, Gate, MemoryStorage, Method, Replace, Verdict,
};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{CiphertextPath, DirId, Entry, ErrorKind, File, Name, Stored, Vault, VaultOptions};

use crate::fixtures::{unlock, unlock_with};
use crate::lab::{self, Lab};
use crate::plain::Plain;

/// No test waits longer for what is to happen at once.
const PATIENCE: Duration = Duration::from_mins(1);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn content(vault: &Vault, file: &str) -> Vec<u8> {
    let now = Instant::now();
    whole(&vault.open(&vault.lookup(&vault.root(), &name(file), now).unwrap(), now).unwrap())
}

fn whole(file: &File) -> Vec<u8> {
    let mut buf = vec![0; 1 << 20];
    let len = file.read_at(0, &mut buf).unwrap();
    buf.truncate(len);
    buf
}

/// A vault with nothing in it.
fn vault() -> (Arc<FaultyStorage>, Vault) {
    let storage = MemoryStorage::default();
    VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    (storage, vault)
}

#[test]
fn regression_a_change_that_hangs_stops_no_lookup_elsewhere() {
    const HANGING: usize = 8;
    const FILES: usize = 600;
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let here = builder.directory(&DirId::root(), "here").unwrap();
    (0..FILES).for_each(|number| drop(builder.file(&here, &number.to_string(), b"").unwrap()));
    for number in 0..HANGING {
        builder.directory(&DirId::root(), &number.to_string()).unwrap();
    }
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    // Every lookup is to ask storage.
    let options = VaultOptions::default().max_age(Duration::ZERO);
    let vault = unlock_with(Arc::clone(&storage) as _, &options);
    let (root, now) = (vault.root(), Instant::now());
    let here = vault.lookup(&root, &name("here"), now).unwrap();
    let dirs: Vec<_> =
        (0..HANGING).map(|number| vault.lookup(&root, &name(&number.to_string()), now).unwrap()).collect();
    let gate = Arc::new(Gate::default());
    let hang = Arc::clone(&gate);
    let new: Vec<_> = dirs.iter().map(|dir| vault.content_path(dir)).collect();
    storage.on_call(move |call| match call.method {
        Method::Open if call.path.parent().is_some_and(|dir| new.contains(&dir)) => {
            Verdict::Hold(Arc::clone(&hang))
        }
        _ => Verdict::Pass,
    });
    thread::scope(|scope| {
        for dir in &dirs {
            scope.spawn(|| vault.create(dir, &name("new"), now).unwrap());
        }
        gate.wait_for(HANGING);
        let (done, all_done) = mpsc::channel();
        scope.spawn(|| {
            let done = done;
            for number in 0..FILES {
                vault.lookup(&here, &name(&number.to_string()), now).unwrap();
            }
            done.send(()).unwrap();
        });
        let result = all_done.recv_timeout(PATIENCE);
        gate.open();
        assert_eq!(result, Ok(()), "some lookup never came to an end");
    });
}

#[test]
fn regression_nobody_takes_a_sync_that_is_still_running_for_one_that_is_done() {
    let (storage, vault) = vault();
    let (root, now) = (vault.root(), Instant::now());
    let dir = vault.make_dir(&root, &name("dir"), now).unwrap();
    let files = ["one", "other"].map(|file| vault.create(&dir, &name(file), now).unwrap());
    for file in &files {
        file.write_at(0, b"content", SystemTime::now()).unwrap();
    }
    let (gate, is_held) = (Arc::new(Gate::default()), AtomicBool::new(false));
    let (hang, folder) = (Arc::clone(&gate), vault.content_path(&dir).parent().unwrap());
    storage.on_call(move |call| match call.method {
        Method::SyncDir if call.path == folder && !is_held.swap(true, Ordering::Relaxed) => {
            Verdict::Hold(Arc::clone(&hang))
        }
        _ => Verdict::Pass,
    });
    let at = thread::scope(|scope| {
        scope.spawn(|| files[0].sync(now).unwrap());
        gate.wait_for(1);
        // What leads to both is being synced by the first.
        files[1].sync(now).unwrap();
        let at = storage.mutations();
        gate.open();
        at
    });
    for seed in 0..20 {
        let image = storage.crash_image(at, Crash::PowerLoss { seed });
        let vault = unlock(Arc::new(image), "passphrase");
        let dir = vault.lookup(&vault.root(), &name("dir"), now).unwrap();
        let file = vault.open(&vault.lookup(&dir, &name("other"), now).unwrap(), now).unwrap();
        let mut buf = [0; 7];
        assert_eq!((file.read_at(0, &mut buf).unwrap(), &buf), (7, b"content"), "seed {seed}");
    }
}

#[test]
fn regression_what_was_removed_makes_no_later_sync_dearer() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let dir = builder.directory(&DirId::root(), "dir").unwrap();
    builder.file(&dir, "file", b"content").unwrap();
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    // More than are remembered until they are synced.
    for _ in 0..5_000 {
        vault.make_symlink(&root, &name("short-lived"), "target", now).unwrap();
        vault.remove(&root, &name("short-lived"), now).unwrap();
    }
    let dir = vault.lookup(&root, &name("dir"), now).unwrap();
    let file = vault.open_for_writing(&vault.lookup(&dir, &name("file"), now).unwrap(), now).unwrap();
    file.write_at(0, b"CONTENT", SystemTime::now()).unwrap();
    file.flush(now).unwrap();
    let before = storage.counts().total();
    file.sync(now).unwrap();
    assert_eq!(storage.counts().total() - before, 1);
}

#[test]
fn regression_no_rename_replaces_what_is_shown_under_another_name() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe { threshold: 36, ..Recipe::default() }).unwrap();
    let (shown, free) = ("what it says it is called", "what its folder is called");
    builder.file(&DirId::root(), shown, b"precious").unwrap();
    builder.file(&DirId::root(), "new", b"worthless").unwrap();
    let (from, to) = (builder.spell(&DirId::root(), shown).0, builder.spell(&DirId::root(), free).0);
    drop(builder);
    storage.rename(&from, &to, Replace::Never).unwrap();
    let vault = unlock(Arc::new(storage), "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    assert_eq!(vault.lookup(&root, &name(free), now).unwrap_err().kind(), ErrorKind::NotFound);
    for vault in [&vault.afresh(&VaultOptions::default()), &vault] {
        let (root, names) = (vault.root(), (name("new"), name(free)));
        let renamed = vault.rename((&root, &names.0), (&root, &names.1), Replace::Always, now);
        assert_eq!(renamed.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(content(vault, shown), b"precious");
    }
}

#[test]
fn regression_a_file_that_cannot_be_stored_for_damage_can_be_begun_anew() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let mut ciphertext = builder.encrypt(b"content");
    *ciphertext.last_mut().unwrap() ^= 1;
    builder.ciphertext_file(&DirId::root(), "file", &ciphertext).unwrap();
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let file = vault.open_for_writing(&vault.lookup(&root, &name("file"), now).unwrap(), now).unwrap();
    file.write_at(100_000, b"far behind", time).unwrap();
    assert_eq!(file.flush(now).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(file.write_at(0, b"more", time).unwrap_err().kind(), ErrorKind::Damaged);
    file.set_len(0, time).unwrap();
    file.write_at(0, b"new", time).unwrap();
    file.flush(now).unwrap();
    assert_eq!(content(&vault.afresh(&VaultOptions::default()), "file"), b"new");
    assert!(vault.unsaved().is_empty());
}

#[test]
fn regression_a_directory_that_replaces_its_own_copy_keeps_what_is_in_it() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let id = builder.directory(&DirId::root(), "dir").unwrap();
    builder.directory_with_id(&DirId::root(), "copy", &id).unwrap();
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    vault.rename((&root, &name("copy")), (&root, &name("dir")), Replace::Always, now).unwrap();
    let dir = vault.lookup(&root, &name("dir"), now).unwrap();
    assert!(vault.create(&dir, &name("file"), now).is_ok());
    assert_eq!(vault.list(&root, now).unwrap().entries().len(), 1);
}

#[test]
fn regression_one_conflict_makes_one_copy_whoever_opens_the_other_file_meanwhile() {
    let storage = Arc::new(MemoryStorage::default());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let path = builder.file(&DirId::root(), "file", b"old content").unwrap();
    let foreign = builder.encrypt(b"foreign");
    drop(builder);
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let node = vault.lookup(&root, &name("file"), now).unwrap();
    let ours = vault.open_for_writing(&node, now).unwrap();
    ours.write_at(0, b"our", time).unwrap();
    let temporary = CiphertextPath::parse("temporary").unwrap();
    storage.write_new(&temporary, &foreign).unwrap();
    storage.rename(&temporary, &path, Replace::Always).unwrap();
    // By the node that its kernel still has for the name.
    let theirs = vault.open_for_writing(&node, now).unwrap();
    assert_eq!(vault.attributes(&node, now).unwrap().len, 11, "that of what was written to");
    theirs.write_at(0, b"FOREIGN", time).unwrap();
    assert_eq!(theirs.flush(now).unwrap(), Stored::InPlace);
    assert_eq!(ours.flush(now).unwrap(), Stored::ConflictCopy { lost_chunks: 0 });
    for file in [&ours, &theirs] {
        file.write_at(0, b"more", time).unwrap();
        assert_eq!(file.flush(now).unwrap(), Stored::InPlace);
    }
    let fresh = vault.afresh(&VaultOptions::default());
    assert_eq!(content(&fresh, "file"), b"moreIGN");
    assert_eq!(content(&fresh, "file (conflict 1)"), b"morecontent");
    assert_eq!(fresh.list(&fresh.root(), now).unwrap().entries().len(), 2);
}

#[test]
fn regression_what_is_written_after_a_time_was_set_is_later_than_that() {
    let (_, vault) = vault();
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let file = vault.create(&root, &name("file"), now).unwrap();
    file.write_at(0, b"content", time).unwrap();
    let modified = Some(SystemTime::UNIX_EPOCH);
    let times = Attributes { modified, ..Attributes::default() };
    vault.set_attributes(file.node(), &times, now).unwrap();
    assert_eq!(vault.attributes(file.node(), now).unwrap().modified, modified);
    file.write_at(7, b" and more", time).unwrap();
    assert_eq!(vault.attributes(file.node(), now).unwrap().modified, Some(time));
    file.flush(now).unwrap();
    assert_ne!(vault.attributes(file.node(), now).unwrap().modified, modified);
    vault.set_attributes(file.node(), &times, now).unwrap();
    assert_eq!(vault.attributes(file.node(), now).unwrap().modified, modified);
}

#[test]
fn regression_times_that_the_storage_refuses_are_refused_once() {
    let (storage, vault) = vault();
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let file = vault.create(&root, &name("file"), now).unwrap();
    file.write_at(0, b"content", time).unwrap();
    storage.on_call(|call| match call.method {
        Method::SetAttributes => Verdict::Fail(std::io::ErrorKind::PermissionDenied),
        _ => Verdict::Pass,
    });
    let times = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
    vault.set_attributes(file.node(), &times, now).unwrap();
    assert_eq!(file.flush(now).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(file.flush(now).unwrap(), Stored::InPlace);
    assert!(vault.unsaved().is_empty());
}

#[test]
fn regression_a_chunk_that_is_in_memory_is_not_read_again_to_cut_or_extend_the_file() {
    for len in [100, 1_000_000] {
        let storage = MemoryStorage::default();
        let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
        builder.file(&DirId::root(), "file", &[7; 1_000]).unwrap();
        drop(builder);
        let storage = Arc::new(FaultyStorage::new(&storage));
        let vault = unlock(Arc::clone(&storage) as _, "passphrase");
        let (root, now) = (vault.root(), Instant::now());
        let file = vault.open_for_writing(&vault.lookup(&root, &name("file"), now).unwrap(), now).unwrap();
        whole(&file);
        let reads = storage.counts().of(Method::ReadAt);
        file.set_len(len, SystemTime::now()).unwrap();
        file.flush(now).unwrap();
        assert_eq!(storage.counts().of(Method::ReadAt), reads, "to {len}");
        let mut expected = vec![7; 1_000];
        expected.resize(usize::try_from(len).unwrap(), 0);
        assert_eq!(content(&vault.afresh(&VaultOptions::default()), "file"), expected);
    }
}

#[test]
fn regression_a_conflict_copy_is_written_in_large_pieces() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let path = builder.file(&DirId::root(), "file", &vec![7; 10 << 20]).unwrap();
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    let file = vault.open_for_writing(&vault.lookup(&root, &name("file"), now).unwrap(), now).unwrap();
    file.write_at(5 << 20, b"new", SystemTime::now()).unwrap();
    storage.remove(&path, EntryKind::File).unwrap();
    let before = storage.counts();
    assert_eq!(file.flush(now).unwrap(), Stored::ConflictCopy { lost_chunks: 0 });
    let made = |method| storage.counts().of(method) - before.of(method);
    assert!(made(Method::WriteAt) + made(Method::ReadAt) < 30, "{:?}", storage.counts());
}

#[test]
fn regression_a_listed_file_costs_nothing_whatever_is_changed_elsewhere() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let here = builder.directory(&DirId::root(), "here").unwrap();
    (0..1_000).for_each(|number| drop(builder.file(&here, &number.to_string(), b"").unwrap()));
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    let here = vault.lookup(&root, &name("here"), now).unwrap();
    let listing = vault.list(&here, now).unwrap();
    for number in 0..1_000 {
        vault.make_symlink(&root, &name(&number.to_string()), "target", now).unwrap();
    }
    let before = storage.counts().total();
    for entry in listing.entries() {
        let Entry::Sound(found) = entry else { panic!("{entry:?}") };
        vault.node(&here, found, now).unwrap();
    }
    assert_eq!(storage.counts().total() - before, 0);
}

#[test]
fn regression_of_a_sparse_file_what_is_whole_is_known_at_once() {
    let (_, vault) = vault();
    let file = vault.create(&vault.root(), &name("file"), Instant::now()).unwrap();
    file.set_len(3 << 30, SystemTime::now()).unwrap();
    let begun = Instant::now();
    for _ in 0..20_000 {
        assert!(file.resident().is_whole());
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn regression_a_length_that_no_file_has_is_too_large() {
    let (_, vault) = vault();
    let (time, file) =
        (SystemTime::now(), vault.create(&vault.root(), &name("file"), Instant::now()).unwrap());
    for offset in [u64::MAX, u64::MAX - 1, u64::MAX - 40_000, 1 << 63] {
        assert_eq!(file.write_at(offset, b"bytes", time).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(file.set_len(offset, time).unwrap_err().kind(), ErrorKind::TooLarge);
    }
    assert!(file.is_empty());
}

#[test]
fn regression_a_directory_that_others_have_made_anew_is_not_cut_off() {
    for replaces in [false, true] {
        let storage = Arc::new(MemoryStorage::default());
        let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
        builder.directory(&DirId::root(), "empty").unwrap();
        let old = builder.directory(&DirId::root(), "dir").unwrap();
        let content_dir = builder.content_dir(&old).unwrap();
        let dir_file = builder.spell(&DirId::root(), "dir").0.join("dir.c9r").unwrap();
        let vault = unlock(Arc::clone(&storage) as _, "passphrase");
        let (root, now) = (vault.root(), Instant::now());
        vault.lookup(&root, &name("dir"), now).unwrap();
        // Somebody else removes the directory, and makes another one with a file in it.
        let new = builder.directory(&DirId::root(), "new").unwrap();
        builder.file(&new, "file", b"content").unwrap();
        drop(builder);
        storage.remove(&content_dir, EntryKind::Directory).unwrap();
        storage.remove(&dir_file, EntryKind::File).unwrap();
        storage.write_new(&dir_file, new.as_bytes()).unwrap();
        let removed = if replaces {
            vault.rename((&root, &name("empty")), (&root, &name("dir")), Replace::Always, now)
        } else {
            vault.remove_dir(&root, &name("dir"), now)
        };
        assert_eq!(removed.unwrap_err().kind(), ErrorKind::Incomplete);
        let dir = vault.lookup(&root, &name("dir"), now).unwrap();
        assert_eq!(vault.list(&dir, now).unwrap().entries().len(), 1);
    }
}

#[test]
fn regression_a_folder_in_the_place_of_a_file_is_not_that_file() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let path = builder.file(&DirId::root(), "file", b"old").unwrap();
    drop(builder);
    let storage =
        Arc::new(Plain { inner: Arc::new(storage), tells_files_apart: false, always_replaces: false });
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    let file = vault.open_for_writing(&vault.lookup(&root, &name("file"), now).unwrap(), now).unwrap();
    file.write_at(0, b"new", SystemTime::now()).unwrap();
    storage.inner.remove(&path, EntryKind::File).unwrap();
    storage.inner.create_dir(&path).unwrap();
    assert_eq!(file.flush(now).unwrap(), Stored::ConflictCopy { lost_chunks: 0 });
    assert_eq!(content(&vault.afresh(&VaultOptions::default()), "file (conflict 1)"), b"new");
}

#[test]
fn regression_what_a_sync_has_given_up_on_is_never_called_durable() {
    let memory = MemoryStorage::default();
    VaultBuilder::create(&memory, Recipe::default()).unwrap();
    let storage = Arc::new(FaultyStorage::new(&memory));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let file = vault.create(&root, &name("file"), now).unwrap();
    file.write_at(0, b"bytes", time).unwrap();
    storage.on_call(|call| match call.method {
        Method::Sync => Verdict::Fail(std::io::ErrorKind::Other),
        _ => Verdict::Pass,
    });
    assert_eq!(file.sync(now).unwrap_err().kind(), ErrorKind::Storage);
    storage.on_call(|_| Verdict::Pass);
    // The host may have dropped them, and a sync of what is left says nothing of that.
    assert_eq!(file.sync(now).unwrap_err().kind(), ErrorKind::Storage);
    file.set_len(0, time).unwrap();
    file.write_at(0, b"bytes", time).unwrap();
    assert_eq!(file.sync(now).unwrap(), Stored::InPlace);
}

#[test]
fn regression_a_rename_replaces_what_memory_believed_was_not_there() {
    let storage = Arc::new(MemoryStorage::default());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    builder.file(&DirId::root(), "file", b"new").unwrap();
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now) = (vault.root(), Instant::now());
    assert_eq!(vault.lookup(&root, &name("other"), now).unwrap_err().kind(), ErrorKind::NotFound);
    builder.file(&DirId::root(), "other", b"of somebody else").unwrap();
    vault.rename((&root, &name("file")), (&root, &name("other")), Replace::Always, now).unwrap();
    let fresh = vault.afresh(&VaultOptions::default());
    assert_eq!(content(&fresh, "other"), b"new");
    assert_eq!(fresh.list(&fresh.root(), now).unwrap().entries().len(), 1);
}

#[test]
fn regression_a_failed_sync_is_not_forgotten_where_others_touch_the_file() {
    let memory = MemoryStorage::default();
    VaultBuilder::create(&memory, Recipe::default()).unwrap();
    let storage = Arc::new(FaultyStorage::new(&memory));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let file = vault.create(&root, &name("file"), now).unwrap();
    file.write_at(0, b"bytes", time).unwrap();
    storage.on_call(|call| match call.method {
        Method::Sync => Verdict::Fail(std::io::ErrorKind::Other),
        _ => Verdict::Pass,
    });
    assert!(file.sync(now).is_err());
    storage.on_call(|_| Verdict::Pass);
    let touched = Attributes { modified: Some(time + Duration::from_secs(9)), ..Attributes::default() };
    storage.set_attributes(&file.node().ciphertext_path(), &touched).unwrap();
    let was = file.resident().content_id();
    vault.attributes(file.node(), now + Duration::from_mins(1)).unwrap();
    assert_ne!(file.resident().content_id(), was, "the change was noticed");
    assert_eq!(file.sync(now).unwrap_err().kind(), ErrorKind::Storage);
}

#[test]
fn regression_whoever_sets_no_time_of_modification_hides_no_change_of_others() {
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &lab::bytes(100, 0))));
    let (vault, others) = (lab::open(&storage), lab::open(&storage));
    let (node, now) = (lab::find(&vault, "file").unwrap(), Instant::now());
    let at = |seconds| Some(lab::at(seconds));
    let date = |seconds| {
        let modified = Attributes { modified: at(seconds), ..Attributes::default() };
        storage.set_attributes(&vault.content_path(&node), &modified).unwrap();
    };
    date(1);
    assert!(lab::read(&vault, "file").unwrap() == lab::bytes(100, 0));
    let writer = lab::open_for_writing(&others, "file").unwrap();
    lab::write(&writer, 0, &lab::bytes(100, 1)).unwrap();
    lab::flush(&writer).unwrap();
    date(2);
    let used = Attributes { accessed: at(3), ..Attributes::default() };
    vault.set_attributes(&node, &used, now).unwrap();
    assert!(lab::content(&vault.open(&node, now).unwrap()).unwrap() == lab::bytes(100, 1));
}
