//! One open file: what memory has of it, how the rest is read, and how what was changed is stored.
//!
//! The resident half, [`ResidentFile`], holds no storage handle; the storage half, [`File`], is plain blocking code.
//! Opening reads nothing: the header comes with the first read, and the length follows from that of the ciphertext.
//! Writing changes memory; storage gets whole chunks when it is flushed, or when memory holds too many.

use std::sync::Arc;

use crate::chunk::Torn;
use crate::error::{Error, ErrorKind, Result};
use crate::node::Node;
use crate::sync::MutexGuard;
use crate::sync::atomic::{AtomicU64, Ordering};

mod assembly;
mod attempt;
mod conflict;
mod content;
mod context;
mod failure;
mod flight;
mod gaps;
mod gone;
mod open;
mod read;
mod registry;
mod resident;
mod scratch;
mod shared;
mod store;
mod unsaved;
mod write;

pub use assembly::{Assembly, Block};
pub use attempt::Attempt;
use content::Content;
pub(crate) use context::{FileContext, Limits};
pub(crate) use registry::Registry;
pub use resident::ResidentFile;
pub(crate) use scratch::ScratchPool;
use shared::Shared;
pub use store::Stored;
pub(crate) use unsaved::Budget;

/// A file of a vault that is open. Any number of threads may read and write it at once, and however often it is opened,
/// everybody sees what anybody has written.
///
/// Dropping the last of them closes the ciphertext file, which may block on storage. It stores nothing: what was written
/// is in storage after [`flush`](Self::flush), and until then [`Vault::unsaved`](crate::Vault::unsaved) has the file.
#[derive(Debug)]
pub struct File {
    shared: Arc<Shared>,
    context: Arc<FileContext>,
    writable: bool,
    /// How often what was unsaved had been given up when whoever has this was told last.
    losses_told: AtomicU64,
    /// How often memory had been wrong about the file when it opened this by what it had: see
    /// [`expect_believed`](Self::expect_believed).
    believed: Option<u64>,
}

impl File {
    pub(crate) fn new(shared: Arc<Shared>, context: Arc<FileContext>, writable: bool) -> Self {
        shared.enter();
        let losses_told = AtomicU64::new(shared.resident.losses());
        Self { shared, context, writable, losses_told, believed: None }
    }

    /// The entry it was opened by.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.shared.node
    }

    /// Whether it was opened for writing, too.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The half that never blocks.
    #[must_use]
    pub fn resident(&self) -> &Arc<ResidentFile> {
        &self.shared.resident
    }

    /// Length of the cleartext in bytes: what was written included, and else from the length of the ciphertext when it
    /// was last looked at.
    ///
    /// Nobody vouches for it: whole chunks cut off the end of a file leave a shorter file that looks sound. A torn
    /// file counts one byte that cannot be read, see [`Torn::shown_len`].
    #[must_use]
    pub fn len(&self) -> u64 {
        self.resident().len()
    }

    /// Whether the cleartext has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Set where the ciphertext is cut off.
    #[must_use]
    pub fn torn(&self) -> Option<Torn> {
        self.resident().torn()
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
    /// file as it is now. Where memory alone had opened it, and it was another one already, that is `NotFound`.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let len = self.of_one_state(|| {
            let (content, result) = self.read_content(offset, buf);
            (content, true, result)
        })?;
        self.expect_believed()?;
        Ok(len)
    }

    /// Reads until the result is sound, or is that of a state of the content that storage has. `read` returns which
    /// state it read, and whether nothing of the result is damaged.
    fn of_one_state<T>(&self, mut read: impl FnMut() -> (Content, bool, Result<T>)) -> Result<T> {
        let mut has_asked = false;
        loop {
            let (content, is_sound, result) = read();
            let is_doubtful = match &result {
                Ok(_) => !is_sound,
                Err(error) => matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Incomplete),
            };
            if is_doubtful {
                if self.resident().content_id() != content.id {
                    continue;
                }
                if !has_asked && self.has_changed(&content) {
                    has_asked = true;
                    continue;
                }
            }
            return result.map_err(|error| self.name(error));
        }
    }

    /// Says which file an error is about.
    fn name(&self, error: Error) -> Error {
        match self.node().ciphertext_file() {
            Some(path) => error.at(path),
            None => error,
        }
    }

    /// Whether the file is another one than `content` was made of.
    fn has_changed(&self, content: &Content) -> bool {
        let metadata = self.node().ciphertext_file().map(|path| self.context.storage.metadata(&path));
        matches!(metadata, Some(Ok(metadata)) if self.resident().has_changed(content, &metadata))
    }

    /// Says once that what was written to the file was [given up](crate::Vault::discard), if that was done since it was
    /// opened by this.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn expect_kept(&self) -> Result<()> {
        let losses = self.resident().losses();
        if self.losses_told.swap(losses, Ordering::Relaxed) == losses {
            return Ok(());
        }
        let lost = Error::new(ErrorKind::Storage);
        Err(self.name(lost.because("what could not be stored of what was written was given up")))
    }

    /// The turn to change what storage has of the file.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.shared.turn()
    }

    fn expect_writable(&self) -> Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::InvalidArgument).because("the file was opened for reading only"))
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.context.let_go(&self.shared);
    }
}
