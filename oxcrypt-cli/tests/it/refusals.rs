//! What cannot be opened: the right message, the right code, in bounded time and memory.

use std::fs;

use oxcrypt_core::DirId;
use oxcrypt_core::storage::MemoryStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use serde_json::{Value, json};

use crate::command::{Ended, Made, Official, oxcrypt, run};

/// A vault whose file `name` holds `content`, or is not there.
fn with(name: &str, content: Option<&[u8]>) -> Ended {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "file", b"").unwrap();
    });
    let path = made.vault().join(name);
    match content {
        Some(content) => fs::write(path, content).unwrap(),
        None if path.is_dir() => fs::remove_dir_all(path).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
    let ended = made.run(&["ls"], &[]);
    let info = run(oxcrypt(&["info"]).arg(made.vault()));
    assert!([Some(0), Some(4)].contains(&info.code), "{info:?}");
    ended
}

/// A config that says anything, signed with the vault's key.
fn signed(kid: &str, claim: &str, value: Value) -> Vec<u8> {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let mut claims = json!({ "format": 8, "cipherCombo": "SIV_GCM", "shorteningThreshold": 220 });
    claims[claim] = value;
    builder.sign_config(&json!({ "kid": kid, "typ": "JWT", "alg": "HS256" }), &claims).into()
}

const OWN: &str = "masterkeyfile:masterkey.cryptomator";

#[test]
fn each_reason_has_its_own_message_and_code() {
    let config = |kid, claim, value| with("vault.cryptomator", Some(&signed(kid, claim, value)));
    let hostile = json!({
        "version": 999, "scryptSalt": "AAAAAAAAAAA=", "scryptCostParam": 1 << 20, "scryptBlockSize": 32,
        "primaryMasterKey": "A".repeat(54) + "==", "hmacMasterKey": "A".repeat(54) + "==", "versionMac": "A".repeat(43) + "=",
    });
    let hostile = hostile.to_string();
    let cases: [(Ended, i32, &str); 14] = [
        (with("masterkey.cryptomator", Some(b"{}")), 4, "masterkey.cryptomator is damaged"),
        (with("masterkey.cryptomator", Some(hostile.as_bytes())), 4, "no client would choose"),
        (with("masterkey.cryptomator", Some(&vec![b' '; 100_000])), 4, "too long"),
        (with("masterkey.cryptomator", None), 4, "masterkey.cryptomator is missing"),
        (with("vault.cryptomator", None), 4, "vault.cryptomator is missing"),
        (with("vault.cryptomator", Some(b"random bytes \xff\xfe")), 4, "vault.cryptomator cannot be trusted"),
        (with("d", None), 4, "not synced"),
        (config(OWN, "format", json!(9)), 4, "format 9"),
        (config(OWN, "cipherCombo", json!("ROT13")), 4, "ROT13"),
        (config(OWN, "shorteningThreshold", json!(3)), 4, "shortening threshold"),
        (config("hub+https://hub.example/api/vaults/1", "a", json!(1)), 4, "Cryptomator Hub at hub.example"),
        (config("smartcard:1", "a", json!(1)), 4, "unknown source, \"smartcard\""),
        (run(&mut oxcrypt(&["ls", "/nonexistent/oxcrypt"])), 4, "no such folder"),
        (run(&mut oxcrypt(&["ls", "/tmp"])), 4, "neither vault.cryptomator nor masterkey.cryptomator"),
    ];
    for (ended, code, text) in cases {
        assert_eq!(ended.code, Some(code), "{text}: {ended:?}");
        assert!(ended.err.contains(text), "{text}: {ended:?}");
        assert_eq!((ended.err.lines().count(), ended.out.as_str()), (1, ""), "{ended:?}");
    }
}

#[test]
fn a_forged_config_is_not_believed() {
    let own = signed(OWN, "shorteningThreshold", json!(220));
    let mut forged = own.clone();
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let ended = with("vault.cryptomator", Some(&forged));
    assert!(ended.code == Some(4) && ended.err.contains("signature"), "{ended:?}");
    assert_eq!(with("vault.cryptomator", Some(&own)).code, Some(0), "it is the change that is noticed");
}

#[test]
fn a_masterkey_file_elsewhere_is_not_followed() {
    let ended = with("vault.cryptomator", Some(&signed("masterkeyfile:../../etc/passwd", "a", json!(1))));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("another masterkey file"), "{ended:?}");
}

#[test]
fn a_wrong_passphrase_has_a_code_of_its_own() {
    let made = Made::new(|_| ());
    let ended = run(oxcrypt(&["ls", "--passphrase-env", "OFFICIAL"]).arg(made.vault()));
    assert_eq!(ended.code, Some(3));
    assert!(ended.err.contains("wrong passphrase"), "{ended:?}");
}

#[test]
fn vaults_of_older_formats_say_that_they_must_be_migrated() {
    let official = Official::unpack();
    for format in 5..=7 {
        let vault = official.path(&format!("legacy_v{format}"));
        for verb in [&["info"][..], &["ls", "--passphrase-env", "OFFICIAL"]] {
            let ended = run(oxcrypt(verb).arg(&vault));
            assert_eq!(ended.code, Some(4), "{ended:?}");
            assert!(
                ended.err.contains(&format!("format {format}")) && ended.err.contains("migrated"),
                "{ended:?}"
            );
        }
    }
}

#[test]
fn what_is_not_in_the_vault_is_told_with_its_path() {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "file", b"content").unwrap();
    });
    for (args, text) in [
        (&["ls", "nowhere"][..], "/nowhere: no such entry"),
        (&["cat", "file/x"], "/file/x: not a directory"),
        (&["cat", "/"], "/: is a directory"),
        (&["tree", "file"], "/file: not a directory"),
        (&["locate", "a/b"], "/a/b: no such entry"),
    ] {
        let ended = made.run(&args[..1], &args[1..]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(text), "{text}: {ended:?}");
    }
    let nothing = made.run(&["ls"], &[""]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    let climbing = made.run(&["ls"], &["../x"]);
    assert_eq!(climbing.code, Some(2), "{climbing:?}");
}

#[test]
fn a_destination_that_cannot_be_is_told() {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "file", b"content").unwrap();
    });
    let decrypt = |dest: &std::path::Path| {
        run(oxcrypt(&["decrypt", "--passphrase-env", "PASSPHRASE"]).arg(made.vault()).arg(dest))
    };
    let file = made.dir().join("a file");
    fs::write(&file, "").unwrap();
    assert_eq!(decrypt(&file).code, Some(5));
    assert_eq!(decrypt(&file.join("below")).code, Some(5));
    let inside = decrypt(&made.vault().join("out"));
    assert_eq!(inside.code, Some(2), "{inside:?}");
    assert!(!made.vault().join("out").exists());
}
