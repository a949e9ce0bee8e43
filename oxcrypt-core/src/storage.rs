//! Where ciphertext lies: the trait that any store implements, and the stores of this crate.
//!
//! Everything here may block for as long as the host likes. Nothing above this module depends on which store it is,
//! and no store knows what it stores. [`LocalStorage`] is a folder of the host, [`MemoryStorage`] keeps everything in
//! memory. The feature `testing` adds `FaultyStorage`, which fails on purpose, and `conformance`, the suite that any
//! implementation must pass.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::time::SystemTime;

use crate::ciphertext_path::CiphertextPath;

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
mod faulty;
mod local;
mod memory;

#[cfg(feature = "testing")]
pub use faulty::{Call, CallCounts, Crash, FaultyStorage, Gate, Method, Verdict};
pub use local::LocalStorage;
pub use memory::MemoryStorage;

/// All that a new store must provide. Object safe and of std types only, so that nothing above it is generic.
///
/// Every path is relative to the vault's root folder, which exists as long as the store does: it can be told about,
/// listed, synced and have its attributes changed; to move or remove it is `InvalidInput`. No method follows a symbolic
/// link, in any component: a link met on the way is no folder, so `NotADirectory`, and never another place.
///
/// Errors are those of the host. Callers rely on these kinds: `NotFound` only where the entry or a folder on its way
/// definitely does not exist, `AlreadyExists`, `NotADirectory`, `IsADirectory`, `DirectoryNotEmpty`, `StorageFull`,
/// `ReadOnlyFilesystem`, `PermissionDenied`, `Unsupported`, and `InvalidInput` for what makes no sense.
#[expect(clippy::missing_errors_doc, reason = "the errors are those of the host, for every call the same")]
pub trait BlockStorage: Debug + Send + Sync {
    /// Opens the regular file at `path` and tells what it is, as of the moment it was opened. What is neither that nor
    /// a folder is `InvalidInput`, and is not touched: a device acts when it is opened, and a pipe waits.
    ///
    /// With [`OpenMode::Read`] nothing is changed by it, the time of access included where the host allows that.
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)>;

    /// Tells what is at `path`, without opening it: on a cloud drive this must not cause a download.
    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata>;

    /// Tells what is at each of these paths, as [`metadata`](Self::metadata) does. A store for which it is less work to
    /// find a folder once does so where many lie in one, one after the other.
    fn metadata_of_each(&self, paths: &[CiphertextPath]) -> Vec<io::Result<Metadata>> {
        paths.iter().map(|path| self.metadata(path)).collect()
    }

    /// Lists a folder in one scan, in no particular order, without `.` and `..`.
    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>>;

    /// Creates an empty folder in an existing one; `AlreadyExists` whatever is there already.
    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()>;

    /// Removes what is at `path`: an empty folder for [`EntryKind::Directory`], anything but a folder otherwise.
    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()>;

    /// Moves an entry, in one atomic step. [`Replace`] says what becomes of an entry at `to`. A folder that would be
    /// moved into itself is `InvalidInput`.
    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()>;

    /// Makes the entries of a folder durable: what was created, removed or renamed in it before.
    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()>;

    /// Changes times, mode and owner of a file or folder, as far as they are given, and tells what it is then. What the
    /// store cannot hold is `Unsupported`, and then nothing is changed. To change a mode takes no permission to read.
    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata>;

    /// Tells how much room there is.
    fn space(&self) -> io::Result<Space>;

    /// Tells how the store behaves, as was found when it was opened. Never waits.
    fn habits(&self) -> Habits {
        Habits::default()
    }

    /// Reads a small file whole; `InvalidData` if it is longer than `limit` bytes.
    fn read(&self, path: &CiphertextPath, limit: usize) -> io::Result<Vec<u8>> {
        let (file, metadata) = self.open(path, OpenMode::Read)?;
        // One byte more than is expected tells that there is no more. Whatever the metadata say: only the end of the
        // file ends this.
        let expected = usize::try_from(metadata.len).unwrap_or(usize::MAX).min(limit);
        let mut bytes = vec![0; expected.saturating_add(1)];
        let mut len = 0;
        while let Some(rest) = bytes.get_mut(len..) {
            let wanted = rest.len();
            let read = file.read_at(len as u64, rest)?;
            len += read;
            if len > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
            }
            if read < wanted {
                break;
            }
            bytes.resize(len.saturating_mul(2).min(limit).saturating_add(1), 0);
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Writes a small file that must not exist yet. A crash may leave a part of it.
    ///
    /// Where the writing fails, the file is removed again as far as the store lets us.
    fn write_new(&self, path: &CiphertextPath, bytes: &[u8]) -> io::Result<()> {
        let (file, created) = self.open(path, OpenMode::CreateNew { mode: None })?;
        let written = file.write_at(0, bytes);
        // Some hosts remove no open file.
        drop(file);
        written.inspect_err(|_| {
            let is_still_ours = |there: &Metadata| there.identity == created.identity;
            if self.metadata(path).as_ref().is_ok_and(is_still_ours) {
                let _removed_or_left_behind = self.remove(path, EntryKind::File);
            }
        })
    }
}

/// How a store behaves. The default is the most careful assumption: nothing is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Calls may block for long: it is a cloud drive or a network, or might be one.
    pub may_block: bool,
    /// How many reads the host queues for it at most, where they share a queue: as many reads without an answer starve
    /// all others, also those of files that the store has at hand.
    pub queue: Option<usize>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { may_block: true, queue: None }
    }
}

