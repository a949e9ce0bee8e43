//! What is where: listing, telling, removing, renaming.

use std::collections::BTreeSet;
use std::io;

use super::super::{BlockStorage, EntryKind, OpenMode, Replace};
use super::{content, fails, path, supported};
use crate::ciphertext_path::CiphertextPath;

pub(super) fn keeps_the_root_where_it_is(storage: &dyn BlockStorage) {
    let root = CiphertextPath::root();
    storage.create_dir(&path("dir")).unwrap();
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        fails(storage.open(&root, mode), io::ErrorKind::IsADirectory);
    }
    fails(storage.open(&root, OpenMode::CreateNew { mode: None }), io::ErrorKind::AlreadyExists);
    fails(storage.create_dir(&root), io::ErrorKind::AlreadyExists);
    fails(storage.remove(&root, EntryKind::Directory), io::ErrorKind::InvalidInput);
    fails(storage.remove(&root, EntryKind::File), io::ErrorKind::InvalidInput);
    fails(storage.rename(&root, &path("dir/root"), Replace::Always), io::ErrorKind::InvalidInput);
    fails(storage.rename(&path("dir"), &root, Replace::Always), io::ErrorKind::InvalidInput);
    storage.remove(&path("dir"), EntryKind::Directory).unwrap();
    assert_eq!(storage.list(&root).unwrap(), []);
    assert_eq!(storage.metadata(&root).unwrap().kind, EntryKind::Directory);
}

pub(super) fn lists_each_entry_once_with_its_kind(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.create_dir(&path("dir/sub")).unwrap();
    storage.create_dir(&path("dir-beside")).unwrap();
    storage.write_new(&path("dir/sub/deep"), b"x").unwrap();
    let names: BTreeSet<String> = (0..500).map(|i| format!("file {i}")).collect();
    for name in &names {
        storage.write_new(&path("dir").join(name).unwrap(), b"abc").unwrap();
    }
    let listed = storage.list(&path("dir")).unwrap();
    assert_eq!(listed.len(), 501);
    for entry in listed {
        let name = entry.name.to_str().unwrap();
        let kind = if name == "sub" { EntryKind::Directory } else { EntryKind::File };
        assert!(name == "sub" || names.contains(name), "{name}");
        assert_eq!(entry.kind, kind);
        assert!(entry.len.is_none_or(|len| len == 3 || kind == EntryKind::Directory));
    }
    assert_eq!(storage.list(&CiphertextPath::root()).unwrap().len(), 2);
    fails(storage.list(&path("none")), io::ErrorKind::NotFound);
    fails(storage.list(&path("dir/file 1")), io::ErrorKind::NotADirectory);
    fails(storage.list(&path("dir/file 1/below")), io::ErrorKind::NotADirectory);
}

pub(super) fn tells_what_is_there(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/file"), b"abc").unwrap();
    assert_eq!(storage.metadata(&path("dir")).unwrap().kind, EntryKind::Directory);
    assert_eq!(storage.metadata(&CiphertextPath::root()).unwrap().kind, EntryKind::Directory);
    let metadata = storage.metadata(&path("dir/file")).unwrap();
    assert_eq!((metadata.kind, metadata.len), (EntryKind::File, 3));
    fails(storage.metadata(&path("dir/none")), io::ErrorKind::NotFound);
    fails(storage.metadata(&path("none/none")), io::ErrorKind::NotFound);
    fails(storage.metadata(&path("dir/file/below")), io::ErrorKind::NotADirectory);
}

pub(super) fn tells_of_many_what_it_tells_of_each(storage: &dyn BlockStorage) {
    for dir in ["dir", "other", "dir/sub"] {
        storage.create_dir(&path(dir)).unwrap();
    }
    for file in ["dir/one", "dir/two", "other/one"] {
        storage.write_new(&path(file), file.as_bytes()).unwrap();
    }
    let texts = [
        "dir/one",
        "dir/none",
        "dir/two",
        "other/one",
        "dir",
        "dir/sub",
        "none/one",
        "dir/one/below",
        "dir/one",
    ];
    let paths: Vec<_> = texts.into_iter().map(path).chain([CiphertextPath::root()]).collect();
    let told = storage.metadata_of_each(&paths);
    assert_eq!(told.len(), paths.len());
    for (path, told) in paths.iter().zip(told) {
        match storage.metadata(path) {
            Ok(metadata) => assert_eq!(told.unwrap(), metadata, "{path}"),
            Err(error) => fails(told, error.kind()),
        }
    }
    assert!(storage.metadata_of_each(&[]).is_empty());
}

