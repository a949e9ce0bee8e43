//! Whose key files they are, the other side takes them.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use oxcrypt_core::VaultOptions;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{self, Evidence, Locked, Passphrase};
use tempfile::TempDir;

use crate::judge::{Access, Judge, Secret, Trouble};
use crate::manifest::actual;
use crate::model::Model;
use crate::operation::{Content, Operation, Outcome};
use crate::scene::{make, open};
use crate::second_opinion;
use crate::suite::Suite;

const PASSPHRASE: &str = "p\u{e4}ssword";
const OTHER_PASSPHRASE: &str = "\u{1f980} and another";

const SUITE: Suite = Suite { combo: CipherCombo::SivGcm, threshold: 220 };

/// A vault that is about to be.
fn new_folder() -> (TempDir, Access) {
    let dir = TempDir::new().unwrap();
    let access = Access { path: dir.path().join("vault"), secret: Secret::Passphrase(PASSPHRASE) };
    (dir, access)
}

fn storage(access: &Access) -> LocalStorage {
    LocalStorage::open(&access.path).unwrap()
}

fn locked(access: &Access) -> Locked {
    Locked::read(Arc::new(storage(access))).unwrap()
}

#[test]
fn a_passphrase_of_official_code_unlocks() {
    let Some(judge) = Judge::get() else { return };
    let (_dir, access) = new_folder();
    judge.create(&access, SUITE);
    let vault = open(&access, &VaultOptions::default());
    assert!(vault.warnings().is_empty(), "{:?}", vault.warnings());
    assert_eq!(actual(&vault), Model::new().manifest());
}

#[test]
fn a_vault_that_we_made_is_in_perfect_health_to_official_code() {
    let Some(judge) = Judge::get() else { return };
    for combo in CipherCombo::ALL {
        for threshold in [36, 220] {
            let (_dir, access) = new_folder();
            make(&access, Suite { combo, threshold }, "pa\u{308}ssword");
            let health = judge.health(&access);
            assert!(health.is_perfect(), "{health:?}");
            let path = format!("/{}", "n".repeat(30));
            let write = Operation::Write { path, offset: 0, content: Content { seed: 1, len: 40_000 } };
            let mut model = Model::new();
            model.apply(&write);
            assert_eq!(judge.apply(&access, &[write]), [Outcome::Done]);
            assert_eq!(judge.list(&access), model.manifest());
            assert_eq!(actual(&open(&access, &VaultOptions::default())), model.manifest());
            if let (CipherCombo::SivGcm, Some(python)) = (combo, second_opinion::python()) {
                assert_eq!(second_opinion::list(python, &access.path, PASSPHRASE), model.manifest());
            }
        }
    }
}

#[test]
fn the_passphrase_that_we_changed_to_is_the_one_that_official_code_takes() {
    let Some(judge) = Judge::get() else { return };
    let (_dir, mut access) = new_folder();
    judge.create(&access, SUITE);
    let locked = locked(&access);
    let key = locked.key(&Passphrase::new(PASSPHRASE), &VaultOptions::default()).unwrap();
    locked.set_passphrase(&key, &Passphrase::new(OTHER_PASSPHRASE), None).unwrap();
    let refused = judge.try_apply(&access, &[], Duration::from_secs(30));
    assert!(
        matches!(&refused, Err(Trouble::Refused(why)) if why.contains("InvalidPassphrase")),
        "{refused:?}"
    );
    access.secret = Secret::Passphrase(OTHER_PASSPHRASE);
    assert_eq!(judge.list(&access), Model::new().manifest());
}

#[test]
fn the_passphrase_that_official_code_changed_to_is_the_one_that_we_take() {
    let Some(judge) = Judge::get() else { return };
    let (_dir, mut access) = new_folder();
    make(&access, SUITE, PASSPHRASE);
    judge.change_passphrase(&access, OTHER_PASSPHRASE);
    access.secret = Secret::Passphrase(OTHER_PASSPHRASE);
    assert_eq!(actual(&open(&access, &VaultOptions::default())), Model::new().manifest());
}

#[test]
fn official_code_takes_a_config_that_we_rebuilt() {
    let Some(judge) = Judge::get() else { return };
    for combo in CipherCombo::ALL {
        let (_dir, access) = new_folder();
        judge.create(&access, Suite { combo, threshold: 36 });
        let operations =
            ["/short", "/some longer name"].map(|path| Operation::MakeDir { path: path.to_owned() });
        judge.apply(&access, &operations);
        let key = locked(&access).key(&Passphrase::new(PASSPHRASE), &VaultOptions::default()).unwrap();
        let listed = judge.list(&access);
        for entry in fs::read_dir(&access.path).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains("vault.cryptomator") {
                fs::remove_file(path).unwrap();
            }
        }
        let evidence = Evidence::find(&storage(&access), &key).unwrap();
        let (found, threshold) = (evidence.combo.unwrap(), evidence.shortening_threshold().unwrap());
        assert_eq!(found, combo);
        unlock::rebuild_config(&storage(&access), &key, combo, threshold).unwrap();
        assert_eq!(judge.list(&access), listed);
    }
}
