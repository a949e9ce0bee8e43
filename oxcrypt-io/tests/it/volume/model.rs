//! Reads through a volume are those of the bytes themselves, whatever memory keeps.

use proptest::prelude::*;

use oxcrypt_core::VaultOptions;

use super::house::{BLOCK, House, content};

/// A whole file with and without an empty chunk at its end, a short one, an empty one.
const FILES: [(&str, usize); 5] =
    [("whole", 3 * BLOCK), ("stream", 2 * BLOCK), ("odd", BLOCK + 32_768 + 7), ("tiny", 1), ("empty", 0)];

fn house(cache: usize) -> House {
    House::with(&VaultOptions::default().chunk_cache_bytes(cache), |fill| {
        for (name, len) in FILES {
            let content = content(len);
            if name == "stream" {
                fill.ciphertext(name, &fill.builder.encrypt_as_stream(&content));
            } else {
                fill.file(name, &content);
            }
        }
    })
}

/// Offsets where every off-by-one lives.
fn offset() -> impl Strategy<Value = u64> {
    (0..15u64, -2..=2i64).prop_map(|(chunk, by)| (chunk * 32_768).saturating_add_signed(by))
}

#[test]
fn every_read_gives_the_bytes_of_its_range() {
    let houses = [0, 100_000, 64 << 20].map(house);
    let files: Vec<Vec<_>> =
        houses.iter().map(|house| FILES.iter().map(|(name, _)| house.open(name)).collect()).collect();
    let contents = FILES.map(|(_, len)| content(len));
    let reads = prop::collection::vec((0..FILES.len(), offset(), offset()), 1..20);
    proptest!(ProptestConfig::with_cases(24), |(reads in reads)| {
        for (file, offset, len) in reads {
            let whole = &contents[file];
            let len = usize::try_from(len).unwrap();
            let from = usize::try_from(offset).unwrap().min(whole.len());
            let expected = &whole[from..(from + len).min(whole.len())];
            for (house, files) in houses.iter().zip(&files) {
                let bytes = house.volume.read(&files[file], offset, len).wait().unwrap();
                prop_assert!(*bytes == *expected, "{len} bytes at {offset} of {}", FILES[file].0);
            }
        }
    });
}
