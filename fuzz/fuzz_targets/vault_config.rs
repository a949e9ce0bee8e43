//! Any bytes as `vault.cryptomator`: an answer, and no vault unless the key has signed it.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::storage::{BlockStorage, EntryKind, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::Locked;
use oxcrypt_core::{CiphertextPath, VaultOptions};

fuzz_target!(|config: &[u8]| {
    let storage = MemoryStorage::default();
    VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let path = CiphertextPath::parse("vault.cryptomator").unwrap();
    let genuine = storage.read(&path, 10_000).unwrap();
    storage.remove(&path, EntryKind::File).unwrap();
    storage.write_new(&path, config).unwrap();
    let Ok(locked) = Locked::read(Arc::new(storage)) else { return };
    assert!(locked.info().is_ok());
    let opened = locked.unlock_with_key(MasterKey::from_raw(Recipe::default().key), &VaultOptions::default());
    let genuine = std::str::from_utf8(&genuine).unwrap();
    assert!(opened.is_err() || std::str::from_utf8(config).unwrap().trim() == genuine);
});
