//! Cleartext of files in memory.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize as _;

use crate::chunk::PAYLOAD_LEN;

/// Bytes of cleartext, wiped when they are dropped. `Debug` shows how many.
///
/// `Zeroizing<Vec<u8>>` does the same for one byte at a time, which took as long as all decryption. This wipes a slice
/// at once, so it is for what is large.
///
/// Memory of usual lengths is used again, because it is zeros by then: what comes fresh from the system costs as much as
/// decrypting it, for the page faults and the zeros.
pub struct Cleartext {
    /// Zeros from `len` on.
    bytes: Box<[u8]>,
    len: usize,
}

/// Zeros that nobody uses now, of all vaults together.
struct Spare {
    /// As long as a chunk.
    chunks: Vec<Box<[u8]>>,
    /// Longer than that.
    longer: Vec<Box<[u8]>>,
}

/// Never held while anything else is waited for; so not a lock whose interleavings are to be tried.
static SPARE: Mutex<Spare> = Mutex::new(Spare { chunks: Vec::new(), longer: Vec::new() });

/// As many spare chunks are kept: two megabytes.
const MOST_CHUNKS: usize = 64;
/// As many longer buffers.
const MOST_LONGER: usize = 4;
/// Longer ones than this are not kept: as much as the kernel reads at once.
const LONGEST: usize = 1 << 20;

impl Cleartext {
    /// So many zeros, to be written over.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let bytes = Spare::take(len).unwrap_or_else(|| vec![0; len].into_boxed_slice());
        Self { bytes, len }
    }

    /// The first `len` bytes of it, or all if there are no more; the others are wiped.
    #[must_use]
    pub fn first(mut self, len: usize) -> Self {
        if let Some(others) = self.get_mut(len..) {
            others.zeroize();
            self.len = len;
        }
        self
    }
}

impl Spare {
    fn take(len: usize) -> Option<Box<[u8]>> {
        match Kind::of(len)? {
            Kind::Chunk => Self::lock().chunks.pop(),
            Kind::Longer => {
                let mut spare = Self::lock();
                let fits = spare.longer.iter().rposition(|bytes| bytes.len() >= len)?;
                Some(spare.longer.swap_remove(fits))
            }
        }
    }

    /// Keeps a buffer that has been wiped, if there is room for it.
    fn put(bytes: Box<[u8]>) {
        let Some(kind) = Kind::of(bytes.len()) else { return };
        let mut spare = Self::lock();
        let (list, most) = match kind {
            Kind::Chunk => (&mut spare.chunks, MOST_CHUNKS),
            Kind::Longer => (&mut spare.longer, MOST_LONGER),
        };
        if list.len() < most {
            list.push(bytes);
        }
    }

    fn lock() -> MutexGuard<'static, Self> {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a buffer can be used for again.
enum Kind {
    Chunk,
    Longer,
}

impl Kind {
    fn of(len: usize) -> Option<Self> {
        match len as u64 {
            PAYLOAD_LEN => Some(Self::Chunk),
            _ if len as u64 > PAYLOAD_LEN && len <= LONGEST => Some(Self::Longer),
            _ => None,
        }
    }
}

impl Clone for Cleartext {
    fn clone(&self) -> Self {
        let mut other = Self::zeroed(self.len);
        other.copy_from_slice(self);
        other
    }
}

impl Deref for Cleartext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.split_at(self.len).0
    }
}

impl DerefMut for Cleartext {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.split_at_mut(self.len).0
    }
}

impl Drop for Cleartext {
    fn drop(&mut self) {
        // Of the slice: a box of one is wiped byte by byte.
        (**self).zeroize();
        Spare::put(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Cleartext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cleartext({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_it_are_those_that_are_there() {
        let mut clear = Cleartext::zeroed(5);
        clear.copy_from_slice(b"clear");
        let clear = clear.first(9).first(3);
        assert_eq!(*clear, *b"cle");
        assert_eq!(format!("{clear:?}"), "Cleartext(3 bytes)");
        assert_eq!(*clear.bytes, *b"cle\0\0");
    }

    #[test]
    fn what_is_used_again_is_zeros_and_as_long_as_wanted() {
        for len in [0, 1, 32_768, 32_769, 100_000, 1 << 20, (1 << 20) + 1] {
            let buffers: Vec<_> = (0..2 * MOST_LONGER)
                .map(|_| {
                    let mut clear = Cleartext::zeroed(len);
                    assert_eq!(clear.len(), len);
                    assert!(clear.iter().all(|byte| *byte == 0), "{len}");
                    clear.fill(7);
                    clear.first(len.saturating_sub(len / 3))
                })
                .collect();
            drop(buffers);
        }
        let spare = Spare::lock();
        assert!(spare.chunks.len() <= MOST_CHUNKS && spare.longer.len() <= MOST_LONGER);
        let mut kept = spare.chunks.iter().chain(&spare.longer);
        assert!(kept.all(|bytes| bytes.iter().all(|byte| *byte == 0)));
    }
}
