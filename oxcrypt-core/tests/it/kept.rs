//! What memory keeps of files that nobody has open any more.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use oxcrypt_core::storage::{Attributes, BlockStorage as _, FaultyStorage, MemoryStorage, Method, Replace};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, Node, Vault, VaultOptions};

use crate::fixtures::unlock_with;
use crate::lab::{Lab, content, find, open_with, put, remove, rename};

/// More than memory keeps.
const MANY: usize = 5_000;

/// A vault with files, as many of each name; those named "empty" have no bytes in storage.
fn scene(files: &[(&str, usize)], options: &VaultOptions) -> (Vault, Arc<FaultyStorage>) {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    // Without a time nobody could say that a file is what it was.
    let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
    for (kind, count) in files {
        for number in 0..*count {
            let name = format!("{kind} {number}");
            let path = match *kind {
                "empty" => builder.ciphertext_file(&DirId::root(), &name, b""),
                _ => builder.file(&DirId::root(), &name, b"content"),
            };
            storage.set_attributes(&path.unwrap(), &modified).unwrap();
        }
    }
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    (unlock_with(Arc::clone(&storage) as _, options), storage)
}

fn nodes(vault: &Vault, name: &str, count: usize) -> Vec<Arc<Node>> {
    (0..count).map(|number| find(vault, &format!("{name} {number}")).unwrap()).collect()
}

fn read(vault: &Vault, node: &Arc<Node>) {
    assert_eq!(content(&vault.open(node, Instant::now()).unwrap()).unwrap(), b"content");
}

/// How many of them memory has whole.
fn whole(vault: &Vault, nodes: &[Arc<Node>]) -> usize {
    let file =
        |node: &&Arc<Node>| vault.resident().file(node.id()).ready().is_some_and(|file| file.is_whole());
    nodes.iter().filter(file).count()
}

#[test]
fn regression_files_that_were_read_stay_in_memory_while_more_are_opened_and_closed_unread() {
    let (vault, storage) = scene(&[("hot", 900), ("dead", MANY)], &VaultOptions::default());
    let (hot, dead) = (nodes(&vault, "hot", 900), nodes(&vault, "dead", MANY));
    for node in &hot {
        read(&vault, node);
    }
    for node in &dead {
        drop(vault.open(node, Instant::now()).unwrap());
    }
    assert_eq!(whole(&vault, &hot), 900);
    assert!(dead.iter().all(|node| vault.resident().file(node.id()).ready().is_none()));
    // One that is read after all is kept like others.
    read(&vault, &dead[0]);
    let reads = storage.counts().of(Method::ReadAt);
    for node in hot.iter().chain(&dead[..1]) {
        read(&vault, node);
    }
    assert_eq!(storage.counts().of(Method::ReadAt), reads);
}

#[test]
fn files_that_memory_has_no_chunk_of_make_way_for_those_that_it_has() {
    // A thousand chunks of seven bytes, with what it takes to find them.
    let options = VaultOptions::default().chunk_cache_bytes(1_000 * (7 + 128));
    let (vault, _) = scene(&[("file", 4_096), ("empty", 8_000)], &options);
    let (files, empty) = (nodes(&vault, "file", 4_096), nodes(&vault, "empty", 8_000));
    for node in &files {
        read(&vault, node);
    }
    let hot = &files[3_096..];
    assert_eq!(whole(&vault, hot), 1_000, "what was read last");
    for node in &empty {
        drop(vault.open(node, Instant::now()).unwrap());
    }
    assert_eq!(whole(&vault, hot), 1_000);
    assert_eq!(whole(&vault, &empty), 3_096, "there is nothing more to know of them");
}

#[test]
fn what_is_kept_of_closed_files_is_bounded() {
    let (vault, _) = scene(&[("file", MANY)], &VaultOptions::default());
    let files = nodes(&vault, "file", MANY);
    for node in &files {
        read(&vault, node);
    }
    assert_eq!(whole(&vault, &files), 4_096);
}

#[test]
fn regression_chunks_of_files_that_are_gone_make_no_others_go() {
    const CHUNK: usize = 32_768;
    let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
    // Four chunks, with what it takes to find them.
    let options = VaultOptions::default().chunk_cache_bytes(4 * (CHUNK + 128));
    let vault = open_with(&storage, &options);
    let hot = put(&vault, "hot", &vec![7; 2 * CHUNK]);
    for gone in 0..20 {
        drop(put(&vault, "new", &vec![gone; CHUNK]));
        if gone % 2 == 0 {
            remove(&vault, "new").unwrap();
        } else {
            rename(&vault, "new", "replaced", Replace::Always).unwrap();
        }
    }
    let reads = storage.counts().of(Method::ReadAt);
    assert_eq!(content(&hot).unwrap(), vec![7; 2 * CHUNK]);
    assert_eq!(storage.counts().of(Method::ReadAt), reads);
}
