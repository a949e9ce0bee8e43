//! The storage half of reading: runs of missing chunks, one ciphertext read each.

use std::ops::Range;
use std::sync::Arc;

use super::File;
use super::content::{Content, copy_span, span_len, to_usize};
use super::flight::MAX_RUN;
use super::resident::Begun;
use crate::cache::ClearChunk;
use crate::chunk::{ChunkIndex, PAYLOAD_LEN, Span};
use crate::cleartext::Cleartext;
use crate::crypto::{ContentCipher, FileHeader};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::BlockFile;

/// Whether a read of storage may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Waits,
    /// Only what the host has at hand is read; any error may mean no more than that it has not.
    None,
}

/// A range that is being read into a buffer.
struct Wanted<'b> {
    offset: u64,
    len: usize,
    buf: &'b mut [u8],
}

impl File {
    /// Reads one state of the content: what memory has of it, the rest from storage. Returns which state it was.
    pub(super) fn read_content(&self, offset: u64, buf: &mut [u8]) -> (Content, Result<usize>) {
        let (content, plan, held) = match self.resident().look(offset, buf.len()) {
            Ok(looked) => looked,
            Err(error) => return (self.resident().content(), Err(error)),
        };
        let len = plan.len;
        let chunks = (plan.start.0..).zip(held);
        let mut wanted = Wanted { offset, len, buf };
        let missing = wanted.take_held(&content, chunks);
        let result = self.read_missing(&content, missing, &mut wanted).map(|()| len);
        (content, result)
    }

    fn read_missing(
        &self,
        content: &Content,
        missing: Vec<Range<u64>>,
        wanted: &mut Wanted<'_>,
    ) -> Result<()> {
        // The first run may bring the header along for the others.
        let mut cipher = content.cipher.clone();
        if missing.is_empty() && content.is_unvouched() {
            self.cipher(content, &mut cipher, Patience::Waits)?;
        }
        let mut runs = missing;
        runs.reverse();
        while let Some(run) = runs.pop() {
            let struck =
                self.read_run(content, &mut cipher, &run, Patience::Waits, |begun, cipher, index, chunk| {
                    self.decrypt_chunk(begun, cipher, index, chunk, wanted)
                })?;
            for index in struck {
                // Whoever changed it has it in memory, or did not keep it there.
                match self.resident().chunk(content.id, index) {
                    Some(chunk) => wanted.take(content, ChunkIndex(index), &chunk),
                    None => runs.push(index..index + 1),
                }
            }
        }
        Ok(())
    }

    /// Reads a run's ciphertext at once and has each chunk decrypted, also behind a damaged one: what is sound goes to
    /// the cache, so that reading around the damage costs nothing more. `decrypt` says whether the chunk counts.
    ///
    /// Returns the chunks that do not: we have changed them meanwhile.
    pub(super) fn read_run(
        &self,
        content: &Content,
        cipher: &mut Option<Arc<ContentCipher>>,
        run: &Range<u64>,
        patience: Patience,
        mut decrypt: impl FnMut(&Begun, &ContentCipher, ChunkIndex, &[u8]) -> Result<bool>,
    ) -> Result<Vec<u64>> {
        // Before it begins: the file may turn out to be another one by now.
        let handle = self.handle(patience)?;
        let begun = self.resident().begin_flight(content.id, run).ok_or_else(overtaken)?;
        let layout = content.layout;
        let mut range =
            layout.ciphertext_range(ChunkIndex(run.start), ChunkIndex(run.end), begun.content.readable_len);
        // The header lies before chunk 0: where it is not known yet it comes along.
        let with_header = cipher.is_none() && run.start == 0;
        if with_header {
            range.start = 0;
        }
        if cipher.is_none() && !with_header {
            // Before there is a buffer for the chunks: where the header hangs, nothing else is held.
            self.cipher(content, cipher, patience)?;
        }
        self.context.scratch.with(to_usize(range.end - range.start), |ciphertext| {
            read_exactly(&*handle, range.start, ciphertext, patience)?;
            let mut chunks = &*ciphertext;
            if with_header {
                let (header, rest) = chunks.split_at(to_usize(layout.header_len()).min(chunks.len()));
                *cipher = Some(self.decrypt_header(content, header)?);
                chunks = rest;
            }
            let cipher = self.cipher(content, cipher, patience)?;
            let (mut struck, mut first_error) = (Vec::new(), Ok(()));
            let mut chunks = chunks.chunks(to_usize(layout.chunk_len()));
            for index in run.clone() {
                // One that storage does not have is struck from the beginning.
                let chunk = chunks.next().unwrap_or_default();
                match decrypt(&begun, &cipher, ChunkIndex(index), chunk) {
                    Ok(true) => {}
                    Ok(false) => struck.push(index),
                    Err(error) => first_error = first_error.and(Err(error)),
                }
            }
            first_error.map(|()| struck)
        })
    }

