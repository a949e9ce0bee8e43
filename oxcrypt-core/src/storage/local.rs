//! A folder of the host.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{
    Attributes, BlockFile, BlockStorage, EntryKind, Habits, Listed, Metadata, OpenMode, Replace, Space,
};
use crate::ciphertext_path::CiphertextPath;

// Tests run it on Unix, too.
#[cfg(any(not(unix), all(test, feature = "testing")))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable::Folder;
#[cfg(unix)]
use unix::Folder;

/// A folder of the host. The folder itself may be reached through a link; below it no link is ever followed.
///
/// On Unix everything is relative to a handle of the folder, so a link that somebody swaps in while a call runs leads
/// nowhere, and the vault may be moved while it is open. Elsewhere each component is looked at before each call, which
/// leaves a moment for such a swap; there it knows no identities, no owners and no space, replaces always, and a folder
/// that takes the place of an empty one may be seen between the two.
pub struct LocalStorage {
    path: PathBuf,
    folder: Folder,
}

impl LocalStorage {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    ///
    /// What the host says; `NotADirectory` if it is no folder.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Ok(Self { path: path.to_owned(), folder: Folder::open(path)? })
    }

    /// Has reads bypass the kernel's page cache where the folder lies on a FUSE mount (Linux). Then they do not wait
    /// behind others in the kernel's queue for that mount, or fewer do.
    ///
    /// But a thread that waits for such a read cannot be killed, and so its process is not gone before the mount below
    /// answers. A program that stays wants this; one that people wait for does not.
    #[must_use]
    pub fn read_directly(
        #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "only Linux"))] mut self,
    ) -> Self {
        #[cfg(target_os = "linux")]
        self.folder.read_directly();
        self
    }
}

impl fmt::Debug for LocalStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStorage({})", self.path.display())
    }
}

impl BlockStorage for LocalStorage {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        self.folder.open(path, mode)
    }

    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        self.folder.metadata(path)
    }

    fn metadata_of_each(&self, paths: &[CiphertextPath]) -> Vec<io::Result<Metadata>> {
        self.folder.metadata_of_each(paths)
    }

    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        self.folder.list(dir)
    }

    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.folder.create_dir(dir)
    }

    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        self.folder.remove(path, kind)
    }

    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        self.folder.rename(from, to, replace)
    }

    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.folder.sync_dir(dir)
    }

    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        self.folder.set_attributes(path, change)
    }

    fn habits(&self) -> Habits {
        self.folder.habits()
    }

    fn space(&self) -> io::Result<Space> {
        self.folder.space()
    }
}

/// Whether `path` leads through `dir`.
fn is_below(path: &CiphertextPath, dir: &CiphertextPath) -> bool {
    path.as_str().strip_prefix(dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::conformance;

    #[test]
    fn conforms() {
        let dirs = tempfile::tempdir().unwrap();
        conformance::check(&|| {
            let dir = tempfile::tempdir_in(&dirs).unwrap().keep();
            Arc::new(LocalStorage::open(dir).unwrap())
        });
    }
}
