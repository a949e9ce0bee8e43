//! The chunks of a file's content.
//!
//! A chunk lies in storage as nonce, ciphertext and tag, one after the other. Its number and the nonce of the file's
//! header are authenticated with it, so a chunk of another file or another place never decrypts.

use zeroize::Zeroize;

use super::ctrmac::{self, CtrMac, MAC_LEN};
use super::gcm::{self, Gcm};
use super::header::HeaderNonce;
use super::{AuthenticationFailed, FileHeader, MasterKey, fill_random};
use crate::chunk::{ChunkIndex, Layout};

/// Encrypts and decrypts the chunks of one file, on the caller's buffers and without allocating.
///
/// Any number of threads may use it at once. Its keys are wiped when it is dropped.
pub struct ContentCipher(Suite);

enum Suite {
    Gcm { cipher: Gcm, header_nonce: [u8; 12] },
    CtrMac { cipher: CtrMac, header_nonce: [u8; 16] },
}

impl ContentCipher {
    /// The cipher of the file that `header` belongs to.
    #[must_use]
    pub fn new(header: &FileHeader, key: &MasterKey) -> Self {
        Self(match header.nonce() {
            HeaderNonce::Gcm(header_nonce) => {
                Suite::Gcm { cipher: Gcm::new(header.key().bytes()), header_nonce }
            }
            HeaderNonce::CtrMac(header_nonce) => {
                Suite::CtrMac { cipher: CtrMac::new(header.key().bytes(), key.mac_key()), header_nonce }
            }
        })
    }

    /// The sizes of chunks under this cipher.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match self.0 {
            Suite::Gcm { .. } => Layout::SIV_GCM,
            Suite::CtrMac { .. } => Layout::SIV_CTRMAC,
        }
    }

    /// Encrypts a chunk in place. `chunk` is as long as the stored chunk, its cleartext where the ciphertext goes:
    /// behind room for the nonce and before room for the tag.
    ///
    /// The nonce is drawn here, a new one each time.
    ///
    /// # Panics
    ///
    /// If `chunk` is shorter than nonce and tag.
    pub fn encrypt_in_place(&self, index: ChunkIndex, chunk: &mut [u8]) {
        let number = index.0.to_be_bytes();
        match &self.0 {
            Suite::Gcm { cipher, header_nonce } => {
                let (nonce, payload, tag) = split_mut::<{ gcm::NONCE_LEN }, { gcm::TAG_LEN }>(chunk);
                fill_random(nonce);
                *tag = cipher.encrypt_in_place(nonce, &gcm_aad(number, header_nonce), payload);
            }
            Suite::CtrMac { cipher, header_nonce } => {
                let (nonce, payload, mac) = split_mut::<{ ctrmac::NONCE_LEN }, MAC_LEN>(chunk);
                fill_random(nonce);
                *mac = cipher.encrypt_in_place(header_nonce, number, nonce, payload);
            }
        }
    }

    /// Decrypts a stored chunk into `clear`, which is just as long as its ciphertext.
    ///
    /// # Errors
    ///
    /// [`AuthenticationFailed`]; `clear` is zeros then, never cleartext that nobody vouches for. A wrong length of
    /// either buffer is the same error.
    pub fn decrypt(
        &self,
        index: ChunkIndex,
        chunk: &[u8],
        clear: &mut [u8],
    ) -> Result<(), AuthenticationFailed> {
        self.decrypt_to(index, chunk, clear).inspect_err(|_| clear.zeroize())
    }

    fn decrypt_to(
        &self,
        index: ChunkIndex,
        chunk: &[u8],
        clear: &mut [u8],
    ) -> Result<(), AuthenticationFailed> {
        let number = index.0.to_be_bytes();
        match &self.0 {
            Suite::Gcm { cipher, header_nonce } => {
                let (nonce, payload, tag) = split::<{ gcm::NONCE_LEN }, { gcm::TAG_LEN }>(chunk)?;
                same_length(payload, clear)?;
                cipher.decrypt(nonce, &gcm_aad(number, header_nonce), payload, tag, clear)
            }
            Suite::CtrMac { cipher, header_nonce } => {
                let (nonce, payload, mac) = split::<{ ctrmac::NONCE_LEN }, MAC_LEN>(chunk)?;
                same_length(payload, clear)?;
                cipher.verify(header_nonce, number, nonce, payload, mac)?;
                clear.copy_from_slice(payload);
                cipher.decrypt_verified(nonce, clear);
                Ok(())
            }
        }
    }

    /// Decrypts a stored chunk in place and returns the part of `chunk` that is cleartext now.
    ///
    /// # Errors
    ///
    /// [`AuthenticationFailed`], if `chunk` is shorter than nonce and tag, too. What was its ciphertext is then zeros.
    pub fn decrypt_in_place<'c>(
        &self,
        index: ChunkIndex,
        chunk: &'c mut [u8],
    ) -> Result<&'c mut [u8], AuthenticationFailed> {
        let number = index.0.to_be_bytes();
        let (payload, result) = match &self.0 {
            Suite::Gcm { cipher, header_nonce } => {
                split::<{ gcm::NONCE_LEN }, { gcm::TAG_LEN }>(chunk)?;
                let (nonce, payload, tag) = split_mut::<{ gcm::NONCE_LEN }, { gcm::TAG_LEN }>(chunk);
                let result = cipher.decrypt_in_place(nonce, &gcm_aad(number, header_nonce), payload, tag);
                (payload, result)
            }
            Suite::CtrMac { cipher, header_nonce } => {
                split::<{ ctrmac::NONCE_LEN }, MAC_LEN>(chunk)?;
                let (nonce, payload, mac) = split_mut::<{ ctrmac::NONCE_LEN }, MAC_LEN>(chunk);
                let result = cipher.verify(header_nonce, number, nonce, payload, mac);
                if result.is_ok() {
                    cipher.decrypt_verified(nonce, payload);
                }
                (payload, result)
            }
        };
        match result {
            Ok(()) => Ok(payload),
            Err(failed) => {
                payload.zeroize();
                Err(failed)
            }
        }
    }
}

