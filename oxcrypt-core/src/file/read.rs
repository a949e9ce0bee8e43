//! The storage half of reading: runs of missing chunks, one ciphertext read each.

use std::ops::Range;
use std::sync::Arc;

use super::resident::{Content, copy_span, span_len};
use super::{File, Plan};
use crate::cache::ClearChunk;
use crate::chunk::{ChunkIndex, PAYLOAD_LEN, Span};
use crate::cleartext::Cleartext;
use crate::crypto::{ContentCipher, FileHeader};
use crate::error::{Error, ErrorKind, Result};

/// The longest run that is read at once: 4 MiB of cleartext.
pub(super) const MAX_RUN: u64 = 128;

/// Whether a read of storage may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Waits,
    /// Only what the host has at hand is read; any error may mean no more than that it has not.
    None,
}

impl File {
    /// Reads one state of the content: what memory has of it from there, the rest from storage.
    pub(super) fn read_content(&self, content: &Content, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let plan = content.plan(offset, buf.len())?;
        if content.stored_len == 0 {
            // A file of no bytes has no header either.
            return Ok(0);
        }
        let missing = self.fill_from_cache(content, &plan, offset, buf);
        // The first run may bring the header along for the others.
        let mut cipher = content.cipher.clone();
        if missing.is_empty() {
            self.cipher(content, &mut cipher, Patience::Waits)?;
        }
        for run in missing {
            self.read_run(content, &mut cipher, &run, Patience::Waits, |cipher, index, chunk| {
                let part = part_of(content, index, offset, plan.len);
                self.decrypt_chunk(content, cipher, index, chunk, part, buf)
            })?;
        }
        Ok(plan.len)
    }

    /// Copies what memory has into `buf` and returns what it lacks, as runs.
    fn fill_from_cache(
        &self,
        content: &Content,
        plan: &Plan,
        offset: u64,
        buf: &mut [u8],
    ) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for index in plan.start.0..plan.end.0 {
            let part = part_of(content, ChunkIndex(index), offset, plan.len);
            let cached = self.resident.cached(content, ChunkIndex(index));
            let copied = match (cached, &part) {
                (Some(_), None) => true,
                (Some(chunk), Some((span, range))) => {
                    buf.get_mut(range.clone()).is_some_and(|into| copy_span(&chunk, *span, into))
                }
                (None, _) => false,
            };
            if copied {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == index && run.end - run.start < MAX_RUN => run.end += 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }

    /// Reads a run's ciphertext at once and has each chunk decrypted, also behind a damaged one: what is sound goes to
    /// the cache, so that reading around the damage costs nothing more.
    pub(super) fn read_run(
        &self,
        content: &Content,
        cipher: &mut Option<Arc<ContentCipher>>,
        run: &Range<u64>,
        patience: Patience,
        mut decrypt: impl FnMut(&ContentCipher, ChunkIndex, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let layout = content.layout;
        let mut range =
            layout.ciphertext_range(ChunkIndex(run.start), ChunkIndex(run.end), content.stored_len);
        // The header lies before chunk 0: where it is not known yet it comes along.
        let with_header = cipher.is_none() && run.start == 0;
        if with_header {
            range.start = 0;
        }
        self.context.scratch.with(to_usize(range.end - range.start), |ciphertext| {
            self.read_exactly(range.start, ciphertext, patience)?;
            let mut chunks = &*ciphertext;
            if with_header {
                let (header, rest) = chunks.split_at(to_usize(layout.header_len()));
                *cipher = Some(self.decrypt_header(content, header)?);
                chunks = rest;
            }
            let cipher = self.cipher(content, cipher, patience)?;
            let mut first_error = Ok(());
            for (index, chunk) in run.clone().zip(chunks.chunks(to_usize(layout.chunk_len()))) {
                first_error = first_error.and(decrypt(&cipher, ChunkIndex(index), chunk));
            }
            first_error
        })
    }

    /// Decrypts one chunk to where it is wanted: its part of `buf`, and the cache.
    fn decrypt_chunk(
        &self,
        content: &Content,
        cipher: &ContentCipher,
        index: ChunkIndex,
        chunk: &[u8],
        part: Option<(Span, Range<usize>)>,
        buf: &mut [u8],
    ) -> Result<()> {
        let payload_len = payload_len(content, chunk);
        let into = part.as_ref().and_then(|(_, range)| buf.get_mut(range.clone()));
        if let Some(into) = into.filter(|into| !self.resident.caches_chunks() && into.len() == payload_len) {
            return cipher.decrypt(index, chunk, into).map_err(|_| damaged(index));
        }
        let clear = self.decrypt_whole(content, cipher, index, chunk)?;
        if let Some((span, range)) = part {
            let copied = buf.get_mut(range).is_some_and(|into| copy_span(&clear, span, into));
            debug_assert!(copied, "a chunk holds the span that was cut from it");
        }
        Ok(())
    }

    /// Decrypts one chunk, to be held and to be kept.
    pub(super) fn decrypt_whole(
        &self,
        content: &Content,
        cipher: &ContentCipher,
        index: ChunkIndex,
        chunk: &[u8],
    ) -> Result<ClearChunk> {
        let mut clear = Cleartext::zeroed(payload_len(content, chunk));
        cipher.decrypt(index, chunk, &mut clear).map_err(|_| damaged(index))?;
        let clear = ClearChunk::new(clear);
        if self.resident.caches_chunks() {
            self.resident.keep(content, index, ClearChunk::clone(&clear));
        }
        Ok(clear)
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
        self.read_exactly(0, &mut header, patience)?;
        let cipher = self.decrypt_header(content, &header)?;
        Ok(Arc::clone(known.insert(cipher)))
    }

    fn decrypt_header(&self, content: &Content, header: &[u8]) -> Result<Arc<ContentCipher>> {
        let header = FileHeader::decrypt(self.context.combo, &self.context.key, header)
            .map_err(|_| Error::damaged("the header does not authenticate"))?;
        let cipher = Arc::new(ContentCipher::new(&header, &self.context.key));
        self.resident.keep_cipher(content, &cipher);
        Ok(cipher)
    }

    fn read_exactly(&self, offset: u64, buf: &mut [u8], patience: Patience) -> Result<()> {
        let len = match patience {
            Patience::Waits => self.handle.read_at(offset, buf)?,
            Patience::None => self.handle.try_read_at(offset, buf)?,
        };
        if len == buf.len() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Incomplete).because("the ciphertext became shorter while it was open"))
        }
    }
}

fn damaged(index: ChunkIndex) -> Error {
    Error::damaged(format!("chunk {} does not authenticate", index.0))
}

fn payload_len(content: &Content, chunk: &[u8]) -> usize {
    chunk.len().saturating_sub(to_usize(content.layout.overhead()))
}

/// The part of the wanted range `offset..offset + len` that lies in a chunk, and where it goes in the buffer.
fn part_of(content: &Content, index: ChunkIndex, offset: u64, len: usize) -> Option<(Span, Range<usize>)> {
    let base = index.0 * PAYLOAD_LEN;
    let from = base.max(offset);
    let until = (base + PAYLOAD_LEN).min(offset.saturating_add(len as u64));
    let span = content.layout.spans(from, until.checked_sub(from)?).next()?;
    let start = to_usize(from - offset);
    Some((span, start..start + span_len(span)))
}

/// Lengths here are those of buffers in memory, so they fit.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
