//! Entries that another client has spelled otherwise than this one would: they are changed under the names that they
//! are shown by.

use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{BlockStorage, EntryKind, MemoryStorage, Replace};
use oxcrypt_core::testing::VaultBuilder;
use oxcrypt_core::{DirId, Entry, ErrorKind, Vault};

use crate::checker::{Finding, What};
use crate::lab::{self, Lab, find};

/// As a Mac spells it, and as everybody else does.
const DECOMPOSED: &str = "a\u{308}";
const COMPOSED: &str = "\u{e4}";

struct Scene {
    lab: Lab,
    storage: Arc<MemoryStorage>,
    vault: Vault,
}

impl Scene {
    fn new(lab: Lab, fill: impl FnOnce(&VaultBuilder<'_>, &MemoryStorage)) -> Self {
        let storage = MemoryStorage::default();
        fill(&lab.make(&storage), &storage);
        let storage = Arc::new(storage);
        let vault = lab::open(&storage);
        Self { lab, storage, vault }
    }

    /// What everybody sees, whatever memory knows.
    fn expect(&self, names: &[&str]) {
        for vault in [&self.vault, &lab::open(&self.storage)] {
            let listing = vault.list(&vault.root(), Instant::now()).unwrap();
            let shown: Vec<_> = listing.entries().iter().map(Entry::shown).collect();
            assert_eq!(shown, names);
            for name in names {
                find(vault, name).unwrap();
            }
        }
    }

    /// Nothing is wrong but that names are spelled otherwise.
    fn expect_sound(&self) {
        let is_fault = |finding: &&Finding| finding.what != What::NameNotNfc;
        let report = self.lab.check(&*self.storage);
        let faults: Vec<_> = report.faults().into_iter().filter(is_fault).collect();
        assert_eq!(faults, Vec::<&Finding>::new());
    }
}

/// Names of both lengths, in both spellings: as they are stored, and as they are shown.
fn spellings(lab: Lab) -> [(String, String); 2] {
    let long = lab.longest_plain_name();
    [
        (DECOMPOSED.to_owned(), COMPOSED.to_owned()),
        (format!("{DECOMPOSED}{}", "x".repeat(long)), format!("{COMPOSED}{}", "x".repeat(long))),
    ]
}

#[test]
fn what_is_stored_in_another_normal_form_is_moved_under_the_name_that_it_is_shown_by() {
    for lab in [Lab::GCM, Lab::SHORT] {
        for (stored, shown) in spellings(lab) {
            for to in ["to", &"t".repeat(200)] {
                let scene = Scene::new(lab, |builder, _| {
                    builder.file(&DirId::root(), &stored, b"content").unwrap();
                });
                let node = find(&scene.vault, &shown).unwrap();
                lab::rename(&scene.vault, &shown, to, Replace::Never).unwrap();
                scene.expect(&[to]);
                scene.expect_sound();
                assert!(Arc::ptr_eq(&find(&scene.vault, to).unwrap(), &node));
                assert_eq!(lab::read(&scene.vault, to).unwrap(), b"content");
            }
        }
    }
}

#[test]
fn what_is_stored_in_another_normal_form_is_removed_and_replaced() {
    for lab in [Lab::GCM, Lab::SHORT] {
        for (stored, shown) in spellings(lab) {
            let fill = |builder: &VaultBuilder<'_>, _: &MemoryStorage| {
                builder.file(&DirId::root(), &stored, b"content").unwrap();
                builder.file(&DirId::root(), "b", b"other").unwrap();
            };
            let scene = Scene::new(lab, fill);
            lab::remove(&scene.vault, &shown).unwrap();
            scene.expect(&["b"]);
            scene.expect_sound();

            let scene = Scene::new(lab, fill);
            // As a kernel does it: it looks first.
            find(&scene.vault, &shown).unwrap();
            lab::rename(&scene.vault, "b", &shown, Replace::Always).unwrap();
            scene.expect(&[&shown]);
            scene.expect_sound();
            assert_eq!(lab::read(&lab::open(&scene.storage), &shown).unwrap(), b"other");

            let scene = Scene::new(lab, fill);
            find(&scene.vault, &shown).unwrap();
            let taken = lab::rename(&scene.vault, "b", &shown, Replace::Never).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
            lab::rename(&scene.vault, "b", &shown, Replace::Exchange).unwrap();
            scene.expect(&["b", &shown]);
            assert_eq!(lab::read(&lab::open(&scene.storage), &shown).unwrap(), b"other");
            assert_eq!(lab::read(&lab::open(&scene.storage), "b").unwrap(), b"content");
        }
    }
}

