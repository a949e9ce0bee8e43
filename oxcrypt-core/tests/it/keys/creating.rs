//! New vaults.

use super::*;

#[test]
fn a_new_vault_opens_is_empty_and_has_nothing_odd() {
    for combo in CipherCombo::ALL {
        for threshold in [36, 100, 220] {
            let storage = MemoryStorage::default();
            let new = NewVault::default().combo(combo).shortening_threshold(threshold);
            let key = unlock::create(&storage, &phrase("p\u{e4}ssphrase"), &new).unwrap();
            let files: Vec<usize> =
                state(&storage).iter().filter_map(|(_, bytes)| bytes.as_ref().map(Vec::len)).collect();
            let id_len = usize::try_from(combo.layout().header_len()).unwrap();
            assert!(files.len() == 3 && files.contains(&id_len), "{files:?}");
            let locked = Locked::read(Arc::new(storage.snapshot())).unwrap();
            let info = locked.info().unwrap();
            assert_eq!((info.scrypt, info.format), (Some(ScryptParams::default()), Some(8)));
            // However it is typed.
            for typed in ["p\u{e4}ssphrase", "pa\u{308}ssphrase"] {
                let vault = opened(&storage, typed).unwrap();
                assert_eq!((vault.cipher_combo(), vault.shortening_threshold()), (combo, threshold));
                assert!(vault.warnings().is_empty(), "{:?}", vault.warnings());
                assert!(vault.list(&vault.root(), Instant::now()).unwrap().entries().is_empty());
            }
            assert!(locked.expect_key(&key).is_ok());
        }
    }
}

#[test]
fn no_two_vaults_share_a_key_a_salt_or_an_id() {
    let made = || {
        let storage = MemoryStorage::default();
        let key = *unlock::create(&storage, &phrase("x"), &new_vault()).unwrap().raw();
        let json: Value = serde_json::from_slice(&read(&storage, MASTERKEY)).unwrap();
        (key, json["scryptSalt"].clone(), read(&storage, CONFIG))
    };
    let (one, other) = (made(), made());
    assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2);
}

#[test]
fn what_cannot_be_a_vault_is_refused_before_anything_is_written() {
    let refused = |passphrase: Passphrase, new: NewVault| {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        let error = unlock::create(&storage, &passphrase, &new).err().unwrap();
        assert_eq!(storage.counts().total(), 0, "{error}");
        error
    };
    assert!(matches!(refused(phrase(""), new_vault()), KeyFileError::EmptyPassphrase));
    let bytes = Passphrase::from_bytes(zeroize::Zeroizing::new(vec![0xff, 0xfe]));
    assert!(matches!(refused(bytes, new_vault()), KeyFileError::PassphraseNotText));
    for threshold in [0, 35, 221, 255] {
        let error = refused(phrase("x"), new_vault().shortening_threshold(threshold));
        assert!(matches!(error, KeyFileError::ShorteningThreshold { .. }), "{error}");
    }
    for (cost, block_size) in [(0, 8), (1, 8), (3, 8), (1 << 21, 8), (1 << 15, 0), (1 << 20, 16)] {
        let error = refused(phrase("x"), new_vault().scrypt(ScryptParams { cost, block_size }));
        assert!(matches!(error, KeyFileError::ScryptCost(_)), "{error}");
    }
}

#[test]
fn a_folder_that_holds_anything_is_refused_and_left_as_it_is() {
    let refused = |fill: &dyn Fn(&MemoryStorage)| {
        let storage = MemoryStorage::default();
        fill(&storage);
        let before = state(&storage);
        let error = unlock::create(&storage, &phrase("passphrase"), &new_vault()).err().unwrap();
        assert_eq!(state(&storage), before, "{error}");
        error
    };
    let vault = |storage: &MemoryStorage| drop(VaultBuilder::create(storage, Recipe::default()).unwrap());
    assert!(matches!(refused(&vault), KeyFileError::IsAVault));
    let file = |storage: &MemoryStorage| storage.write_new(&path("letter.txt"), b"dear").unwrap();
    assert!(matches!(refused(&file), KeyFileError::NotEmpty(name) if name == "letter.txt"));
    let folder = |storage: &MemoryStorage| storage.create_dir(&path(".DS_Store")).unwrap();
    assert!(matches!(refused(&folder), KeyFileError::NotEmpty(_)));
    let backup =
        |storage: &MemoryStorage| storage.write_new(&path("masterkey.cryptomator.bkup"), b"").unwrap();
    assert!(matches!(refused(&backup), KeyFileError::NotEmpty(_)));

    let no_key_files = |storage: &MemoryStorage| {
        vault(storage);
        remove(storage, CONFIG);
        remove(storage, MASTERKEY);
    };
    assert!(matches!(refused(&no_key_files), KeyFileError::NotEmpty(name) if name == "d"));
    let no_config_but_content = |storage: &MemoryStorage| {
        let builder = VaultBuilder::create(storage, Recipe::default()).unwrap();
        builder.file(&DirId::root(), "file", b"content").unwrap();
        remove(storage, CONFIG);
    };
    assert!(
        matches!(refused(&no_config_but_content), KeyFileError::NotEmpty(name) if name.starts_with("d/"))
    );
    let anothers_masterkey_file = |storage: &MemoryStorage| {
        VaultBuilder::create(storage, Recipe { passphrase: "another", ..Recipe::default() }).unwrap();
        remove(storage, CONFIG);
    };
    assert!(matches!(refused(&anothers_masterkey_file), KeyFileError::HalfAVault));
}

