//! What was lost, made again from the recovery key and from what lies in the vault.

use super::*;

fn recovered() -> MasterKey {
    RecoveryKey::read(RecoveryKey::of(&MasterKey::from_raw(Recipe::default().key)).words()).ok().unwrap()
}

#[test]
fn a_recovery_key_unlocks_and_sets_a_passphrase_also_without_a_masterkey_file() {
    for damage in [None, Some(&b"{"[..]), Some(b"")] {
        let storage = Arc::new(vault_with(Recipe::default()));
        match damage {
            Some(damaged) => replace(&*storage, MASTERKEY, damaged),
            None => remove(&*storage, MASTERKEY),
        }
        let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
        locked.set_passphrase(&recovered(), &phrase("new"), Some(CHEAP)).unwrap();
        assert_eq!(content_of(&opened(&storage, "new").unwrap()), b"content");
        let vault = Locked::read(Arc::clone(&storage) as _).unwrap();
        assert!(vault.unlock_with_key(recovered(), &options()).is_ok());
        let backups = unlock::backups(&*storage).unwrap();
        assert_eq!(backups.len(), usize::from(damage.is_some()), "{backups:?}");
    }
}

#[test]
fn a_lost_config_is_built_again_from_what_lies_in_the_vault() {
    for combo in CipherCombo::ALL {
        for threshold in [36, 60, 220] {
            let storage = vault_with(Recipe { combo, threshold, ..Recipe::default() });
            remove(&storage, CONFIG);
            let key = recovered();
            let evidence = Evidence::find(&storage, &key).unwrap();
            assert_eq!((evidence.combo, evidence.unread, evidence.replaces_config), (Some(combo), 0, false));
            let found = evidence.shortening_threshold().unwrap();
            unlock::rebuild_config(&storage, &key, combo, found).unwrap();
            // Whatever the threshold was, names are found.
            let vault = opened(&storage, "passphrase").unwrap();
            assert_eq!(content_of(&vault), b"content");
            assert!(vault.warnings().iter().all(|warning| warning.to_string().contains("scrypt")));
        }
    }
}

#[test]
fn the_threshold_is_in_line_with_long_and_shortened_names() {
    let find = |threshold: usize, lengths: &[usize]| {
        let storage = MemoryStorage::default();
        let recipe = Recipe { threshold, ..Recipe::default() };
        let builder = VaultBuilder::create(&storage, recipe).unwrap();
        for len in lengths {
            builder.file(&DirId::root(), &"n".repeat(*len), b"").unwrap();
        }
        remove(&storage, CONFIG);
        Evidence::find(&storage, &recovered()).unwrap()
    };
    // 10 bytes make a name of 40 characters, 50 of 92, 100 of 160, 160 of 240.
    let between = find(100, &[10, 50, 100]);
    assert_eq!((between.longest_name, between.shortest_shortened), (Some(92), Some(160)));
    assert_eq!(between.shortening_threshold(), Some(159));
    assert_eq!(find(220, &[10, 160]).shortening_threshold(), Some(220));
    assert_eq!(find(240, &[160]).shortening_threshold(), Some(240));
    assert_eq!(find(220, &[]).shortening_threshold(), Some(220));
    let mut contradiction = between;
    contradiction.longest_name = Some(160);
    assert_eq!(contradiction.shortening_threshold(), None);
}

#[test]
fn copies_of_sync_clients_and_foreign_names_are_no_evidence() {
    let storage = vault_with(Recipe::default());
    let dir = names(&storage).into_iter().find(|name| name.matches('/').count() == 2).unwrap();
    for foreign in [
        format!("{}.c9r", "x".repeat(231)),
        format!(
            "{} (Created by somebody who has a very long name indeed, longer than any).c9r",
            "A".repeat(24)
        ),
    ] {
        storage.write_new(&path(&format!("{dir}/{foreign}")), b"").unwrap();
    }
    storage.create_dir(&path(&format!("{dir}/{}.c9s", "A".repeat(28)))).unwrap();
    storage.write_new(&path(&format!("{dir}/{}.c9s/name.c9s", "A".repeat(28))), b"short.c9r").unwrap();
    remove(&storage, CONFIG);
    let evidence = Evidence::find(&storage, &recovered()).unwrap();
    assert!(evidence.longest_name.unwrap() < 60, "{evidence:?}");
    assert_eq!(evidence.shortest_shortened, None);
}