#[test]
fn a_name_that_is_shown_is_taken() {
    for lab in [Lab::GCM, Lab::SHORT] {
        for (stored, shown) in spellings(lab) {
            let scene = Scene::new(lab, |builder, _| {
                builder.file(&DirId::root(), &stored, b"content").unwrap();
            });
            find(&scene.vault, &shown).unwrap();
            let refused = [
                lab::create(&scene.vault, &shown).map(|_| ()),
                lab::make_dir(&scene.vault, &shown).map(|_| ()),
                lab::make_symlink(&scene.vault, &shown, "target").map(|_| ()),
            ];
            for result in refused {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::AlreadyExists);
            }
            scene.expect(&[&shown]);
        }
    }
}

#[test]
fn a_directory_in_another_normal_form_is_moved_and_removed_with_what_is_in_it_whole() {
    for lab in [Lab::GCM, Lab::SHORT] {
        for (stored, shown) in spellings(lab) {
            let scene = Scene::new(lab, |builder, _| {
                let dir = builder.directory(&DirId::root(), &stored).unwrap();
                builder.file(&dir, &stored, b"content").unwrap();
            });
            lab::rename(&scene.vault, &shown, "moved", Replace::Always).unwrap();
            let inside = format!("moved/{shown}");
            assert_eq!(lab::read(&scene.vault, &inside).unwrap(), b"content");
            assert_eq!(lab::remove_dir(&scene.vault, "moved").unwrap_err().kind(), ErrorKind::NotEmpty);
            lab::remove(&scene.vault, &inside).unwrap();
            lab::remove_dir(&scene.vault, "moved").unwrap();
            scene.expect(&[]);
            scene.expect_sound();
        }
    }
}

#[test]
fn a_conflict_copy_of_a_sync_client_is_moved_and_removed_and_its_original_stays() {
    let fill = |builder: &VaultBuilder<'_>, storage: &MemoryStorage| {
        let path = builder.file(&DirId::root(), "file", b"original").unwrap();
        let copy = path.file_name().unwrap().replace(".c9r", " (1).c9r");
        let copy = path.parent().unwrap().join(&copy).unwrap();
        storage.write_new(&copy, &builder.encrypt(b"copy")).unwrap();
    };
    let shown_copy = |scene: &Scene| {
        let listing = scene.vault.list(&scene.vault.root(), Instant::now()).unwrap();
        let copy = listing
            .entries()
            .iter()
            .find(|entry| matches!(entry, Entry::Sound(found) if found.is_conflict()));
        copy.unwrap().shown().to_owned()
    };
    let scene = Scene::new(Lab::GCM, fill);
    let copy = shown_copy(&scene);
    lab::rename(&scene.vault, &copy, "mine", Replace::Never).unwrap();
    scene.expect(&["file", "mine"]);
    scene.expect_sound();
    assert_eq!(lab::read(&scene.vault, "mine").unwrap(), b"copy");
    assert_eq!(lab::read(&scene.vault, "file").unwrap(), b"original");

    let scene = Scene::new(Lab::GCM, fill);
    let copy = shown_copy(&scene);
    lab::remove(&scene.vault, &copy).unwrap();
    scene.expect(&["file"]);
    scene.expect_sound();

    let scene = Scene::new(Lab::GCM, fill);
    let copy = shown_copy(&scene);
    lab::rename(&scene.vault, &copy, "file", Replace::Always).unwrap();
    scene.expect(&["file"]);
    scene.expect_sound();
    assert_eq!(lab::read(&lab::open(&scene.storage), "file").unwrap(), b"copy");

    // Without its original it has the name of that.
    let scene = Scene::new(Lab::GCM, fill);
    lab::remove(&scene.vault, "file").unwrap();
    let fresh = lab::open(&scene.storage);
    let left = fresh.list(&fresh.root(), Instant::now()).unwrap();
    assert_eq!(left.entries().len(), 1);
    assert_eq!(lab::read(&fresh, left.entries()[0].shown()).unwrap(), b"copy");
}

