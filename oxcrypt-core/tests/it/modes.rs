//! Mode and owner: those that an entry is made with, and those that keep even its owner out.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::{Attributes, BlockStorage, FaultyStorage, Method, Verdict};
use oxcrypt_core::{ErrorKind, File, Node, Result, Vault};

use crate::checker::Finding;
use crate::lab::{self, Lab, find, name, place};

fn mode(bits: u32) -> Attributes {
    Attributes { mode: Some(bits), ..Attributes::default() }
}

fn owner(uid: u32) -> Attributes {
    Attributes { uid: Some(uid), gid: Some(uid), ..Attributes::default() }
}

/// Makes a file, a directory or a link, by the first letter of its name.
fn make(vault: &Vault, path: &str, made: &Attributes) -> Result<Arc<Node>> {
    let ((dir, name), now) = (place(vault, path), Instant::now());
    match path.chars().next() {
        Some('f') => vault.create_with(&dir, &name, made, now).map(|file| {
            lab::flush(&file).unwrap();
            Arc::clone(file.node())
        }),
        Some('d') => vault.make_dir_with(&dir, &name, made, now),
        _ => vault.make_symlink_with(&dir, &name, "target", made, now),
    }
}

/// Names on both sides of the shortening threshold.
fn paths() -> [String; 6] {
    let long = |letter: &str| format!("{letter}{}", "o".repeat(200));
    ["file".to_owned(), "dir".to_owned(), "link".to_owned(), long("f"), long("d"), long("l")]
}

#[cfg(unix)]
fn bits(vault: &Vault, path: &str) -> u32 {
    let node = find(vault, path).unwrap();
    vault.attributes(&node, Instant::now()).unwrap().owner.unwrap().mode
}

#[test]
fn what_is_made_has_its_mode_and_owner_from_the_beginning() {
    for path in paths() {
        let storage = Arc::new(Lab::GCM.empty());
        let vault = lab::open(&storage);
        make(&vault, &path, &Attributes { mode: Some(0o4751), ..owner(7) }).unwrap();
        for vault in [&vault, &lab::open(&storage)] {
            let seen = vault.attributes(&find(vault, &path).unwrap(), Instant::now()).unwrap().owner.unwrap();
            assert_eq!((seen.uid, seen.gid), (7, 7), "{path}");
            assert!(seen.mode == 0o4751 || path.starts_with('l'), "{path}: {:o}", seen.mode);
        }
        assert_eq!(Lab::GCM.check(&*storage).faults(), Vec::<&Finding>::new());
    }
}

#[cfg(unix)]
#[test]
fn no_umask_takes_anything_from_the_mode_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let storage = oxcrypt_core::storage::LocalStorage::open(dir.path()).unwrap();
    drop(Lab::GCM.make(&storage));
    let vault = lab::open(&Arc::new(storage));
    for (number, wanted) in [0o666, 0o777, 0o600, 0o1777].into_iter().enumerate() {
        for path in [format!("file {number}"), format!("dir {number}")] {
            make(&vault, &path, &mode(wanted)).unwrap();
            assert_eq!(bits(&vault, &path), wanted, "{path}");
        }
    }
}

#[test]
fn what_may_not_be_given_away_is_not_made() {
    for path in paths() {
        let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "old", b"content")));
        let before = Lab::GCM.check(&*storage);
        let vault = lab::open(&storage);
        vault.list(&vault.root(), Instant::now()).unwrap();
        storage.on_call(|call| match call.method {
            Method::SetAttributes => Verdict::Fail(io::ErrorKind::PermissionDenied),
            _ => Verdict::Pass,
        });
        assert_eq!(make(&vault, &path, &owner(7)).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(Lab::GCM.check(&*storage), before, "{path}");
        assert_eq!(find(&vault, &path).unwrap_err().kind(), ErrorKind::NotFound);
        storage.on_call(|_| Verdict::Pass);
        make(&vault, &path, &owner(7)).unwrap();
    }
}

#[test]
fn what_the_storage_cannot_hold_is_left() {
    for path in paths() {
        let storage = Arc::new(FaultyStorage::new(&Lab::GCM.empty()));
        let vault = lab::open(&storage);
        storage.on_call(|call| match call.method {
            Method::SetAttributes => Verdict::Fail(io::ErrorKind::Unsupported),
            _ => Verdict::Pass,
        });
        make(&vault, &path, &Attributes { mode: Some(0o640), ..owner(7) }).unwrap();
        assert_eq!(Lab::GCM.check(&*storage).faults(), Vec::<&Finding>::new());
    }
}

#[test]
fn regression_set_id_bits_of_a_file_that_is_not_stored_are_there_once_it_is() {
    let storage = Arc::new(Lab::GCM.empty());
    let vault = lab::open(&storage);
    let now = Instant::now();
    let set = |file: &File, change| vault.set_attributes(file.node(), &change, now).unwrap();
    let seen = |file: &File| vault.attributes(file.node(), Instant::now()).unwrap().owner.unwrap().mode;
    let stored = |file: &File| {
        let path = file.node().ciphertext_path();
        let in_storage = || storage.metadata(&path).unwrap().owner.unwrap().mode;
        // As a host does it when an ordinary user writes to the file.
        storage.set_attributes(&path, &mode(in_storage() & !0o6000)).unwrap();
        lab::flush(file).unwrap();
        assert_eq!(seen(file), in_storage());
        in_storage()
    };
    let file = vault.create_with(&vault.root(), &name("file"), &mode(0o4711), now).unwrap();
    assert_eq!(stored(&file), 0o4711);
    lab::write(&file, 0, b"content").unwrap();
    set(&file, mode(0o6755));
    lab::write(&file, 7, b", and more").unwrap();
    assert_eq!(stored(&file), 0o6755);
    lab::write(&file, 0, b"Content").unwrap();
    set(&file, mode(0o4755));
    set(&file, mode(0o644));
    assert_eq!(stored(&file), 0o644, "the last mode counts");
    lab::write(&file, 0, b"content").unwrap();
    set(&file, mode(0o4755));
    set(&file, owner(7));
    assert_eq!(stored(&file), 0o755, "a new owner does not inherit the bits");
}