#[test]
fn what_is_not_lost_is_not_rebuilt_and_another_vaults_key_rebuilds_nothing() {
    let storage = vault_with(Recipe::default());
    let before = state(&storage);
    let rebuild = |key: &MasterKey| unlock::rebuild_config(&storage, key, CipherCombo::SivGcm, 220);
    assert!(matches!(rebuild(&recovered()), Err(KeyFileError::NothingToRebuild)));
    let stranger = MasterKey::from_raw(&[9; 64]);
    assert!(matches!(rebuild(&stranger), Err(KeyFileError::AnotherVaultsKey)));
    assert!(matches!(Evidence::find(&storage, &stranger), Err(KeyFileError::AnotherVaultsKey)));
    assert_eq!(state(&storage), before);
}

#[test]
fn a_damaged_config_is_copied_before_it_is_replaced() {
    let storage = vault_with(Recipe::default());
    replace(&storage, CONFIG, b"damaged");
    assert!(Evidence::find(&storage, &recovered()).unwrap().replaces_config);
    unlock::rebuild_config(&storage, &recovered(), CipherCombo::SivGcm, 220).unwrap();
    assert_eq!(content_of(&opened(&storage, "passphrase").unwrap()), b"content");
    let backups = unlock::backups(&storage).unwrap();
    assert_eq!(read(&storage, &backups[0].name), b"damaged");
}

#[test]
fn with_both_lost_the_recovery_key_brings_both_back() {
    let storage = Arc::new(vault_with(Recipe::default()));
    remove(&*storage, CONFIG);
    remove(&*storage, MASTERKEY);
    let key = recovered();
    assert!(matches!(
        unlock::key_without_config(&*storage, &phrase("x"), &options()),
        Err(UnlockError::NotAVault(NotAVault::NoMasterkeyFile))
    ));
    let combo = Evidence::find(&*storage, &key).unwrap().combo.unwrap();
    unlock::rebuild_config(&*storage, &key, combo, 220).unwrap();
    let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
    locked.set_passphrase(&key, &phrase("new"), Some(CHEAP)).unwrap();
    assert_eq!(content_of(&opened(&storage, "new").unwrap()), b"content");
}

#[test]
fn a_crash_while_a_config_is_rebuilt_leaves_what_was_there_or_a_whole_one() {
    let base = vault_with(Recipe::default());
    replace(&base, CONFIG, b"damaged");
    let storage = FaultyStorage::new(&base);
    unlock::rebuild_config(&storage, &recovered(), CipherCombo::SivGcm, 220).unwrap();
    for at in 0..=storage.mutations() {
        for crash in crashes() {
            let image = storage.crash_image(at, crash);
            match opened(&image, "passphrase") {
                Ok(vault) => assert_eq!(content_of(&vault), b"content"),
                Err(_) => assert_eq!(read(&image, CONFIG), b"damaged", "{at} {crash:?}"),
            }
        }
    }
}

#[test]
fn the_key_of_a_vault_without_a_config_comes_from_its_masterkey_file() {
    let storage = vault_with(Recipe::default());
    remove(&storage, CONFIG);
    let key = unlock::key_without_config(&storage, &phrase("passphrase"), &options()).ok().unwrap();
    assert_eq!(key.raw(), Recipe::default().key);
    let wrong = unlock::key_without_config(&storage, &phrase("x"), &options());
    assert!(matches!(wrong, Err(UnlockError::WrongPassphrase)));
}
