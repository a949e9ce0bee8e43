//! Buffers for ciphertext, used again and again: a fresh one of a megabyte costs as much as decrypting half of it.

/// Ciphertext buffers that nobody uses now. They never hold cleartext, so nothing has to be wiped.
pub(crate) struct ScratchPool(Mutex<Vec<Vec<u8>>>);
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// More threads than this decrypt at once only where memory is no concern.
const MAX_BUFFERS: usize = 16;
/// What is kept is bounded; a longer buffer is used once, and leaves those that are kept to others.
const MAX_KEPT_LEN: usize = 1 << 21;

impl ScratchPool {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Runs `work` on a buffer of `len` bytes of which nothing is known.
    pub(crate) fn with<T>(&self, len: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let kept = if len <= MAX_KEPT_LEN { self.lock().pop() } else { None };
        let mut buffer = kept.unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let result = work(buffer.split_at_mut(len).0);
        if buffer.len() <= MAX_KEPT_LEN {
            let mut pool = self.lock();
            if pool.len() < MAX_BUFFERS {
                pool.push(buffer);
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_too_long_to_keep_leaves_those_that_are_kept() {
        let pool = ScratchPool::new();
        pool.with(100, |_| ());
        pool.with(MAX_KEPT_LEN + 1, |buffer| assert_eq!(buffer.len(), MAX_KEPT_LEN + 1));
        assert_eq!(pool.lock().iter().map(Vec::len).collect::<Vec<_>>(), [100]);
    }
}