/// An open file of a [`BlockStorage`]. Usable from many threads at once.
///
/// Dropping it closes the file, which may block like any other call.
#[expect(clippy::missing_errors_doc, reason = "the errors are those of the host, for every call the same")]
pub trait BlockFile: Debug + Send + Sync {
    /// Reads at `offset` into `buf` and returns how many bytes; fewer than `buf` holds only at the end of the file,
    /// and none beyond it.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Like [`read_at`](Self::read_at), but never waits: `WouldBlock` where it would have to, `Unsupported` where the
    /// store cannot promise it. A short read means nothing here.
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let _ = (offset, buf);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Writes all of `buf` at `offset`. A gap before it reads as zeros; with nothing to write there is none.
    ///
    /// After an error or a crash any part of it may have been written.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;

    /// Cuts the file, or extends it by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;

    /// Changes times, mode and owner of this very file, whatever its name is by now and whether it has one, and tells
    /// what it is then. As [`BlockStorage::set_attributes`]; `Unsupported` where the store cannot do that by a handle.
    fn set_attributes(&self, change: &Attributes) -> io::Result<Metadata> {
        let _ = change;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    ReadWrite,
    /// For reading and writing; it must not exist and is created empty.
    CreateNew {
        /// The permission bits that it has from the beginning, where the store can hold them: no umask takes any away.
        /// `None` for those that the host gives to any new file.
        mode: Option<u32>,
    },
}

/// What a store has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link of the host. A vault has none; a link that somebody put there is not followed.
    Symlink,
    /// Anything else.
    Other,
}

/// What a store tells about an entry without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: EntryKind,
    /// Length in bytes; of no meaning for folders.
    pub len: u64,
    /// When the content last changed, where the store knows.
    pub modified: Option<SystemTime>,
    /// When content, attributes or name last changed, where the store knows. Nobody sets it.
    pub changed: Option<SystemTime>,
    /// When the content was last read, as far as the store takes note of that.
    pub accessed: Option<SystemTime>,
    /// Which file it is, where the store can tell.
    pub identity: Option<Identity>,
    /// Mode and owner, where the store has them.
    pub owner: Option<Owner>,
}

impl Metadata {
    /// An entry of this kind and length, of which nothing else is known.
    #[must_use]
    pub fn new(kind: EntryKind, len: u64) -> Self {
        Self { kind, len, modified: None, changed: None, accessed: None, identity: None, owner: None }
    }
}

/// Tells a file from another one that took its place: the same for every handle and path of one file, and never that
/// of another file which exists at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The host's device, or anything that tells stores apart.
    pub device: u64,
    /// The file within it.
    pub file: u64,
}

/// Permissions and owner, as Unix hosts know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The twelve permission bits.
    pub mode: u32,
    /// Id of the user.
    pub uid: u32,
    /// Id of the group.
    pub gid: u32,
}

/// A change of attributes: `None` leaves them as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// When the content last changed.
    pub modified: Option<SystemTime>,
    /// When the content was last read.
    pub accessed: Option<SystemTime>,
    /// The twelve permission bits.
    pub mode: Option<u32>,
    /// Id of the user.
    pub uid: Option<u32>,
    /// Id of the group.
    pub gid: Option<u32>,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name, which need not be UTF-8.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// Its length, where the listing tells it for nothing.
    pub len: Option<u64>,
}

/// What [`BlockStorage::rename`] does with an entry at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It is replaced, as POSIX has it: a file by a file, an empty folder by a folder.
    Always,
    /// `AlreadyExists`; `Unsupported` where the store cannot promise that.
    Never,
    /// Both change places; `NotFound` if there is none, `Unsupported` where the store cannot do that in one step.
    Exchange,
}

/// How much room a store has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What is not used.
    pub free: u64,
    /// What this user may still use.
    pub available: u64,
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::root().push(text)
    }

    #[test]
    fn a_small_file_that_could_not_be_written_leaves_no_part() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.on_call(|call| match call.method {
            Method::WriteAt => Verdict::FailAfter(1, io::ErrorKind::StorageFull),
            _ => Verdict::Pass,
        });
        let error = storage.write_new(&path("a"), b"abc").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(storage.list(&CiphertextPath::root()).unwrap(), []);
    }

    #[test]
    fn a_small_file_that_another_replaced_meanwhile_is_left_alone() {
        let storage = Arc::new(FaultyStorage::new(&MemoryStorage::default()));
        let inner = Arc::downgrade(&storage);
        storage.on_call(move |call| {
            if call.method != Method::WriteAt {
                return Verdict::Pass;
            }
            let storage = inner.upgrade().unwrap();
            storage.on_call(|_| Verdict::Pass);
            storage.remove(&path("a"), EntryKind::File).unwrap();
            storage.write_new(&path("a"), b"theirs").unwrap();
            Verdict::Fail(io::ErrorKind::StorageFull)
        });
        storage.write_new(&path("a"), b"ours").unwrap_err();
        assert_eq!(storage.read(&path("a"), 10).unwrap(), b"theirs");
    }

    #[test]
    fn a_small_file_is_read_to_its_end_whatever_its_metadata_say() {
        let storage = Arc::new(FaultyStorage::new(&MemoryStorage::default()));
        storage.write_new(&path("a"), b"").unwrap();
        let long: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        let grows = Arc::downgrade(&storage);
        let content = long.clone();
        storage.on_call(move |call| {
            if call.method == Method::ReadAt {
                let storage = grows.upgrade().unwrap();
                storage.on_call(|_| Verdict::Pass);
                storage.open(&path("a"), OpenMode::ReadWrite).unwrap().0.write_at(0, &content).unwrap();
            }
            Verdict::Pass
        });
        assert_eq!(storage.read(&path("a"), 1_000).unwrap(), long);
        assert_eq!(storage.read(&path("a"), 999).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(storage.read(&path("a"), usize::MAX).unwrap(), long);
    }
}
