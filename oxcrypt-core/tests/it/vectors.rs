//! Outputs of the official crypto library for a known key.

use std::fs;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use oxcrypt_core::DirId;
use oxcrypt_core::chunk::ChunkIndex;
use oxcrypt_core::crypto::{CipherCombo, ContentCipher, FileHeader, MasterKey, NameCipher};
use serde_json::Value;

use crate::fixtures::source;

fn vectors() -> Value {
    serde_json::from_slice(&fs::read(source("vectors.json")).unwrap()).unwrap()
}

fn key(vectors: &Value) -> MasterKey {
    MasterKey::from_raw(&hex(&vectors["rawMasterkeyHex"]).try_into().unwrap())
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn dir_id(text: &str) -> DirId {
    if text.is_empty() { DirId::root() } else { DirId::from_dir_file(text.as_bytes()).unwrap() }
}

#[test]
fn directory_ids_hash_to_the_official_paths() {
    let vectors = vectors();
    let names = NameCipher::new(&key(&vectors));
    let hashes = vectors["dirIdHash"].as_object().unwrap();
    assert_eq!(hashes.len(), 7);
    for (id, hash) in hashes {
        assert_eq!(names.hash_dir_id(&dir_id(id)), hash.as_str().unwrap());
    }
}

#[test]
fn names_encrypt_to_the_official_ciphertext_and_back() {
    let vectors = vectors();
    let names = NameCipher::new(&key(&vectors));
    let cases = vectors["names"].as_array().unwrap();
    assert_eq!(cases.len(), 22);
    for case in cases {
        let (clear, dir) = (case["clear"].as_str().unwrap(), dir_id(case["dirId"].as_str().unwrap()));
        let encoded = case["c9r"].as_str().unwrap().strip_suffix(".c9r").unwrap();
        assert_eq!(names.encrypt(clear, &dir), encoded);
        assert_eq!(names.decrypt(encoded, &dir).unwrap(), clear);
    }
}

#[test]
fn official_headers_and_chunks_decrypt_and_no_other_place_takes_them() {
    let vectors = vectors();
    let key = key(&vectors);
    for combo in CipherCombo::ALL {
        let case = &vectors[combo.name()];
        let header = FileHeader::decrypt(combo, &key, &hex(&case["header"])).ok().unwrap();
        assert_eq!(header.encrypt(&key), hex(&case["header"]));
        let cipher = ContentCipher::new(&header, &key);
        let chunks = case["chunks"].as_array().unwrap();
        assert_eq!(chunks.len(), 12);
        for chunk in chunks {
            let (index, clear) = (chunk["chunkNo"].as_u64().unwrap(), chunk["clear"].as_str().unwrap());
            let ciphertext = hex(&chunk["cipher"]);
            let mut out = vec![1; clear.len()];
            cipher.decrypt(ChunkIndex(index), &ciphertext, &mut out).unwrap();
            assert_eq!(out, clear.as_bytes());
            assert_eq!(
                cipher.decrypt_in_place(ChunkIndex(index), &mut ciphertext.clone()).unwrap(),
                clear.as_bytes()
            );
            cipher.decrypt(ChunkIndex(index + 1), &ciphertext, &mut out).unwrap_err();
            assert_eq!(out, vec![0; clear.len()], "what does not authenticate is never given out");
        }
    }
}

#[test]
fn official_directory_id_files_hold_the_id() {
    let vectors = vectors();
    let key = key(&vectors);
    for combo in CipherCombo::ALL {
        let header_len = usize::try_from(combo.layout().header_len()).unwrap();
        for (field, id) in
            [("dirid_c9r_of_5c9d5b5a", "5c9d5b5a-8d0e-4f6a-9f3b-0d1e2f3a4b5c"), ("dirid_c9r_of_root", "")]
        {
            let mut file = hex(&vectors[combo.name()][field]);
            let (header, chunk) = file.split_at_mut(header_len);
            let cipher = ContentCipher::new(&FileHeader::decrypt(combo, &key, header).ok().unwrap(), &key);
            assert_eq!(cipher.decrypt_in_place(ChunkIndex(0), chunk).unwrap(), id.as_bytes());
        }
    }
}

#[test]
fn official_stream_lengths_are_understood() {
    let vectors = vectors();
    for combo in CipherCombo::ALL {
        for case in vectors[combo.name()]["channelSizes"].as_array().unwrap() {
            let field = |name: &str| case[name].as_u64().unwrap();
            assert_eq!(combo.layout().ciphertext_len(field("clear")), field("minimalFileSize"));
            assert_eq!(combo.layout().cleartext_len(field("streamFileSize")), Ok(field("clear")));
        }
    }
}

#[test]
fn chunks_round_trip_and_any_flipped_bit_is_noticed() {
    let key = MasterKey::from_raw(&[9; 64]);
    for combo in CipherCombo::ALL {
        let layout = combo.layout();
        let (nonce, tag) =
            (usize::try_from(layout.nonce_len()).unwrap(), usize::try_from(layout.tag_len()).unwrap());
        let cipher = ContentCipher::new(&FileHeader::generate(combo), &key);
        for clear in [&b""[..], b"a", &[7; 100]] {
            let mut chunk = [&vec![0; nonce], clear, &vec![0; tag]].concat();
            cipher.encrypt_in_place(ChunkIndex(3), &mut chunk);
            assert_eq!(cipher.decrypt_in_place(ChunkIndex(3), &mut chunk.clone()).unwrap(), clear);
            for bit in 0..chunk.len() * 8 {
                let mut flipped = chunk.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(cipher.decrypt_in_place(ChunkIndex(3), &mut flipped).is_err(), "{combo}, bit {bit}");
            }
            for cut in 0..chunk.len() {
                assert!(cipher.decrypt_in_place(ChunkIndex(3), &mut chunk.clone()[..cut]).is_err());
            }
            let mut again = [&vec![0; nonce], clear, &vec![0; tag]].concat();
            cipher.encrypt_in_place(ChunkIndex(3), &mut again);
            assert_ne!(
                HEXLOWER.encode(&again[..nonce]),
                HEXLOWER.encode(&chunk[..nonce]),
                "each write has its nonce"
            );
        }
    }
}
