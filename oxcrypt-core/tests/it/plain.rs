//! A store that can do less than others.

use std::io;
use std::sync::Arc;

use oxcrypt_core::CiphertextPath;
use oxcrypt_core::storage::{
    Attributes, BlockFile, BlockStorage, EntryKind, Listed, MemoryStorage, Metadata, OpenMode, Replace, Space,
};

/// A store in memory that cannot tell files apart, or replaces what is at the target of a rename and nothing else.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) inner: Arc<MemoryStorage>,
    pub(crate) tells_files_apart: bool,
    pub(crate) always_replaces: bool,
}

impl Plain {
    fn strip(&self, mut metadata: Metadata) -> Metadata {
        if !self.tells_files_apart {
            metadata.identity = None;
        }
        metadata
    }
}

impl BlockStorage for Plain {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        self.inner.open(path, mode).map(|(file, metadata)| (file, self.strip(metadata)))
    }
    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        self.inner.metadata(path).map(|metadata| self.strip(metadata))
    }
    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        self.inner.list(dir)
    }
    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.inner.create_dir(dir)
    }
    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        self.inner.remove(path, kind)
    }
    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        if self.always_replaces && replace != Replace::Always {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.inner.rename(from, to, replace)
    }
    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        self.inner.set_attributes(path, change).map(|metadata| self.strip(metadata))
    }
    fn space(&self) -> io::Result<Space> {
        self.inner.space()
    }
}
