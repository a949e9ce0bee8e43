//! One open file: what memory has of it, and how the rest is read.
//!
//! The resident half, [`ResidentFile`], holds no storage handle; the storage half, [`File`], is plain blocking code.
//! Opening reads nothing: the header comes with the first read, and the length follows from that of the ciphertext.

use std::sync::Arc;

use crate::chunk::{ChunkIndex, PAYLOAD_LEN, Span, Torn};
use crate::crypto::{CipherCombo, MasterKey};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::probe::Probe;
use crate::storage::BlockFile;

mod read;
mod registry;
mod resident;
mod scratch;

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
    /// ciphertext became shorter since it was opened. Else what the storage says.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        match self.resident.read(offset, buf) {
            Probe::Ready(len) => Ok(len),
            Probe::Absent => self.read_from_storage(offset, buf).map_err(|error| error.at(self.place())),
        }
    }

    fn place(&self) -> String {
        self.node.ciphertext_file().map_or_else(String::new, |path| path.to_string())
    }
}

/// What a read of a range has to bring in.
struct Plan {
    /// Bytes to give back.
    len: usize,
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
        let after_range = if len == 0 { offset / PAYLOAD_LEN } else { end.div_ceil(PAYLOAD_LEN) };
        // A read that wanted more than there is has met the end.
        let end = ChunkIndex(if len < want { stored } else { after_range });
        Ok(Plan { len, end })
    }

    fn spans(&self, offset: u64, len: usize) -> impl Iterator<Item = Span> + use<> {
        self.layout.spans(offset, len as u64)
    }
}
