//! The header of a ciphertext file: the key of its content, and a nonce that binds its chunks.

use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::ctrmac::Aes256Ctr;
use super::gcm::Gcm;
use super::{AuthenticationFailed, CipherCombo, ContentKey, MasterKey, array, fill_random, wipe_stack};

/// Before the key lie 8 bytes that once held the cleartext's length. Written as FF, ignored when read: old files have
/// other values there.
const RESERVED_LEN: usize = 8;
const PAYLOAD_LEN: usize = RESERVED_LEN + ContentKey::LEN;

const GCM_NONCE_LEN: usize = 12;
const CTR_NONCE_LEN: usize = 16;

/// A file header, decrypted.
pub struct FileHeader {
    nonce: HeaderNonce,
    key: ContentKey,
}

/// What binds chunks to their file.
#[derive(Clone, Copy)]
pub(super) enum HeaderNonce {
    Gcm([u8; GCM_NONCE_LEN]),
    CtrMac([u8; CTR_NONCE_LEN]),
}

impl FileHeader {
    /// A header with a new random key.
    #[must_use]
    pub fn generate(combo: CipherCombo) -> Self {
        let nonce = match combo {
            CipherCombo::SivGcm => {
                let mut nonce = [0; GCM_NONCE_LEN];
                fill_random(&mut nonce);
                HeaderNonce::Gcm(nonce)
            }
            CipherCombo::SivCtrMac => {
                let mut nonce = [0; CTR_NONCE_LEN];
                fill_random(&mut nonce);
                HeaderNonce::CtrMac(nonce)
            }
        };
        Self { nonce, key: ContentKey::generate() }
    }

    /// Decrypts the header of a file: `bytes` is just the header, [`Layout::header_len`](crate::chunk::Layout) long.
    ///
    /// # Errors
    ///
    /// [`AuthenticationFailed`] for any other length, too.
    pub fn decrypt(combo: CipherCombo, key: &MasterKey, bytes: &[u8]) -> Result<Self, AuthenticationFailed> {
        let mut payload = Zeroizing::new([0; PAYLOAD_LEN]);
        let nonce = match combo {
            CipherCombo::SivGcm => open_gcm(key, bytes, &mut payload).map(HeaderNonce::Gcm),
            CipherCombo::SivCtrMac => open_ctrmac(key, bytes, &mut payload).map(HeaderNonce::CtrMac),
        };
        wipe_stack();
        let nonce = nonce?;
        let content_key = payload.last_chunk_mut().ok_or(AuthenticationFailed)?;
        Ok(Self { nonce, key: ContentKey::take(content_key) })
    }

    /// Encrypts the header for storage. The same header always gives the same bytes.
    #[must_use]
    pub fn encrypt(&self, key: &MasterKey) -> Vec<u8> {
        let bytes = self.seal(key);
        wipe_stack();
        bytes
    }

    /// A frame of its own, which lies below the caller's when that wipes the stack; so are the two below.
    #[inline(never)]
    fn seal(&self, key: &MasterKey) -> Vec<u8> {
        let mut payload = Zeroizing::new([0xff; PAYLOAD_LEN]);
        payload.split_at_mut(RESERVED_LEN).1.copy_from_slice(self.key.bytes());
        match self.nonce {
            HeaderNonce::Gcm(nonce) => {
                let tag = Gcm::new(key.encryption_key()).encrypt_in_place(&nonce, &[], &mut *payload);
                [nonce.as_slice(), &*payload, &tag].concat()
            }
            HeaderNonce::CtrMac(nonce) => {
                keystream(key, &nonce, &mut payload);
                let tag = header_mac(key, &nonce, &*payload).finalize().into_bytes();
                [nonce.as_slice(), &*payload, &tag].concat()
            }
        }
    }

    pub(super) fn nonce(&self) -> HeaderNonce {
        self.nonce
    }

    pub(super) fn key(&self) -> &ContentKey {
        &self.key
    }
}

