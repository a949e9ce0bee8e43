//! The inner loops: what each chunk, each name and each read from memory costs.
//!
//! GCM is that of the features this is built with. `cargo bench --features testing` measures aws-lc where there is one,
//! `cargo bench --no-default-features --features testing` the pure-Rust one.
#![expect(clippy::unwrap_used, reason = "a bench that cannot begin is to panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oxcrypt_core::chunk::{ChunkIndex, PAYLOAD_LEN};
use oxcrypt_core::crypto::{CipherCombo, ContentCipher, FileHeader, MasterKey, NameCipher};
use oxcrypt_core::storage::MemoryStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, Name, VaultOptions};

fn chunks(criterion: &mut Criterion) {
    let key = MasterKey::from_raw(&[7; MasterKey::LEN]);
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(PAYLOAD_LEN));
    for combo in CipherCombo::ALL {
        let cipher = ContentCipher::new(&FileHeader::generate(combo), &key);
        let mut chunk = vec![1; usize::try_from(combo.layout().chunk_len()).unwrap()];
        let mut clear = vec![0; usize::try_from(PAYLOAD_LEN).unwrap()];
        let index = ChunkIndex(3);
        group.bench_function(format!("seal {combo}"), |bencher| {
            bencher.iter(|| cipher.encrypt_in_place(index, black_box(&mut chunk)));
        });
        group.bench_function(format!("open {combo}"), |bencher| {
            bencher.iter(|| cipher.decrypt(index, black_box(&chunk), &mut clear).unwrap());
        });
    }
    group.finish();
}

fn names(criterion: &mut Criterion) {
    let cipher = NameCipher::new(&MasterKey::from_raw(&[7; MasterKey::LEN]));
    let dir = DirId::from_dir_file(b"00000000-0000-4000-8000-000000000000").unwrap();
    let name = "a file with a usual name.txt";
    let encrypted = cipher.encrypt(name, &dir);
    let mut group = criterion.benchmark_group("name");
    group.throughput(Throughput::Bytes(name.len() as u64));
    group.bench_function("encrypt", |bencher| bencher.iter(|| cipher.encrypt(black_box(name), &dir)));
    group.bench_function("decrypt", |bencher| {
        bencher.iter(|| cipher.decrypt(black_box(&encrypted), &dir).unwrap());
    });
    group.finish();
}

/// As long a read as the kernel asks for at once.
fn cached_read(criterion: &mut Criterion) {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.file(&DirId::root(), "file", &vec![7; 1 << 20]).unwrap();
    drop(builder);
    let locked = Locked::read(Arc::new(storage)).unwrap();
    let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
    let now = Instant::now();
    let node = vault.lookup(&vault.root(), &Name::new("file").unwrap(), now).unwrap();
    let file = vault.open(&node, now).unwrap();
    let mut buf = vec![0; 128 << 10];
    file.read_at(0, &mut buf).unwrap();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(buf.len() as u64));
    group.bench_function("128 KiB from memory", |bencher| {
        bencher.iter(|| file.read_at(0, black_box(&mut buf)).unwrap());
    });
    group.finish();
}

criterion_group!(inner_loops, chunks, names, cached_read);
criterion_main!(inner_loops);
