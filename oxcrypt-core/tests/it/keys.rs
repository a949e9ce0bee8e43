//! Key files: made, changed, lost and made again, and whole at every moment.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::crypto::{CipherCombo, MasterKey};
use oxcrypt_core::storage::{
    Attributes, BlockStorage, Crash, EntryKind, FaultyStorage, Gate, MemoryStorage, Method, Verdict,
};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{
    self, ConfigError, Evidence, KeyFile, KeyFileError, Locked, NewVault, NotAVault, Passphrase, RecoveryKey,
    ScryptParams, UnlockError,
};
use oxcrypt_core::{CiphertextPath, DirId, ErrorKind, Name, Vault, VaultOptions};
use serde_json::Value;

mod backups;
mod creating;
mod passphrases;
mod recovery;

const CONFIG: &str = "vault.cryptomator";
const MASTERKEY: &str = "masterkey.cryptomator";
const CHEAP: ScryptParams = ScryptParams { cost: 2, block_size: 8 };

fn path(text: &str) -> CiphertextPath {
    CiphertextPath::parse(text).unwrap()
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(text)
}

fn options() -> VaultOptions {
    VaultOptions::default()
}

fn new_vault() -> NewVault {
    NewVault::default().scrypt(CHEAP)
}

fn opened(storage: &MemoryStorage, passphrase: &str) -> Result<Vault, UnlockError> {
    Locked::read(Arc::new(storage.snapshot()))?.unlock(&phrase(passphrase), &options())
}

fn read(storage: &dyn BlockStorage, file: &str) -> Vec<u8> {
    storage.read(&path(file), 1 << 20).unwrap()
}

fn remove(storage: &dyn BlockStorage, file: &str) {
    storage.remove(&path(file), EntryKind::File).unwrap();
}

fn replace(storage: &dyn BlockStorage, file: &str, content: &[u8]) {
    remove(storage, file);
    storage.write_new(&path(file), content).unwrap();
}

/// Names of everything, with the content of files.
fn state(storage: &dyn BlockStorage) -> Vec<(String, Option<Vec<u8>>)> {
    let (mut open, mut found) = (vec![CiphertextPath::root()], Vec::new());
    while let Some(dir) = open.pop() {
        for listed in storage.list(&dir).unwrap() {
            let path = dir.join(listed.name.to_str().unwrap()).unwrap();
            let is_file = listed.kind == EntryKind::File;
            found.push((path.to_string(), is_file.then(|| read(storage, path.as_str()))));
            open.extend((!is_file).then_some(path));
        }
    }
    found.sort();
    found
}

fn names(storage: &dyn BlockStorage) -> Vec<String> {
    state(storage).into_iter().map(|(name, _)| name).collect()
}

/// Every way to stop after `at` mutations.
fn crashes() -> impl Iterator<Item = Crash> {
    let losses = (0..12).map(|seed| Crash::PowerLoss { seed });
    [Crash::Kill { pages: 0 }, Crash::Kill { pages: 1 }].into_iter().chain(losses)
}

/// Lets call number `failing` fail, and all others pass.
fn fail_at(storage: &FaultyStorage, failing: u64) {
    let before = storage.counts().total();
    storage.on_call(move |call| {
        if call.number - before == failing {
            Verdict::Fail(io::ErrorKind::StorageFull)
        } else {
            Verdict::Pass
        }
    });
}

/// Notes the method and the path of each call from now on.
fn note_calls(storage: &FaultyStorage) -> Arc<std::sync::Mutex<Vec<String>>> {
    let calls = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    storage.on_call(move |call| {
        noted.lock().unwrap().push(format!("{:?} {}", call.method, call.path));
        Verdict::Pass
    });
    calls
}

/// A vault with a file in it, its key, and what opens it.
fn vault_with(recipe: Recipe<'_>) -> MemoryStorage {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, recipe).unwrap();
    builder.file(&DirId::root(), "file", b"content").unwrap();
    drop(builder);
    storage
}

fn content_of(vault: &Vault) -> Vec<u8> {
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap();
    let mut buf = vec![0; 100];
    let len = vault.open(&node, now).unwrap().read_at(0, &mut buf).unwrap();
    buf.truncate(len);
    buf
}

fn change(storage: Arc<dyn BlockStorage>, old: &str, new: &str) -> Result<(), KeyFileError> {
    let locked = Locked::read(storage)?;
    let key = locked.key(&phrase(old), &options())?;
    locked.set_passphrase(&key, &phrase(new), Some(CHEAP))
}

fn shared(storage: &MemoryStorage) -> Arc<FaultyStorage> {
    Arc::new(FaultyStorage::new(storage))
}

fn now(storage: &FaultyStorage) -> MemoryStorage {
    storage.crash_image(usize::MAX, Crash::Kill { pages: 0 })
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit('.').next() == Some(ending)
}