/// What a mode keeps out is not root.
#[cfg(unix)]
mod unprivileged {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;

    use oxcrypt_core::storage::{LocalStorage, Replace};

    use super::*;

    const DIR_VARIABLE: &str = "OXCRYPT_TEST_UNPRIVILEGED_VAULT";

    #[test]
    fn modes_that_keep_their_owner_out_do_so_where_posix_says_so_and_not_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "modes::unprivileged::claims_of_an_unprivileged_owner"]);
        child.args(["--ignored", "--nocapture"]).env(DIR_VARIABLE, dir.path());
        if dir.path().metadata().unwrap().uid() == 0 {
            child.uid(65_534).gid(65_534);
        }
        match child.output() {
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => eprintln!("SKIPPED: the test cannot run as somebody else: {error}"),
        }
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn claims_of_an_unprivileged_owner() {
        let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
        let vault_dir = Path::new(&dir).join("vault");
        std::fs::create_dir(&vault_dir).unwrap();
        let storage = LocalStorage::open(&vault_dir).unwrap();
        drop(Lab::GCM.make(&storage));
        let storage = Arc::new(storage);
        directories(&storage);
        files(&storage);
        assert_eq!(
            make(&lab::open(&storage), "file", &owner(0)).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        assert_eq!(
            make(&lab::open(&storage), "dir", &owner(0)).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        let report = Lab::GCM.check(&*storage);
        assert_eq!((report.faults(), report.tree.len()), (vec![], 0));
    }

    fn directories(storage: &Arc<LocalStorage>) {
        for bits_of_dir in [0o000, 0o500, 0o100, 0o300] {
            let vault = lab::open(storage);
            let made = make(&vault, "dir", &mode(bits_of_dir)).unwrap();
            vault.sync_dir(&vault.root()).unwrap();
            vault.sync_dir(&made).unwrap();
            assert_eq!(bits(&vault, "dir"), bits_of_dir, "it is as it was");
            let vault = lab::open(storage);
            lab::rename(&vault, "dir", "dir moved", Replace::Never).unwrap();
            lab::make_dir(&vault, "source").unwrap();
            lab::rename(&vault, "source", "dir moved", Replace::Always).unwrap();
            lab::remove_dir(&vault, "dir moved").unwrap();
            make(&vault, "dir", &mode(bits_of_dir)).unwrap();
            lab::remove_dir(&vault, "dir").unwrap();
        }
        let vault = lab::open(storage);
        let dir = lab::make_dir(&vault, "dir").unwrap();
        drop(lab::put(&vault, "dir/file", b"content"));
        vault.set_attributes(&dir, &mode(0o500), Instant::now()).unwrap();
        assert_eq!(lab::remove_dir(&vault, "dir").unwrap_err().kind(), ErrorKind::NotEmpty);
        assert_eq!(bits(&lab::open(storage), "dir"), 0o500);
        assert_eq!(lab::remove(&vault, "dir/file").unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(lab::create(&vault, "dir/new").unwrap_err().kind(), ErrorKind::PermissionDenied);
        vault.set_attributes(&dir, &mode(0o300), Instant::now()).unwrap();
        let vault = lab::open(storage);
        let listed = vault.list(&find(&vault, "dir").unwrap(), Instant::now());
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(find(&vault, "dir/none").unwrap_err().kind(), ErrorKind::NotFound);
        drop(lab::put(&vault, "dir/none", b"content"));
        lab::remove(&vault, "dir/file").unwrap();
        lab::remove(&vault, "dir/none").unwrap();
        lab::remove_dir(&vault, "dir").unwrap();
    }

    fn files(storage: &Arc<LocalStorage>) {
        for bits_of_file in [0o000, 0o200, 0o444] {
            let vault = lab::open(storage);
            let (root, name) = place(&vault, "file");
            let file = vault.create_with(&root, &name, &mode(bits_of_file), Instant::now()).unwrap();
            lab::write(&file, 0, b"content").unwrap();
            lab::sync(&file).unwrap();
            assert_eq!(lab::content(&file).unwrap(), b"content", "whoever has it open goes on");
            drop((file, vault));
            let vault = lab::open(storage);
            let may = |bit: u32| bits_of_file & bit != 0;
            assert_eq!(lab::read(&vault, "file").is_ok(), may(0o400), "{bits_of_file:o}");
            match lab::open_for_writing(&vault, "file") {
                Ok(file) => {
                    assert!(may(0o200));
                    lab::write(&file, 3, b"-").unwrap();
                    lab::flush(&file).unwrap();
                }
                Err(error) => {
                    assert_eq!((error.kind(), may(0o200)), (ErrorKind::PermissionDenied, false));
                }
            }
            assert_eq!(bits(&lab::open(storage), "file"), bits_of_file);
            lab::remove(&vault, "file").unwrap();
        }
    }
}
