//! A sound ciphertext file with any changes: what can be read is the cleartext that was encrypted, to the byte. With the
//! feature `aws-lc` by the ciphers that are built by default.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::MemoryStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, ErrorKind, Name, VaultOptions};

#[derive(Arbitrary, Debug)]
struct Case {
    ctrmac: bool,
    cache: bool,
    len: u32,
    changes: Vec<Change>,
    reads: Vec<(u32, u32)>,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Flip { at: u32, bits: u8 },
    Cut { to: u32 },
    Append(Vec<u8>),
    Swap { one: u32, other: u32, len: u16 },
}

fuzz_target!(|case: Case| {
    let combo = if case.ctrmac { CipherCombo::SivCtrMac } else { CipherCombo::SivGcm };
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe { combo, ..Recipe::default() }).unwrap();
    let clear: Vec<u8> = (0..case.len % 150_000).map(|i| (i % 251) as u8).collect();
    let mut ciphertext = builder.encrypt(&clear);
    for change in case.changes.iter().take(16) {
        apply(change, &mut ciphertext);
    }
    builder.ciphertext_file(&DirId::root(), "file", &ciphertext).unwrap();
    drop(builder);
    let options = VaultOptions::default().chunk_cache_bytes(if case.cache { 1 << 20 } else { 0 });
    let locked = Locked::read(Arc::new(storage)).unwrap();
    let vault = locked.unlock(&Passphrase::new(Recipe::default().passphrase), &options).unwrap();
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap();
    let file = vault.open(&node, now).unwrap();
    for (offset, len) in
        case.reads.iter().take(16).map(|(o, l)| (u64::from(o % 200_000), (l % 100_000) as usize))
    {
        let mut buf = vec![0xa5; len];
        match file.read_at(offset, &mut buf) {
            Ok(len) => {
                let start = offset as usize;
                assert_eq!(len, buf.len().min((file.len() as usize).saturating_sub(start)));
                // Whole chunks cut off the end are the one change that nothing can notice.
                assert_eq!(&buf[..len], clear.get(start..start + len).unwrap_or_default());
            }
            // A read of nothing may look at the header or leave that to the next one.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged),
        }
    }
});

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let at = |position: u32| position as usize % (bytes.len() + 1);
    match change {
        Change::Flip { at: position, bits } => {
            let at = at(*position);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        Change::Cut { to } => bytes.truncate(at(*to)),
        Change::Append(more) => bytes.extend(more.iter().take(70_000)),
        Change::Swap { one, other, len } => {
            let (one, other, len) = (at(*one), at(*other), usize::from(*len));
            for offset in 0..len {
                if one + offset < bytes.len() && other + offset < bytes.len() {
                    bytes.swap(one + offset, other + offset);
                }
            }
        }
    }
}
