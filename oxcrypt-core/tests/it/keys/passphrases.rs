//! A change of the passphrase.

use super::*;

#[test]
fn a_new_passphrase_opens_the_same_vault_and_the_old_one_only_the_backup() {
    let storage = shared(&vault_with(Recipe::default()));
    let before = now(&storage);
    let old_file: Value = serde_json::from_slice(&read(&before, MASTERKEY)).unwrap();
    change(Arc::clone(&storage) as _, "passphrase", "another").unwrap();
    let after = now(&storage);
    assert_eq!(content_of(&opened(&after, "another").unwrap()), b"content");
    assert!(matches!(opened(&after, "passphrase"), Err(UnlockError::WrongPassphrase)));
    let new_file: Value = serde_json::from_slice(&read(&after, MASTERKEY)).unwrap();
    assert_ne!(old_file["scryptSalt"], new_file["scryptSalt"]);
    assert_eq!(read(&before, CONFIG), read(&after, CONFIG));

    let added: Vec<String> =
        names(&after).into_iter().filter(|name| !names(&before).contains(name)).collect();
    let [backup] = &added[..] else { panic!("{added:?}") };
    assert_eq!(read(&after, backup), read(&before, MASTERKEY));
    replace(&after, MASTERKEY, &read(&before, MASTERKEY));
    assert!(opened(&after, "passphrase").is_ok());
}

#[test]
fn the_cost_is_no_less_than_it_was() {
    let storage = Arc::new(vault_with(Recipe::default()));
    let field = |name: &str| {
        let json: Value = serde_json::from_slice(&read(&*storage, MASTERKEY)).unwrap();
        json[name].as_u64().unwrap()
    };
    let set = |new: &str, scrypt: Option<ScryptParams>| {
        let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
        let key = MasterKey::from_raw(Recipe::default().key);
        locked.set_passphrase(&key, &phrase(new), scrypt).unwrap();
    };
    set("one", None);
    assert_eq!(field("scryptCostParam"), 1 << 15);
    set("two", Some(ScryptParams { cost: 1 << 16, block_size: 8 }));
    assert_eq!(field("scryptCostParam"), 1 << 16);
    set("three", None);
    assert_eq!(field("scryptCostParam"), 1 << 16);
    let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
    assert!(locked.key(&phrase("three"), &options()).is_ok());
    assert!(Locked::read(Arc::clone(&storage) as _).unwrap().unlock(&phrase("three"), &options()).is_ok());
}

#[test]
fn copy_first_then_the_change_in_one_step() {
    let storage = shared(&vault_with(Recipe::default()));
    let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
    let key = locked.key(&phrase("passphrase"), &options()).unwrap();
    let calls = note_calls(&storage);
    locked.set_passphrase(&key, &phrase("another"), Some(CHEAP)).unwrap();
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    let calls: Vec<String> = calls
        .iter()
        .map(|call| {
            if has_ending(call, "bkup") {
                format!("{} backup", call.split(' ').next().unwrap())
            } else {
                call.clone()
            }
        })
        .collect();
    assert_eq!(
        calls,
        [
            "Open masterkey.cryptomator",
            "ReadAt masterkey.cryptomator",
            "Open backup",
            "WriteAt backup",
            "Sync backup",
            "SyncDir .",
            "Remove masterkey.cryptomator.tmp",
            "Open masterkey.cryptomator.tmp",
            "WriteAt masterkey.cryptomator.tmp",
            "Sync masterkey.cryptomator.tmp",
            "Rename masterkey.cryptomator.tmp",
            "SyncDir .",
        ]
    );
}

