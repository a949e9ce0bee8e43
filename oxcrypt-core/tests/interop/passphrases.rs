//! What unlocks a vault for one unlocks it for the other.

use std::sync::Arc;

use oxcrypt_core::VaultOptions;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{Locked, Passphrase};
use tempfile::TempDir;

use crate::judge::{Access, Judge, Secret};
use crate::manifest::actual;
use crate::model::Model;
use crate::suite::Suite;

#[test]
fn a_passphrase_of_official_code_unlocks() {
    let Some(judge) = Judge::get() else { return };
    let dir = TempDir::new().unwrap();
    let passphrase = "p\u{e4}ssword";
    let access = Access { path: dir.path().join("vault"), secret: Secret::Passphrase(passphrase) };
    judge.create(&access, Suite { combo: CipherCombo::SivGcm, threshold: 220 });
    let locked = Locked::read(Arc::new(LocalStorage::open(&access.path).unwrap())).unwrap();
    let vault = locked.unlock(&Passphrase::new(passphrase), &VaultOptions::default()).unwrap();
    assert!(vault.warnings().is_empty(), "{:?}", vault.warnings());
    assert_eq!(actual(&vault), Model::new().manifest());
}
