//! Vaults that are no vaults, or want to do harm: the right answer, in bounded time and memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{BlockStorage, EntryKind, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{ConfigError, Locked, NotAVault, Passphrase, UnlockError};
use oxcrypt_core::{
    CiphertextPath, DirId, Entry, ErrorKind, Follow, Name, Vault, VaultOptions, VaultPath, Visit, Visits,
};
use serde_json::{Value, json};

use crate::fixtures::unlock;

const CONFIG: &str = "vault.cryptomator";
const MASTERKEY: &str = "masterkey.cryptomator";

fn path(text: &str) -> CiphertextPath {
    CiphertextPath::parse(text).unwrap()
}

/// A sound vault after `spoil` had it.
fn spoilt(spoil: impl FnOnce(&MemoryStorage, &VaultBuilder<'_>)) -> Result<Vault, UnlockError> {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    spoil(&storage, &builder);
    drop(builder);
    Locked::read(Arc::new(storage))?.unlock(&Passphrase::new("passphrase"), &VaultOptions::default())
}

fn replace(storage: &MemoryStorage, file: &str, content: &[u8]) {
    storage.remove(&path(file), EntryKind::File).unwrap();
    storage.write_new(&path(file), content).unwrap();
}

fn with_config(kid: &str, claims: &Value) -> UnlockError {
    let spoil = |storage: &MemoryStorage, builder: &VaultBuilder<'_>| {
        let config = builder.sign_config(&json!({"kid": kid, "typ": "JWT", "alg": "HS256"}), claims);
        replace(storage, CONFIG, config.as_bytes());
    };
    spoilt(spoil).unwrap_err()
}

fn claims() -> Value {
    json!({"format": 8, "cipherCombo": "SIV_GCM", "shorteningThreshold": 220})
}

fn with_masterkey_field(field: &str, value: &Value) -> Result<Vault, UnlockError> {
    spoilt(|storage, _| {
        let mut json: Value =
            serde_json::from_slice(&storage.read(&path(MASTERKEY), 10_000).unwrap()).unwrap();
        json[field] = value.clone();
        replace(storage, MASTERKEY, json.to_string().as_bytes());
    })
}

#[test]
fn each_way_not_to_open_has_a_case_and_a_text_of_its_own() {
    let wrong_passphrase = {
        let storage = MemoryStorage::default();
        VaultBuilder::create(&storage, Recipe { passphrase: "another", ..Recipe::default() }).unwrap();
        let locked = Locked::read(Arc::new(storage)).unwrap();
        locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap_err()
    };
    assert!(matches!(wrong_passphrase, UnlockError::WrongPassphrase));

    let damaged = spoilt(|storage, _| replace(storage, MASTERKEY, b"{}")).unwrap_err();
    assert!(matches!(damaged, UnlockError::DamagedMasterkeyFile(_)));

    let another_key = spoilt(|storage, _| {
        let other = MemoryStorage::default();
        VaultBuilder::create(&other, Recipe { key: &[1; 64], ..Recipe::default() }).unwrap();
        replace(storage, CONFIG, &other.read(&path(CONFIG), 10_000).unwrap());
    })
    .unwrap_err();
    assert!(matches!(another_key, UnlockError::ConfigNotSigned(ConfigError::Signature)));

    let format = with_config("masterkeyfile:masterkey.cryptomator", &json!({"format": 9}));
    assert!(matches!(&format, UnlockError::UnsupportedFormat { what } if what.contains("format 9")));

    let hub = with_config("hub+https://hub.example.org/api/vaults/1", &claims());
    assert!(matches!(&hub, UnlockError::HubVault { host } if host == "hub.example.org"));

    let unknown = with_config("smartcard:1", &claims());
    assert!(matches!(&unknown, UnlockError::UnknownKeySource { scheme } if scheme == "smartcard"));

    let hostile = with_masterkey_field("scryptCostParam", &json!(1u64 << 31)).unwrap_err();
    assert!(matches!(hostile, UnlockError::HostileScrypt(_)));

    let nothing = Locked::read(Arc::new(MemoryStorage::default())).unwrap_err();
    assert!(matches!(nothing, UnlockError::NotAVault(NotAVault::Nothing)));

    let all = [wrong_passphrase, damaged, another_key, format, hub, unknown, hostile, nothing];
    let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 8, "{texts:#?}");
}

#[test]
fn what_is_missing_is_named() {
    let without = |file: &str| {
        let remove = |storage: &MemoryStorage, _: &VaultBuilder<'_>| {
            storage.remove(&path(file), EntryKind::File).unwrap();
        };
        spoilt(remove).unwrap_err()
    };
    assert!(matches!(without(CONFIG), UnlockError::NotAVault(NotAVault::NoConfig)));
    assert!(matches!(without(MASTERKEY), UnlockError::NotAVault(NotAVault::NoMasterkeyFile)));
    let remove_all = |from: usize| {
        spoilt(move |storage, builder| {
            let content = builder.content_dir(&DirId::root()).unwrap();
            let dirs = [content.clone(), content.parent().unwrap(), path("d")];
            for dir in &dirs[..from] {
                storage.remove(dir, EntryKind::Directory).unwrap();
            }
        })
        .unwrap_err()
    };
    assert!(matches!(remove_all(1), UnlockError::NotAVault(NotAVault::NoRoot)));
    assert!(matches!(remove_all(3), UnlockError::NotAVault(NotAVault::NoContents)));
}