pub(super) fn tells_files_apart(storage: &dyn BlockStorage) {
    storage.write_new(&path("one"), b"").unwrap();
    storage.write_new(&path("two"), b"").unwrap();
    let identity = |name: &str| storage.metadata(&path(name)).unwrap().identity;
    let (Some(one), Some(two)) = (identity("one"), identity("two")) else { return };
    assert_ne!(one, two);
    let (_held, opened) = storage.open(&path("one"), OpenMode::Read).unwrap();
    assert_eq!(opened.identity, Some(one));
    storage.rename(&path("two"), &path("one"), Replace::Always).unwrap();
    assert_eq!(identity("one"), Some(two), "identity moves with the file");
}

pub(super) fn removes_files_and_empty_folders_only(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/file"), b"abc").unwrap();
    fails(storage.remove(&path("dir"), EntryKind::Directory), io::ErrorKind::DirectoryNotEmpty);
    fails(storage.remove(&path("dir"), EntryKind::File), io::ErrorKind::IsADirectory);
    fails(storage.remove(&path("dir/file"), EntryKind::Directory), io::ErrorKind::NotADirectory);
    fails(storage.remove(&path("dir/none"), EntryKind::File), io::ErrorKind::NotFound);
    fails(storage.remove(&path("dir/none"), EntryKind::Directory), io::ErrorKind::NotFound);
    fails(storage.remove(&path("dir/file/below"), EntryKind::File), io::ErrorKind::NotADirectory);
    storage.remove(&path("dir/file"), EntryKind::File).unwrap();
    storage.remove(&path("dir"), EntryKind::Directory).unwrap();
    assert_eq!(storage.list(&CiphertextPath::root()).unwrap(), []);
}

pub(super) fn renames_and_replaces(storage: &dyn BlockStorage) {
    for dir in ["dir", "full", "empty"] {
        storage.create_dir(&path(dir)).unwrap();
    }
    storage.write_new(&path("full/file"), b"in full").unwrap();
    storage.write_new(&path("file"), b"abc").unwrap();
    storage.write_new(&path("other"), b"other").unwrap();
    let rename = |from: &str, to: &str| storage.rename(&path(from), &path(to), Replace::Always);
    rename("file", "dir/moved").unwrap();
    assert_eq!(content(storage, "dir/moved"), b"abc");
    rename("dir/moved", "other").unwrap();
    assert_eq!(content(storage, "other"), b"abc");
    fails(rename("none", "other"), io::ErrorKind::NotFound);
    fails(rename("other", "none/other"), io::ErrorKind::NotFound);
    fails(rename("other", "dir"), io::ErrorKind::IsADirectory);
    fails(rename("dir", "other"), io::ErrorKind::NotADirectory);
    fails(rename("dir", "full"), io::ErrorKind::DirectoryNotEmpty);
    fails(rename("other", "full/file/below"), io::ErrorKind::NotADirectory);
    rename("other", "other").unwrap();
    assert_eq!(content(storage, "other"), b"abc", "a file moved to where it is stays");
    rename("full", "empty").unwrap();
    assert_eq!(content(storage, "empty/file"), b"in full", "a folder moves with what is in it");
    fails(storage.metadata(&path("full")), io::ErrorKind::NotFound);
}

pub(super) fn moves_no_folder_into_itself(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.create_dir(&path("dir/sub")).unwrap();
    storage.create_dir(&path("dir-beside")).unwrap();
    let rename = |from: &str, to: &str, replace| storage.rename(&path(from), &path(to), replace);
    fails(rename("dir", "dir/moved", Replace::Always), io::ErrorKind::InvalidInput);
    fails(rename("dir", "dir/sub/moved", Replace::Always), io::ErrorKind::InvalidInput);
    for replace in [Replace::Never, Replace::Exchange] {
        let to = if replace == Replace::Never { "dir/moved" } else { "dir/sub" };
        match rename("dir", to, replace) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let other = rename("dir", "dir-beside", replace);
                fails(other, io::ErrorKind::Unsupported);
            }
            other => fails(other, io::ErrorKind::InvalidInput),
        }
    }
    rename("dir", "dir-beside/moved", Replace::Always).unwrap();
    assert_eq!(storage.metadata(&path("dir-beside/moved/sub")).unwrap().kind, EntryKind::Directory);
}

