//! Names of entries and directory ids, by AES-SIV.

use aes_siv::KeyInit;
use aes_siv::siv::{Aes256Siv, IV_SIZE};
use data_encoding::{BASE32_NOPAD, BASE64URL};
use sha1::{Digest, Sha1};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::{AuthenticationFailed, MasterKey, wipe_stack};
use crate::name::DirId;

/// Encrypts and decrypts the names of entries, and hashes directory ids.
///
/// Deterministic: a name in a directory always has the same ciphertext, and another one in any other directory.
pub struct NameCipher {
    /// MAC key, then encryption key: the order of RFC 5297, the reverse of the masterkey's own.
    key: Box<Zeroizing<[u8; 64]>>,
}

/// Why a stored name cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UndecryptableName {
    /// Not Base64url with padding, or too short.
    #[error("is not the Base64url of an encrypted name")]
    NotEncoded,
    /// Not made with this key for this directory.
    #[error("does not decrypt in this directory")]
    NotAuthentic,
    /// Made with this key, yet no text.
    #[error("decrypts to something that is not UTF-8")]
    NotText,
}

impl NameCipher {
    /// Takes what it needs of `key`.
    #[must_use]
    pub fn new(key: &MasterKey) -> Self {
        let mut siv = Box::new(Zeroizing::new([0; 64]));
        let (mac, encryption) = siv.split_at_mut(32);
        mac.copy_from_slice(key.mac_key());
        encryption.copy_from_slice(key.encryption_key());
        Self { key: siv }
    }

    /// Returns the encoded ciphertext of `name` in the directory `dir`, without `.c9r`: Base64url with padding.
    #[expect(clippy::missing_panics_doc, reason = "SIV refuses only more headers than it is given here")]
    #[must_use]
    pub fn encrypt(&self, name: &str, dir: &DirId) -> String {
        let ciphertext = self.with_siv(|siv| siv.encrypt([dir.as_bytes()], name.as_bytes()));
        BASE64URL.encode(&ciphertext.expect("one header is few enough for SIV"))
    }

    /// Returns the name whose encoded ciphertext is `encoded`, without `.c9r`, in the directory `dir`.
    ///
    /// The text is as it was stored: it need not be in NFC, nor a legal name.
    ///
    /// # Errors
    ///
    /// [`UndecryptableName`].
    pub fn decrypt(&self, encoded: &str, dir: &DirId) -> Result<String, UndecryptableName> {
        let ciphertext = BASE64URL.decode(encoded.as_bytes()).map_err(|_| UndecryptableName::NotEncoded)?;
        if ciphertext.len() < IV_SIZE {
            return Err(UndecryptableName::NotEncoded);
        }
        let clear = self
            .with_siv(|siv| siv.decrypt([dir.as_bytes()], &ciphertext))
            .map_err(|_| UndecryptableName::NotAuthentic)?;
        String::from_utf8(clear).map_err(|error| {
            error.into_bytes().zeroize();
            UndecryptableName::NotText
        })
    }

    /// Returns the 32 characters of Base32 that name the content directory of `dir`.
    #[expect(clippy::missing_panics_doc, reason = "SIV refuses only more headers than it is given here")]
    #[must_use]
    pub fn hash_dir_id(&self, dir: &DirId) -> String {
        // One string, also where it is empty, and no associated data at all: not the same as an empty one.
        let ciphertext = self.with_siv(|siv| siv.encrypt(std::iter::empty::<&[u8]>(), dir.as_bytes()));
        BASE32_NOPAD.encode(&Sha1::digest(ciphertext.expect("no header is few enough for SIV")))
    }

    /// A cipher object for each use, so that any number of threads can use this; it costs 0.1 µs.
    fn with_siv(
        &self,
        work: impl FnOnce(&mut Aes256Siv) -> Result<Vec<u8>, aes_siv::Error>,
    ) -> Result<Vec<u8>, AuthenticationFailed> {
        let result = Self::run(&self.key, work);
        wipe_stack();
        result.map_err(|_| AuthenticationFailed)
    }

    /// A frame of its own, which lies below the caller's when that wipes the stack.
    #[inline(never)]
    fn run(
        key: &[u8; 64],
        work: impl FnOnce(&mut Aes256Siv) -> Result<Vec<u8>, aes_siv::Error>,
    ) -> Result<Vec<u8>, aes_siv::Error> {
        work(&mut Aes256Siv::new(key.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cipher() -> NameCipher {
        NameCipher::new(&MasterKey::from_raw(&std::array::from_fn(|i| u8::try_from(i).unwrap())))
    }

    #[test]
    fn the_root_is_hashed_as_one_empty_string() {
        assert_eq!(cipher().hash_dir_id(&DirId::root()), "MN53XCQH5RFQJPKAFCMWDGELQHPPW2YQ");
    }

    #[test]
    fn what_is_no_ciphertext_says_why() {
        let (cipher, root) = (cipher(), DirId::root());
        assert_eq!(cipher.decrypt("n8Zfcx6QGU1lwPU-gVAmtt0=", &root).as_deref(), Ok("a"));
        assert_eq!(cipher.decrypt("n8Zfcx6QGU1lwPU-gVAmtt0", &root), Err(UndecryptableName::NotEncoded));
        assert_eq!(cipher.decrypt("n8Zfcx6Q", &root), Err(UndecryptableName::NotEncoded));
        assert_eq!(cipher.decrypt("o8Zfcx6QGU1lwPU-gVAmtt0=", &root), Err(UndecryptableName::NotAuthentic));
        let elsewhere = DirId::from_dir_file(b"x").unwrap();
        assert_eq!(
            cipher.decrypt("n8Zfcx6QGU1lwPU-gVAmtt0=", &elsewhere),
            Err(UndecryptableName::NotAuthentic)
        );
    }

    proptest! {
        #[test]
        fn names_round_trip_in_their_directory_only(name in ".{0,80}", id in "[0-9a-f-]{1,36}") {
            let (cipher, dir) = (cipher(), DirId::from_dir_file(id.as_bytes()).unwrap());
            let encoded = cipher.encrypt(&name, &dir);
            prop_assert_eq!(encoded.len(), (16 + name.len()).div_ceil(3) * 4);
            prop_assert_eq!(cipher.decrypt(&encoded, &dir), Ok(name));
            prop_assert_eq!(cipher.decrypt(&encoded, &DirId::root()), Err(UndecryptableName::NotAuthentic));
        }
    }
}
