//! Files that have lost their name while they are open: they are what they were for those who have them open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxcrypt_core::storage::{Attributes, FaultyStorage, Gate, Method, Replace, Verdict};
use oxcrypt_core::{ErrorKind, File, NodeAttributes, Vault, VaultOptions};

use crate::lab::{self, Lab, at, bytes, flush, name};

fn mode(bits: u32) -> Attributes {
    Attributes { mode: Some(bits), ..Attributes::default() }
}

/// A vault with an open file of a hundred bytes.
fn scene() -> (Arc<FaultyStorage>, Vault, File) {
    let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
    let vault = lab::open(&storage);
    let file = vault.create_with(&vault.root(), &name("file"), &mode(0o640), Instant::now()).unwrap();
    lab::write(&file, 0, &bytes(100, 0)).unwrap();
    flush(&file).unwrap();
    (storage, vault, file)
}

fn seen(vault: &Vault, file: &File) -> NodeAttributes {
    let of_vault = vault.attributes(file.node(), Instant::now()).unwrap();
    let of_memory = vault.resident().attributes(file.node(), Instant::now()).ready().unwrap();
    assert_eq!(of_vault, of_memory);
    of_vault
}

/// Takes the name from the file, in both ways.
fn ways() -> [fn(&Vault); 2] {
    [
        |vault| lab::remove(vault, "file").unwrap(),
        |vault| {
            drop(lab::put(vault, "other", b"other"));
            lab::rename(vault, "other", "file", Replace::Always).unwrap();
        },
    ]
}

#[test]
fn an_open_file_that_is_gone_is_told_about_from_memory() {
    for lose_name in ways() {
        let (storage, vault, file) = scene();
        let before = vault.attributes(file.node(), Instant::now()).unwrap();
        lose_name(&vault);
        let calls = storage.counts().total();
        assert_eq!(seen(&vault, &file), before);
        file.write_at(100, &[1; 50], at(2_000)).unwrap();
        assert_eq!((seen(&vault, &file).len, seen(&vault, &file).modified), (150, Some(at(2_000))));
        assert_eq!(storage.counts().total(), calls, "storage is not asked");
        flush(&file).unwrap();
        assert_eq!((seen(&vault, &file).len, seen(&vault, &file).modified), (150, Some(at(2_000))));
        file.set_len(7, at(3_000)).unwrap();
        flush(&file).unwrap();
        assert_eq!((seen(&vault, &file).len, seen(&vault, &file).changed), (7, Some(at(3_000))));
        let node = Arc::clone(file.node());
        drop(file);
        assert_eq!(vault.attributes(&node, Instant::now()).unwrap_err().kind(), ErrorKind::NotFound);
        let set = vault.set_attributes(&node, &mode(0o600), Instant::now());
        assert_eq!(set.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn attributes_of_an_open_file_that_is_gone_can_be_set_and_touch_nobody_else() {
    for lose_name in ways() {
        let (storage, vault, file) = scene();
        lose_name(&vault);
        let image = storage.mutations();
        let times = Attributes { modified: Some(at(5)), accessed: Some(at(6)), uid: Some(7), ..mode(0o4600) };
        vault.set_attributes(file.node(), &times, Instant::now()).unwrap();
        let told = seen(&vault, &file);
        let owner = told.owner.unwrap();
        assert_eq!(
            (told.modified, told.accessed, owner.mode, owner.uid),
            (Some(at(5)), Some(at(6)), 0o4600, 7)
        );
        // The same while something is unsaved.
        file.write_at(0, b"new", at(10)).unwrap();
        assert_eq!((seen(&vault, &file).modified, seen(&vault, &file).accessed), (Some(at(10)), Some(at(6))));
        let again = Attributes { modified: Some(at(8)), ..mode(0o600) };
        vault.set_attributes(file.node(), &again, Instant::now()).unwrap();
        assert_eq!(seen(&vault, &file).modified, Some(at(8)));
        assert_eq!(storage.mutations(), image, "storage has no name for it");
        flush(&file).unwrap();
        let told = seen(&vault, &file);
        assert_eq!(
            (told.modified, told.changed, told.owner.unwrap().mode),
            (Some(at(8)), Some(at(10)), 0o600)
        );
    }
}

#[test]
fn a_file_that_is_gone_can_be_opened_while_somebody_has_it_open() {
    for lose_name in ways() {
        let (_storage, vault, file) = scene();
        let node = Arc::clone(file.node());
        lose_name(&vault);
        let again = vault.open(&node, Instant::now()).unwrap();
        file.write_at(0, b"new", at(1)).unwrap();
        assert_eq!(lab::content(&again).unwrap()[..4], [b"new", &bytes(100, 0)[3..4]].concat());
        assert_eq!(again.write_at(0, b"x", at(1)).unwrap_err().kind(), ErrorKind::InvalidArgument);
        let writer = vault.open_for_writing(&node, Instant::now()).unwrap();
        drop(file);
        writer.write_at(0, b"NEW", at(1)).unwrap();
        flush(&writer).unwrap();
        assert_eq!(lab::content(&again).unwrap()[..3], *b"NEW");
        drop((writer, again));
        assert_eq!(vault.open(&node, Instant::now()).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn an_open_file_that_goes_while_storage_is_asked_for_it_is_told_about_all_the_same() {
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &bytes(100, 0))));
    let vault = lab::open_with(&storage, &VaultOptions::default().max_age(Duration::ZERO));
    let file = lab::open_for_writing(&vault, "file").unwrap();
    let path = vault.content_path(file.node());
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let asked = std::sync::atomic::AtomicU32::new(0);
    storage.on_call(move |call| match call.method {
        Method::Metadata
            if call.path == path && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 =>
        {
            Verdict::Hold(Arc::clone(&held))
        }
        _ => Verdict::Pass,
    });
    std::thread::scope(|scope| {
        let told = scope.spawn(|| vault.attributes(file.node(), Instant::now()));
        gate.wait_for(1);
        lab::remove(&vault, "file").unwrap();
        gate.open();
        assert_eq!(told.join().unwrap().unwrap().len, 100);
    });
}
