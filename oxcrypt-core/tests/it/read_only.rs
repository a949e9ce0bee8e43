//! A vault that is read stays as it is, byte for byte and call for call, whatever is tried with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use oxcrypt_core::storage::{
    Attributes, BlockStorage, Call, EntryKind, FaultyStorage, MemoryStorage, Method, Replace, Verdict,
};
use oxcrypt_core::{CiphertextPath, Entry, ErrorKind, Node, NodeKind, Vault, VaultOptions};

use crate::lab::{self, Lab, at, bytes, find, name};

/// Every file with its bytes, every folder, and their times.
type Everything = BTreeMap<String, (Option<Vec<u8>>, Option<SystemTime>)>;

fn everything(storage: &dyn BlockStorage) -> Everything {
    let mut seen = Everything::new();
    let mut folders = vec![CiphertextPath::root()];
    while let Some(folder) = folders.pop() {
        for listed in storage.list(&folder).unwrap() {
            let path = folder.join(listed.name.to_str().unwrap()).unwrap();
            let bytes = (listed.kind == EntryKind::File).then(|| storage.read(&path, 1 << 24).unwrap());
            let modified = storage.metadata(&path).unwrap().modified;
            if listed.kind == EntryKind::Directory {
                folders.push(path.clone());
            }
            seen.insert(path.to_string(), (bytes, modified));
        }
    }
    seen
}

/// A vault with something of every kind, sound and not.
fn filled() -> Arc<FaultyStorage> {
    let long = "l".repeat(200);
    let storage = Lab::GCM.filled(|vault| {
        for name in ["file", &long] {
            drop(lab::put(vault, name, &bytes(70_000, 0)));
            lab::make_dir(vault, &format!("{name}d")).unwrap();
            lab::make_symlink(vault, &format!("{name}l"), "file").unwrap();
            drop(lab::put(vault, &format!("{name}d/inside"), b"inside"));
        }
        lab::make_dir(vault, "empty").unwrap();
    });
    // A conflict copy, an interrupted creation, an empty file.
    let dir = lab::open(&storage).content_path(&lab::open(&storage).root());
    let entries = storage.list(&dir).unwrap();
    let entry = entries.iter().find(|listed| listed.kind == EntryKind::File && listed.name != "dirid.c9r");
    let entry = entry.unwrap().name.to_str().unwrap();
    let copy = dir.join(&entry.replace(".c9r", " (1).c9r")).unwrap();
    storage.write_new(&copy, &storage.read(&dir.join(entry).unwrap(), 1 << 20).unwrap()).unwrap();
    let builder_storage = MemoryStorage::default();
    let builder = Lab::GCM.make(&builder_storage);
    storage.create_dir(&builder.spell(&oxcrypt_core::DirId::root(), "half made").0).unwrap();
    storage.write_new(&builder.spell(&oxcrypt_core::DirId::root(), "zero").0, b"").unwrap();
    Arc::new(FaultyStorage::new(
        &storage.crash_image(usize::MAX, oxcrypt_core::storage::Crash::Kill { pages: 0 }),
    ))
}

fn is_change(call: &Call) -> bool {
    !matches!(
        call.method,
        Method::Open | Method::Metadata | Method::List | Method::Space | Method::ReadAt | Method::TryReadAt
    )
}

/// Reads everything that there is.
fn read_all(vault: &Vault, dir: &Arc<Node>) {
    let now = Instant::now();
    for entry in vault.list(dir, now).unwrap().entries() {
        let Entry::Sound(found) = entry else { continue };
        let Ok(node) = vault.node(dir, found, now) else { continue };
        vault.attributes(&node, now).unwrap();
        match node.kind() {
            NodeKind::Directory => read_all(vault, &node),
            NodeKind::Symlink => drop(vault.read_link(&node, now).unwrap()),
            NodeKind::File => {
                let file = vault.open(&node, now).unwrap();
                lab::content(&file).unwrap();
                lab::flush(&file).unwrap();
            }
        }
    }
}

/// Tries every change, and says with which kinds of error they fail.
fn try_all(vault: &Vault) -> Vec<ErrorKind> {
    let now = Instant::now();
    let long = "l".repeat(200);
    let mut failures = Vec::new();
    let mut expect_refusal = |result: oxcrypt_core::Result<()>| {
        failures.push(result.expect_err("nothing can be changed").kind());
    };
    for new in ["new", &*"n".repeat(200)] {
        expect_refusal(lab::create(vault, new).map(|_| ()));
        expect_refusal(lab::make_dir(vault, new).map(|_| ()));
        expect_refusal(lab::make_symlink(vault, new, "target").map(|_| ()));
    }
    for old in ["file", &*long] {
        expect_refusal(lab::open_for_writing(vault, old).map(|_| ()));
        expect_refusal(lab::remove(vault, old));
        expect_refusal(lab::remove(vault, &format!("{old}l")));
        for to in ["moved", "empty/moved", &*"m".repeat(200)] {
            for kind in ["", "d", "l"] {
                expect_refusal(lab::rename(vault, &format!("{old}{kind}"), to, Replace::Never));
            }
        }
        let other = if old == "file" { &*long } else { "file" };
        for kind in ["", "l"] {
            for replace in [Replace::Always, Replace::Exchange] {
                expect_refusal(lab::rename(
                    vault,
                    &format!("{old}{kind}"),
                    &format!("{other}{kind}"),
                    replace,
                ));
            }
        }
        let times = Attributes { modified: Some(at(7)), mode: Some(0o600), ..Attributes::default() };
        for kind in ["", "d", "l"] {
            let node = find(vault, &format!("{old}{kind}")).unwrap();
            expect_refusal(vault.set_attributes(&node, &times, now));
        }
        let read_only = vault.open(&find(vault, old).unwrap(), now).unwrap();
        for refused in [
            read_only.write_at(0, b"x", at(1)).map(|_| ()),
            read_only.set_len(0, at(1)),
            read_only.store_some().map(|_| ()),
        ] {
            let kind = refused.expect_err("the file is open for reading").kind();
            assert_eq!(kind, ErrorKind::InvalidArgument);
        }
    }
    expect_refusal(lab::remove_dir(vault, "empty"));
    expect_refusal(vault.remove(&vault.root(), &name("half made"), now));
    expect_refusal(lab::open_for_writing(vault, "zero").map(|_| ()));
    failures
}

