//! Reads that are put together from blocks.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{Attributes, BlockStorage, FaultyStorage, MemoryStorage, Method, OpenMode};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, ErrorKind, File, Name, Probe, VaultOptions};

use crate::fixtures::unlock_with;

const CHUNK: u64 = 32_768;
const BLOCK: u64 = 4;

fn content(len: u64) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// An open file of this content, in a vault that keeps nothing in memory.
fn forgetful(content: &[u8], as_stream: bool) -> (Arc<FaultyStorage>, File) {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let sealed = if as_stream { builder.encrypt_as_stream(content) } else { builder.encrypt(content) };
    let path = builder.ciphertext_file(&DirId::root(), "file", &sealed).unwrap();
    drop(builder);
    // Without a time nobody could say that a file in which something is damaged is what it was.
    let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
    storage.set_attributes(&path, &modified).unwrap();
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock_with(Arc::clone(&storage) as _, &VaultOptions::default().chunk_cache_bytes(0));
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap();
    (storage, vault.open(&node, now).unwrap())
}

/// Reads block by block.
fn read(file: &File, offset: u64, len: usize) -> Result<Vec<u8>, ErrorKind> {
    let assembly = file.resident().begin(offset, len).ok_or(ErrorKind::Damaged)?;
    let mut blocks: Vec<_> = assembly.missing().map(|chunk| chunk.0 / BLOCK).collect();
    blocks.dedup();
    let blocks: Result<Vec<_>, _> = blocks
        .into_iter()
        .map(|block| file.read_block(block * BLOCK..(block + 1) * BLOCK).map(Arc::new))
        .collect();
    match assembly.finish(&blocks.map_err(|error| error.kind())?) {
        Probe::Ready(result) => result.map(|bytes| bytes.to_vec()).map_err(|error| error.kind()),
        Probe::Absent => panic!("nobody has changed the file"),
    }
}

#[test]
fn blocks_make_up_every_range_while_memory_keeps_nothing() {
    for (len, as_stream) in
        [(0, false), (1, false), (CHUNK, true), (4 * CHUNK, true), (5 * CHUNK + 7, false), (9 * CHUNK, false)]
    {
        let whole = content(len);
        let (_, file) = forgetful(&whole, as_stream);
        for offset in [0, 1, CHUNK - 1, CHUNK, 4 * CHUNK - 3, 4 * CHUNK, 5 * CHUNK, 20 * CHUNK] {
            for want in [1, 10, 32_768, 150_000, 400_000] {
                let mut direct = vec![0; want];
                let len_read = file.read_at(offset, &mut direct).unwrap();
                direct.truncate(len_read);
                assert_eq!(read(&file, offset, want).unwrap(), direct, "{want} bytes at {offset} of {len}");
            }
        }
    }
}

#[test]
fn a_damaged_chunk_fails_the_reads_that_touch_it_and_no_other_of_its_block() {
    let (storage, file) = forgetful(&content(4 * CHUNK), false);
    let path = file.node().ciphertext_path();
    let (handle, _) = storage.open(&path, OpenMode::ReadWrite).unwrap();
    handle.write_at(68 + 2 * (CHUNK + 28) + 100, &[0, 0, 0]).unwrap();
    let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
    storage.set_attributes(&path, &modified).unwrap();
    assert_eq!(read(&file, 0, 65_536).unwrap(), content(2 * CHUNK));
    assert_eq!(read(&file, 3 * CHUNK, 100).unwrap().len(), 100);
    assert_eq!(read(&file, 65_535, 2), Err(ErrorKind::Damaged));
}

#[test]
fn a_block_costs_one_ciphertext_read_with_the_header_along() {
    let (storage, file) = forgetful(&content(8 * CHUNK), false);
    let before = storage.counts().of(Method::ReadAt);
    assert_eq!(read(&file, 10, 20).unwrap().len(), 20);
    assert_eq!(storage.counts().of(Method::ReadAt) - before, 1);
    assert_eq!(read(&file, 4 * CHUNK, 20).unwrap().len(), 20);
    assert_eq!(storage.counts().of(Method::ReadAt) - before, 2);
}

#[test]
fn an_early_now_finds_answers_of_any_age() {
    let storage = MemoryStorage::default();
    VaultBuilder::create(&storage, Recipe::default()).unwrap().file(&DirId::root(), "file", b"x").unwrap();
    let vault = unlock_with(Arc::new(storage), &VaultOptions::default());
    let early = Instant::now();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), early).unwrap();
    vault.attributes(&node, early).unwrap();
    let late = early + Duration::from_hours(1);
    assert_eq!(vault.resident().attributes(&node, late), Probe::Absent);
    assert_eq!(vault.resident().attributes(&node, early).ready().map(|known| known.len), Some(1));
}
