//! One state of a file's content, and what a read of a range of it has to look at.

use std::sync::Arc;
use std::time::SystemTime;

use crate::cache::ContentId;
use crate::chunk::{ChunkIndex, Layout, PAYLOAD_LEN, Span, Torn};
use crate::crypto::ContentCipher;
use crate::error::{Error, Result};
use crate::storage::{Identity, Metadata};

/// One state of a file's content.
///
/// Of the cleartext, storage holds what is below `valid`; what memory has not stored yet lies over that. From `valid` to
/// `len` there are zeros but for that.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) id: ContentId,
    pub(super) layout: Layout,
    /// Length of the cleartext as everybody sees it, one unreadable byte included where the file is torn.
    pub(super) len: u64,
    /// How much of the cleartext that is in storage counts.
    pub(super) valid: u64,
    /// Length of the ciphertext of that, an empty chunk at its end included.
    pub(super) readable_len: u64,
    /// Length that the ciphertext may have by now: a write that failed may have made it longer, a cut is still to come.
    pub(super) stored_len: u64,
    pub(super) torn: Option<Torn>,
    /// Known once the header has been read or made.
    pub(super) cipher: Option<Arc<ContentCipher>>,
    /// When storage says that it last changed.
    pub(super) modified: Option<SystemTime>,
    pub(super) identity: Option<Identity>,
    /// The storage cannot tell whether a change was one of this file, or of the path: no other handle may share it.
    pub(super) is_apart: bool,
    /// We have stored it ourselves. Some stores date that anew when they have sent it on.
    pub(super) is_ours: bool,
}

/// What a read of a range has to bring in.
pub(super) struct Plan {
    /// Bytes to give back.
    pub(super) len: usize,
    /// The first chunk to look at: where nothing is wanted, at most an empty one behind all others.
    pub(super) start: ChunkIndex,
    /// One past the last chunk to look at: behind the last span where the end of the file is to be vouched for.
    pub(super) end: ChunkIndex,
}

impl Content {
    pub(super) fn new(layout: Layout, id: ContentId, metadata: &Metadata) -> Self {
        let (len, torn) = match layout.cleartext_len(metadata.len) {
            Ok(len) => (len, None),
            Err(torn) => (torn.shown_len(), Some(torn)),
        };
        Self {
            id,
            layout,
            len,
            valid: torn.map_or(len, |torn| torn.readable),
            readable_len: metadata.len,
            stored_len: metadata.len,
            torn,
            cipher: None,
            modified: metadata.modified,
            identity: metadata.identity,
            is_apart: false,
            is_ours: false,
        }
    }

    /// Cuts a read of `want` bytes at `offset` to the file, and refuses what is cut off.
    pub(super) fn plan(&self, offset: u64, want: usize) -> Result<Plan> {
        let len = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(want);
        let end = offset.saturating_add(len as u64);
        if let Some(torn) = self.torn.filter(|torn| end > torn.readable || len < want) {
            return Err(Error::damaged(torn.to_string()));
        }
        let chunks = self.layout.stored_chunks(self.readable_len).max(self.len.div_ceil(PAYLOAD_LEN));
        let start = if len == 0 { self.len.div_ceil(PAYLOAD_LEN) } else { offset / PAYLOAD_LEN };
        // A read that wanted more than there is has met the end.
        let end = if len < want { chunks } else { end.div_ceil(PAYLOAD_LEN) };
        Ok(Plan { len, start: ChunkIndex(start), end: ChunkIndex(end) })
    }

    pub(super) fn spans(&self, offset: u64, len: usize) -> impl Iterator<Item = Span> + use<> {
        self.layout.spans(offset, len as u64)
    }

    /// Whether a chunk that memory has nothing of is zeros, and nothing in storage.
    pub(super) fn is_gap(&self, chunk: u64) -> bool {
        let start = chunk.saturating_mul(PAYLOAD_LEN);
        start >= self.valid && start < self.len && self.torn.is_none()
    }

    /// Whether there is a header in storage that nobody has read yet: nobody has vouched for the file.
    pub(super) fn is_unvouched(&self) -> bool {
        self.cipher.is_none() && self.readable_len > 0
    }

    pub(super) fn looks_like(&self, metadata: &Metadata) -> bool {
        self.stored_len == metadata.len && self.modified == metadata.modified
    }
}

/// Copies the part of `chunk` that `span` names. What a chunk does not reach is zeros: it was the last one, and the file
/// has become longer since.
pub(super) fn copy_span(chunk: &[u8], span: Span, into: &mut [u8]) {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(chunk.len());
    let part = chunk.get(at(span.start)..at(span.end)).unwrap_or_default();
    let len = part.len().min(into.len());
    let (there, behind) = into.split_at_mut(len);
    there.copy_from_slice(part.split_at(len).0);
    behind.fill(0);
}

pub(super) fn span_len(span: Span) -> usize {
    usize::try_from(span.len()).unwrap_or(usize::MAX)
}

/// Lengths here are those of buffers in memory, so they fit.
pub(super) fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
