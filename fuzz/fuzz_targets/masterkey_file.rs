//! Any bytes as `masterkey.cryptomator`: an answer, in bounded time and memory.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use oxcrypt_core::storage::{BlockStorage, EntryKind, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{CiphertextPath, VaultOptions};

fuzz_target!(|file: &[u8]| {
    let storage = MemoryStorage::default();
    VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let path = CiphertextPath::parse("masterkey.cryptomator").unwrap();
    storage.remove(&path, EntryKind::File).unwrap();
    storage.write_new(&path, file).unwrap();
    let locked = Locked::read(Arc::new(storage)).unwrap();
    assert!(locked.info().is_ok());
    // What a derivation costs is bounded by the option, so a small bound keeps the fuzzer fast.
    let options = VaultOptions::default().max_scrypt_memory(1 << 16);
    let _vault_or_why_not = locked.unlock(&Passphrase::new(Recipe::default().passphrase), &options);
});