#[inline(never)]
fn open_gcm(
    key: &MasterKey,
    bytes: &[u8],
    payload: &mut [u8; PAYLOAD_LEN],
) -> Result<[u8; GCM_NONCE_LEN], AuthenticationFailed> {
    let (nonce, rest) = bytes.split_first_chunk::<GCM_NONCE_LEN>().ok_or(AuthenticationFailed)?;
    let (encrypted, tag) = rest.split_first_chunk::<PAYLOAD_LEN>().ok_or(AuthenticationFailed)?;
    let tag = array(tag)?;
    *payload = *encrypted;
    Gcm::new(key.encryption_key()).decrypt_in_place(nonce, &[], payload, &tag)?;
    Ok(*nonce)
}

#[inline(never)]
fn open_ctrmac(
    key: &MasterKey,
    bytes: &[u8],
    payload: &mut [u8; PAYLOAD_LEN],
) -> Result<[u8; CTR_NONCE_LEN], AuthenticationFailed> {
    let (nonce, rest) = bytes.split_first_chunk::<CTR_NONCE_LEN>().ok_or(AuthenticationFailed)?;
    let (encrypted, mac) = rest.split_first_chunk::<PAYLOAD_LEN>().ok_or(AuthenticationFailed)?;
    header_mac(key, nonce, encrypted).verify_slice(mac).map_err(|_| AuthenticationFailed)?;
    *payload = *encrypted;
    keystream(key, nonce, payload);
    Ok(*nonce)
}

fn header_mac(key: &MasterKey, nonce: &[u8; CTR_NONCE_LEN], encrypted: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key.mac_key()).expect("HMAC takes keys of any length");
    mac.update(nonce);
    mac.update(encrypted);
    mac
}

fn keystream(key: &MasterKey, nonce: &[u8; CTR_NONCE_LEN], payload: &mut [u8; PAYLOAD_LEN]) {
    Aes256Ctr::new(key.encryption_key().into(), nonce.into()).apply_keystream(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_any_flipped_bit_is_noticed() {
        let key = MasterKey::from_raw(&[5; 64]);
        for combo in CipherCombo::ALL {
            let header = FileHeader::generate(combo);
            let bytes = header.encrypt(&key);
            assert_eq!(bytes.len() as u64, combo.layout().header_len());
            let read = FileHeader::decrypt(combo, &key, &bytes).ok().unwrap();
            assert_eq!(read.key().bytes(), header.key().bytes());
            for byte in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[byte] ^= 0x10;
                assert!(FileHeader::decrypt(combo, &key, &flipped).is_err(), "{combo}, byte {byte}");
            }
            for len in 0..bytes.len() {
                assert!(FileHeader::decrypt(combo, &key, &bytes[..len]).is_err());
            }
            assert!(FileHeader::decrypt(combo, &key, &[bytes.as_slice(), &[0]].concat()).is_err());
        }
    }

    #[test]
    fn the_reserved_bytes_are_ignored() {
        let key = MasterKey::from_raw(&[5; 64]);
        let (nonce, mut payload) = ([3; GCM_NONCE_LEN], [0; PAYLOAD_LEN]);
        payload[RESERVED_LEN..].fill(9);
        let tag = Gcm::new(key.encryption_key()).encrypt_in_place(&nonce, &[], &mut payload);
        let bytes = [nonce.as_slice(), &payload, &tag].concat();
        let header = FileHeader::decrypt(CipherCombo::SivGcm, &key, &bytes).ok().unwrap();
        assert_eq!(header.key().bytes(), &[9; 32]);
    }

    #[test]
    fn two_headers_share_neither_key_nor_nonce() {
        let key = MasterKey::from_raw(&[5; 64]);
        for combo in CipherCombo::ALL {
            let [one, two] = [(); 2].map(|()| FileHeader::generate(combo));
            assert_ne!(one.key().bytes(), two.key().bytes());
            assert_ne!(one.encrypt(&key)[..12], two.encrypt(&key)[..12]);
        }
    }
}
