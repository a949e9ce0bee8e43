//! Where a file has data, and where nothing but zeros that nobody has written.

use super::resident::{ResidentFile, State};
use crate::chunk::PAYLOAD_LEN;

impl ResidentFile {
    /// Where data begins at or behind `offset`; `None` if there is none up to the end of the file. What storage has is
    /// data. Zeros that a file was made longer by are none before they are stored.
    #[must_use]
    pub fn data_from(&self, offset: u64) -> Option<u64> {
        let state = self.state();
        let len = state.content.len;
        let chunk = offset / PAYLOAD_LEN;
        if offset >= len || !state.is_hole(chunk) {
            return (offset < len).then_some(offset);
        }
        let start = state.unsaved.first_from(chunk)?.saturating_mul(PAYLOAD_LEN);
        (start < len).then_some(start)
    }

    /// Where such zeros begin at or behind `offset`, at the latest behind the end; `None` for an offset that is there.
    #[must_use]
    pub fn hole_from(&self, offset: u64) -> Option<u64> {
        let state = self.state();
        let len = state.content.len;
        let chunks = offset / PAYLOAD_LEN..len.div_ceil(PAYLOAD_LEN);
        // Below what storage has there is no hole, and behind it each chunk that is none takes memory.
        let first = chunks.start.max(state.content.valid.div_ceil(PAYLOAD_LEN));
        let hole = (first..chunks.end).find(|chunk| state.is_hole(*chunk));
        let start = hole.map_or(len, |chunk| chunk.saturating_mul(PAYLOAD_LEN));
        (offset < len).then_some(start.clamp(offset, len))
    }
}

impl State {
    fn is_hole(&self, chunk: u64) -> bool {
        self.content.is_gap(chunk) && self.unsaved.chunk(chunk).is_none()
    }
}
