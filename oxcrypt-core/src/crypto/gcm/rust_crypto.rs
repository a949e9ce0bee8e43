//! AES-256-GCM by the `aes-gcm` crate.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

use super::{AuthenticationFailed, NONCE_LEN, TAG_LEN};
use crate::crypto::wipe_stack;

/// One key, wiped when this is dropped.
pub(in crate::crypto) struct Gcm(Box<Aes256Gcm>);

impl Gcm {
    pub(in crate::crypto) fn new(key: &[u8; 32]) -> Self {
        Self(below(|| Box::new(Aes256Gcm::new(key.into()))))
    }

    pub(in crate::crypto) fn encrypt_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        payload: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let tag = below(|| self.0.encrypt_inout_detached(nonce.into(), aad, payload.into()));
        tag.expect("a chunk is short enough for GCM").into()
    }

    pub(in crate::crypto) fn decrypt(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        clear: &mut [u8],
    ) -> Result<(), AuthenticationFailed> {
        let buffers = InOutBuf::new(ciphertext, clear).map_err(|_| AuthenticationFailed)?;
        below(|| self.0.decrypt_inout_detached(nonce.into(), aad, buffers, tag.into()))
            .map_err(|_| AuthenticationFailed)
    }

    pub(in crate::crypto) fn decrypt_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), AuthenticationFailed> {
        below(|| self.0.decrypt_inout_detached(nonce.into(), aad, payload.into(), tag.into()))
            .map_err(|_| AuthenticationFailed)
    }
}

/// Runs `work` and wipes what it left on the stack: key schedules, and blocks of cleartext.
fn below<T>(work: impl FnOnce() -> T) -> T {
    let result = run(work);
    wipe_stack();
    result
}

/// A frame of its own, which lies below the caller's when that wipes the stack.
#[inline(never)]
fn run<T>(work: impl FnOnce() -> T) -> T {
    work()
}