#[test]
fn a_vault_that_is_opened_for_reading_makes_no_call_that_changes_anything() {
    let storage = filled();
    let before = everything(&*storage);
    let (changes, creations) = (storage.mutations(), storage.counts().of(Method::WriteAt));
    storage.on_call(|call| if is_change(call) { Verdict::Panic } else { Verdict::Pass });
    let vault = lab::open_with(&storage, &VaultOptions::default().read_only(true));
    read_all(&vault, &vault.root());
    for kind in try_all(&vault) {
        assert_eq!(kind, ErrorKind::ReadOnly);
    }
    assert_eq!(vault.sync_dir(&vault.root()).unwrap_err().kind(), ErrorKind::ReadOnly);
    let file = vault.open(&find(&vault, "file").unwrap(), Instant::now()).unwrap();
    assert_eq!(file.sync(Instant::now()).unwrap(), oxcrypt_core::Stored::InPlace);
    drop((file, vault));
    assert_eq!((storage.mutations(), storage.counts().of(Method::WriteAt)), (changes, creations));
    assert!(everything(&*storage) == before);
}

#[test]
fn a_vault_that_is_only_read_is_not_changed_though_it_could_be() {
    let storage = filled();
    let before = everything(&*storage);
    storage.on_call(|call| if is_change(call) { Verdict::Panic } else { Verdict::Pass });
    let vault = lab::open(&storage);
    read_all(&vault, &vault.root());
    // To open for writing is not to write.
    let file = lab::open_for_writing(&vault, "file").unwrap();
    lab::flush(&file).unwrap();
    drop(lab::open_for_writing(&vault, "zero").unwrap());
    drop((file, vault));
    assert!(everything(&*storage) == before);
}

#[test]
fn a_storage_that_refuses_every_change_is_left_as_it_is() {
    for refusal in [std::io::ErrorKind::ReadOnlyFilesystem, std::io::ErrorKind::PermissionDenied] {
        let storage = filled();
        let before = everything(&*storage);
        let refuses = ReadOnlyStorage { inner: Arc::clone(&storage), refusal };
        let vault = lab::open(&Arc::new(refuses));
        read_all(&vault, &vault.root());
        let expected = oxcrypt_core::Error::from(std::io::Error::from(refusal)).kind();
        for kind in try_all(&vault) {
            // What is half made cannot be told to be anything.
            assert!(kind == expected || kind == ErrorKind::Incomplete, "{kind:?}");
        }
        assert_eq!(vault.unsaved().len(), 0);
        read_all(&vault, &vault.root());
        assert!(everything(&*storage) == before);
    }
}

/// A store that lets nobody change anything.
#[derive(Debug)]
struct ReadOnlyStorage {
    inner: Arc<FaultyStorage>,
    refusal: std::io::ErrorKind,
}

mod refusing {
    use std::io;

    use oxcrypt_core::CiphertextPath;
    use oxcrypt_core::storage::{
        Attributes, BlockFile, BlockStorage, EntryKind, Listed, Metadata, OpenMode, Replace, Space,
    };

    impl BlockStorage for super::ReadOnlyStorage {
        fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
            if mode == OpenMode::Read { self.inner.open(path, mode) } else { Err(self.refusal.into()) }
        }
        fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
            self.inner.metadata(path)
        }
        fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
            self.inner.list(dir)
        }
        fn create_dir(&self, _: &CiphertextPath) -> io::Result<()> {
            Err(self.refusal.into())
        }
        fn remove(&self, _: &CiphertextPath, _: EntryKind) -> io::Result<()> {
            Err(self.refusal.into())
        }
        fn rename(&self, _: &CiphertextPath, _: &CiphertextPath, _: Replace) -> io::Result<()> {
            Err(self.refusal.into())
        }
        fn sync_dir(&self, _: &CiphertextPath) -> io::Result<()> {
            Err(self.refusal.into())
        }
        fn set_attributes(&self, _: &CiphertextPath, _: &Attributes) -> io::Result<Metadata> {
            Err(self.refusal.into())
        }
        fn space(&self) -> io::Result<Space> {
            self.inner.space()
        }
    }
}
