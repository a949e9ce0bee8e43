//! What a directory shows of entries that are not as they should be.

#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(unix)]
use oxcrypt_core::CiphertextPath;
#[cfg(unix)]
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::storage::{BlockStorage, EntryKind, FaultyStorage, MemoryStorage, Replace, Verdict};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{
    Damage, DirId, Entry, ErrorKind, Follow, Located, Name, NodeKind, Vault, VaultOptions, VaultPath,
};

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

/// What a lookup says of `name` in a vault of `storage`, before anything was listed and after.
fn before_and_after_a_listing(
    storage: &Arc<dyn BlockStorage>,
    name: &str,
) -> [Result<NodeKind, ErrorKind>; 2] {
    [false, true].map(|list_first| {
        let vault = unlock(Arc::clone(storage), "passphrase");
        if list_first {
            vault.list(&vault.root(), Instant::now()).unwrap();
        }
        lookup(&vault, name).map(|node| node.kind()).map_err(|error| error.kind())
    })
}

/// A vault with a shortened entry `long`, whose `name.c9s` is what `forge` makes of the vault.
fn with_long_name(long: &str, forge: impl FnOnce(&VaultBuilder<'_>) -> Vec<u8>) -> Arc<dyn BlockStorage> {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.file(&DirId::root(), long, b"x").unwrap();
    let name_file = builder.spell(&DirId::root(), long).0.join("name.c9s").unwrap();
    storage.remove(&name_file, EntryKind::File).unwrap();
    storage.write_new(&name_file, &forge(&builder)).unwrap();
    drop(builder);
    Arc::new(storage)
}

#[test]
fn a_shortened_entry_whose_name_makes_no_sense_is_found_by_its_hash_with_a_listing_or_without() {
    let long = "l".repeat(200);
    for forged in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAA.c9r", "nothing", ""] {
        let storage = with_long_name(&long, |_| forged.into());
        assert_eq!(before_and_after_a_listing(&storage, &long), [Ok(NodeKind::File); 2], "{forged}");
    }
}

#[test]
fn an_entry_has_one_name_also_where_its_hash_is_that_of_another() {
    let (long, other) = ("l".repeat(200), "o".repeat(200));
    let storage =
        with_long_name(&long, |builder| builder.spell(&DirId::root(), &other).1.unwrap().into_bytes());
    assert_eq!(before_and_after_a_listing(&storage, &other), [Ok(NodeKind::File); 2]);
    assert_eq!(before_and_after_a_listing(&storage, &long), [Err(ErrorKind::NotFound); 2]);
    assert_eq!(shown(&unlock(storage, "passphrase")), [other]);
}

#[test]
fn no_copy_is_shown_under_the_name_of_an_entry_that_a_lookup_meets_first() {
    let long = "l".repeat(200);
    let vault = vault(|storage, builder| {
        let folder = builder.file(&DirId::root(), &long, b"original").unwrap().parent().unwrap();
        let copy =
            folder.parent().unwrap().join(&folder.file_name().unwrap().replace(".c9s", " (1).c9s")).unwrap();
        storage.create_dir(&copy).unwrap();
        storage.write_new(&copy.join("contents.c9r").unwrap(), &builder.encrypt(b"copy")).unwrap();
        storage
            .rename(&folder.join("name.c9s").unwrap(), &copy.join("name.c9s").unwrap(), Replace::Always)
            .unwrap();
    });
    let shown = shown(&vault);
    assert!(shown.contains(&format!("{long} (1)")) && !shown.contains(&long), "{shown:?}");
    let len = |name: &str| vault.open(&lookup(&vault, name).unwrap(), Instant::now()).unwrap().len();
    assert_eq!((len(&long), len(&format!("{long} (1)"))), (8, 4));
}

#[test]
fn a_directory_is_one_node_whether_it_was_listed_or_looked_up() {
    let vault = vault(|_, builder| {
        builder.directory(&DirId::root(), "dir").unwrap();
        builder.symlink(&DirId::root(), "link", "dir").unwrap();
    });
    let (root, now) = (vault.root(), Instant::now());
    for name in ["dir", "link"] {
        let found = lookup(&vault, name).unwrap();
        let listing = vault.list(&root, now).unwrap();
        let listed = listing.find(&Name::new(name).unwrap()).unwrap();
        assert!(Arc::ptr_eq(&found, &vault.node(&root, listed, now).unwrap()));
    }
}

