//! Writing: into memory, and to storage what memory has no room for.

use std::sync::Arc;
use std::time::SystemTime;

use super::File;
use super::attempt::ALWAYS;
use super::content::span_len;
use super::unsaved::{Base, Wrote};
use crate::chunk::{MAX_FILE_LEN, Span};
use crate::crypto::{ContentCipher, FileHeader};
use crate::error::{ErrorKind, Result};

/// Whoever makes a file longer by more than this is told at once where there is no room for it.
const LARGE: u64 = 1 << 20;

impl File {
    /// Writes `bytes` at `offset`, and returns how many: not all if something fails on the way, but at least one.
    ///
    /// The bytes are in memory then and everybody sees them; storage has them after [`flush`](Self::flush). A gap before
    /// `offset` reads as zeros, which take no memory until they are stored. `now` is the time that the file shows until
    /// then.
    ///
    /// Blocks on storage for a chunk that is changed in part and is not in memory, and where memory holds more unsaved
    /// bytes than [`VaultOptions`](crate::VaultOptions) allow: then this thread stores some.
    ///
    /// # Errors
    ///
    /// `Damaged` if a chunk would be changed in part that does not authenticate, or the file is cut off: nothing of it
    /// is changed then. That of an earlier write that could not be stored, until a [`flush`](Self::flush) succeeds.
    /// `TooLarge`, `NoSpace`; `InvalidArgument` where the file was opened for reading; else what the storage says.
    pub fn write_at(&self, offset: u64, bytes: &[u8], now: SystemTime) -> Result<usize> {
        self.expect_writable()?;
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > MAX_FILE_LEN) {
            return Err(self.name(ErrorKind::TooLarge.into()));
        }
        self.expect_room(offset)?;
        let mut rest = bytes;
        for span in self.resident().layout.spans(offset, bytes.len() as u64) {
            let Some((part, behind)) = rest.split_at_checked(span_len(span)) else { break };
            match self.write_span(span, part, now) {
                Ok(()) => {
                    rest = behind;
                    self.relieve_memory();
                }
                Err(error) if rest.len() == bytes.len() => return Err(self.name(error)),
                // What was written is written; whoever goes on meets the error then.
                Err(_) => break,
            }
        }
        if !bytes.is_empty() {
            self.context.hold(&self.shared);
        }
        Ok(bytes.len() - rest.len())
    }

    fn write_span(&self, span: Span, part: &[u8], now: SystemTime) -> Result<()> {
        let mut loaded = None;
        loop {
            let base = loaded.as_ref().map(|(begun, chunk)| Base::new(begun, chunk));
            match self.resident().write_chunk(span, part, base, now)? {
                Wrote::Done => return Ok(()),
                Wrote::NeedsChunk => loaded = self.load_chunk(span.chunk.0)?,
            }
        }
    }

    /// Sets the length: cuts the file, or makes it longer by zeros, which take no memory until they are stored.
    ///
    /// A file that is cut to nothing gets a new header, and so a new key, whatever was wrong with it. Storage follows
    /// with [`flush`](Self::flush). Blocks on storage for the chunk at the new end, if it is not in memory, and for
    /// writes that are being stored.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at), but to cut it to nothing is never refused. A file that is cut off can be cut to what
    /// is whole of it.
    pub fn set_len(&self, len: u64, now: SystemTime) -> Result<()> {
        self.expect_writable()?;
        if len > MAX_FILE_LEN {
            return Err(self.name(ErrorKind::TooLarge.into()));
        }
        self.expect_room(len)?;
        let _turn = self.turn();
        loop {
            let was = self.len();
            let done = if len == 0 {
                let (header, cipher) = self.new_header();
                self.resident().restart(header, cipher, now);
                Ok(true)
            } else if len >= was {
                self.resident().extend(len, now).map(|()| true)
            } else {
                self.cut(len, now)
            };
            if done.map_err(|error| self.name(error))? {
                self.context.hold(&self.shared);
                return Ok(());
            }
        }
    }

    /// Sets the length in memory alone, if that is possible: true if it was. Never blocks on storage, and does not ask it
    /// whether it has room for what the file is made longer by.
    ///
    /// # Errors
    ///
    /// Those of [`set_len`](Self::set_len), but for what storage would say.
    pub fn try_set_len(&self, len: u64, now: SystemTime) -> Result<bool> {
        self.expect_writable()?;
        if len > MAX_FILE_LEN {
            return Err(self.name(ErrorKind::TooLarge.into()));
        }
        let (was, torn) = (self.len(), self.torn());
        if len >= was && len > 0 && torn.is_none() {
            self.resident().extend(len, now).map_err(|error| self.name(error))?;
        } else {
            // While anything is being stored the end of the file is not to move.
            let Some(_turn) = self.shared.try_turn() else { return Ok(false) };
            if len == 0 {
                let (header, cipher) = self.new_header();
                self.resident().restart(header, cipher, now);
            } else {
                let needs_more = len >= self.len() || self.resident().chunk_at_new_end(len).is_some();
                if needs_more || !self.resident().cut(len, None, now).map_err(|error| self.name(error))? {
                    return Ok(false);
                }
            }
        }
        self.context.hold(&self.shared);
        Ok(true)
    }

    fn cut(&self, len: u64, now: SystemTime) -> Result<bool> {
        let loaded = match self.resident().chunk_at_new_end(len) {
            Some(index) => self.load_chunk(index)?,
            None => None,
        };
        let end = loaded.as_ref().map(|(begun, chunk)| Base::new(begun, chunk));
        self.resident().cut(len, end, now)
    }

    /// Gives a file that was just made its header, which is stored with the first flush.
    pub(crate) fn begin(&self) {
        let (header, cipher) = self.new_header();
        self.resident().give_header(header, cipher);
        self.context.hold(&self.shared);
    }

    pub(super) fn new_header(&self) -> (Arc<[u8]>, Arc<ContentCipher>) {
        let header = FileHeader::generate(self.context.combo);
        let cipher = ContentCipher::new(&header, &self.context.key);
        (header.encrypt(&self.context.key).into(), cipher.into())
    }

    /// Refuses to make the file much longer than there is room for. Zeros take as much room as anything else.
    fn expect_room(&self, end: u64) -> Result<()> {
        let more = end.saturating_sub(self.len());
        if more <= LARGE {
            return Ok(());
        }
        match self.context.storage.space() {
            Ok(space) if space.available < more => Err(self.name(ErrorKind::NoSpace.into())),
            // Where the storage does not tell, it will when it is full.
            _ => Ok(()),
        }
    }

    /// Stores some of the file where memory holds too much. What fails is told to whoever writes or flushes next.
    fn relieve_memory(&self) {
        let (limits, resident) = (self.context.limits, self.resident());
        let own = resident.unsaved_bytes();
        let is_too_much =
            own > limits.per_file || (self.context.budget.bytes() > limits.per_vault && own > ALWAYS);
        while is_too_much && resident.unsaved_bytes() > own / 2 {
            if !matches!(self.store_some(), Ok(true)) {
                break;
            }
        }
    }
}
