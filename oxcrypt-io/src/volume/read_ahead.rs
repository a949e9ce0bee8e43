//! Who reads in order, and what is read before they ask.

use std::ops::Range;
use std::sync::Arc;

use crate::clock::Deadline;
use crate::sched::plan::Class;

use super::ops::read::{BLOCK_LEN, block, chunks_of};
use super::question::{Ask, object};
use super::{OpenFile, Shared};

/// Reads in order before something is read ahead. One is what programs do to see what kind of file it is.
const IN_ORDER: u32 = 2;

/// How a file is being read.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    /// Where the next read begins if it is in order.
    next: u64,
    in_order: u32,
    /// Blocks before this one have been asked for, or were passed over.
    asked: u64,
}

impl Pattern {
    /// Takes note of a read, and returns the blocks to read ahead because of it.
    fn note(&mut self, offset: u64, len: u64, window: u64) -> Range<u64> {
        if offset == self.next {
            self.in_order = self.in_order.saturating_add(1);
        } else {
            (self.in_order, self.asked) = (0, 0);
        }
        self.next = offset.saturating_add(len);
        if self.in_order < IN_ORDER || window == 0 {
            return 0..0;
        }
        let from = self.next.div_ceil(BLOCK_LEN).max(self.asked);
        let until = self.next.saturating_add(window).div_ceil(BLOCK_LEN);
        self.asked = self.asked.max(until);
        from..until
    }
}

impl Shared {
    /// Takes note that so much was read, and has what may follow read where nobody waits for a slot. Never blocks on
    /// storage.
    pub(super) fn read_ahead(&self, file: &Arc<OpenFile>, offset: u64, len: usize) {
        let resident = file.resident();
        if !resident.caches_chunks() {
            return;
        }
        let blocks = file.pattern(|pattern| pattern.note(offset, len as u64, self.options.read_ahead));
        let file_len = resident.len();
        for number in blocks {
            let start = number.saturating_mul(BLOCK_LEN);
            let rest = file_len.saturating_sub(start).min(BLOCK_LEN);
            let assembly = if rest > 0 { resident.begin(start, to_usize(rest)) } else { None };
            let Some(assembly) = assembly else { return };
            if assembly.missing().next().is_none() {
                continue;
            }
            let ask = Ask::new(
                Class::Background,
                object(file.node()),
                vec![block(file, assembly.content(), number, chunks_of(number))],
                Deadline::NEVER,
            );
            self.scheduler.submit(ask.request(Box::new(|_| ())));
        }
    }
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_bring_each_block_of_the_window_once() {
        let mut pattern = Pattern::default();
        let window = 4 * BLOCK_LEN;
        assert_eq!(pattern.note(0, 4_096, window), 0..0, "one read tells nothing");
        assert_eq!(pattern.note(4_096, 4_096, window), 1..5);
        assert!(pattern.note(8_192, 4_096, window).is_empty());
        assert_eq!(pattern.note(12_288, BLOCK_LEN, window), 5..6);
        assert!(pattern.note(0, 4_096, window).is_empty());
    }

    #[test]
    fn reads_out_of_order_bring_nothing() {
        let mut pattern = Pattern::default();
        for offset in [5, 900_000, 0, 300_000, 299_990, 100_000] {
            assert!(pattern.note(offset, 10, 1 << 20).is_empty());
        }
    }
}
