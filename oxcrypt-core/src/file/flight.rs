//! A read of storage under way, and which of its chunks somebody has changed meanwhile.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::ops::Range;

/// A run of at most [`MAX_RUN`] chunks that is being read.
///
/// Whoever is about to change a chunk in storage strikes it off. A struck chunk may have been read in part before and in
/// part after that, so it is neither kept nor judged, but taken again: a chunk is damaged only if nobody changed it.
pub(super) struct Flight {
    first: u64,
    struck: Mutex<u128>,
}

/// The longest run that is read at once: 4 MiB of cleartext.
pub(super) const MAX_RUN: u64 = 128;

impl Flight {
    pub(super) fn new(first: u64) -> Self {
        Self { first, struck: Mutex::new(0) }
    }

    /// Strikes chunks off.
    pub(super) fn strike(&self, chunks: Range<u64>) {
        let mut struck = self.lock();
        for index in chunks.start.max(self.first)..chunks.end.min(self.first + MAX_RUN) {
            *struck |= 1 << (index - self.first);
        }
    }

    pub(super) fn is_struck(&self, chunk: u64) -> bool {
        let bit = chunk.checked_sub(self.first).and_then(|bit| u32::try_from(bit).ok());
        bit.and_then(|bit| self.lock().checked_shr(bit)).is_none_or(|struck| struck & 1 == 1)
    }

    fn lock(&self) -> MutexGuard<'_, u128> {
        self.struck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_struck_is_what_was_changed_of_the_run() {
        let flight = Flight::new(10);
        flight.strike(5..12);
        flight.strike(137..200);
        flight.strike(20..21);
        let struck: Vec<u64> = (10..138).filter(|chunk| flight.is_struck(*chunk)).collect();
        assert_eq!(struck, [10, 11, 20, 137]);
        assert!(flight.is_struck(9) && flight.is_struck(138), "nobody has read these");
    }
}
