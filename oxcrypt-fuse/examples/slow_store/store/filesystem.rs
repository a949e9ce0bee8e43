//! From the kernel's requests to the folder, by way of the gate.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::backing::{Backing, Caller, Change};
use super::counters::Counters;
use super::gate::{Admission, Gate};
use super::op::Op;
use super::options::Options;
use super::reply::Reply;
use super::rule::{Call, Verdict};
use fuser::{
    BsdFileFlags, FileHandle, Filesystem, FopenFlags, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

/// The folder as the kernel sees it.
///
/// A request that no rule holds is carried out on the session thread it came by: the folder is taken for one that
/// answers. Operations that are not here answer `ENOSYS`, after which the kernel does without them: extended
/// attributes, locks, `access`, `lseek`, `fallocate`, `copy_file_range`.
pub(crate) struct SlowStore {
    shared: Arc<Shared>,
    options: Options,
}

struct Shared {
    backing: Backing,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
}

/// What a request is about.
enum About<'a> {
    File(INodeNo),
    Bytes(INodeNo, Range<u64>),
    Child(INodeNo, &'a OsStr),
    Move([(INodeNo, &'a OsStr); 2]),
}

impl SlowStore {
    pub(crate) fn new(backing: Backing, gate: Arc<Gate>, counters: Arc<Counters>, options: Options) -> Self {
        Self { shared: Arc::new(Shared { backing, gate, counters }), options }
    }

    /// Counts a request and lets it pass the gate; `work` carries it out, then or later.
    fn serve<T, R: Reply<T>>(
        &self,
        op: Op,
        about: &About<'_>,
        reply: R,
        work: impl FnOnce(&Backing) -> io::Result<T> + Send + 'static,
    ) {
        let Shared { backing, gate, counters } = &*self.shared;
        let nodes = backing.nodes();
        let (path, other, bytes) = match about {
            About::File(ino) => (nodes.path(*ino), None, None),
            About::Bytes(ino, bytes) => (nodes.path(*ino), None, Some(bytes.clone())),
            About::Child(parent, name) => (nodes.child_path(*parent, name), None, None),
            About::Move([from, to]) => {
                (nodes.child_path(from.0, from.1), Some(nodes.child_path(to.0, to.1)), None)
            }
        };
        let file_len = || match about {
            About::File(ino) | About::Bytes(ino, _) => backing.file_len(*ino),
            About::Child(parent, name) | About::Move([(parent, name), _]) => backing.child_len(*parent, name),
        };
        let len = bytes.as_ref().map_or(0, |bytes| bytes.end - bytes.start);
        counters.arrived(op, &path, len);
        let call = Call { op, path: &path, other: other.as_deref(), bytes, file_len: &file_len };
        let (shared, ttl, path_of_job) = (Arc::clone(&self.shared), self.options.ttl, path.clone());
        let job = move |verdict| {
            let result = match verdict {
                Verdict::Go => work(&shared.backing),
                Verdict::Fail(errno) => Err(io::Error::from_raw_os_error(errno.code())),
            };
            match result {
                Ok(value) => reply.answer(value, &ttl),
                Err(error) => {
                    shared.counters.failed(op, &path_of_job);
                    reply.refuse(&error);
                }
            }
        };
        if let Admission::Now(job, verdict) = gate.admit(&call, job) {
            job(verdict);
        }
    }

    fn fopen_flags(&self) -> FopenFlags {
        let mut flags = FopenFlags::empty();
        flags.set(FopenFlags::FOPEN_DIRECT_IO, self.options.direct_io);
        flags.set(FopenFlags::FOPEN_KEEP_CACHE, self.options.keep_cache);
        flags
    }
}

impl Filesystem for SlowStore {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What libfuse asks for by itself, or this store's options ask for. A kernel that lacks it does without.
        let wanted = [
            (InitFlags::FUSE_PARALLEL_DIROPS, !self.options.serial_dirops),
            (InitFlags::FUSE_ASYNC_DIO, self.options.async_dio),
            (InitFlags::FUSE_ATOMIC_O_TRUNC, true),
            (InitFlags::FUSE_AUTO_INVAL_DATA, true),
            (InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP, self.options.direct_io),
        ];
        for (flag, _) in wanted.iter().filter(|(_, wanted)| *wanted) {
            let _ = config.add_capabilities(*flag);
        }
        let refused = |least| io::Error::new(io::ErrorKind::InvalidInput, format!("at least {least}"));
        config.set_max_background(self.options.max_background).map_err(refused)?;
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let owned = name.to_owned();
        let work = move |backing: &Backing| backing.lookup(parent, &owned);
        self.serve(Op::Lookup, &About::Child(parent, name), reply, work);
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.shared.backing.nodes().forget(ino, lookups);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        self.serve(Op::Getattr, &About::File(ino), reply, move |backing| backing.getattr(ino));
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change { mode, uid, gid, len: size, accessed: atime, modified: mtime, handle };
        self.serve(Op::Setattr, &About::File(ino), reply, move |backing| backing.setattr(ino, &change));
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        self.serve(Op::Readlink, &About::File(ino), reply, move |backing| backing.readlink(ino));
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (owned, caller) = (name.to_owned(), caller(request));
        let work = move |backing: &Backing| backing.mknod(parent, &owned, mode, rdev, caller);
        self.serve(Op::Mknod, &About::Child(parent, name), reply, work);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let (owned, caller) = (name.to_owned(), caller(request));
        let work = move |backing: &Backing| backing.mkdir(parent, &owned, mode, caller);
        self.serve(Op::Mkdir, &About::Child(parent, name), reply, work);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let owned = name.to_owned();
        let work = move |backing: &Backing| backing.unlink(parent, &owned);
        self.serve(Op::Unlink, &About::Child(parent, name), reply, work);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let owned = name.to_owned();
        let work = move |backing: &Backing| backing.rmdir(parent, &owned);
        self.serve(Op::Rmdir, &About::Child(parent, name), reply, work);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (owned, target, caller) = (name.to_owned(), target.to_owned(), caller(request));
        let work = move |backing: &Backing| backing.symlink(parent, &owned, &target, caller);
        self.serve(Op::Symlink, &About::Child(parent, name), reply, work);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = (name.to_owned(), new_name.to_owned());
        let work = move |backing: &Backing| {
            backing.rename((parent, from.as_os_str()), (new_parent, to.as_os_str()), flags.bits())
        };
        self.serve(Op::Rename, &About::Move([(parent, name), (new_parent, new_name)]), reply, work);
    }

    fn link(&self, _request: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let owned = name.to_owned();
        let work = move |backing: &Backing| backing.link(ino, parent, &owned);
        self.serve(Op::Link, &About::Child(parent, name), reply, work);
    }

    fn open(&self, _request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let fopen = self.fopen_flags();
        let work = move |backing: &Backing| Ok((backing.open(ino, flags)?, fopen));
        self.serve(Op::Open, &About::File(ino), reply, work);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (owned, caller, fopen) = (name.to_owned(), caller(request), self.fopen_flags());
        let work = move |backing: &Backing| {
            let (attributes, handle) = backing.create(parent, &owned, mode, flags, caller)?;
            Ok((attributes, handle, fopen))
        };
        self.serve(Op::Create, &About::Child(parent, name), reply, work);
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let about = About::Bytes(ino, offset..offset.saturating_add(size.into()));
        self.serve(Op::Read, &about, reply, move |backing| backing.read(handle, offset, size));
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let about = About::Bytes(ino, offset..offset.saturating_add(data.len() as u64));
        let data = data.to_vec();
        self.serve(Op::Write, &about, reply, move |backing| backing.write(handle, offset, &data));
    }

    fn flush(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        self.serve(Op::Flush, &About::File(ino), reply, |_| Ok(()));
    }

    fn release(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let work = move |backing: &Backing| {
            backing.release(handle);
            Ok(())
        };
        self.serve(Op::Release, &About::File(ino), reply, work);
    }

    fn fsync(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.serve(Op::Fsync, &About::File(ino), reply, move |backing| backing.fsync(handle, data_only));
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let work = move |backing: &Backing| Ok((backing.opendir(ino)?, FopenFlags::empty()));
        self.serve(Op::Opendir, &About::File(ino), reply, work);
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let work = move |backing: &Backing| Ok((backing.readdir(handle, offset)?, offset));
        self.serve(Op::Readdir, &About::File(ino), reply, work);
    }

    fn releasedir(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let work = move |backing: &Backing| {
            backing.release(handle);
            Ok(())
        };
        self.serve(Op::Releasedir, &About::File(ino), reply, work);
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.serve(Op::Fsyncdir, &About::File(ino), reply, move |backing| backing.fsyncdir(handle));
    }

    fn statfs(&self, _request: &Request, ino: INodeNo, reply: ReplyStatfs) {
        self.serve(Op::Statfs, &About::File(ino), reply, Backing::statfs);
    }
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid() }
}