#[test]
fn a_crash_anywhere_leaves_a_vault_that_one_of_both_opens() {
    let storage = shared(&vault_with(Recipe::default()));
    let before = read(&*storage, MASTERKEY);
    change(Arc::clone(&storage) as _, "passphrase", "another").unwrap();
    let (mut old, mut new) = (0, 0);
    for at in 0..=storage.mutations() {
        for crash in crashes() {
            let image = storage.crash_image(at, crash);
            let by_old = opened(&image, "passphrase").is_ok();
            let by_new = opened(&image, "another").is_ok();
            assert!(by_old != by_new, "{at} {crash:?}: {by_old} {by_new}");
            (old, new) = (old + u32::from(by_old), new + u32::from(by_new));
            if by_new {
                let kept = state(&image)
                    .iter()
                    .any(|(name, bytes)| has_ending(name, "bkup") && bytes.as_ref() == Some(&before));
                assert!(kept, "{at} {crash:?}: the copy is there before the change");
            }
            // Whatever was left behind, the next change works.
            let current = if by_old { "passphrase" } else { "another" };
            let image = Arc::new(image);
            change(Arc::clone(&image) as _, current, "third").unwrap();
            assert!(opened(&image, "third").is_ok());
            assert!(!names(&*image).iter().any(|name| has_ending(name, "tmp")));
        }
    }
    assert!(old > 20 && new > 10, "{old} {new}");
    let done = storage.crash_image(usize::MAX, Crash::PowerLoss { seed: 3 });
    assert!(opened(&done, "another").is_ok(), "what was changed stays changed");
}

#[test]
fn a_failure_of_any_call_is_told_and_changes_nothing_but_the_last_which_says_so() {
    for failing in 0.. {
        let storage = shared(&vault_with(Recipe::default()));
        fail_at(&storage, failing);
        let changed = change(Arc::clone(&storage) as _, "passphrase", "another");
        if storage.counts().total() <= failing {
            assert!(changed.is_ok() && failing >= 15);
            break;
        }
        let image = now(&storage);
        match changed {
            Ok(()) => panic!("{failing}: a failure that nobody was told of"),
            Err(KeyFileError::Unconfirmed { file: KeyFile::Masterkey, .. }) => {
                assert!(opened(&image, "another").is_ok());
            }
            Err(_) => assert!(opened(&image, "passphrase").is_ok(), "{failing}"),
        }
        let left = names(&image).into_iter().any(|name| has_ending(&name, "tmp"));
        assert!(!left, "{failing}: a temporary file stays");
    }
}

#[test]
fn an_unfinished_backup_is_finished_and_what_is_none_stops_the_change() {
    let storage = vault_with(Recipe::default());
    let content = read(&storage, MASTERKEY);
    let copy = storage.snapshot();
    change(Arc::new(copy.snapshot()), "passphrase", "another").unwrap();
    let with_backup = |bytes: &[u8]| {
        let probe = Arc::new(storage.snapshot());
        change(Arc::clone(&probe) as _, "passphrase", "another").unwrap();
        let name = names(&*probe).into_iter().find(|name| has_ending(name, "bkup")).unwrap();
        let begun = Arc::new(storage.snapshot());
        begun.write_new(&path(&name), bytes).unwrap();
        let changed = change(Arc::clone(&begun) as _, "passphrase", "another");
        (changed, begun, name)
    };
    let zeros = vec![0; content.len()];
    for unfinished in [&content[..0], &content[..100], &content[..], &zeros] {
        let (changed, begun, name) = with_backup(unfinished);
        changed.unwrap();
        assert_eq!(read(&*begun, &name), content);
    }
    let longer = [&content[..], b" "].concat();
    for other in [&b"something else"[..], &longer] {
        let (changed, begun, name) = with_backup(other);
        assert!(matches!(changed, Err(KeyFileError::BackupNameTaken(taken)) if taken == name));
        assert_eq!(read(&*begun, &name), other);
        assert!(opened(&begun, "passphrase").is_ok());
    }
}

#[test]
fn another_vaults_key_changes_nothing() {
    let storage = shared(&vault_with(Recipe::default()));
    let before = state(&*storage);
    let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
    let stranger = MasterKey::from_raw(&[9; 64]);
    let error = locked.set_passphrase(&stranger, &phrase("another"), None).unwrap_err();
    assert!(
        matches!(error, KeyFileError::Unlock(UnlockError::ConfigNotSigned(ConfigError::Signature))),
        "{error}"
    );
    let empty = locked.set_passphrase(&MasterKey::from_raw(Recipe::default().key), &phrase(""), None);
    assert!(matches!(empty, Err(KeyFileError::EmptyPassphrase)));
    assert_eq!(state(&*storage), before);
}