#[test]
fn what_systems_leave_in_any_folder_is_no_hindrance() {
    let storage = MemoryStorage::default();
    for junk in [".DS_Store", "._x", "Thumbs.db", "desktop.ini"] {
        storage.write_new(&path(junk), b"junk").unwrap();
    }
    unlock::create(&storage, &phrase("x"), &new_vault()).unwrap();
    assert!(opened(&storage, "x").is_ok());
    assert_eq!(read(&storage, ".DS_Store"), b"junk");
}

#[test]
fn the_config_comes_last_and_everything_is_synced_before() {
    let storage = FaultyStorage::new(&MemoryStorage::default());
    let calls = note_calls(&storage);
    unlock::create(&storage, &phrase("x"), &new_vault()).unwrap();
    let calls: Vec<String> = std::mem::take(&mut *calls.lock().unwrap());
    let hash = |call: &String| {
        // The path of the root's content directory is another one each time.
        let mut parts: Vec<&str> = call.split('/').collect();
        for (part, name) in parts.iter_mut().skip(1).zip(["XX", "YY"]) {
            *part = name;
        }
        parts.join("/")
    };
    let expected = [
        "List .",
        "Remove masterkey.cryptomator.tmp",
        "Open masterkey.cryptomator.tmp",
        "WriteAt masterkey.cryptomator.tmp",
        "Sync masterkey.cryptomator.tmp",
        "Rename masterkey.cryptomator.tmp",
        "SyncDir .",
        "CreateDir d",
        "CreateDir d/XX",
        "CreateDir d/XX/YY",
        "Remove d/XX/YY/dirid.c9r",
        "Open d/XX/YY/dirid.c9r",
        "WriteAt d/XX/YY/dirid.c9r",
        "Sync d/XX/YY/dirid.c9r",
        "SyncDir d/XX/YY",
        "SyncDir d/XX",
        "SyncDir d",
        "SyncDir .",
        "Remove vault.cryptomator.tmp",
        "Open vault.cryptomator.tmp",
        "WriteAt vault.cryptomator.tmp",
        "Sync vault.cryptomator.tmp",
        "Rename vault.cryptomator.tmp",
        "SyncDir .",
    ];
    assert_eq!(calls.iter().map(hash).collect::<Vec<_>>(), expected);
}

#[test]
fn a_crash_anywhere_leaves_no_vault_or_a_whole_one_and_the_next_try_finishes_it() {
    let storage = FaultyStorage::new(&MemoryStorage::default());
    unlock::create(&storage, &phrase("x"), &new_vault()).unwrap();
    let (mut half, mut whole) = (0, 0);
    for at in 0..=storage.mutations() {
        for crash in crashes() {
            let image = storage.crash_image(at, crash);
            let again = unlock::create(&image, &phrase("x"), &new_vault());
            match opened(&storage.crash_image(at, crash), "x") {
                Ok(_) => {
                    assert!(matches!(again, Err(KeyFileError::IsAVault)), "{at} {crash:?}");
                    whole += 1;
                }
                Err(UnlockError::NotAVault(NotAVault::Nothing | NotAVault::NoConfig)) => {
                    assert!(again.is_ok(), "{at} {crash:?} {:?}", again.err());
                    half += 1;
                }
                Err(other) => panic!("{at} {crash:?} {other}"),
            }
            assert!(opened(&image, "x").is_ok(), "{at} {crash:?}");
            assert_eq!(names(&image).len(), 6, "nothing is left over: {:?}", names(&image));

            // With another passphrase nothing is given up that somebody might still need.
            let image = storage.crash_image(at, crash);
            match unlock::create(&image, &phrase("y"), &new_vault()) {
                Ok(_) => assert!(opened(&image, "y").is_ok()),
                Err(KeyFileError::IsAVault | KeyFileError::HalfAVault) => {}
                Err(other) => panic!("{at} {crash:?} {other}"),
            }
        }
    }
    assert!(half > 50 && whole > 10, "{half} {whole}");
    let done = storage.crash_image(usize::MAX, Crash::PowerLoss { seed: 7 });
    assert!(opened(&done, "x").is_ok(), "what was created stays");
}

