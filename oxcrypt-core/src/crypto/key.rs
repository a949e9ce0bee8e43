//! Keys. Each lies in a box of its own and is wiped there; none is ever printed.

use zeroize::{Zeroize, Zeroizing};

use super::fill_random;

/// Length of each of the two halves of a masterkey, and of a content key.
const KEY_LEN: usize = 32;

/// The masterkey of a vault: an encryption key and a MAC key, 32 bytes each.
///
/// The config is signed with both in this order, names are encrypted with both in the other.
pub struct MasterKey(Box<Zeroizing<[u8; 2 * KEY_LEN]>>);

impl MasterKey {
    /// Length of the raw key in bytes.
    pub const LEN: usize = 2 * KEY_LEN;

    /// Copies a raw key: encryption key, then MAC key. The caller wipes its own copy.
    #[must_use]
    pub fn from_raw(raw: &[u8; Self::LEN]) -> Self {
        let mut key = Box::new(Zeroizing::new([0; Self::LEN]));
        key.copy_from_slice(raw);
        Self(key)
    }

    /// A new random key.
    pub(crate) fn generate() -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; Self::LEN])));
        fill_random(key.0.as_mut_slice());
        key
    }

    /// Both keys as the config's signature wants them: encryption key, then MAC key.
    #[must_use]
    pub fn raw(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Encrypts names and headers.
    pub(crate) fn encryption_key(&self) -> &[u8; KEY_LEN] {
        halves(&self.0).0
    }

    /// Authenticates names, chunks of `SIV_CTRMAC` and the masterkey file's version.
    pub(crate) fn mac_key(&self) -> &[u8; KEY_LEN] {
        halves(&self.0).1
    }
}

fn halves(raw: &[u8; 2 * KEY_LEN]) -> (&[u8; KEY_LEN], &[u8; KEY_LEN]) {
    let (encryption, mac) = raw.split_at(KEY_LEN);
    match (encryption.try_into(), mac.try_into()) {
        (Ok(encryption), Ok(mac)) => (encryption, mac),
        _ => unreachable!("64 bytes are two halves of 32"),
    }
}

/// The key of one file's content, from its header.
pub struct ContentKey(Box<Zeroizing<[u8; KEY_LEN]>>);

impl ContentKey {
    /// Length in bytes.
    pub const LEN: usize = KEY_LEN;

    /// A new random key.
    pub(crate) fn generate() -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; KEY_LEN])));
        fill_random(key.0.as_mut_slice());
        key
    }

    /// Takes the key over and wipes where it came from.
    pub(crate) fn take(from: &mut [u8; KEY_LEN]) -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; KEY_LEN])));
        key.0.copy_from_slice(from);
        from.zeroize();
        key
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}
