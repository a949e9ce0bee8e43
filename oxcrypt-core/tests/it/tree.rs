//! What a directory shows of entries that are not as they should be.

use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{BlockStorage, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{Damage, DirId, Entry, ErrorKind, Name, NodeKind, Vault};

use crate::fixtures::unlock;

/// A vault whose root holds what `fill` puts there.
fn vault(fill: impl FnOnce(&MemoryStorage, &VaultBuilder<'_>)) -> Vault {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    fill(&storage, &builder);
    drop(builder);
    unlock(Arc::new(storage), "passphrase")
}

fn shown(vault: &Vault) -> Vec<String> {
    let listing = vault.list(&vault.root(), Instant::now()).unwrap();
    listing.entries().iter().map(|entry| entry.shown().to_owned()).collect()
}

fn damages(vault: &Vault) -> Vec<Damage> {
    let listing = vault.list(&vault.root(), Instant::now()).unwrap();
    let damage =
        |entry: &Entry| if let Entry::Damaged(damaged) = entry { Some(damaged.damage()) } else { None };
    listing.entries().iter().filter_map(damage).collect()
}

fn lookup(vault: &Vault, name: &str) -> oxcrypt_core::Result<Arc<oxcrypt_core::Node>> {
    vault.lookup(&vault.root(), &Name::new(name).unwrap(), Instant::now())
}

#[test]
fn a_name_in_another_normal_form_is_found_by_any() {
    let vault = vault(|_, builder| {
        builder.file(&DirId::root(), "a\u{308}.txt", b"x").unwrap();
    });
    assert_eq!(shown(&vault), ["\u{e4}.txt"]);
    assert!(lookup(&vault, "\u{e4}.txt").is_ok() && lookup(&vault, "a\u{308}.txt").is_ok());
}

#[test]
fn two_normal_forms_of_one_name_are_two_entries() {
    let vault = vault(|_, builder| {
        builder.file(&DirId::root(), "\u{e4}.txt", b"composed").unwrap();
        builder.file(&DirId::root(), "a\u{308}.txt", b"decomposed").unwrap();
    });
    assert_eq!(shown(&vault), ["\u{e4} (1).txt", "\u{e4}.txt"]);
    let read = |name| {
        let mut buf = [0; 20];
        let len =
            vault.open(&lookup(&vault, name).unwrap(), Instant::now()).unwrap().read_at(0, &mut buf).unwrap();
        String::from_utf8(buf[..len].to_vec()).unwrap()
    };
    assert_eq!(read("\u{e4}.txt"), "composed");
    assert_eq!(read("\u{e4} (1).txt"), "decomposed");
}

#[test]
fn names_that_no_entry_can_have_are_shown_as_damage_and_lead_nowhere() {
    let vault = vault(|_, builder| {
        for name in ["..", ".", "a/b", "../../etc/passwd", "nul\0", ""] {
            builder.file(&DirId::root(), name, b"x").unwrap();
        }
    });
    assert_eq!(damages(&vault), [Damage::ForbiddenName; 6]);
}

#[test]
fn what_is_not_an_entry_is_not_shown() {
    let vault = vault(|storage, builder| {
        let dir = builder.content_dir(&DirId::root()).unwrap();
        let genuine = builder.file(&DirId::root(), "genuine", b"x").unwrap();
        let hidden = format!("._{}", genuine.file_name().unwrap());
        for name in ["dirid.c9r", ".DS_Store", "desktop.ini", &hidden, &"x".repeat(40), "short.c9r"] {
            storage.write_new(&dir.join(name).unwrap(), b"").unwrap();
        }
    });
    assert_eq!(shown(&vault), ["genuine"]);
}

#[test]
fn an_entry_of_half_a_sync_is_there_and_says_so() {
    let vault = vault(|storage, builder| {
        for (name, file) in [("empty node", None), ("empty id", Some("dir.c9r")), ("foreign", Some("x.tmp"))]
        {
            let (folder, _) = builder.spell(&DirId::root(), name);
            storage.create_dir(&folder).unwrap();
            if let Some(file) = file {
                storage.write_new(&folder.join(file).unwrap(), b"").unwrap();
            }
        }
        let id = DirId::from_dir_file(b"nowhere").unwrap();
        builder.directory_with_id(&DirId::root(), "no content", &id).unwrap();
    });
    assert_eq!(shown(&vault), ["empty id", "empty node", "foreign", "no content"]);
    for name in ["empty id", "empty node", "foreign"] {
        assert_eq!(lookup(&vault, name).unwrap_err().kind(), ErrorKind::Incomplete, "{name}");
    }
    let dir = lookup(&vault, "no content").unwrap();
    assert_eq!(dir.kind(), NodeKind::Directory);
    assert_eq!(vault.list(&dir, Instant::now()).unwrap_err().kind(), ErrorKind::Incomplete);
}

#[test]
fn a_shortened_entry_without_its_name_opens_by_name_and_is_listed_as_damage() {
    let long = "n".repeat(200);
    let vault = vault(|storage, builder| {
        let (folder, long) = builder.spell(&DirId::root(), &long);
        assert!(long.is_some());
        storage.create_dir(&folder).unwrap();
        storage.write_new(&folder.join("contents.c9r").unwrap(), &builder.encrypt(b"content")).unwrap();
    });
    assert_eq!(damages(&vault), [Damage::MissingLongName]);
    assert_eq!(lookup(&vault, &long).unwrap().kind(), NodeKind::File);
}

#[test]
fn a_directory_wins_over_a_link_and_a_link_over_a_file() {
    let long = "n".repeat(200);
    let kind = |files: &[&str]| {
        let vault = vault(|storage, builder| {
            builder.file(&DirId::root(), &long, b"x").unwrap();
            let (folder, _) = builder.spell(&DirId::root(), &long);
            for file in files {
                storage.write_new(&folder.join(file).unwrap(), b"some-id").unwrap();
            }
        });
        lookup(&vault, &long).unwrap().kind()
    };
    assert_eq!(kind(&[]), NodeKind::File);
    assert_eq!(kind(&["symlink.c9r"]), NodeKind::Symlink);
    assert_eq!(kind(&["symlink.c9r", "dir.c9r"]), NodeKind::Directory);
}

#[test]
fn many_copies_of_one_name_are_numbered_quickly() {
    let vault = vault(|storage, builder| {
        let path = builder.file(&DirId::root(), "doc.txt", b"x").unwrap();
        let stem = path.file_name().unwrap().strip_suffix(".c9r").unwrap().to_owned();
        for prefix in 0..5_000 {
            let host = format!("{prefix} {stem}.c9r");
            storage.write_new(&path.parent().unwrap().join(&host).unwrap(), b"").unwrap();
        }
    });
    let shown = shown(&vault);
    assert_eq!(shown.len(), 5_001);
    assert!(shown.contains(&"doc (5000).txt".to_owned()));
}
