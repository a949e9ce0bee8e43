//! `SIV_CTRMAC`: AES-256-CTR with HMAC-SHA256, encrypt then MAC.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use ctutils::CtEq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::AuthenticationFailed;
use crate::crypto::wipe_stack;

pub(super) type Aes256Ctr = Ctr128BE<Aes256>;

pub(super) const NONCE_LEN: usize = 16;
/// Length of an HMAC-SHA256.
pub(super) const MAC_LEN: usize = 32;

/// The cipher of one file. The MAC key is the vault's, not the file's: the header's nonce tells files apart.
pub(super) struct CtrMac {
    key: Box<Zeroizing<[u8; 32]>>,
    mac: Box<Hmac<Sha256>>,
}

impl CtrMac {
    pub(super) fn new(content_key: &[u8; 32], mac_key: &[u8; 32]) -> Self {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        key.copy_from_slice(content_key);
        let mac = boxed_mac(mac_key);
        wipe_stack();
        Self { key, mac }
    }

    pub(super) fn encrypt_in_place(
        &self,
        header_nonce: &[u8; 16],
        number: [u8; 8],
        nonce: &[u8; NONCE_LEN],
        payload: &mut [u8],
    ) -> [u8; MAC_LEN] {
        apply(&self.key, nonce, payload);
        let mac = self.mac(header_nonce, number, nonce, payload);
        wipe_stack();
        mac
    }

    /// Compares the MAC in constant time.
    pub(super) fn verify(
        &self,
        header_nonce: &[u8; 16],
        number: [u8; 8],
        nonce: &[u8; NONCE_LEN],
        ciphertext: &[u8],
        mac: &[u8; MAC_LEN],
    ) -> Result<(), AuthenticationFailed> {
        let expected = self.mac(header_nonce, number, nonce, ciphertext);
        if expected.ct_eq(mac).to_bool() {
            // Decrypting wipes the stack.
            return Ok(());
        }
        wipe_stack();
        Err(AuthenticationFailed)
    }

    /// Decrypts what [`verify`](Self::verify) has accepted.
    pub(super) fn decrypt_verified(&self, nonce: &[u8; NONCE_LEN], payload: &mut [u8]) {
        apply(&self.key, nonce, payload);
        wipe_stack();
    }

    /// The header's nonce, then the chunk's number: the reverse of the order in `SIV_GCM`. In a frame of its own, which
    /// lies below the caller's when that wipes the stack.
    #[inline(never)]
    fn mac(
        &self,
        header_nonce: &[u8; 16],
        number: [u8; 8],
        nonce: &[u8],
        ciphertext: &[u8],
    ) -> [u8; MAC_LEN] {
        let mut mac = (*self.mac).clone();
        mac.update(header_nonce);
        mac.update(&number);
        mac.update(nonce);
        mac.update(ciphertext);
        mac.finalize().into_bytes().into()
    }
}

#[inline(never)]
fn boxed_mac(key: &[u8; 32]) -> Box<Hmac<Sha256>> {
    Box::new(<Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length"))
}

/// A frame of its own, too.
#[inline(never)]
fn apply(key: &[u8; 32], nonce: &[u8; NONCE_LEN], payload: &mut [u8]) {
    Aes256Ctr::new(key.into(), nonce.into()).apply_keystream(payload);
}
