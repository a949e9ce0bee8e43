//! How much memory copies take of what cannot be written yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all such copies together, at most.
const MOST: usize = 256 << 20;

/// Bytes of all copies.
#[derive(Clone, Default)]
pub(super) struct AllWaiting(Arc<AtomicUsize>);

/// Bytes of one of them, counted until this is dropped.
pub(super) struct Waiting {
    all: AllWaiting,
    bytes: usize,
}

impl AllWaiting {
    /// Counts a copy, if there is room for it.
    pub(super) fn enter(&self, bytes: usize) -> Option<Waiting> {
        let waiting = Waiting { all: self.clone(), bytes };
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        // Dropped, it is counted no longer.
        (before + bytes <= MOST).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_take_so_much_memory_and_no_more() {
        let all = AllWaiting::default();
        let first = all.enter(MOST - 10).unwrap();
        assert!(all.enter(11).is_none());
        let second = all.enter(10).unwrap();
        assert!(all.enter(1).is_none());
        drop((first, second));
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }
}
