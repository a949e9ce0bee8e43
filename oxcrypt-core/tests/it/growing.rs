//! A vault that changes: every entry is what the calls before have made of it, in memory and in storage.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{BlockStorage, MemoryStorage, Replace};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{ErrorKind, Follow, Name, Node, NodeKind, Stored, Vault, VaultPath};

use crate::fixtures::unlock;

fn vault(threshold: usize) -> (Arc<MemoryStorage>, Vault) {
    let storage = Arc::new(MemoryStorage::default());
    VaultBuilder::create(&*storage, Recipe { threshold, ..Recipe::default() }).unwrap();
    let vault = unlock(Arc::clone(&storage) as _, "passphrase");
    (storage, vault)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn shown(vault: &Vault, dir: &Arc<Node>) -> Vec<String> {
    let listing = vault.list(dir, Instant::now()).unwrap();
    listing.entries().iter().map(|entry| entry.shown().to_owned()).collect()
}

#[test]
fn a_node_goes_along_when_it_is_renamed_and_is_gone_when_it_is_removed() {
    for threshold in [36, 220] {
        let (storage, vault) = vault(threshold);
        let (root, now) = (vault.root(), Instant::now());
        let dir = vault.make_dir(&root, &name("dir"), now).unwrap();
        let link = vault.make_symlink(&dir, &name("link"), "target", now).unwrap();
        let long = name(&"l".repeat(200));
        vault.list(&root, now).unwrap();
        vault.rename((&dir, &name("link")), (&root, &long), Replace::Never, now).unwrap();
        assert_eq!((link.name().unwrap(), link.parent().unwrap().id()), (long.clone(), root.id()));
        assert!(Arc::ptr_eq(&vault.lookup(&root, &long, now).unwrap(), &link));
        assert_eq!(vault.lookup(&dir, &name("link"), now).unwrap_err().kind(), ErrorKind::NotFound);
        vault.rename((&root, &long), (&root, &name("link")), Replace::Always, now).unwrap();
        vault.rename((&root, &name("dir")), (&root, &name("renamed")), Replace::Always, now).unwrap();
        assert_eq!(shown(&vault, &root), ["link", "renamed"]);
        let fresh = unlock(Arc::clone(&storage) as Arc<dyn BlockStorage>, "passphrase");
        assert_eq!(shown(&fresh, &fresh.root()), ["link", "renamed"]);
        let fresh_link = fresh.lookup(&fresh.root(), &name("link"), now).unwrap();
        assert_eq!(fresh_link.kind(), NodeKind::Symlink);
        assert_eq!(fresh.read_link(&fresh_link, now).unwrap().as_str(), "target");
        vault.remove(&root, &name("link"), now).unwrap();
        vault.remove_dir(&root, &name("renamed"), now).unwrap();
        assert!(link.is_gone() && dir.is_gone());
        assert_eq!(vault.list(&dir, now).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(shown(&vault, &root).is_empty());
    }
}

#[test]
fn what_is_written_is_read_by_everybody_and_by_a_vault_opened_anew() {
    let (storage, vault) = vault(220);
    let (root, now, time) = (vault.root(), Instant::now(), SystemTime::now());
    let file = vault.create(&root, &name("file"), now).unwrap();
    let other = vault.open(file.node(), now).unwrap();
    let mut model = Vec::new();
    for (offset, len) in [(0, 5), (40_000, 3), (100_000, 70_000), (32_766, 4), (2, 1)] {
        let bytes: Vec<u8> = (0..len).map(|i| u8::try_from((i * 7 + offset) % 251).unwrap()).collect();
        assert_eq!(file.write_at(offset as u64, &bytes, time).unwrap(), len);
        model.resize(model.len().max(offset + len), 0);
        model[offset..offset + len].copy_from_slice(&bytes);
        let mut buf = vec![0; 200_000];
        assert_eq!(other.read_at(0, &mut buf).unwrap(), model.len());
        assert!(buf[..model.len()] == model);
        if offset % 3 == 0 {
            assert_eq!(file.flush(now).unwrap(), Stored::InPlace);
        }
    }
    file.set_len(100_005, time).unwrap();
    file.set_len(140_000, time).unwrap();
    model.truncate(100_005);
    model.resize(140_000, 0);
    assert_eq!(vault.unsaved().len(), 1);
    assert_eq!(file.sync(now).unwrap(), Stored::InPlace);
    assert_eq!(vault.unsaved().len(), 0);
    let fresh = unlock(Arc::clone(&storage) as Arc<dyn BlockStorage>, "passphrase");
    let node = fresh.lookup(&fresh.root(), &name("file"), now).unwrap();
    for file in [file, other, fresh.open(&node, now).unwrap()] {
        let mut buf = vec![0; 200_000];
        assert_eq!(file.read_at(0, &mut buf).unwrap(), model.len());
        assert!(buf[..model.len()] == model);
    }
}

#[test]
fn zeros_that_nobody_wrote_are_a_hole_until_they_are_stored() {
    let (_, vault) = vault(220);
    let (now, time) = (Instant::now(), SystemTime::now());
    let file = vault.create(&vault.root(), &name("file"), now).unwrap();
    let seek = |offset| (file.resident().data_from(offset), file.resident().hole_from(offset));
    assert_eq!(seek(0), (None, None));
    file.write_at(0, b"begin", time).unwrap();
    file.write_at(3 * 32_768 + 7, b"end", time).unwrap();
    file.set_len(10 * 32_768 + 1, time).unwrap();
    let len = file.len();
    assert_eq!(seek(0), (Some(0), Some(32_768)));
    assert_eq!(seek(32_767), (Some(32_767), Some(32_768)));
    assert_eq!(seek(40_000), (Some(3 * 32_768), Some(40_000)));
    assert_eq!(seek(3 * 32_768 + 5), (Some(3 * 32_768 + 5), Some(4 * 32_768)));
    assert_eq!(seek(4 * 32_768), (None, Some(4 * 32_768)));
    assert_eq!((seek(len - 1), seek(len)), ((None, Some(len - 1)), (None, None)));
    file.flush(now).unwrap();
    assert_eq!((seek(40_000), seek(len - 1)), ((Some(40_000), Some(len)), (Some(len - 1), Some(len))));
}

#[test]
fn regression_a_new_file_is_unsaved_until_its_header_is_stored() {
    let (storage, vault) = vault(220);
    let (root, now) = (vault.root(), Instant::now());
    // Nobody flushes it, and official code cannot open a file without a header.
    let path = vault.create(&root, &name("file"), now).unwrap().node().ciphertext_path();
    assert_eq!(storage.metadata(&path).unwrap().len, 0);
    let [unsaved] = &*vault.unsaved() else { panic!("one file has no header yet") };
    assert_eq!(unsaved.flush(now).unwrap(), Stored::InPlace);
    assert_eq!(storage.metadata(&path).unwrap().len, 68);
    assert_eq!(vault.unsaved().len(), 0);
}

#[test]
fn regression_what_lies_in_a_directory_that_others_moved_lies_where_that_is_now() {
    let (storage, vault) = vault(220);
    let (root, now) = (vault.root(), Instant::now());
    let moved = vault.make_dir(&root, &name("moved"), now).unwrap();
    let inner = vault.make_dir(&moved, &name("inner"), now).unwrap();
    let other = vault.make_dir(&root, &name("other"), now).unwrap();
    let others = unlock(Arc::clone(&storage) as Arc<dyn BlockStorage>, "passphrase");
    let to = others.lookup(&others.root(), &name("other"), now).unwrap();
    others.rename((&others.root(), &name("moved")), (&to, &name("moved")), Replace::Never, now).unwrap();

    // Nothing is believed any more, but the node is the same as long as somebody holds it.
    let now = now + Duration::from_mins(1);
    let path = VaultPath::parse("/other/moved/inner").unwrap();
    assert!(Arc::ptr_eq(&vault.resolve(&path, Follow::Always, now).unwrap(), &inner));
    assert_eq!(inner.path(), path);
    let into_itself = vault.rename((&root, &name("other")), (&inner, &name("other")), Replace::Never, now);
    assert_eq!(into_itself.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(other.path(), VaultPath::parse("/other").unwrap());
}
