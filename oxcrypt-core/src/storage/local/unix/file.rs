//! An open file of a Unix host.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSliceMut;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_os = "linux")]
use rustix::fs::{Mode, OFlags};
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
use rustix::io::Errno;

use super::super::super::{Attributes, BlockFile, Metadata};
use super::change::{all_or_none, by_handle};
use super::root::retry;
use super::stat::metadata_of;

/// An open file of the host.
#[derive(Debug)]
pub(super) struct LocalFile {
    file: File,
    /// Most file systems cannot promise not to block. One refusal is enough to know.
    #[cfg(target_os = "linux")]
    may_try: AtomicBool,
    /// Where nothing can be swapped out either, reading it never waits.
    #[cfg(target_os = "linux")]
    in_memory: bool,
    /// What it is read by where that bypasses the page cache and what is written does not: opened by the first read,
    /// and `None` if that cannot be.
    #[cfg(target_os = "linux")]
    reads: Option<OnceLock<Option<File>>>,
}

impl LocalFile {
    /// A file whose bytes are in this machine's memory and stay there.
    #[cfg(target_os = "linux")]
    pub(super) fn in_memory(handle: OwnedFd) -> Self {
        Self { in_memory: true, ..Self::from(handle) }
    }

    /// A file that is open for writing, and whose reads bypass the page cache. So they wait neither for the pages that
    /// a write holds, which are its neighbours' as well, nor for other reads in the kernel's queue.
    #[cfg(target_os = "linux")]
    pub(super) fn read_directly(handle: OwnedFd) -> Self {
        Self { reads: Some(OnceLock::new()), ..Self::from(handle) }
    }

    #[cfg(target_os = "linux")]
    fn to_read(&self) -> &File {
        let direct = || {
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
            retry(|| rustix::fs::open(&path, flags, Mode::empty())).ok().map(File::from)
        };
        let reads = self.reads.as_ref().and_then(|reads| reads.get_or_init(direct).as_ref());
        reads.unwrap_or(&self.file)
    }

    #[cfg(not(target_os = "linux"))]
    fn to_read(&self) -> &File {
        &self.file
    }
}

impl From<OwnedFd> for LocalFile {
    fn from(handle: OwnedFd) -> Self {
        Self {
            file: handle.into(),
            #[cfg(target_os = "linux")]
            may_try: AtomicBool::new(true),
            #[cfg(target_os = "linux")]
            in_memory: false,
            #[cfg(target_os = "linux")]
            reads: None,
        }
    }
}

/// No file reaches beyond what the host can count, and it does not like to be asked.
fn is_beyond_any_file(offset: u64, len: usize) -> bool {
    i64::try_from(offset.saturating_add(len as u64)).is_err()
}

impl BlockFile for LocalFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (file, mut done) = (self.to_read(), 0);
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if is_beyond_any_file(at, rest.len()) {
                break;
            }
            match retry(|| rustix::io::pread(file, &mut *rest, at))? {
                0 => break,
                len => done += len,
            }
        }
        Ok(done)
    }

    #[cfg(target_os = "linux")]
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.in_memory {
            return self.read_at(offset, buf);
        }
        if !self.may_try.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if is_beyond_any_file(offset, buf.len()) {
            return Ok(0);
        }
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(buf)], offset, flags) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.may_try.store(false, Ordering::Relaxed);
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other?),
        }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if is_beyond_any_file(at, rest.len()) {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            match retry(|| rustix::io::pwrite(&self.file, rest, at))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => done += len,
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        sync(&self.file)
    }

    fn set_attributes(&self, change: &Attributes) -> io::Result<Metadata> {
        let before = metadata_of(&rustix::fs::fstat(&self.file)?);
        all_or_none(change, &before, |change| by_handle(&self.file, change))?;
        Ok(metadata_of(&rustix::fs::fstat(&self.file)?))
    }
}

/// Makes an open file or folder durable.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // That is the strongest call of an Apple host, and not every file system there has it.
        #[cfg(target_vendor = "apple")]
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::NOTSUP | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY)
            ) =>
        {
            Ok(retry(|| rustix::fs::fsync(file))?)
        }
        other => other,
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// The file systems that promise it, by what they call themselves.
    const EXT4_XFS_BTRFS: [&str; 3] = ["ef53", "58465342", "9123683e"];

    fn temporary(content: &[u8]) -> LocalFile {
        let file = tempfile::tempfile().unwrap();
        let file = LocalFile::from(OwnedFd::from(file));
        file.write_at(0, content).unwrap();
        file
    }

    #[test]
    fn what_is_in_memory_is_read_without_waiting_or_the_host_promises_nothing() {
        let file = temporary(b"abcdef");
        file.sync().unwrap();
        let mut buf = [0; 3];
        match file.try_read_at(2, &mut buf) {
            Ok(len) => assert_eq!(buf[..len], b"cde"[..len]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                let magic = format!("{:x}", rustix::fs::fstatfs(&file.file).unwrap().f_type);
                assert!(!EXT4_XFS_BTRFS.contains(&&*magic), "this host could promise");
            }
        }
        assert!(file.try_read_at(u64::MAX, &mut buf).map_or(true, |len| len == 0), "nothing is there");
    }

    #[test]
    fn a_host_that_promised_nothing_once_is_not_asked_again() {
        // Such a file system has no such promise on any kernel up to now; where one has, there is nothing to test.
        let Ok(memory) = tempfile::tempfile_in("/dev/shm") else { return eprintln!("SKIPPED: no /dev/shm") };
        let file = LocalFile::from(OwnedFd::from(memory));
        file.write_at(0, b"abc").unwrap();
        match file.try_read_at(0, &mut [0; 3]) {
            Ok(len) => assert!(len <= 3),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                assert!(!file.may_try.load(Ordering::Relaxed));
            }
        }
        assert_eq!(file.read_at(0, &mut [0; 3]).unwrap(), 3);
    }

    #[test]
    fn a_file_that_stays_in_memory_is_read_where_the_host_promises_nothing() {
        let Ok(memory) = tempfile::tempfile_in("/dev/shm") else { return eprintln!("SKIPPED: no /dev/shm") };
        let file = LocalFile::in_memory(OwnedFd::from(memory));
        file.write_at(0, b"abc").unwrap();
        let mut buf = [0; 4];
        assert_eq!(file.try_read_at(1, &mut buf).unwrap(), 2);
        assert_eq!(buf, *b"bc\0\0");
    }

    #[test]
    fn what_is_not_in_memory_would_block() {
        let file = temporary(&vec![7; 1 << 20]);
        file.sync().unwrap();
        rustix::fs::fadvise(&file.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        match file.try_read_at(1 << 19, &mut [0; 4_096]) {
            Err(error) => {
                assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported));
            }
            Ok(len) => assert!(len <= 4_096, "the host kept it all the same"),
        }
        let mut buf = [0; 4_096];
        assert_eq!(file.read_at(1 << 19, &mut buf).unwrap(), 4_096);
        assert_eq!(buf, [7; 4_096]);
    }
}