    /// Decrypts one chunk to where it is wanted: its part of the buffer, and the cache.
    fn decrypt_chunk(
        &self,
        begun: &Begun,
        cipher: &ContentCipher,
        index: ChunkIndex,
        chunk: &[u8],
        wanted: &mut Wanted<'_>,
    ) -> Result<bool> {
        let content = &begun.content;
        let payload_len = payload_len(content, chunk);
        if !self.resident().caches_chunks()
            && let Some(into) = wanted.whole_chunk(content, index, payload_len)
        {
            let decrypted = cipher.decrypt(index, chunk, into);
            return match (self.resident().keep(begun, index, None), decrypted) {
                (true, Err(_)) => Err(damaged(index)),
                (counts, _) => Ok(counts),
            };
        }
        match self.decrypt_whole(begun, cipher, index, chunk)? {
            Some(clear) => {
                wanted.take(content, index, &clear);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Decrypts one chunk, to be held and to be kept; `None` where we have changed it meanwhile.
    pub(super) fn decrypt_whole(
        &self,
        begun: &Begun,
        cipher: &ContentCipher,
        index: ChunkIndex,
        chunk: &[u8],
    ) -> Result<Option<ClearChunk>> {
        let mut clear = Cleartext::zeroed(payload_len(&begun.content, chunk));
        let decrypted = cipher.decrypt(index, chunk, &mut clear);
        let clear = ClearChunk::new(clear);
        match (self.resident().keep(begun, index, decrypted.is_ok().then_some(&clear)), decrypted) {
            (false, _) => Ok(None),
            (true, Ok(())) => Ok(Some(clear)),
            (true, Err(_)) => Err(damaged(index)),
        }
    }

    /// Reads one chunk, for whoever is about to change a part of it. The flight tells whether it is still what was read.
    pub(super) fn load_chunk(&self, index: u64) -> Result<Option<(Begun, ClearChunk)>> {
        let content = self.resident().content();
        let mut cipher = content.cipher.clone();
        let mut loaded = None;
        let result = self.read_run(
            &content,
            &mut cipher,
            &(index..index + 1),
            Patience::Waits,
            |begun, cipher, index, chunk| {
                let clear = self.decrypt_whole(begun, cipher, index, chunk)?;
                let counts = clear.is_some();
                loaded = clear.map(|clear| (begun.clone(), clear));
                Ok(counts)
            },
        );
        match result {
            Ok(_) => Ok(loaded),
            // Somebody has cut the file or begun it anew. Whoever wants the chunk has to look again.
            Err(_) if self.resident().content_id() != content.id => Ok(None),
            Err(error) => Err(self.name(error)),
        }
    }

    /// The content's cipher: the one that is known, or by reading the header alone.
    pub(super) fn cipher(
        &self,
        content: &Content,
        known: &mut Option<Arc<ContentCipher>>,
        patience: Patience,
    ) -> Result<Arc<ContentCipher>> {
        if let Some(cipher) = known {
            return Ok(Arc::clone(cipher));
        }
        let mut header = vec![0; to_usize(content.layout.header_len())];
        read_exactly(&*self.handle(patience)?, 0, &mut header, patience)?;
        let cipher = self.decrypt_header(content, &header)?;
        Ok(Arc::clone(known.insert(cipher)))
    }

    fn decrypt_header(&self, content: &Content, header: &[u8]) -> Result<Arc<ContentCipher>> {
        let header = FileHeader::decrypt(self.context.combo, &self.context.key, header)
            .map_err(|_| Error::damaged("the header does not authenticate"))?;
        let cipher = Arc::new(ContentCipher::new(&header, &self.context.key));
        self.resident().keep_cipher(content.id, &cipher);
        Ok(cipher)
    }
}

impl Wanted<'_> {
    /// Copies what memory has, and returns what it lacks, as runs.
    fn take_held(
        &mut self,
        content: &Content,
        chunks: impl Iterator<Item = (u64, Option<ClearChunk>)>,
    ) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for (index, held) in chunks {
            if let Some(chunk) = held {
                self.take(content, ChunkIndex(index), &chunk);
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == index && run.end - run.start < MAX_RUN => run.end += 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }

    /// Copies the part of a chunk that is wanted.
    fn take(&mut self, content: &Content, index: ChunkIndex, chunk: &[u8]) {
        if let Some((span, range)) = self.part(content, index)
            && let Some(into) = self.buf.get_mut(range)
        {
            copy_span(chunk, span, into);
        }
    }

    /// Where a chunk goes that is wanted whole: from its beginning, and as much as storage has of it.
    fn whole_chunk(&mut self, content: &Content, index: ChunkIndex, payload_len: usize) -> Option<&mut [u8]> {
        let (span, range) = self.part(content, index)?;
        self.buf.get_mut(range).filter(|into| span.start == 0 && into.len() == payload_len)
    }

    /// The part of the range that lies in a chunk, and where it goes in the buffer.
    fn part(&self, content: &Content, index: ChunkIndex) -> Option<(Span, Range<usize>)> {
        let base = index.0 * PAYLOAD_LEN;
        let from = base.max(self.offset);
        let until = (base + PAYLOAD_LEN).min(self.offset.saturating_add(self.len as u64));
        let span = content.layout.spans(from, until.checked_sub(from)?).next()?;
        let start = to_usize(from - self.offset);
        Some((span, start..start + span_len(span)))
    }
}

fn read_exactly(handle: &dyn BlockFile, offset: u64, buf: &mut [u8], patience: Patience) -> Result<()> {
    let len = match patience {
        Patience::Waits => handle.read_at(offset, buf)?,
        Patience::None => handle.try_read_at(offset, buf)?,
    };
    if len == buf.len() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Incomplete).because("the ciphertext became shorter while it was open"))
    }
}

/// The content is another one than when the read began. Whoever asked finds that out, and begins again.
fn overtaken() -> Error {
    Error::new(ErrorKind::Incomplete).because("the file was changed while it was read")
}

fn damaged(index: ChunkIndex) -> Error {
    Error::damaged(format!("chunk {} does not authenticate", index.0))
}

fn payload_len(content: &Content, chunk: &[u8]) -> usize {
    chunk.len().saturating_sub(to_usize(content.layout.overhead()))
}