#[test]
fn what_was_listed_before_does_not_exist_again() {
    // What storage says is believed for five seconds: after that, and meanwhile.
    for seconds in [60, 2] {
        let storage = MemoryStorage::default();
        let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
        let path = builder.file(&DirId::root(), "file", b"x").unwrap();
        drop(builder);
        let storage = Arc::new(storage);
        let unlock = || unlock(Arc::clone(&storage) as _, "passphrase");
        let (now, name) = (Instant::now(), Name::new("file").unwrap());
        let old = unlock().list(&unlock().root(), now).unwrap();
        storage.remove(&path, EntryKind::File).unwrap();
        let vault = unlock();
        let (root, later) = (vault.root(), now + Duration::from_secs(seconds));
        vault.list(&root, later).unwrap();
        vault.node(&root, old.find(&name).unwrap(), later).unwrap();
        let error = vault.lookup(&root, &name, later).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{seconds} seconds later");
    }
}

#[test]
fn an_old_listing_takes_no_name_from_the_node_that_has_it_now() {
    let storage = Arc::new(MemoryStorage::default());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let path = builder.file(&DirId::root(), "name", b"x").unwrap();
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (root, now, name) = (vault.root(), Instant::now(), Name::new("name").unwrap());
    let old = vault.list(&root, now).unwrap();
    storage.remove(&path, EntryKind::File).unwrap();
    builder.directory(&DirId::root(), "name").unwrap();
    let later = now + Duration::from_mins(1);
    let dir = vault.lookup(&root, &name, later).unwrap();
    assert_eq!(dir.kind(), NodeKind::Directory);
    vault.node(&root, old.find(&name).unwrap(), later).unwrap();
    for later in [later, later + Duration::from_mins(1)] {
        assert!(Arc::ptr_eq(&vault.lookup(&root, &name, later).unwrap(), &dir));
    }
}