/// The chunk's number, then the header's nonce: the reverse of the order in `SIV_CTRMAC`.
fn gcm_aad(number: [u8; 8], header_nonce: &[u8; 12]) -> [u8; 20] {
    let mut aad = [0; 20];
    let (first, rest) = aad.split_at_mut(8);
    first.copy_from_slice(&number);
    rest.copy_from_slice(header_nonce);
    aad
}

/// Nonce, ciphertext and tag of a stored chunk.
type Parts<'c, const NONCE: usize, const TAG: usize> = (&'c [u8; NONCE], &'c [u8], &'c [u8; TAG]);

fn split<const NONCE: usize, const TAG: usize>(
    chunk: &[u8],
) -> Result<Parts<'_, NONCE, TAG>, AuthenticationFailed> {
    let (nonce, rest) = chunk.split_first_chunk().ok_or(AuthenticationFailed)?;
    let (payload, tag) = rest.split_last_chunk().ok_or(AuthenticationFailed)?;
    Ok((nonce, payload, tag))
}

fn split_mut<const NONCE: usize, const TAG: usize>(
    chunk: &mut [u8],
) -> (&mut [u8; NONCE], &mut [u8], &mut [u8; TAG]) {
    let (nonce, rest) = chunk.split_first_chunk_mut().expect("a chunk has room for its nonce");
    let (payload, tag) = rest.split_last_chunk_mut().expect("a chunk has room for its tag");
    (nonce, payload, tag)
}

fn same_length(payload: &[u8], clear: &[u8]) -> Result<(), AuthenticationFailed> {
    if payload.len() == clear.len() { Ok(()) } else { Err(AuthenticationFailed) }
}
