//! Any host names, among them conflict copies of genuine entries: each is listed once, under a legal name of its own,
//! and who asks for a name without listing first finds what the listing shows under it.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oxcrypt_core::storage::{BlockStorage, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, Entry, ErrorKind, Name, VaultOptions};

#[derive(Arbitrary, Debug)]
enum HostName {
    Any(String),
    /// What a sync client makes of a genuine name.
    Around {
        clear: String,
        before: String,
        behind: String,
    },
}

fuzz_target!(|hosts: Vec<HostName>| {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let dir = builder.content_dir(&DirId::root()).unwrap();
    let mut genuine = HashSet::new();
    let mut names = HashSet::new();
    for host in hosts.iter().take(20) {
        let name = match host {
            HostName::Any(name) => name.clone(),
            HostName::Around { clear, before, behind } => {
                names.extend(Name::new(clear));
                let (path, long) = builder.spell(&DirId::root(), clear);
                if long.is_some() {
                    continue;
                }
                let stem = path.file_name().unwrap().strip_suffix(".c9r").unwrap().to_owned();
                format!("{before}{stem}{behind}.c9r")
            }
        };
        let Some(path) = dir.join(&name) else { continue };
        if storage.write_new(&path, b"").is_ok()
            && name.len() >= 28
            && name.ends_with(".c9r")
            && !name.starts_with('.')
        {
            genuine.insert(path);
        }
    }
    drop(builder);
    let storage = Arc::new(storage);
    let passphrase = Passphrase::new(Recipe::default().passphrase);
    let unlock = |age| {
        let locked = Locked::read(storage.clone()).unwrap();
        locked.unlock(&passphrase, &VaultOptions::default().max_age(age)).unwrap()
    };
    let vault = unlock(Duration::from_secs(5));
    let now = Instant::now();
    let listing = vault.list(&vault.root(), now).unwrap();
    let mut shown = HashSet::new();
    for entry in listing.entries() {
        let path = match entry {
            Entry::Sound(found) => {
                assert!(shown.insert(found.name().clone()), "a name shown twice");
                assert!(!matches!(found.name().as_str(), "" | "." | ".."));
                assert!(!found.name().as_str().contains(['/', '\0']));
                found.path()
            }
            Entry::Damaged(damaged) => damaged.path(),
        };
        genuine.remove(path);
    }
    assert!(genuine.is_empty(), "an entry vanished: {genuine:?}");
    // This one has not listed, and an hour later it does not believe what it learnt.
    let forgetful = unlock(Duration::ZERO);
    for (hour, name) in (0..).zip(shown.union(&names)) {
        let later = now + Duration::from_secs(3_600) * hour;
        match (forgetful.lookup(&forgetful.root(), name, later), listing.find(name)) {
            (Ok(node), Some(found)) => assert_eq!(node.ciphertext_path(), *found.path()),
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::NotFound),
            (looked_up, listed) => panic!("{looked_up:?} by lookup and {listed:?} by listing"),
        }
    }
});