#[test]
fn something_else_in_the_place_of_what_a_vault_has_is_damage() {
    let vault = vault(|storage, builder| {
        for (name, file) in [("dir", "dir.c9r"), ("link", "symlink.c9r")] {
            let (folder, _) = builder.spell(&DirId::root(), name);
            storage.create_dir(&folder).unwrap();
            storage.create_dir(&folder.join(file).unwrap()).unwrap();
        }
        let id = DirId::from_dir_file(b"xyz").unwrap();
        builder.directory_with_id(&DirId::root(), "content", &id).unwrap();
        let content = builder.content_dir(&id).unwrap();
        storage.remove(&content, EntryKind::Directory).unwrap();
        storage.write_new(&content, b"a file").unwrap();
    });
    let now = Instant::now();
    for name in ["dir", "link"] {
        assert_eq!(lookup(&vault, name).unwrap_err().kind(), ErrorKind::Damaged, "{name}");
    }
    let dir = lookup(&vault, "content").unwrap();
    assert_eq!(vault.list(&dir, now).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(vault.attributes(&dir, now).unwrap_err().kind(), ErrorKind::Damaged);
    let inside = Name::new("x").unwrap();
    assert_eq!(vault.lookup(&dir, &inside, now).unwrap_err().kind(), ErrorKind::Damaged);
}

#[cfg(unix)]
#[test]
fn links_and_pipes_of_the_host_are_damage_with_a_listing_or_without() {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn BlockStorage> = Arc::new(LocalStorage::open(dir.path()).unwrap());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let host = |path: &CiphertextPath| dir.path().join(path.as_str());
    let pipe = |path: &CiphertextPath| {
        assert!(Command::new("mkfifo").arg(host(path)).status().unwrap().success());
    };
    symlink("/etc/passwd", host(&builder.spell(&DirId::root(), "linked").0)).unwrap();
    pipe(&builder.spell(&DirId::root(), "piped").0);
    let long = "l".repeat(200);
    let contents = builder.file(&DirId::root(), &long, b"x").unwrap();
    std::fs::remove_file(host(&contents)).unwrap();
    pipe(&contents);
    for name in ["linked", "piped", &long] {
        assert_eq!(before_and_after_a_listing(&storage, name), [Err(ErrorKind::Damaged); 2], "{name}");
    }
    // A long name that cannot be read for such a reason is no failure of the storage.
    let name_file = contents.parent().unwrap().join("name.c9s").unwrap();
    for put in [(|at| symlink("elsewhere", at).unwrap()) as fn(&Path), |at| {
        assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
    }] {
        std::fs::remove_file(host(&name_file)).unwrap();
        put(&host(&name_file));
        let vault = unlock(Arc::clone(&storage), "passphrase");
        assert!(damages(&vault).contains(&Damage::BadLongName), "{:?}", damages(&vault));
    }
    // The content directory of a directory may be a link, too.
    let id = builder.directory(&DirId::root(), "dir").unwrap();
    let content = builder.content_dir(&id).unwrap();
    std::fs::remove_dir(host(&content)).unwrap();
    symlink("/tmp", host(&content)).unwrap();
    let vault = unlock(Arc::clone(&storage), "passphrase");
    let node = lookup(&vault, "dir").unwrap();
    assert_eq!(vault.list(&node, Instant::now()).unwrap_err().kind(), ErrorKind::Damaged);
    // And a file may become one after it was found.
    let file = builder.file(&DirId::root(), "file", b"x").unwrap();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), Instant::now()).unwrap();
    std::fs::remove_file(host(&file)).unwrap();
    symlink("/etc/passwd", host(&file)).unwrap();
    assert_eq!(vault.open(&node, Instant::now()).unwrap_err().kind(), ErrorKind::Damaged);
    let later = Instant::now() + VaultOptions::default().max_age * 2;
    assert_eq!(vault.attributes(&node, later).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn nothing_is_said_to_be_nowhere_that_was_not_looked_for_everywhere() {
    let mut path = None;
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let dir = builder.directory(&DirId::root(), "dir").unwrap();
    path.replace(builder.file(&dir, "file", b"x").unwrap());
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    let (path, now) = (path.unwrap(), Instant::now());
    vault.list(&vault.root(), now).unwrap();
    storage.on_call(|_| Verdict::Fail(std::io::ErrorKind::TimedOut));
    assert_eq!(vault.locate(&path, now, |_| true).unwrap_err().kind(), ErrorKind::TimedOut);
    storage.on_call(|_| Verdict::Pass);
    assert!(matches!(vault.locate(&path, now, |_| true), Ok(Located::Entry(_))));
}

#[test]
fn a_path_does_not_lead_on_from_a_file() {
    let vault = vault(|_, builder| {
        builder.file(&DirId::root(), "file", b"x").unwrap();
        builder.directory(&DirId::root(), "dir").unwrap();
        for (name, target) in
            [("dot", "file/."), ("dots", "file/.."), ("slash", "file/"), ("sound", "dir/../file")]
        {
            builder.symlink(&DirId::root(), name, target).unwrap();
        }
    });
    let resolve = |path| vault.resolve(&VaultPath::parse(path).unwrap(), Follow::Always, Instant::now());
    for path in ["dot", "dots", "slash", "file/file"] {
        assert_eq!(resolve(path).unwrap_err().kind(), ErrorKind::NotADirectory, "{path}");
    }
    assert_eq!(resolve("sound").unwrap().path().to_string(), "/file");
}

#[test]
fn many_copies_of_one_name_are_numbered_quickly() {
    for copy in [
        |number: usize| format!("{number} {{}}"),
        |number: usize| {
            // Texts that differ, and all come to the same in NFC.
            let form = |bit: usize| if number >> bit & 1 == 1 { "\u{e4}" } else { "a\u{308}" };
            format!("{{}} {}", (0..16).map(form).collect::<String>())
        },
    ] {
        let vault = vault(|storage, builder| {
            let path = builder.file(&DirId::root(), "doc.txt", b"x").unwrap();
            let stem = path.file_name().unwrap().strip_suffix(".c9r").unwrap();
            for number in 0..8_000 {
                let host = copy(number).replace("{}", stem) + ".c9r";
                storage.write_new(&path.parent().unwrap().join(&host).unwrap(), b"").unwrap();
            }
        });
        let start = Instant::now();
        let shown = shown(&vault);
        // Half a minute where each search for a number begins at the first.
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert_eq!(shown.len(), 8_001);
        assert!(shown.iter().any(|name| name.ends_with(" (7999).txt")));
    }
}
