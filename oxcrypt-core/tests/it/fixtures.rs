//! The vaults that official code wrote, unpacked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use oxcrypt_core::storage::{BlockStorage, LocalStorage};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{Vault, VaultOptions};
use tempfile::TempDir;

use crate::manifest::{Item, Manifest, listed};

/// Unlocks all fixtures but the migrated ones.
pub(crate) const PASSPHRASE: &str = "test-p\u{e4}ssword";

/// All fixture vaults in a folder that goes when this is dropped.
pub(crate) struct Fixtures(TempDir);

impl Fixtures {
    pub(crate) fn unpack() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = File::open(source("vaults.tar.gz")).unwrap();
        tar::Archive::new(GzDecoder::new(archive)).unpack(dir.path()).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, vault: &str) -> PathBuf {
        self.0.path().join("fixtures").join(vault)
    }

    pub(crate) fn open(&self, vault: &str) -> Vault {
        open(&self.path(vault), PASSPHRASE)
    }
}

pub(crate) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file)
}

/// What official code listed, apart from files it could not read.
pub(crate) fn official(vault: &str) -> Manifest {
    let json = fs::read(source(&format!("{vault}.json"))).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut manifest = listed(&json["asListedByOfficialCryptofs"]);
    manifest.retain(|_, item| !matches!(item, Item::Damaged(_)));
    manifest
}

pub(crate) fn open(path: &Path, passphrase: &str) -> Vault {
    unlock(Arc::new(LocalStorage::open(path).unwrap()), passphrase)
}

pub(crate) fn unlock(storage: Arc<dyn BlockStorage>, passphrase: &str) -> Vault {
    let locked = Locked::read(storage).unwrap();
    locked.unlock(&Passphrase::new(passphrase), &VaultOptions::default()).unwrap()
}

/// Unlocks a vault that a test made to order.
pub(crate) fn unlock_with(storage: Arc<dyn BlockStorage>, options: &VaultOptions) -> Vault {
    Locked::read(storage).unwrap().unlock(&Passphrase::new("passphrase"), options).unwrap()
}
