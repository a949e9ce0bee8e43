//! What becomes of a directory of ours whose entry is lost.

use std::fs;
use std::time::Instant;

use oxcrypt_core::crypto::{CipherCombo, MasterKey};
use oxcrypt_core::{Name, VaultOptions};
use tempfile::TempDir;

use crate::judge::{Access, Judge, Secret};
use crate::scene::open;
use crate::suite::Suite;

#[test]
fn official_code_gives_a_lost_directory_of_ours_its_names_back() {
    let Some(judge) = Judge::get() else { return };
    for combo in CipherCombo::ALL {
        let dir = TempDir::new().unwrap();
        let secret = Secret::Key([7; MasterKey::LEN]);
        let access = Access { path: dir.path().join("vault"), secret };
        judge.create(&access, Suite { combo, threshold: 220 });
        let (vault, now) = (open(&access, &VaultOptions::default()), Instant::now());
        let name = |name: &str| Name::new(name).unwrap();
        let lost = vault.make_dir(&vault.root(), &name("lost"), now).unwrap();
        vault.make_dir(&lost, &name("inner"), now).unwrap();
        vault.make_symlink(&lost, &name(&"l".repeat(200)), "inner", now).unwrap();
        fs::remove_dir_all(access.path.join(lost.ciphertext_path().as_str())).unwrap();
        // Without the copy of its id in it, official code would have to make names up.
        assert_eq!(judge.repair(&access), 1);
        let listed = judge.list(&access);
        for name in ["inner", &"l".repeat(200)] {
            assert!(listed.keys().any(|path| path.ends_with(&format!("/{name}"))), "{listed:?}");
        }
    }
}
