//! Keys and cleartext are gone from memory when their owners are.
//!
//! A process looks through its own memory for what was secret. So that nothing but the code under test puts it there,
//! it does nothing else, another makes the vaults, and this one knows the secrets only with every bit flipped.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase, RecoveryKey};
use oxcrypt_core::{DirId, Name, VaultOptions};
use zeroize::Zeroizing;

const DIR_VARIABLE: &str = "OXCRYPT_TEST_VAULT_DIR";
/// Secrets are searched for in parts, as ciphers keep halves and quarters of keys.
const PART: usize = 16;

/// The secrets, each bit flipped: a step of a counter that no other code takes.
fn flipped(secret: u8) -> [u8; 64] {
    std::array::from_fn(|i| {
        u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(secret.wrapping_mul(101)) ^ 0x5c
    })
}

const KEY: u8 = 1;
const CONTENT: u8 = 2;
const PASSPHRASE: u8 = 3;
const TARGET: u8 = 4;
const NEW_PASSPHRASE: u8 = 5;
const ALL: [u8; 4] = [KEY, CONTENT, PASSPHRASE, TARGET];

fn reveal(flipped: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut secret = Zeroizing::new(Vec::with_capacity(flipped.len()));
    secret.extend(flipped.iter().map(|byte| !byte));
    secret
}

/// A secret that is a text, of letters.
fn text(secret: u8) -> Zeroizing<Vec<u8>> {
    let mut secret = reveal(&flipped(secret));
    secret.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
    secret
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn make_the_vaults() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
    for combo in CipherCombo::ALL {
        let path = Path::new(&dir).join(combo.name());
        fs::create_dir(&path).unwrap();
        let storage = LocalStorage::open(path).unwrap();
        let (key, passphrase, target) = (reveal(&flipped(KEY)), text(PASSPHRASE), text(TARGET));
        let recipe = Recipe {
            key: key.as_slice().try_into().unwrap(),
            combo,
            passphrase: std::str::from_utf8(&passphrase).unwrap(),
            ..Recipe::default()
        };
        let builder = VaultBuilder::create(&storage, recipe).unwrap();
        builder.file(&DirId::root(), "file", &reveal(&flipped(CONTENT)).repeat(2_000)).unwrap();
        builder.symlink(&DirId::root(), "link", std::str::from_utf8(&target).unwrap()).unwrap();
    }
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn look_through_memory() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
    for combo in CipherCombo::ALL {
        let found = use_and_drop(&Path::new(&dir).join(combo.name()));
        assert_eq!(found, [true; 4], "{combo}: the search finds what is there");
        let left = ALL.map(copies);
        assert_eq!(left, [0; 4], "{combo}: copies left of key, content, passphrase, link target");
    }
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn look_through_memory_after_a_change_of_passphrase() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
    let storage = Arc::new(LocalStorage::open(Path::new(&dir).join(CipherCombo::SivGcm.name())).unwrap());
    let secrets = [KEY, PASSPHRASE, NEW_PASSPHRASE];
    let change = move || {
        let (old, new) = (text(PASSPHRASE), text(NEW_PASSPHRASE));
        let (old, new) = (Passphrase::from_bytes(old), Passphrase::from_bytes(new));
        let locked = Locked::read(storage).unwrap();
        let key = locked.key(&old, &VaultOptions::default()).unwrap();
        let typed = RecoveryKey::read(RecoveryKey::of(&key).words()).ok().unwrap();
        locked.set_passphrase(&typed, &new, None).unwrap();
        secrets.map(|secret| copies(secret) > 0)
    };
    let found = thread::spawn(change).join().unwrap();
    assert_eq!(found, [true; 3], "the search finds what is there");
    assert_eq!(secrets.map(copies), [0; 3], "copies left of key, old and new passphrase");
}

#[test]
fn no_key_and_no_passphrase_is_left_in_memory_after_a_change_of_passphrase() {
    run_parts(&["secrets::make_the_vaults", "secrets::look_through_memory_after_a_change_of_passphrase"]);
}

#[test]
fn no_key_and_no_cleartext_is_left_in_memory_when_the_vault_is_dropped() {
    run_parts(&["secrets::make_the_vaults", "secrets::look_through_memory"]);
}

/// Runs tests one after another, each in a process of its own, all with the same folder.
fn run_parts(parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for part in parts {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", part, "--ignored", "--nocapture"])
            .env(DIR_VARIABLE, dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Unlocks the vault, reads all there is in it, each by a thread whose stack stays behind, and says which secrets were
/// found meanwhile.
fn use_and_drop(path: &Path) -> [bool; 4] {
    let storage = Arc::new(LocalStorage::open(path).unwrap());
    let unlock = move || {
        let passphrase = Passphrase::from_bytes(text(PASSPHRASE));
        let vault = Locked::read(storage).unwrap().unlock(&passphrase, &VaultOptions::default()).unwrap();
        let is_found = copies(PASSPHRASE) > 0;
        (vault, is_found)
    };
    let (vault, has_passphrase) = thread::spawn(unlock).join().unwrap();
    let read = move || {
        let now = Instant::now();
        let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap();
        let file = vault.open(&node, now).unwrap();
        for _ in 0..2 {
            let mut buf = Zeroizing::new(vec![0; 128_000]);
            assert_eq!(file.read_at(0, &mut buf).unwrap(), 128_000);
        }
        let link = vault.lookup(&vault.root(), &Name::new("link").unwrap(), now).unwrap();
        assert_eq!(vault.read_link(&link, now).unwrap().len(), 64);
        [KEY, CONTENT, TARGET].map(|secret| copies(secret) > 0)
    };
    let [key, content, target] = thread::spawn(read).join().unwrap();
    [key, content, has_passphrase, target]
}

/// How often a part of a secret stands in this process's writable memory.
fn copies(secret: u8) -> usize {
    let mut needle = flipped(secret);
    if [PASSPHRASE, TARGET, NEW_PASSPHRASE].contains(&secret) {
        needle.copy_from_slice(&text(secret));
        for byte in &mut needle {
            *byte = !*byte;
        }
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut block = Zeroizing::new(vec![0; 1 << 16]);
    let mut copies = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        // What this search has in its hands does not count.
        let own = block.as_ptr().addr() as u64;
        for (from, to) in [(start, end.min(own)), (start.max(own + block.len() as u64), end)] {
            if from < to && memory.seek(SeekFrom::Start(from)).is_ok() {
                copies += search(&mut memory, to - from, &needle, &mut block);
            }
        }
    }
    copies
}

/// Counts the parts of the flipped needle, block by block. A copy across two blocks is one of four that may be missed.
fn search(memory: &mut File, mut left: u64, needle: &[u8; 64], block: &mut [u8]) -> usize {
    let (parts, _) = needle.as_chunks::<PART>();
    let mut copies = 0;
    while left > 0 {
        let want = block.len().min(usize::try_from(left).unwrap());
        let Ok(count @ 1..) = memory.read(&mut block[..want]) else { break };
        left -= count as u64;
        let is_part = |at: usize, part: &[u8; PART]| {
            block[at] == !part[0]
                && block[at..count].iter().zip(part).filter(|(b, f)| **b == !**f).count() == PART
        };
        copies += (0..count).filter(|at| parts.iter().any(|part| is_part(*at, part))).count();
    }
    copies
}
