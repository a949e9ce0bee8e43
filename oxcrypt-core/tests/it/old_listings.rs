//! Listings that somebody holds while the directory changes: what they show may be gone, and is never a second node.

use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{ErrorKind, Found, Node, Vault, VaultOptions};

use crate::lab::{self, Lab, find, name};

/// The node of an entry that was listed before.
fn node(vault: &Vault, found: &Found) -> oxcrypt_core::Result<Arc<Node>> {
    vault.node(&vault.root(), found, Instant::now())
}

/// Whatever memory keeps: all, and so little that it forgets at once what was changed.
fn memories() -> [VaultOptions; 2] {
    [VaultOptions::default(), VaultOptions::default().tree_cache_bytes(0)]
}

#[test]
fn regression_an_entry_that_was_moved_since_it_was_listed_is_gone() {
    for options in memories() {
        for long in [false, true] {
            let listed = if long { "l".repeat(200) } else { "file".to_owned() };
            let storage = Arc::new(Lab::GCM.empty());
            let vault = lab::open_with(&storage, &options);
            drop(lab::put(&vault, &listed, b"content"));
            let listing = vault.list(&vault.root(), Instant::now()).unwrap();
            let found = listing.find(&name(&listed)).unwrap();
            let before = node(&vault, found).unwrap();
            lab::rename(&vault, &listed, "moved", Replace::Never).unwrap();
            assert!(Arc::ptr_eq(&find(&vault, "moved").unwrap(), &before));
            let gone = match node(&vault, found) {
                Err(error) => error.kind(),
                Ok(ghost) => vault.open(&ghost, Instant::now()).unwrap_err().kind(),
            };
            assert_eq!(gone, ErrorKind::NotFound);
        }
    }
}

#[test]
fn regression_an_entry_that_was_made_anew_since_it_was_listed_has_one_node() {
    for options in memories() {
        let storage = Arc::new(Lab::GCM.empty());
        let vault = lab::open_with(&storage, &options);
        drop(lab::put(&vault, "file", b"content"));
        let listing = vault.list(&vault.root(), Instant::now()).unwrap();
        let found = listing.find(&name("file")).unwrap();
        lab::rename(&vault, "file", "moved", Replace::Never).unwrap();
        let ghost = node(&vault, found);
        let new = lab::put(&vault, "file", b"other");
        for held in ghost.into_iter().chain(node(&vault, found)) {
            // Two nodes of one file would write over each other's chunks.
            let opened = vault.open_for_writing(&held, Instant::now());
            let is_the_one = Arc::ptr_eq(&held, new.node());
            assert!(is_the_one || opened.is_err_and(|error| error.kind() == ErrorKind::NotFound));
        }
    }
}