#[test]
fn a_signed_config_that_asks_for_the_unknown_is_refused() {
    for (field, value) in [
        ("cipherCombo", json!("SIV_ROT13")),
        ("shorteningThreshold", json!(35)),
        ("shorteningThreshold", json!(9_999)),
    ] {
        let mut claims = claims();
        claims[field] = value;
        let error = with_config("masterkeyfile:masterkey.cryptomator", &claims);
        assert!(matches!(error, UnlockError::UnsupportedFormat { .. }), "{error}");
    }
}

#[test]
fn a_masterkey_file_elsewhere_is_never_followed() {
    let vault = spoilt(|storage, builder| {
        let header = json!({"kid": "masterkeyfile://evil.example/share", "typ": "JWT", "alg": "HS256"});
        replace(storage, CONFIG, builder.sign_config(&header, &claims()).as_bytes());
    })
    .unwrap();
    assert_eq!(
        vault.warnings()[0].to_string(),
        oxcrypt_core::unlock::Warning::ForeignMasterkeyFile.to_string()
    );
}

#[test]
fn a_changed_version_warns_and_opens() {
    let vault = with_masterkey_field("version", &json!(7)).unwrap();
    assert!(vault.warnings().contains(&oxcrypt_core::unlock::Warning::VersionNotAuthentic));
}

#[test]
fn key_files_too_long_to_be_any_are_refused_unread() {
    for file in [CONFIG, MASTERKEY] {
        let error = spoilt(|storage, _| replace(storage, file, &vec![b'{'; 1 << 20])).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}

#[test]
fn a_circle_of_directories_is_shown_and_not_walked_for_ever() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let outer = builder.directory(&DirId::root(), "outer").unwrap();
    let inner = builder.directory(&outer, "inner").unwrap();
    builder.directory_with_id(&inner, "outer again", &outer).unwrap();
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let (now, mut visits, mut node) = (Instant::now(), Visits::default(), vault.root());
    for name in ["outer", "inner", "outer again"] {
        assert_eq!(visits.enter(&node), Visit::First);
        node = vault.lookup(&node, &Name::new(name).unwrap(), now).unwrap();
    }
    assert_eq!(visits.enter(&node), Visit::Refused);
}

#[test]
fn copies_of_copies_do_not_grow_without_end() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let mut dir = DirId::root();
    for _ in 0..64 {
        let next = builder.directory(&dir, "one").unwrap();
        builder.directory_with_id(&dir, "two", &next).unwrap();
        dir = next;
    }
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let (now, mut visits, mut open, mut entered) = (Instant::now(), Visits::default(), vec![vault.root()], 0);
    while let Some(dir) = open.pop() {
        if visits.enter(&dir) == Visit::Refused {
            continue;
        }
        entered += 1;
        for entry in vault.list(&dir, now).unwrap().entries() {
            let Entry::Sound(found) = entry else { panic!("{entry:?}") };
            open.push(vault.node(&dir, found, now).unwrap());
        }
    }
    assert!((65..=65 * 8).contains(&entered), "{entered}");
}

#[test]
fn a_tree_deeper_than_any_stack_is_walked_and_dropped() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let mut dir = DirId::root();
    for _ in 0..5_000 {
        dir = builder.directory(&dir, "d").unwrap();
    }
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let (now, name, mut node, mut depth) = (Instant::now(), Name::new("d").unwrap(), vault.root(), 0);
    while let Ok(next) = vault.lookup(&node, &name, now) {
        (node, depth) = (next, depth + 1);
    }
    assert_eq!((depth, node.path().names().len()), (5_000, 5_000));
    drop((vault, node));
}

#[test]
fn a_walk_goes_only_so_deep() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let mut dir = DirId::root();
    for _ in 0..4_100 {
        dir = builder.directory(&dir, "d").unwrap();
    }
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let (now, name, mut node, mut visits) =
        (Instant::now(), Name::new("d").unwrap(), vault.root(), Visits::default());
    for _ in 0..=4_096 {
        assert_eq!(visits.enter(&node), Visit::First);
        node = vault.lookup(&node, &name, now).unwrap();
    }
    assert_eq!(visits.enter(&node), Visit::TooDeep);
    let nowhere = path("d/AA/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBB");
    assert_eq!(vault.locate(&nowhere, now, |_| true).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn random_bytes_for_a_key_file_are_an_error_in_no_time() {
    let start = Instant::now();
    let mut state = 1_u64;
    for round in 0..500_usize {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(round * 7)
        .collect();
        for file in [CONFIG, MASTERKEY] {
            let error = spoilt(|storage, _| replace(storage, file, &bytes)).unwrap_err();
            assert!(
                matches!(error, UnlockError::ConfigNotSigned(_) | UnlockError::DamagedMasterkeyFile(_)),
                "{error}"
            );
        }
    }
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn links_in_a_circle_end_in_an_error() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.symlink(&DirId::root(), "here", "there").unwrap();
    builder.symlink(&DirId::root(), "there", "here").unwrap();
    builder.symlink(&DirId::root(), "out", "../../../etc/passwd").unwrap();
    drop(builder);
    let vault = unlock(Arc::new(storage), "passphrase");
    let resolve = |path| vault.resolve(&VaultPath::parse(path).unwrap(), Follow::Always, Instant::now());
    assert_eq!(resolve("here").unwrap_err().kind(), ErrorKind::SymlinkLoop);
    // `..` ends at the vault's root, and there is no `etc` in it.
    assert_eq!(resolve("out").unwrap_err().kind(), ErrorKind::NotFound);
}
