//! The kernel's protocol, as the library below decodes it: each request goes to [`Dispatch`] as it is.
//!
//! What no vault can hold is refused here: hard links and extended attributes. Locks are the kernel's own affair.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo, InitFlags, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use crate::dispatch::{Asker, Dispatch, Page, Range, SetAttributes};
use crate::figures::Negotiated;

/// As far as the kernel may read ahead, in bytes.
const READAHEAD: u32 = 1 << 20;

/// As much as the kernel may write at once, in bytes.
const MAX_WRITE: u32 = 1 << 20;

/// What the session calls.
pub(crate) struct Adapter {
    dispatch: Arc<Dispatch>,
    max_background: u16,
}

impl Adapter {
    pub(crate) fn new(dispatch: Arc<Dispatch>, max_background: u16) -> Self {
        Self { dispatch, max_background }
    }
}

fn asker(request: &Request) -> Asker {
    Asker { thread: request.pid(), uid: request.uid(), gid: request.gid() }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each by itself: a kernel that lacks one has the others.
        let mut has = |flag| config.add_capabilities(flag).is_ok();
        let parallel_directories = has(InitFlags::FUSE_PARALLEL_DIROPS);
        let direct_io_maps = has(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        for flag in [
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_BIG_WRITES,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            has(flag);
        }
        if let Err(most) = config.set_max_write(MAX_WRITE) {
            log::warn!("the kernel writes {most} bytes at once, and not {MAX_WRITE}");
        }
        let max_readahead = match config.set_max_readahead(READAHEAD) {
            Ok(_) => READAHEAD,
            Err(most) => config.set_max_readahead(most).map_or(0, |_| most),
        };
        let set = config.set_max_background(self.max_background);
        let congested = config.set_congestion_threshold(self.max_background);
        if set.is_err() || congested.is_err() {
            log::warn!("the kernel's queue could not be set to {} requests", self.max_background);
        }
        let _once = self.dispatch.negotiated.set(Negotiated {
            max_background: self.max_background,
            max_readahead,
            parallel_directories,
            direct_io_maps,
        });
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.dispatch.lookup(asker(request), parent, name, reply);
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        self.dispatch.forget(ino, lookups);
    }

    fn getattr(&self, request: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.dispatch.attributes(asker(request), ino, reply);
    }

    fn readlink(&self, request: &Request, ino: INodeNo, reply: ReplyData) {
        self.dispatch.read_link(asker(request), ino, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.dispatch.space(reply);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.dispatch.open(asker(request), ino, flags, reply);
    }

    fn read(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.dispatch.read(asker(request), handle, offset, len, reply);
    }

    fn lseek(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.dispatch.seek(asker(request), handle, offset, whence, reply);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.dispatch.release(handle, reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.dispatch.open_dir(ino, reply);
    }

    fn readdir(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        position: u64,
        reply: ReplyDirectory,
    ) {
        self.dispatch.read_dir(asker(request), handle, position, Page::Plain(reply));
    }

    fn readdirplus(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        position: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.dispatch.read_dir(asker(request), handle, position, Page::Plus(reply));
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.dispatch.release(handle, reply);
    }

    fn flush(&self, request: &Request, _: INodeNo, handle: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.dispatch.flush(asker(request), handle, reply);
    }

    fn fsync(&self, request: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        self.dispatch.sync(asker(request), handle, reply);
    }

    fn fsyncdir(&self, request: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        self.dispatch.sync(asker(request), handle, reply);
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        len: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = SetAttributes { mode, uid, gid, len, accessed, modified, handle };
        self.dispatch.set_attributes(asker(request), ino, set, reply);
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        self.dispatch.make_node(asker(request), parent, name, mode, reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        self.dispatch.make_dir(asker(request), parent, name, mode, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.dispatch.unlink(asker(request), parent, name, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.dispatch.remove_dir(asker(request), parent, name, reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.dispatch.make_symlink(asker(request), parent, name, target, reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        self.dispatch.rename(asker(request), (parent, name), (new_parent, new_name), flags, reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        self.dispatch.create(asker(request), parent, name, mode, flags, reply);
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.dispatch.write(asker(request), handle, offset, bytes, flags, reply);
    }

    fn fallocate(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.dispatch.allocate(asker(request), handle, offset, len, mode, reply);
    }

    fn copy_file_range(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        _: INodeNo,
        to_handle: FileHandle,
        to_offset: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (from, to) = (Range { handle, offset }, Range { handle: to_handle, offset: to_offset });
        self.dispatch.copy(asker(request), from, to, len, reply);
    }

    // What no vault can hold. At ENOSYS the kernel asks never again.

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }
}
