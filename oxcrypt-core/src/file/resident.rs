//! The resident half of a file.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::cache::{ChunkCache, ClearChunk, ContentId};
use crate::chunk::{ChunkIndex, Layout, PAYLOAD_LEN, Span, Torn};
use crate::crypto::ContentCipher;
use crate::probe::Probe;
use crate::storage::{Identity, Metadata};

/// What memory has of a file: length, content key, and those of its chunks that are cached.
///
/// It holds no storage handle, so nothing here can block on storage. `Debug` shows lengths only.
pub struct ResidentFile {
    layout: Layout,
    chunks: Arc<ChunkCache>,
    state: RwLock<Content>,
}

/// One state of a file's content.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) id: ContentId,
    pub(super) layout: Layout,
    /// Length of the cleartext, one unreadable byte included where the file is torn.
    pub(super) len: u64,
    pub(super) stored_len: u64,
    pub(super) torn: Option<Torn>,
    /// Known once the header has been read.
    pub(super) cipher: Option<Arc<ContentCipher>>,
    modified: Option<SystemTime>,
    identity: Option<Identity>,
    /// The storage cannot tell whether a change was one of this file, or of the path: no other handle may share it.
    is_apart: bool,
}

impl ResidentFile {
    pub(super) fn new(layout: Layout, chunks: Arc<ChunkCache>, metadata: &Metadata) -> Self {
        let content = Content::new(layout, chunks.new_content(), metadata);
        Self { layout, chunks, state: RwLock::new(content) }
    }

    /// Length of the cleartext, as [`File::len`](super::File::len).
    #[must_use]
    pub fn len(&self) -> u64 {
        self.content().len
    }

    /// Whether the cleartext has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Set where the ciphertext is cut off.
    #[must_use]
    pub fn torn(&self) -> Option<Torn> {
        self.content().torn
    }

    /// Reads cleartext at `offset` into `buf` if memory holds all of it; then as
    /// [`File::read_at`](super::File::read_at).
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Probe<usize> {
        if buf.is_empty() {
            return Probe::Ready(0);
        }
        let content = self.content();
        let Ok(plan) = content.plan(offset, buf.len()) else { return Probe::Absent };
        if content.cipher.is_none() && content.stored_len > 0 {
            // Nobody has vouched for this file yet.
            return Probe::Absent;
        }
        let mut rest = buf;
        let mut behind = plan.start;
        for span in content.spans(offset, plan.len) {
            let Some(chunk) = self.chunks.get(content.id, span.chunk) else { return Probe::Absent };
            let (part, next) = rest.split_at_mut(span_len(span));
            if !copy_span(&chunk, span, part) {
                return Probe::Absent;
            }
            rest = next;
            behind = span.chunk.next();
        }
        // A read that meets the end wants the trailing empty chunk, too.
        if behind < plan.end && self.chunks.get(content.id, behind).is_none() {
            return Probe::Absent;
        }
        Probe::Ready(plan.len)
    }

    /// Which state of the content this is: another number after every change that was noticed.
    #[must_use]
    pub fn content_id(&self) -> ContentId {
        self.content().id
    }

    /// Whether memory has all of the file. Looks no further than the first chunk that is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let content = self.content();
        let chunks = content.len.div_ceil(PAYLOAD_LEN);
        content.torn.is_none()
            && (content.cipher.is_some() || content.stored_len == 0)
            && (0..chunks).all(|index| self.chunks.get(content.id, ChunkIndex(index)).is_some())
    }

    pub(super) fn content(&self) -> Content {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn cached(&self, content: &Content, index: ChunkIndex) -> Option<ClearChunk> {
        self.chunks.get(content.id, index)
    }

    /// Whether chunks that are read may be found again.
    #[must_use]
    pub fn caches_chunks(&self) -> bool {
        self.chunks.is_enabled()
    }

    /// Keeps a chunk of this state of the content; of no use any more if there is another by now.
    pub(super) fn keep(&self, content: &Content, index: ChunkIndex, chunk: ClearChunk) {
        self.chunks.insert(content.id, index, chunk);
    }

    /// Keeps the cipher of this state of the content.
    pub(super) fn keep_cipher(&self, content: &Content, cipher: &Arc<ContentCipher>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.id == content.id {
            state.cipher = Some(Arc::clone(cipher));
        }
    }

    /// Whether this is still the file that storage has under the path. Where the storage cannot tell files apart, one
    /// that looks otherwise is another: two files must never share what memory has of one.
    pub(super) fn is_same_file(&self, metadata: &Metadata) -> bool {
        let state = self.content();
        match (state.identity, metadata.identity) {
            (Some(was), Some(is)) => was == is,
            _ => !state.is_apart && state.looks_like(metadata),
        }
    }

    /// Compares with what storage says now, and forgets all content if somebody else has changed it.
    pub(super) fn observe(&self, metadata: &Metadata) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.looks_like(metadata) {
            *state = self.new_content(metadata);
        }
    }

    /// As [`observe`](Self::observe), for a file that was opened: where the storage knows no times, nobody can say what
    /// was done to it before.
    pub(super) fn opened(&self, metadata: &Metadata) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if metadata.modified.is_none() || !state.looks_like(metadata) {
            *state = self.new_content(metadata);
        }
    }

    /// Whether `content`, of which something made no sense, is no longer what storage has. There is another then.
    pub(super) fn has_changed(&self, content: &Content, metadata: &Metadata) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.id != content.id {
            return true;
        }
        let is_known = match (state.identity, metadata.identity) {
            // The handle reads what it always did; nobody can say whether that was changed.
            (Some(was), Some(is)) if was != is => return false,
            (Some(_), Some(_)) => true,
            _ => false,
        };
        let has_changed = metadata.modified.is_none() || !state.looks_like(metadata);
        if has_changed {
            *state = Content { is_apart: !is_known, ..self.new_content(metadata) };
        }
        has_changed
    }

    fn new_content(&self, metadata: &Metadata) -> Content {
        Content::new(self.layout, self.chunks.new_content(), metadata)
    }
}

impl Content {
    fn new(layout: Layout, id: ContentId, metadata: &Metadata) -> Self {
        let (len, torn) = match layout.cleartext_len(metadata.len) {
            Ok(len) => (len, None),
            Err(torn) => (torn.shown_len(), Some(torn)),
        };
        Self {
            id,
            layout,
            len,
            stored_len: metadata.len,
            torn,
            cipher: None,
            modified: metadata.modified,
            identity: metadata.identity,
            is_apart: false,
        }
    }

    fn looks_like(&self, metadata: &Metadata) -> bool {
        self.stored_len == metadata.len && self.modified == metadata.modified
    }
}

/// Copies the part of `chunk` that `span` names; false where the chunk is shorter than that.
pub(super) fn copy_span(chunk: &[u8], span: Span, into: &mut [u8]) -> bool {
    let range = usize::try_from(span.start).ok().zip(usize::try_from(span.end).ok());
    match range.and_then(|(start, end)| chunk.get(start..end)) {
        Some(part) if part.len() == into.len() => {
            into.copy_from_slice(part);
            true
        }
        _ => false,
    }
}

pub(super) fn span_len(span: Span) -> usize {
    usize::try_from(span.len()).unwrap_or(usize::MAX)
}

impl fmt::Debug for ResidentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content();
        write!(f, "ResidentFile({} bytes, {} stored)", content.len, content.stored_len)
    }
}
