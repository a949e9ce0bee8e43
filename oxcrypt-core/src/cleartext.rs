//! Cleartext of files in memory.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::Zeroize as _;

/// Bytes of cleartext, wiped when they are dropped. `Debug` shows how many.
///
/// `Zeroizing<Vec<u8>>` does the same for one byte at a time, which took as long as all decryption. This wipes a slice
/// at once, so it is for what is large.
#[derive(Clone)]
pub struct Cleartext(Box<[u8]>);

impl Cleartext {
    /// So many zeros, to be written over.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self(vec![0; len].into_boxed_slice())
    }

    /// The first `len` bytes of it, or all if there are no more; the others are wiped.
    #[must_use]
    pub fn first(self, len: usize) -> Self {
        match self.get(..len) {
            Some(first) if len < self.len() => Self(first.into()),
            _ => self,
        }
    }
}

impl Deref for Cleartext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Cleartext {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Cleartext {
    fn drop(&mut self) {
        // Of the slice: a box of one is wiped byte by byte.
        self.0.as_mut().zeroize();
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
    }
}
