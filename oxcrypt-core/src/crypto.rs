//! The format's ciphers: names, directory ids, file headers, chunks, and the keys they run on.
//!
//! Pure computation on the caller's buffers: nothing here does I/O. Everything can be used from many threads at once.
//! Keys lie in boxes of their own, are wiped when dropped and have no `Debug`.

use std::fmt;

use thiserror::Error;
use zeroize::zeroize_stack;

use crate::chunk::Layout;

mod content;
mod ctrmac;
mod gcm;
mod header;
mod key;
mod keywrap;
mod names;

pub use content::ContentCipher;
pub use header::FileHeader;
pub use key::{ContentKey, MasterKey};
pub(crate) use keywrap::{WRAPPED_LEN, unwrap, wrap};
pub use names::{NameCipher, UndecryptableName};

/// How a vault encrypts file headers and contents. Names are encrypted the same way in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherCombo {
    /// AES-256-GCM: what clients create today.
    SivGcm,
    /// AES-256-CTR with HMAC-SHA256: vaults from before 2022 and migrated ones.
    SivCtrMac,
}

impl CipherCombo {
    /// Both, the newer one first.
    pub const ALL: [Self; 2] = [Self::SivGcm, Self::SivCtrMac];

    /// The sizes of header and chunks.
    #[must_use]
    pub const fn layout(self) -> Layout {
        match self {
            Self::SivGcm => Layout::SIV_GCM,
            Self::SivCtrMac => Layout::SIV_CTRMAC,
        }
    }

    /// The combo of this name, as vault configs spell it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|combo| combo.name() == name)
    }

    /// Its name, as vault configs spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SivGcm => "SIV_GCM",
            Self::SivCtrMac => "SIV_CTRMAC",
        }
    }
}

impl fmt::Display for CipherCombo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The ciphertext was not made with this key for this place: damaged, moved, or somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ciphertext does not authenticate")]
pub struct AuthenticationFailed;

/// Wipes what the frames of ciphers and MACs left of keys and their schedules on the stack below the caller. They must
/// have had a frame below it: a function that is never inlined.
pub(crate) fn wipe_stack() {
    zeroize_stack::<16_384>();
}

/// Fills `buf` from the system's random source.
///
/// # Panics
///
/// If the system has none: nothing can be encrypted then.
pub(crate) fn fill_random(buf: &mut [u8]) {
    getrandom::fill(buf).expect("the system's random source works");
}

/// Copies a slice whose length the caller has checked or cut itself.
fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], AuthenticationFailed> {
    bytes.try_into().map_err(|_| AuthenticationFailed)
}
