//! What a file's reads return, compared with the bytes that were put into it.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::MemoryStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, File, Name, Probe, VaultOptions};
use proptest::prelude::*;

use crate::fixtures::unlock_with;

const P: usize = 32_768;

/// Bytes of which each chunk, and each place in it, has others.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 7 + at / P * 13 + at / 251) % 251).unwrap()).collect()
}

/// A file that holds `content`; if it was written as a stream, with an empty chunk behind full ones.
fn file(combo: CipherCombo, content: &[u8], as_stream: bool, cache: usize) -> File {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe { combo, ..Recipe::default() }).unwrap();
    let ciphertext = if as_stream { builder.encrypt_as_stream(content) } else { builder.encrypt(content) };
    builder.ciphertext_file(&DirId::root(), "file", &ciphertext).unwrap();
    drop(builder);
    let vault = unlock_with(Arc::new(storage), &VaultOptions::default().chunk_cache_bytes(cache));
    let now = Instant::now();
    vault.open(&vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap(), now).unwrap()
}

/// Lengths and offsets where every error by one lives.
fn near_a_border() -> impl Strategy<Value = usize> {
    (0..5_usize, 0..5_usize).prop_map(|(chunks, near)| (chunks * P + near).saturating_sub(2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was read before and whatever is in memory, a read is that part of the content.
    #[test]
    fn a_read_is_a_part_of_the_content(
        combo in prop::sample::select(CipherCombo::ALL.to_vec()),
        len in near_a_border(),
        as_stream: bool,
        cache in prop::sample::select(vec![0, P + 200, 3 * P, 1 << 20]),
        reads in prop::collection::vec((near_a_border(), near_a_border()), 1..12),
    ) {
        let content = bytes(len);
        let file = file(combo, &content, as_stream, cache);
        prop_assert_eq!(file.len(), len as u64);
        for (offset, want) in reads {
            let expected = content.get(offset.min(len)..(offset + want).min(len)).unwrap();
            let mut buf = vec![0xee; want];
            let read = file.read_at(offset as u64, &mut buf).unwrap();
            prop_assert_eq!(&buf[..read], expected);
            buf.fill(0xee);
            match file.resident().read(offset as u64, &mut buf) {
                Probe::Ready(read) => prop_assert_eq!(&buf[..read], expected),
                Probe::Absent => prop_assert!(cache < 5 * (P + 200), "what was just read is in memory"),
            }
        }
    }
}

#[test]
fn nothing_wanted_is_nothing_read_whatever_the_file_is() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.ciphertext_file(&DirId::root(), "torn", &[1; 10]).unwrap();
    drop(builder);
    let vault = unlock_with(Arc::new(storage), &VaultOptions::default());
    let now = Instant::now();
    let torn =
        vault.open(&vault.lookup(&vault.root(), &Name::new("torn").unwrap(), now).unwrap(), now).unwrap();
    assert_eq!(torn.read_at(0, &mut []).unwrap(), 0);
    assert_eq!(torn.resident().read(0, &mut []), Probe::Ready(0));
}

#[test]
fn many_threads_read_one_file() {
    let content = bytes(20 * P + 5);
    // A cache that holds a few chunks, so that they push each other's out.
    for cache in [0, 3 * P, 1 << 20] {
        let file = file(CipherCombo::SivGcm, &content, false, cache);
        thread::scope(|scope| {
            for number in 0..8_usize {
                let (file, content) = (&file, &content);
                scope.spawn(move || {
                    let mut buf = vec![0; 3 * P];
                    for round in 0..40_usize {
                        let offset = (number * 37 + round * 101) * 1_009 % content.len();
                        let read = file.read_at(offset as u64, &mut buf).unwrap();
                        assert_eq!(&buf[..read], &content[offset..(offset + buf.len()).min(content.len())]);
                    }
                });
            }
        });
    }
    assert_eq!(PAYLOAD_LEN, P as u64);
}
