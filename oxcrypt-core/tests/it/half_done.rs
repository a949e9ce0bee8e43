//! Calls that fail and were made all the same, as where the answer of a server comes too late.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use oxcrypt_core::storage::{FaultyStorage, Method, Replace, Verdict};
use oxcrypt_core::testing::VaultBuilder;
use oxcrypt_core::{DirId, Vault};

use crate::checker::{Finding, What};
use crate::lab::{self, Lab, find};

fn vault(fill: impl FnOnce(&VaultBuilder<'_>)) -> (Arc<FaultyStorage>, Vault) {
    let storage = oxcrypt_core::storage::MemoryStorage::default();
    fill(&Lab::GCM.make(&storage));
    let storage = Arc::new(FaultyStorage::new(&storage));
    let vault = lab::open(&storage);
    (storage, vault)
}

#[test]
fn regression_a_file_that_was_moved_although_that_failed_keeps_its_long_name() {
    let (storage, vault) = vault(|builder| {
        builder.file(&DirId::root(), "short", b"content").unwrap();
    });
    let long = "l".repeat(200);
    storage.on_call(|call| match call.method {
        Method::Rename => Verdict::FailAfter(0, io::ErrorKind::TimedOut),
        _ => Verdict::Pass,
    });
    lab::rename(&vault, "short", &long, Replace::Never).unwrap_err();
    storage.on_call(|_| Verdict::Pass);
    let report = Lab::GCM.check(&*storage);
    assert_eq!(report.faults(), Vec::<&Finding>::new());
    for vault in [&vault, &lab::open(&storage)] {
        assert_eq!(lab::read(vault, &long).unwrap(), b"content");
        let listing = vault.list(&vault.root(), Instant::now()).unwrap();
        assert_eq!(listing.entries().len(), 1);
        assert_eq!(listing.entries()[0].shown(), long);
    }
}

#[test]
fn regression_a_directory_whose_entry_was_made_although_that_failed_leads_somewhere() {
    let (storage, vault) = vault(|_| {});
    // Nothing answers from the write on, until everything is given up.
    let is_dead = AtomicBool::new(false);
    storage.on_call(move |call| {
        if call.method == Method::WriteAt && call.path.file_name() == Some("dir.c9r") {
            is_dead.store(true, Ordering::Relaxed);
            return Verdict::FailAfter(usize::MAX, io::ErrorKind::TimedOut);
        }
        match call.method {
            Method::Metadata | Method::List | Method::Open | Method::ReadAt
                if is_dead.load(Ordering::Relaxed) =>
            {
                Verdict::Fail(io::ErrorKind::TimedOut)
            }
            _ => Verdict::Pass,
        }
    });
    lab::make_dir(&vault, "dir").unwrap_err();
    storage.on_call(|_| Verdict::Pass);
    assert_eq!(Lab::GCM.check(&*storage).faults(), Vec::<&Finding>::new());
    for vault in [&vault, &lab::open(&storage)] {
        vault.list(&find(vault, "dir").unwrap(), Instant::now()).unwrap();
    }
}

#[test]
fn a_directory_whose_name_is_taken_leaves_nothing_behind() {
    let (storage, vault) = vault(|builder| {
        builder.file(&DirId::root(), "file", b"").unwrap();
        builder.directory(&DirId::root(), "dir").unwrap();
        builder.file(&DirId::root(), &"l".repeat(200), b"").unwrap();
    });
    for taken in ["file", "dir", &"l".repeat(200)] {
        lab::make_dir(&vault, taken).unwrap_err();
    }
    let is_orphan = |finding: &Finding| finding.what == What::EmptyOrphan;
    assert!(!Lab::GCM.check(&*storage).findings.iter().any(is_orphan));
}
