//! The folder behind the store: every operation, carried out on it as it is.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{Errno, FileAttr, FileHandle, FileType, INodeNo, OpenFlags, TimeOrNow};
use rustix::fs::{
    AtFlags, CWD, Dir, Gid, Mode, OFlags, RenameFlags, Stat, StatVfs, Timestamps, Uid, makedev,
};

use super::attributes::{attributes, kind, timespec};
use super::nodes::Nodes;

/// A folder, by handles: no path of the host is looked at after the start, so that the store may be mounted over it.
///
/// Every method may be called from any thread. The names are those of the FUSE protocol.
pub(crate) struct Backing {
    nodes: Nodes,
    open: Mutex<HashMap<u64, Open>>,
    next_handle: AtomicU64,
}

#[derive(Clone)]
enum Open {
    File(Arc<File>),
    Dir(Arc<OpenDir>),
}

struct OpenDir {
    handle: OwnedFd,
    /// The listing that the last read from the start has found.
    listing: Mutex<Arc<[Listed]>>,
}

/// An entry of a listing.
pub(crate) struct Listed {
    pub(crate) ino: INodeNo,
    pub(crate) kind: FileType,
    pub(crate) name: OsString,
}

/// Whose file a new one becomes.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// New attributes; `None` leaves them as they are.
pub(crate) struct Change {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) len: Option<u64>,
    pub(crate) accessed: Option<TimeOrNow>,
    pub(crate) modified: Option<TimeOrNow>,
    pub(crate) handle: Option<FileHandle>,
}

