//! One open file: what memory has of it, and how the rest is read.
//!
//! The resident half, [`ResidentFile`], holds no storage handle; the storage half, [`File`], is plain blocking code.
//! Opening reads nothing: the header comes with the first read, and the length follows from that of the ciphertext.

use std::sync::Arc;

use crate::chunk::{ChunkIndex, PAYLOAD_LEN, Span, Torn};
use crate::crypto::{CipherCombo, MasterKey};
use crate::error::{Error, ErrorKind, Result};
use crate::node::Node;
use crate::storage::{BlockFile, BlockStorage};

mod assembly;
mod read;
mod registry;
mod resident;
mod scratch;

pub use assembly::{Assembly, Block};
pub(crate) use registry::Registry;
use resident::Content;
pub use resident::ResidentFile;
pub(crate) use scratch::ScratchPool;

/// A file of a vault, open for reading. Any number of threads may read it at once.
///
/// Dropping it closes the ciphertext file, which may block on storage.
#[derive(Debug)]
pub struct File {
    node: Arc<Node>,
    resident: Arc<ResidentFile>,
    handle: Box<dyn BlockFile>,
    context: Arc<FileContext>,
}

/// What all open files of a vault share.
pub(crate) struct FileContext {
    /// Asked whether a file has changed where its ciphertext makes no sense.
    pub(crate) storage: Arc<dyn BlockStorage>,
    pub(crate) key: Arc<MasterKey>,
    pub(crate) combo: CipherCombo,
    pub(crate) scratch: ScratchPool,
}

impl std::fmt::Debug for FileContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileContext({})", self.combo)
    }
}

impl File {
    pub(crate) fn new(
        node: Arc<Node>,
        resident: Arc<ResidentFile>,
        handle: Box<dyn BlockFile>,
        context: Arc<FileContext>,
    ) -> Self {
        Self { node, resident, handle, context }
    }

    /// The entry it was opened by.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The half that never blocks.
    #[must_use]
    pub fn resident(&self) -> &Arc<ResidentFile> {
        &self.resident
    }

    /// Length of the cleartext in bytes, from the length of the ciphertext when it was last looked at.
    ///
    /// Nobody vouches for it: whole chunks cut off the end of a file leave a shorter file that looks sound. A torn
    /// file counts one byte that cannot be read, see [`Torn::shown_len`].
    #[must_use]
    pub fn len(&self) -> u64 {
        self.resident.len()
    }

    /// Whether the cleartext has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Set where the ciphertext is cut off.
    #[must_use]
    pub fn torn(&self) -> Option<Torn> {
        self.resident.torn()
    }

    /// Reads cleartext at `offset` into `buf` and returns how many bytes; fewer than `buf` holds only at the end.
    ///
    /// Blocks on storage for what is not in memory: one ciphertext read for each run of missing chunks, up to 4 MiB.
    /// A read that meets the end of the file also authenticates the header and a trailing empty chunk, so that an
    /// empty answer is as good as any other.
    ///
    /// # Errors
    ///
    /// `Damaged` if any chunk that the range touches, or the header, does not authenticate, or if the file is cut off
    /// within the range; `buf` then holds nothing of use. Chunks outside the range do not matter. `Incomplete` if the
    /// ciphertext became shorter while it was read. Else what the storage says.
    ///
    /// Before it says either, it asks once whether somebody else has changed the file since it was opened, and reads the
    /// file as it is now.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let content = self.resident.content();
        let result = match self.read_content(&content, offset, buf) {
            Err(error)
                if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Incomplete)
                    && self.has_changed(&content) =>
            {
                self.read_content(&self.resident.content(), offset, buf)
            }
            result => result,
        };
        result.map_err(|error| self.name(error))
    }

    /// Says which file an error is about.
    fn name(&self, error: Error) -> Error {
        match self.node.ciphertext_file() {
            Some(path) => error.at(path),
            None => error,
        }
    }

    /// Whether the file is another one than `content` was made of.
    fn has_changed(&self, content: &Content) -> bool {
        let metadata = self.node.ciphertext_file().map(|path| self.context.storage.metadata(&path));
        matches!(metadata, Some(Ok(metadata)) if self.resident.has_changed(content, &metadata))
    }
}

/// What a read of a range has to bring in.
struct Plan {
    /// Bytes to give back.
    len: usize,
    /// The first chunk to look at: where nothing is wanted, at most an empty one behind all others.
    start: ChunkIndex,
    /// One past the last chunk to look at: behind the last span where the end of the file is to be vouched for.
    end: ChunkIndex,
}

impl Content {
    /// Cuts a read of `want` bytes at `offset` to the file, and refuses what is cut off.
    fn plan(&self, offset: u64, want: usize) -> Result<Plan> {
        let len = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(want);
        let end = offset.saturating_add(len as u64);
        if let Some(torn) = self.torn.filter(|torn| end > torn.readable || len < want) {
            return Err(Error::damaged(torn.to_string()));
        }
        let stored = self.layout.stored_chunks(self.stored_len);
        let start = if len == 0 { self.len.div_ceil(PAYLOAD_LEN) } else { offset / PAYLOAD_LEN };
        // A read that wanted more than there is has met the end.
        let end = if len < want { stored } else { end.div_ceil(PAYLOAD_LEN) };
        Ok(Plan { len, start: ChunkIndex(start), end: ChunkIndex(end) })
    }

    fn spans(&self, offset: u64, len: usize) -> impl Iterator<Item = Span> + use<> {
        self.layout.spans(offset, len as u64)
    }
}
