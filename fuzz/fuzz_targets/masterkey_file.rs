//! Any bytes as `masterkey.cryptomator`: an answer, in bounded time and memory, and no key but the vault's own.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use oxcrypt_core::storage::{BlockStorage, EntryKind, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase, UnlockError};
use oxcrypt_core::{CiphertextPath, DirId, Name, Vault, VaultOptions};

const CONTENT: &[u8] = b"what only the vault's own key decrypts";

fuzz_target!(|file: &[u8]| {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.file(&DirId::root(), "file", CONTENT).unwrap();
    drop(builder);
    let path = CiphertextPath::parse("masterkey.cryptomator").unwrap();
    let genuine = storage.read(&path, 10_000).unwrap();
    storage.remove(&path, EntryKind::File).unwrap();
    storage.write_new(&path, file).unwrap();
    let locked = Locked::read(Arc::new(storage)).unwrap();
    let info = locked.info().unwrap();
    // What a derivation costs is bounded by the option, so a small bound keeps the fuzzer fast.
    let options = VaultOptions::default().max_scrypt_memory(1 << 16);
    match locked.unlock(&Passphrase::new(Recipe::default().passphrase), &options) {
        Ok(vault) => {
            assert!(
                info.key_problem.is_none() && info.scrypt.is_some_and(|scrypt| scrypt.memory() <= 1 << 16)
            );
            assert_eq!(content(&vault), CONTENT, "a key that is not the vault's");
        }
        Err(error) => {
            assert_ne!(file, genuine, "the genuine file is refused");
            assert!(
                matches!(
                    error,
                    UnlockError::DamagedMasterkeyFile(_)
                        | UnlockError::HostileScrypt(_)
                        | UnlockError::WrongPassphrase
                        | UnlockError::UnsupportedFormat { .. }
                ),
                "{error}"
            );
        }
    }
});

fn content(vault: &Vault) -> Vec<u8> {
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap();
    let mut buf = vec![0; 100];
    let len = vault.open(&node, now).unwrap().read_at(0, &mut buf).unwrap();
    buf.truncate(len);
    buf
}
