//! A file whose place somebody else has taken: its content goes to a copy beside it, and nothing is lost.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::File;
use super::content::to_usize;
use super::read::Patience;
use super::shared::Handle;
use super::store::{Stored, Write};
use super::unsaved::MAX_RUN;
use crate::cache::ClearChunk;
use crate::chunk::PAYLOAD_LEN;
use crate::cleartext::Cleartext;
use crate::crypto::ContentCipher;
use crate::error::{Error, ErrorKind, Result};
use crate::name::Name;
use crate::node::At;
use crate::storage::{Attributes, BlockFile};
use crate::tree::Created;

/// The mode of a copy where that of the file cannot be told.
const PRIVATE: u32 = 0o600;

/// Copies of one name, before we give up on finding a free one.
const MAX_COPIES: u32 = 1_000;

/// The content of a file as it was copied.
struct Copied {
    len: u64,
    /// Chunks that were only in memory.
    unsaved: Vec<(u64, ClearChunk)>,
    lost_chunks: u64,
}

impl File {
    /// Writes all of the content to a new file beside the one that is not ours any more. The node moves there, so that
    /// everybody who has it open goes on; the old name is that of another node from now on.
    pub(super) fn evade(&self, now: Instant) -> Result<Stored> {
        let Some(at) = self.node().at() else { return Ok(Stored::InPlace) };
        let (placeholder, handle, _) = self.create_copy(&at, now)?;
        let (header, cipher) = self.new_header();
        let result = self.copy_to(&*handle, header, &cipher).and_then(|copied| {
            handle.sync()?;
            let path = placeholder.ciphertext_file().ok_or(ErrorKind::NotFound)?;
            Ok((copied, self.context.storage.metadata(&path)?))
        });
        let (copied, metadata) = match result {
            Ok(copied) => copied,
            Err(error) => {
                drop(handle);
                // The content is where it was before; half of a copy is of no use to anybody.
                if let (Some(parent), Some(name)) = (placeholder.parent(), placeholder.name()) {
                    let _removed_or_left_behind = self.context.tree.remove(&parent, &name, now);
                }
                return Err(self.name(error));
            }
        };
        let handle = Handle { file: handle.into(), writable: true };
        let change_handle = || self.shared.replace_handle(handle);
        let old = self.resident().moved_to(&copied.unsaved, copied.len, cipher, &metadata, change_handle);
        self.context.tree.take_place_of(self.node(), &placeholder, now);
        drop(old);
        let attributes = self.context.tree.attributes_from(self.node(), &metadata);
        self.context.nodes.adopt_attributes(self.node(), &attributes, now);
        Ok(Stored::ConflictCopy { lost_chunks: copied.lost_chunks })
    }

    fn create_copy(&self, at: &At, now: Instant) -> Result<Created> {
        // Whoever was kept out of the file is kept out of its copy.
        let known = self.shared.handle().map(|handle| handle.set_attributes(&Attributes::default()));
        let permissions = match known {
            Some(Ok(known)) => known.owner.map(|owner| owner.mode),
            // A store that has no modes.
            Some(Err(error)) if error.kind() == io::ErrorKind::Unsupported => None,
            // Nobody knows whom it was kept from.
            Some(Err(_)) | None => Some(PRIVATE),
        };
        let made = Attributes { mode: permissions, ..Attributes::default() };
        for number in 1..=MAX_COPIES {
            let name = copy_name(at.name.as_str(), number)?;
            match self.context.tree.create(&at.parent, &name, &made, now) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => return result,
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Writes the content under another header, a megabyte at a time.
    fn copy_to(&self, handle: &dyn BlockFile, header: Arc<[u8]>, cipher: &ContentCipher) -> Result<Copied> {
        let len = self.len();
        let mut copied = Copied { len, unsaved: Vec::new(), lost_chunks: 0 };
        let (mut first, end) = (0, len.div_ceil(PAYLOAD_LEN));
        let mut header = Some(header);
        while first < end || header.is_some() {
            let run = first..end.min(first + MAX_RUN);
            let chunks = self.chunks_to_copy(run.clone(), &mut copied)?;
            let parts = run.clone().map(|index| to_usize((len - index * PAYLOAD_LEN).min(PAYLOAD_LEN)));
            let chunks = chunks.into_iter().map(Some).zip(parts).collect();
            let write = Write { header: header.take(), first, chunks, valid: len };
            self.encrypt_and_write(handle, cipher, &write)?;
            first = run.end;
        }
        Ok(copied)
    }

    fn chunks_to_copy(&self, run: Range<u64>, copied: &mut Copied) -> Result<Vec<ClearChunk>> {
        // What it cannot tell, or not of every chunk, each chunk is asked for alone.
        let block = self.read_chunks(&self.resident().content(), run.clone(), Patience::Waits).ok();
        let read = |index| block.as_ref().and_then(|block| block.chunk(index)?.as_ref().ok());
        run.map(|index| match (self.resident().unsaved_chunk(index), read(index)) {
            (None, Some(chunk)) => Ok(Arc::clone(chunk)),
            _ => self.chunk_to_copy(index, copied),
        })
        .collect()
    }

    /// A chunk as everybody sees it: that of memory, else that of the file which has lost its name.
    fn chunk_to_copy(&self, index: u64, copied: &mut Copied) -> Result<ClearChunk> {
        loop {
            if let Some(chunk) = self.resident().unsaved_chunk(index) {
                copied.unsaved.push((index, Arc::clone(&chunk)));
                return Ok(chunk);
            }
            if let Some(chunk) = self.resident().chunk(self.resident().content_id(), index) {
                return Ok(chunk);
            }
            match self.load_chunk(index) {
                Ok(Some((_, chunk))) => return Ok(chunk),
                Ok(None) => {}
                Err(error) if may_come_back(&error) => return Err(error),
                Err(_) => {
                    copied.lost_chunks += 1;
                    return Ok(Arc::new(Cleartext::zeroed(0)));
                }
            }
        }
    }
}

/// Whether what could not be read may be read later, so that nothing is given up.
fn may_come_back(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Incomplete)
}

/// What was added goes before the extension.
fn copy_name(name: &str, number: u32) -> Result<Name> {
    let added = format!(" (conflict {number})");
    let (base, extension) = match name.rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => name.split_at(dot),
        None => (name, ""),
    };
    Ok(Name::new(&format!("{base}{added}{extension}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_named_after_its_file() {
        let copy = |name, number| copy_name(name, number).unwrap().as_str().to_owned();
        assert_eq!(copy("letter.txt", 1), "letter (conflict 1).txt");
        assert_eq!(copy(".profile", 12), ".profile (conflict 12)");
        assert_eq!(copy("plain", 1), "plain (conflict 1)");
    }
}
