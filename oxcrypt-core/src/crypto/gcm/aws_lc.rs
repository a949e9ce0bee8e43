//! AES-256-GCM by aws-lc.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{AuthenticationFailed, NONCE_LEN, TAG_LEN};

/// One key. aws-lc keeps its schedule on the heap and wipes it when this is dropped.
pub(in crate::crypto) struct Gcm(LessSafeKey);

impl Gcm {
    pub(in crate::crypto) fn new(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key of AES-256")))
    }

    pub(in crate::crypto) fn encrypt_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        payload: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), payload);
        let tag = tag.expect("a chunk is short enough for GCM");
        tag.as_ref().try_into().expect("a GCM tag has 16 bytes")
    }

    pub(in crate::crypto) fn decrypt(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        clear: &mut [u8],
    ) -> Result<(), AuthenticationFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, clear);
        opened.map_err(|_| AuthenticationFailed)
    }

    pub(in crate::crypto) fn decrypt_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), AuthenticationFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, payload);
        opened.map(|_| ()).map_err(|_| AuthenticationFailed)
    }
}
