//! Whose key files they are, the other side takes them.

use oxcrypt_core::VaultOptions;
use oxcrypt_core::crypto::CipherCombo;
use tempfile::TempDir;

use crate::judge::{Access, Judge, Secret};
use crate::manifest::actual;
use crate::model::Model;
use crate::scene::open;
use crate::suite::Suite;

const PASSPHRASE: &str = "p\u{e4}ssword";

const SUITE: Suite = Suite { combo: CipherCombo::SivGcm, threshold: 220 };

/// A vault that is about to be.
fn new_folder() -> (TempDir, Access) {
    let dir = TempDir::new().unwrap();
    let access = Access { path: dir.path().join("vault"), secret: Secret::Passphrase(PASSPHRASE) };
    (dir, access)
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