pub(super) fn renames_without_replacing(storage: &dyn BlockStorage) {
    storage.write_new(&path("one"), b"1").unwrap();
    storage.write_new(&path("two"), b"2").unwrap();
    let rename = |from: &str, to: &str| storage.rename(&path(from), &path(to), Replace::Never);
    if supported(rename("one", "three")) {
        assert_eq!(content(storage, "three"), b"1");
        fails(rename("three", "two"), io::ErrorKind::AlreadyExists);
        fails(rename("none", "four"), io::ErrorKind::NotFound);
        storage.create_dir(&path("dir")).unwrap();
        fails(rename("three", "dir"), io::ErrorKind::AlreadyExists);
        fails(rename("dir", "two"), io::ErrorKind::AlreadyExists);
    }
    assert_eq!(content(storage, "two"), b"2");
}

pub(super) fn exchanges(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/in"), b"in").unwrap();
    storage.write_new(&path("file"), b"abc").unwrap();
    let exchange = |from: &str, to: &str| storage.rename(&path(from), &path(to), Replace::Exchange);
    if supported(exchange("dir", "file")) {
        assert_eq!(content(storage, "dir"), b"abc");
        assert_eq!(content(storage, "file/in"), b"in");
        fails(exchange("dir", "none"), io::ErrorKind::NotFound);
        fails(exchange("none", "dir"), io::ErrorKind::NotFound);
    } else {
        assert_eq!(content(storage, "file"), b"abc");
    }
}

pub(super) fn lists_at_once_what_was_changed(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.create_dir(&path("elsewhere")).unwrap();
    let names = |dir: &str| -> Vec<String> {
        let listed = storage.list(&path(dir)).unwrap();
        let mut names: Vec<_> = listed.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    storage.write_new(&path("dir/a"), b"abc").unwrap();
    storage.create_dir(&path("dir/b")).unwrap();
    assert_eq!(names("dir"), ["a", "b"]);
    storage.rename(&path("dir/a"), &path("elsewhere/c"), Replace::Always).unwrap();
    assert_eq!((names("dir"), names("elsewhere")), (vec!["b".to_owned()], vec!["c".to_owned()]));
    storage.remove(&path("dir/b"), EntryKind::Directory).unwrap();
    storage.remove(&path("elsewhere/c"), EntryKind::File).unwrap();
    assert_eq!(names("dir").len() + names("elsewhere").len(), 0);
    assert_eq!(names(""), ["dir", "elsewhere"]);
}

/// A vault shortens names that would become longer.
pub(super) fn holds_the_names_of_a_vault(storage: &dyn BlockStorage) {
    let longest = "x".repeat(220 - ".c9r".len()) + ".c9r";
    let names = [longest.as_str(), "a b (Conflict 1).c9r", "-_=.c9r", "\u{e4}\u{4e2d}.c9r", "dirid.c9r"];
    let dir = format!("d/AA/{}", "B".repeat(30));
    for end in [1, 4, dir.len()] {
        storage.create_dir(&path(dir.get(..end).unwrap())).unwrap();
    }
    for name in names {
        let entry = path(&dir).push(name);
        storage.create_dir(&entry).unwrap();
        storage.write_new(&entry.push("contents.c9r"), name.as_bytes()).unwrap();
    }
    let listed: BTreeSet<_> =
        storage.list(&path(&dir)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, names.map(Into::into).into());
    for name in names {
        let content = storage.read(&path(&dir).push(name).push("contents.c9r"), 1_000);
        assert_eq!(content.unwrap(), name.as_bytes());
    }
}

pub(super) fn removes_whatever_is_no_folder(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    for kind in [EntryKind::File, EntryKind::Symlink, EntryKind::Other] {
        storage.write_new(&path("file"), b"abc").unwrap();
        fails(storage.remove(&path("dir"), kind), io::ErrorKind::IsADirectory);
        storage.remove(&path("file"), kind).unwrap();
        fails(storage.metadata(&path("file")), io::ErrorKind::NotFound);
    }
}

pub(super) fn moves_an_entry_to_where_it_is(storage: &dyn BlockStorage) {
    storage.create_dir(&path("dir")).unwrap();
    storage.write_new(&path("dir/file"), b"abc").unwrap();
    for name in ["dir", "dir/file"] {
        let rename = |replace| storage.rename(&path(name), &path(name), replace);
        rename(Replace::Always).unwrap();
        supported(rename(Replace::Exchange));
        match rename(Replace::Never) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            other => fails(other, io::ErrorKind::AlreadyExists),
        }
    }
    assert_eq!(content(storage, "dir/file"), b"abc");
}
