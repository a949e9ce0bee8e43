//! What the kernel is told.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FopenFlags, Generation, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite,
};
use rustix::fs::StatVfs;

use super::backing::Listed;

/// How long the kernel may believe what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ttl {
    pub(crate) attributes: Duration,
    pub(crate) entries: Duration,
}

/// A reply of fuser's to which `T` is the answer.
pub(crate) trait Reply<T>: Send + 'static {
    fn answer(self, value: T, ttl: &Ttl);
    fn refuse(self, error: &io::Error);
}

/// Writes the method that is the same for all of them.
macro_rules! refuse {
    () => {
        fn refuse(self, error: &io::Error) {
            self.error(errno_of(error));
        }
    };
}

impl Reply<()> for ReplyEmpty {
    fn answer(self, (): (), _ttl: &Ttl) {
        self.ok();
    }

    refuse!();
}

impl Reply<Vec<u8>> for ReplyData {
    fn answer(self, bytes: Vec<u8>, _ttl: &Ttl) {
        self.data(&bytes);
    }

    refuse!();
}

impl Reply<FileAttr> for ReplyEntry {
    fn answer(self, attributes: FileAttr, ttl: &Ttl) {
        self.entry_with_ttls(&ttl.attributes, &ttl.entries, &attributes, Generation(0));
    }

    refuse!();
}

impl Reply<FileAttr> for ReplyAttr {
    fn answer(self, attributes: FileAttr, ttl: &Ttl) {
        self.attr(&ttl.attributes, &attributes);
    }

    refuse!();
}

impl Reply<(FileHandle, FopenFlags)> for ReplyOpen {
    fn answer(self, (handle, flags): (FileHandle, FopenFlags), _ttl: &Ttl) {
        self.opened(handle, flags);
    }

    refuse!();
}

impl Reply<(FileAttr, FileHandle, FopenFlags)> for ReplyCreate {
    fn answer(self, (attributes, handle, flags): (FileAttr, FileHandle, FopenFlags), ttl: &Ttl) {
        // This reply of fuser's knows one time for both.
        self.created(&ttl.attributes.min(ttl.entries), &attributes, Generation(0), handle, flags);
    }

    refuse!();
}

impl Reply<u32> for ReplyWrite {
    fn answer(self, written: u32, _ttl: &Ttl) {
        self.written(written);
    }

    refuse!();
}

impl Reply<(Arc<[Listed]>, u64)> for ReplyDirectory {
    fn answer(mut self, (listing, offset): (Arc<[Listed]>, u64), _ttl: &Ttl) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, entry) in (1..).zip(&*listing).skip(from) {
            if self.add(entry.ino, next, entry.kind, &entry.name) {
                break;
            }
        }
        self.ok();
    }

    refuse!();
}

impl Reply<StatVfs> for ReplyStatfs {
    fn answer(self, stat: StatVfs, _ttl: &Ttl) {
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        self.statfs(
            stat.f_blocks,
            stat.f_bfree,
            stat.f_bavail,
            stat.f_files,
            stat.f_ffree,
            narrow(stat.f_bsize),
            narrow(stat.f_namemax),
            narrow(stat.f_frsize),
        );
    }

    refuse!();
}

fn errno_of(error: &io::Error) -> Errno {
    match error.raw_os_error() {
        Some(code) => Errno::from_i32(code),
        None if error.kind() == io::ErrorKind::CrossesDevices => Errno::EXDEV,
        None => Errno::EIO,
    }
}