#[test]
fn a_failure_of_any_call_is_told_and_the_next_try_works() {
    for failing in 0.. {
        let content = MemoryStorage::default();
        let storage = FaultyStorage::new(&content);
        fail_at(&storage, failing);
        let made = unlock::create(&storage, &phrase("x"), &new_vault());
        if storage.counts().total() <= failing {
            assert!(made.is_ok() && failing >= 20);
            break;
        }
        let again = unlock::create(&storage, &phrase("x"), &new_vault());
        let image = storage.crash_image(usize::MAX, Crash::Kill { pages: 0 });
        assert!(opened(&image, "x").is_ok(), "{failing}: {:?}", again.err());
        // The last call confirms what is done already.
        let is_done = matches!(again, Err(KeyFileError::IsAVault));
        match made {
            Ok(_) => panic!("{failing}: a failure that nobody was told of"),
            Err(KeyFileError::Unconfirmed { file: KeyFile::Config, .. }) => assert!(is_done),
            Err(_) => assert!(again.is_ok(), "{failing}: {:?}", again.err()),
        }
    }
}

#[test]
fn a_storage_that_cannot_sync_folders_or_refuse_to_replace_has_vaults_all_the_same() {
    let content = MemoryStorage::default();
    let storage = FaultyStorage::new(&content);
    let renames = std::sync::atomic::AtomicUsize::new(0);
    storage.on_call(move |call| match call.method {
        Method::SyncDir => Verdict::Fail(io::ErrorKind::Unsupported),
        // The masterkey file's, then the config's first try.
        Method::Rename if renames.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1 => {
            Verdict::Fail(io::ErrorKind::Unsupported)
        }
        _ => Verdict::Pass,
    });
    unlock::create(&storage, &phrase("x"), &new_vault()).unwrap();
    assert!(opened(&storage.crash_image(usize::MAX, Crash::Kill { pages: 0 }), "x").is_ok());
}

#[test]
fn a_vault_begun_with_another_suite_is_finished_with_this_one() {
    let storage = FaultyStorage::new(&MemoryStorage::default());
    unlock::create(&storage, &phrase("x"), &new_vault().combo(CipherCombo::SivCtrMac)).unwrap();
    // All but the config's last rename and sync.
    let image = storage.crash_image(storage.mutations() - 2, Crash::Kill { pages: 0 });
    assert!(opened(&image, "x").is_err());
    unlock::create(&image, &phrase("x"), &new_vault()).unwrap();
    assert_eq!(opened(&image, "x").unwrap().cipher_combo(), CipherCombo::SivGcm);
    let lens: Vec<usize> =
        state(&image).iter().filter_map(|(_, bytes)| bytes.as_ref().map(Vec::len)).collect();
    assert!(lens.contains(&68), "the root's id was written with it: {lens:?}");
}

#[test]
fn a_config_that_comes_meanwhile_is_never_replaced() {
    let storage = Arc::new(FaultyStorage::new(&MemoryStorage::default()));
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    storage.on_call(move |call| match (call.method, call.path.as_str()) {
        (Method::Sync, "vault.cryptomator.tmp") => Verdict::Hold(Arc::clone(&held)),
        _ => Verdict::Pass,
    });
    let creating = {
        let storage = Arc::clone(&storage);
        std::thread::spawn(move || unlock::create(&*storage, &phrase("x"), &new_vault()).map(drop))
    };
    gate.wait_for(1);
    storage.write_new(&path(CONFIG), b"somebody else's").unwrap();
    gate.open();
    assert!(matches!(creating.join().unwrap(), Err(KeyFileError::IsAVault)));
    assert_eq!(read(&*storage, CONFIG), b"somebody else's");
    assert!(!names(&*storage).iter().any(|name| has_ending(name, "tmp")));
}