#[test]
fn rmdir_keeps_what_is_not_ours_and_takes_what_nobody_misses() {
    for junk in [".DS_Store", "desktop.ini", "Thumbs.db", "._x"] {
        let scene = Scene::new(Lab::GCM, |builder, storage| {
            let dir = builder.directory(&DirId::root(), "dir").unwrap();
            let path = builder.content_dir(&dir).unwrap();
            storage.write_new(&path.join(junk).unwrap(), b"junk").unwrap();
        });
        lab::remove_dir(&scene.vault, "dir").unwrap();
        scene.expect(&[]);
        scene.expect_sound();
    }
    for foreign in ["notes.txt", "x.tmp", "half.c9r.part", &format!("{}.c9r", "A".repeat(24))] {
        let scene = Scene::new(Lab::GCM, |builder, storage| {
            let dir = builder.directory(&DirId::root(), "dir").unwrap();
            let path = builder.content_dir(&dir).unwrap();
            storage.write_new(&path.join("dirid.c9r").unwrap(), &builder.encrypt(dir.as_bytes())).unwrap();
            storage.write_new(&path.join(foreign).unwrap(), b"data").unwrap();
        });
        let before = scene.storage.snapshot();
        let refused = lab::remove_dir(&scene.vault, "dir").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotEmpty);
        // A name that decrypts might be a secret.
        let is_named = foreign.len() < 28;
        assert_eq!(refused.to_string().contains(foreign), is_named, "{refused}");
        assert_eq!(paths_of(&*scene.storage), paths_of(&before), "a refusal touches nothing");
        scene.expect(&["dir"]);
    }
}

/// Every path of a store.
fn paths_of(storage: &dyn BlockStorage) -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![oxcrypt_core::CiphertextPath::root()];
    while let Some(folder) = folders.pop() {
        for listed in storage.list(&folder).unwrap() {
            let path = folder.join(listed.name.to_str().unwrap()).unwrap();
            paths.push(path.to_string());
            if listed.kind == EntryKind::Directory {
                folders.push(path);
            }
        }
    }
    paths.sort();
    paths
}

#[test]
fn nothing_is_made_beside_an_entry_that_is_stored_in_another_normal_form() {
    for lab in [Lab::GCM, Lab::SHORT] {
        for (stored, shown) in spellings(lab) {
            let make: [fn(&Vault, &str) -> oxcrypt_core::Result<()>; 4] = [
                |vault, path| lab::create(vault, path).map(drop),
                |vault, path| lab::make_dir(vault, path).map(drop),
                |vault, path| lab::make_symlink(vault, path, "target").map(drop),
                |vault, path| lab::rename(vault, "b", path, Replace::Never),
            ];
            for make in make {
                // Nobody has looked.
                let scene = Scene::new(lab, |builder, _| {
                    builder.file(&DirId::root(), &stored, b"content").unwrap();
                    builder.file(&DirId::root(), "b", b"other").unwrap();
                });
                let refused = make(&scene.vault, &shown).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
                scene.expect(&["b", &shown]);
                scene.expect_sound();
            }
            let scene = Scene::new(lab, |builder, _| {
                builder.file(&DirId::root(), &stored, b"content").unwrap();
                builder.file(&DirId::root(), "b", b"other").unwrap();
            });
            lab::rename(&scene.vault, "b", &shown, Replace::Always).unwrap();
            scene.expect(&[&shown]);
            scene.expect_sound();
        }
    }
}

/// A sync client makes the folder first, and brings what makes it an entry later.
#[test]
fn an_entry_that_does_not_say_yet_what_it_is_stays_as_it_is() {
    let names = ["name".to_owned(), "n".repeat(200)];
    for name in &names {
        let fill = |builder: &VaultBuilder<'_>, storage: &MemoryStorage| {
            builder.file(&DirId::root(), "b", b"other").unwrap();
            let file = builder.file(&DirId::root(), &"n".repeat(200), b"").unwrap();
            if name.len() > 100 {
                storage.remove(&file, EntryKind::File).unwrap();
            } else {
                let folder = file.parent().unwrap();
                storage.remove(&file, EntryKind::File).unwrap();
                storage.remove(&folder.join("name.c9s").unwrap(), EntryKind::File).unwrap();
                storage.remove(&folder, EntryKind::Directory).unwrap();
                storage.create_dir(&builder.spell(&DirId::root(), name).0).unwrap();
            }
        };
        let change: [fn(&Vault, &str) -> oxcrypt_core::Result<()>; 6] = [
            |vault, path| lab::create(vault, path).map(drop),
            |vault, path| lab::make_dir(vault, path).map(drop),
            |vault, path| lab::make_symlink(vault, path, "target").map(drop),
            |vault, path| lab::rename(vault, "b", path, Replace::Always),
            lab::remove,
            lab::remove_dir,
        ];
        for change in change {
            let scene = Scene::new(Lab::GCM, fill);
            let before = scene.lab.check(&*scene.storage);
            let kind = change(&scene.vault, name).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::Incomplete | ErrorKind::AlreadyExists), "{kind:?}");
            assert_eq!(scene.lab.check(&*scene.storage), before);
        }
    }
}
