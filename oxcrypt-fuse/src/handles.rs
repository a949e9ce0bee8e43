//! What programs have open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{Errno, FileHandle};
use oxcrypt_core::{Listing, Node, NodeId};
use oxcrypt_io::volume::OpenFile;

/// Open files and directories, by the numbers that the kernel was given for them.
pub(crate) struct Handles {
    open: Mutex<HashMap<u64, Handle>>,
    next: AtomicU64,
    /// As many files of the process may be taken for them.
    most: usize,
}

/// Files of the process that are left for everything but what programs have open: for each thread that asks storage
/// something, for those that are being closed, and for whoever wants to know how the mount fares.
const RESERVE: usize = 1_024;

/// One of them.
#[derive(Clone)]
pub(crate) enum Handle {
    File(OpenedFile),
    Dir(Arc<OpenDir>),
}

/// A file that somebody reads or writes.
#[derive(Clone)]
pub(crate) struct OpenedFile {
    pub(crate) file: Arc<OpenFile>,
    /// Whether it bypasses the kernel's page cache.
    pub(crate) direct: bool,
    pub(crate) writes: bool,
}

/// A directory that somebody reads: as it was when he began, so that changes meanwhile neither hide nor repeat entries.
pub(crate) struct OpenDir {
    pub(crate) node: Arc<Node>,
    snapshot: Mutex<Option<Arc<Listing>>>,
}

impl Handles {
    /// A table for a process that may have so many files open; `None` is no limit.
    pub(crate) fn within(limit: Option<u64>) -> Self {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let most = limit - RESERVE.min(limit / 4);
        Self { open: Mutex::default(), next: AtomicU64::new(0), most }
    }

    /// Refuses where so many files of the process are `taken` for what programs have open, or have closed and storage does not
    /// take, that one more would be missing elsewhere. There every request would fail, and nothing that others have written
    /// could be stored.
    pub(crate) fn expect_room(&self, taken: usize) -> Result<(), Errno> {
        if taken < self.most { Ok(()) } else { Err(Errno::ENFILE) }
    }

    pub(crate) fn insert(&self, handle: Handle) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().insert(number, handle);
        FileHandle(number)
    }

    pub(crate) fn get(&self, number: FileHandle) -> Option<Handle> {
        self.lock().get(&number.0).cloned()
    }

    /// A file that is open.
    pub(crate) fn file(&self, number: FileHandle) -> Result<OpenedFile, Errno> {
        match self.get(number) {
            Some(Handle::File(opened)) => Ok(opened),
            _ => Err(Errno::EBADF),
        }
    }

    /// A file that is open for writing.
    pub(crate) fn written(&self, number: FileHandle) -> Result<Arc<OpenFile>, Errno> {
        self.file(number)?.to_write().ok_or(Errno::EBADF)
    }

    /// A handle by which a file can be written, if there is one.
    pub(crate) fn writer_of(&self, node: NodeId) -> Option<Arc<OpenFile>> {
        let open = self.lock();
        let mut files = open.values().filter_map(|handle| match handle {
            Handle::File(opened) if opened.file.node().id() == node => opened.to_write(),
            _ => None,
        });
        files.next()
    }

    /// Takes one out. Whoever gets it drops it, and not under the lock.
    pub(crate) fn remove(&self, number: FileHandle) -> Option<Handle> {
        self.lock().remove(&number.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenedFile {
    fn to_write(&self) -> Option<Arc<OpenFile>> {
        self.writes.then(|| Arc::clone(&self.file))
    }
}

impl OpenDir {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, snapshot: Mutex::default() }
    }

    /// What it held when reading began.
    pub(crate) fn snapshot(&self) -> Option<Arc<Listing>> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins anew.
    pub(crate) fn begin(&self, listing: &Arc<Listing>) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(listing));
    }
}
