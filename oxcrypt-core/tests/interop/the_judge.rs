//! Whether the judge can be relied on.

use std::fs;
use std::time::Duration;

use oxcrypt_core::DirId;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use tempfile::TempDir;

use crate::judge::{Access, Judge, Secret, Trouble};
use crate::manifest::Item;
use crate::operation::{Content, Operation, Outcome};

/// A vault in a folder, filled by hand.
fn vault(fill: impl FnOnce(&VaultBuilder<'_>)) -> (TempDir, Access) {
    let dir = TempDir::new().unwrap();
    let storage = LocalStorage::open(dir.path()).unwrap();
    fill(&VaultBuilder::create(&storage, Recipe::default()).unwrap());
    let access = Access { path: dir.path().to_owned(), secret: Secret::Passphrase("passphrase") };
    (dir, access)
}

#[test]
fn a_call_that_hangs_is_told_and_the_next_question_is_answered() {
    let Some(judge) = Judge::get() else { return };
    // The official cache of directories never gets over an empty dir.c9r.
    let (_dir, access) =
        vault(|builder| builder.directory_with_id(&DirId::root(), "empty", &DirId::root()).unwrap());
    let write = Operation::Write { path: "/empty/a".into(), offset: 0, content: Content { seed: 1, len: 1 } };
    let answer = judge.try_apply(&access, &[write.clone(), write], Duration::from_secs(2));
    assert!(matches!(&answer, Err(Trouble::Hangs(place)) if place.contains("cryptofs")), "{answer:?}");
    assert_eq!(judge.list(&access)["/"], Item::Directory);
}

#[test]
fn a_wrong_passphrase_is_told() {
    let Some(judge) = Judge::get() else { return };
    let (_dir, mut access) = vault(|_| {});
    access.secret = Secret::Passphrase("another one");
    let answer = judge.try_apply(&access, &[], Duration::from_secs(30));
    assert!(matches!(&answer, Err(Trouble::Refused(why)) if why.contains("InvalidPassphrase")), "{answer:?}");
}

#[test]
fn what_is_wrong_with_a_vault_is_found() {
    let Some(judge) = Judge::get() else { return };
    let (_dir, access) = vault(|builder| {
        let id = DirId::from_dir_file(b"nowhere").unwrap();
        builder.directory_with_id(&DirId::root(), "no content", &id).unwrap();
        builder.file(&DirId::root(), "sound", b"x").unwrap();
    });
    let health = judge.health(&access);
    assert!(!health.is_sound() && format!("{health:?}").contains("WARN"), "{health:?}");
}

#[test]
fn damaged_content_is_told_by_its_file() {
    let Some(judge) = Judge::get() else { return };
    let mut file = None;
    let (dir, access) = vault(|builder| file = Some(builder.file(&DirId::root(), "cut", b"0123").unwrap()));
    let path = dir.path().join(file.unwrap().as_str());
    let len = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(path).unwrap().set_len(len - 1).unwrap();
    assert!(matches!(judge.list(&access)["/cut"], Item::Damaged(_)));
}

#[test]
fn what_a_file_system_refuses_is_told_in_its_words() {
    let Some(judge) = Judge::get() else { return };
    let (_dir, access) = vault(|_| {});
    let a = || "/a".to_owned();
    let operations = [
        Operation::Remove { path: a() },
        Operation::MakeDir { path: a() },
        Operation::MakeDir { path: a() },
        Operation::MakeDir { path: "/a/b".into() },
        Operation::RemoveDir { path: a() },
    ];
    let expected = [Outcome::Absent, Outcome::Done, Outcome::Exists, Outcome::Done, Outcome::NotEmpty];
    assert_eq!(judge.apply(&access, &operations), expected);
}