impl Backing {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let handle =
            rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let nodes = Nodes::new(handle)?;
        Ok(Self { nodes, open: Mutex::default(), next_handle: AtomicU64::new(1) })
    }

    /// What the kernel knows of the folder.
    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(crate) fn lookup(&self, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let dir = self.nodes.handle(parent)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&dir, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        self.nodes.adopt(parent, name, handle, &stat)?;
        Ok(self.attributes(&stat))
    }

    pub(crate) fn getattr(&self, ino: INodeNo) -> io::Result<FileAttr> {
        Ok(self.attributes(&rustix::fs::fstat(&self.nodes.handle(ino)?)?))
    }

    /// The length of a file.
    pub(crate) fn file_len(&self, ino: INodeNo) -> Option<u64> {
        let stat = rustix::fs::fstat(self.nodes.handle(ino).ok()?).ok()?;
        u64::try_from(stat.st_size).ok()
    }

    /// The length of the file that is called `name` in the folder `parent`, if there is one.
    pub(crate) fn child_len(&self, parent: INodeNo, name: &OsStr) -> Option<u64> {
        let dir = self.nodes.handle(parent).ok()?;
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        u64::try_from(stat.st_size).ok()
    }

    pub(crate) fn setattr(&self, ino: INodeNo, change: &Change) -> io::Result<FileAttr> {
        let handle = self.nodes.handle(ino)?;
        let path = magic_path(&handle);
        if let Some(mode) = change.mode {
            rustix::fs::chmod(&path, Mode::from_raw_mode(mode))?;
        }
        if change.uid.is_some() || change.gid.is_some() {
            let (uid, gid) = (change.uid.map(Uid::from_raw), change.gid.map(Gid::from_raw));
            rustix::fs::chownat(&handle, "", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        if let Some(len) = change.len {
            match change.handle.map(|handle| self.file(handle)) {
                Some(file) => file?.set_len(len)?,
                None => File::from(rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
                    .set_len(len)?,
            }
        }
        if change.accessed.is_some() || change.modified.is_some() {
            let times = Timestamps {
                last_access: timespec(change.accessed),
                last_modification: timespec(change.modified),
            };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty())?;
        }
        self.getattr(ino)
    }

    pub(crate) fn readlink(&self, ino: INodeNo) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.nodes.handle(ino)?, "", Vec::new())?.into_bytes())
    }

    pub(crate) fn mknod(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        rdev: u32,
        caller: Caller,
    ) -> io::Result<FileAttr> {
        let kind = rustix::fs::FileType::from_raw_mode(mode);
        // The kernel writes a device's 12 bits of major number between the two parts of its minor number.
        let device = makedev((rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0x000f_ff00));
        let dir = self.nodes.handle(parent)?;
        rustix::fs::mknodat(&dir, name, kind, Mode::from_raw_mode(mode), device)?;
        give(&dir, name, caller)?;
        self.lookup(parent, name)
    }

    pub(crate) fn mkdir(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        caller: Caller,
    ) -> io::Result<FileAttr> {
        let dir = self.nodes.handle(parent)?;
        rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(mode))?;
        give(&dir, name, caller)?;
        self.lookup(parent, name)
    }

    pub(crate) fn symlink(
        &self,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        caller: Caller,
    ) -> io::Result<FileAttr> {
        let dir = self.nodes.handle(parent)?;
        rustix::fs::symlinkat(target, &dir, name)?;
        give(&dir, name, caller)?;
        self.lookup(parent, name)
    }

    pub(crate) fn link(&self, ino: INodeNo, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let (file, dir) = (self.nodes.handle(ino)?, self.nodes.handle(parent)?);
        rustix::fs::linkat(CWD, magic_path(&file), dir, name, AtFlags::SYMLINK_FOLLOW)?;
        self.lookup(parent, name)
    }

    pub(crate) fn unlink(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.nodes.handle(parent)?, name, AtFlags::empty())?)
    }

    pub(crate) fn rmdir(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.nodes.handle(parent)?, name, AtFlags::REMOVEDIR)?)
    }

    /// Moves an entry; `flags` are those of `renameat2`.
    pub(crate) fn rename(
        &self,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: u32,
    ) -> io::Result<()> {
        let (from_dir, to_dir) = (self.nodes.handle(from.0)?, self.nodes.handle(to.0)?);
        if flags == 0 {
            rustix::fs::renameat(&from_dir, from.1, &to_dir, to.1)?;
        } else {
            let flags = RenameFlags::from_bits_retain(flags);
            rustix::fs::renameat_with(&from_dir, from.1, &to_dir, to.1, flags)?;
        }
        // An exchange has moved both.
        for ((parent, name), dir) in [(from, from_dir), (to, to_dir)] {
            if let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                self.nodes.moved(self.nodes.ino(stat.st_ino), parent, name);
            }
        }
        Ok(())
    }

    pub(crate) fn open(&self, ino: INodeNo, flags: OpenFlags) -> io::Result<FileHandle> {
        let handle = self.nodes.handle(ino)?;
        let path = magic_path(&handle);
        let file = rustix::fs::open(&path, open_flags(flags.0), Mode::empty())?;
        Ok(self.keep(Open::File(Arc::new(File::from(file)))))
    }

    pub(crate) fn create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: i32,
        caller: Caller,
    ) -> io::Result<(FileAttr, FileHandle)> {
        let dir = self.nodes.handle(parent)?;
        // The kernel asks for this only where it knows of no such file; one that is there now was made meanwhile.
        let new = open_flags(flags) | OFlags::CREATE | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(mode);
        let file = match rustix::fs::openat(&dir, name, new | OFlags::EXCL, mode) {
            Ok(file) => {
                give(&dir, name, caller)?;
                file
            }
            Err(rustix::io::Errno::EXIST) if !raw_flags(flags).contains(OFlags::EXCL) => {
                rustix::fs::openat(&dir, name, new, mode)?
            }
            Err(error) => return Err(error.into()),
        };
        let attributes = self.lookup(parent, name)?;
        Ok((attributes, self.keep(Open::File(Arc::new(File::from(file))))))
    }

    pub(crate) fn read(&self, handle: FileHandle, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let file = self.file(handle)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    pub(crate) fn write(&self, handle: FileHandle, offset: u64, bytes: &[u8]) -> io::Result<u32> {
        self.file(handle)?.write_all_at(bytes, offset)?;
        Ok(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn fsync(&self, handle: FileHandle, data_only: bool) -> io::Result<()> {
        let file = self.file(handle)?;
        if data_only { file.sync_data() } else { file.sync_all() }
    }

    /// Closes a file or a listing.
    pub(crate) fn release(&self, handle: FileHandle) {
        let closed = self.lock().remove(&handle.0);
        drop(closed);
    }

    pub(crate) fn opendir(&self, ino: INodeNo) -> io::Result<FileHandle> {
        let dir = self.nodes.handle(ino)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&dir, ".", flags, Mode::empty())?;
        let listing = Mutex::new(Arc::from([]));
        Ok(self.keep(Open::Dir(Arc::new(OpenDir { handle, listing }))))
    }

    /// Lists a folder. Offset 0 lists it anew, any other gives the listing of then.
    pub(crate) fn readdir(&self, handle: FileHandle, offset: u64) -> io::Result<Arc<[Listed]>> {
        let dir = self.dir(handle)?;
        if offset == 0 {
            let listing = self.list(&dir.handle)?;
            *dir.listing.lock().unwrap_or_else(PoisonError::into_inner) = listing;
        }
        Ok(Arc::clone(&dir.listing.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn fsyncdir(&self, handle: FileHandle) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.dir(handle)?.handle)?)
    }

    pub(crate) fn statfs(&self) -> io::Result<StatVfs> {
        let root = self.nodes.handle(INodeNo::ROOT)?;
        Ok(rustix::fs::fstatvfs(root)?)
    }

    fn list(&self, dir: &OwnedFd) -> io::Result<Arc<[Listed]>> {
        let entries = Dir::read_from(dir)?.map(|entry| {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            Ok(Listed { ino: self.nodes.ino(entry.ino()), kind: kind(entry.file_type()), name })
        });
        entries.collect()
    }

    fn attributes(&self, stat: &Stat) -> FileAttr {
        attributes(self.nodes.ino(stat.st_ino), stat)
    }

    fn keep(&self, open: Open) -> FileHandle {
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(handle, open);
        FileHandle(handle)
    }

    fn file(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        match self.lock().get(&handle.0) {
            Some(Open::File(file)) => Ok(Arc::clone(file)),
            _ => Err(bad_handle()),
        }
    }

    fn dir(&self, handle: FileHandle) -> io::Result<Arc<OpenDir>> {
        match self.lock().get(&handle.0) {
            Some(Open::Dir(dir)) => Ok(Arc::clone(dir)),
            _ => Err(bad_handle()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a new entry to the one who asked for it, where this process may do that.
fn give(dir: impl AsFd, name: &OsStr, caller: Caller) -> io::Result<()> {
    if rustix::process::geteuid().is_root() && (caller.uid, caller.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(caller.uid), Gid::from_raw(caller.gid));
        rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(Errno::EBADF.code())
}

/// The path under which the kernel opens the very file that a handle names.
fn magic_path(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

fn raw_flags(flags: i32) -> OFlags {
    OFlags::from_bits_retain(flags.cast_unsigned())
}

/// How the folder's file is opened for a caller's flags: what the kernel does itself, and what concerns paths, is left
/// out. So is `O_DIRECT`, which is about the mount's pages and not the folder's.
fn open_flags(flags: i32) -> OFlags {
    let kept = OFlags::ACCMODE | OFlags::TRUNC | OFlags::SYNC | OFlags::DSYNC;
    (raw_flags(flags) & kept) | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_file_is_written_read_moved_and_removed_by_handle() {
        let folder = tempfile::tempdir().unwrap();
        let backing = Backing::new(folder.path()).unwrap();
        let (root, caller) = (INodeNo::ROOT, Caller { uid: 0, gid: 0 });
        let flags = i32::try_from((OFlags::RDWR | OFlags::EXCL).bits()).unwrap();
        let (attributes, file) = backing.create(root, OsStr::new("a"), 0o644, flags, caller).unwrap();
        assert_eq!(backing.write(file, 3, b"text").unwrap(), 4);
        backing.rename((root, OsStr::new("a")), (root, OsStr::new("b")), 0).unwrap();
        assert_eq!(backing.nodes().path(attributes.ino), b"b");
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), b"\0\0\0text");
        assert_eq!(backing.read(file, 2, 100).unwrap(), b"\0text");
        backing.unlink(root, OsStr::new("b")).unwrap();
        assert_eq!(backing.read(file, 3, 2).unwrap(), b"te");
        assert_eq!(backing.getattr(attributes.ino).unwrap().nlink, 0);
        backing.release(file);
        assert!(backing.read(file, 0, 1).is_err());
    }

    #[test]
    fn a_listing_stays_as_it_was_until_read_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "").unwrap();
        let backing = Backing::new(folder.path()).unwrap();
        let dir = backing.opendir(INodeNo::ROOT).unwrap();
        let names = |offset| {
            let listing = backing.readdir(dir, offset).unwrap();
            let mut names: Vec<_> = listing.iter().map(|entry| entry.name.as_bytes().to_vec()).collect();
            names.sort();
            names
        };
        assert_eq!(names(0), [b".".to_vec(), b"..".to_vec(), b"a".to_vec()]);
        std::fs::write(folder.path().join("b"), "").unwrap();
        assert_eq!(names(1).len(), 3);
        assert_eq!(names(0).len(), 4);
    }
}
