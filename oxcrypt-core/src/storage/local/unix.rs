//! The calls of a Unix host, each relative to a directory handle.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::super::{
    Attributes, BlockFile, EntryKind, Identity, Listed, Metadata, OpenMode, Owner, Replace, Space,
};
use crate::ciphertext_path::CiphertextPath;

/// A folder, by its handle.
pub(super) struct Folder {
    handle: OwnedFd,
    /// Only a file's owner may leave its time of access alone. One refusal is enough to know.
    may_hide_access: AtomicBool,
    /// Kernels before 5.6, and some containers, have no `openat2`.
    #[cfg(target_os = "linux")]
    has_openat2: AtomicBool,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let handle = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            handle,
            may_hide_access: AtomicBool::new(cfg!(target_os = "linux")),
            #[cfg(target_os = "linux")]
            has_openat2: AtomicBool::new(true),
        })
    }

    pub(super) fn open_file(
        &self,
        path: &CiphertextPath,
        mode: OpenMode,
    ) -> io::Result<(LocalFile, Metadata)> {
        let handle = match mode {
            OpenMode::Read => self.open_to_read(path, OFlags::empty())?,
            OpenMode::ReadWrite => self.open_at(path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())?,
            OpenMode::CreateNew => {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
                self.open_at(path, flags, Mode::from_raw_mode(0o666))?
            }
        };
        let metadata = metadata_of(&fs::fstat(&handle)?);
        match metadata.kind {
            EntryKind::File => Ok((LocalFile::new(handle), metadata)),
            EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
            EntryKind::Symlink | EntryKind::Other => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
            }
        }
    }

    /// Opens without a trace where the host allows that, and without waiting for whoever may hold the other end of a
    /// pipe that was put there.
    fn open_to_read(&self, path: &CiphertextPath, more: OFlags) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | more;
        #[cfg(target_os = "linux")]
        if self.may_hide_access.load(Ordering::Relaxed) {
            match self.open_at(path, flags | OFlags::NOATIME, Mode::empty()) {
                Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                    self.may_hide_access.store(false, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        self.open_at(path, flags, Mode::empty())
    }

    /// Opens `path` below the folder, with no link followed in any component.
    fn open_at(&self, path: &CiphertextPath, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        #[cfg(target_os = "linux")]
        if self.has_openat2.load(Ordering::Relaxed) {
            use rustix::fs::ResolveFlags;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            let text = if path.as_str().is_empty() { "." } else { path.as_str() };
            loop {
                match fs::openat2(&self.handle, text, flags, mode, resolve) {
                    // The kernel asks to try again where it cannot rule out a concurrent rename.
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(Errno::NOSYS) => break self.has_openat2.store(false, Ordering::Relaxed),
                    other => return Ok(other?),
                }
            }
        }
        self.walk(path, flags, mode)
    }

    /// The same, one component at a time.
    fn walk(&self, path: &CiphertextPath, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let on_the_way = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = self.handle.as_fd().try_clone_to_owned()?;
        let mut components = path.components().peekable();
        if components.peek().is_none() {
            return Ok(retry(|| fs::openat(&at, ".", flags, mode))?);
        }
        while let Some(component) = components.next() {
            let last = components.peek().is_none();
            let flags = if last { flags } else { on_the_way };
            at = retry(|| fs::openat(&at, component, flags, mode))?;
        }
        Ok(at)
    }

    /// A handle of the folder that `path` is in, and its name there.
    fn parent<'p>(&self, path: &'p CiphertextPath) -> io::Result<(OwnedFd, &'p str)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the vault's own folder"));
        };
        Ok((self.open_at(&parent, folder_flags(), Mode::empty())?, name))
    }

    pub(super) fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        if path.as_str().is_empty() {
            return Ok(metadata_of(&fs::fstat(&self.handle)?));
        }
        let (parent, name) = self.parent(path)?;
        Ok(metadata_of(&fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(super) fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        let handle = self.open_to_read(dir, OFlags::DIRECTORY)?;
        let mut listed = Vec::new();
        let mut scan = Dir::new(handle)?;
        while let Some(entry) = scan.read() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not tell in the scan.
                FileType::Unknown => match fs::statat(scan.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => kind_of(FileType::from_raw_mode(stat.st_mode)),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                },
                known => kind_of(known),
            };
            listed.push(Listed { name: name.to_owned(), kind, len: None });
        }
        Ok(listed)
    }

    pub(super) fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        let (parent, name) = self.parent(dir)?;
        Ok(fs::mkdirat(parent, name, Mode::from_raw_mode(0o777))?)
    }

    pub(super) fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let flags = if kind == EntryKind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match fs::unlinkat(parent, name, flags) {
            // What POSIX wants for a folder, and what macOS says.
            Err(Errno::PERM) if kind != EntryKind::Directory => match self.metadata(path)?.kind {
                EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
                _ => Err(Errno::PERM.into()),
            },
            // Some systems call a folder that is not empty one that exists.
            Err(Errno::EXIST) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            other => Ok(other?),
        }
    }

    pub(super) fn rename(
        &self,
        from: &CiphertextPath,
        to: &CiphertextPath,
        replace: Replace,
    ) -> io::Result<()> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        let flags = match replace {
            Replace::Always => match fs::renameat(from_parent, from_name, to_parent, to_name) {
                Err(Errno::EXIST) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                other => return Ok(other?),
            },
            Replace::Never => RenameFlags::NOREPLACE,
            Replace::Exchange => RenameFlags::EXCHANGE,
        };
        match fs::renameat_with(from_parent, from_name, to_parent, to_name, flags) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(io::ErrorKind::Unsupported.into()),
            other => Ok(other?),
        }
    }

    pub(super) fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        let handle = self.open_at(dir, folder_flags(), Mode::empty())?;
        Ok(retry(|| fs::fsync(&handle))?)
    }

    pub(super) fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        if change.uid.is_some() || change.gid.is_some() {
            let (uid, gid) = (change.uid.map(fs::Uid::from_raw), change.gid.map(fs::Gid::from_raw));
            fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some(mode) = change.mode {
            // Not every kernel changes a mode by name without following a link, so by a handle.
            let handle = self.open_to_read(path, OFlags::empty())?;
            fs::fchmod(handle, mode_of(mode))?;
        }
        if change.modified.is_some() || change.accessed.is_some() {
            let times = Timestamps {
                last_access: change.accessed.map_or(unchanged(), timespec),
                last_modification: change.modified.map_or(unchanged(), timespec),
            };
            fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        let stat = fs::fstatvfs(&self.handle)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bfree), available: bytes(stat.f_bavail) })
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(&mut call)
}

fn kind_of(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

// The widths of these fields differ between systems; all of them fit.
#[allow(clippy::allow_attributes, reason = "which casts are needed depends on the system")]
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, clippy::useless_conversion, reason = "as above")]
fn metadata_of(stat: &Stat) -> Metadata {
    let mut metadata = Metadata::new(kind_of(FileType::from_raw_mode(stat.st_mode)), stat.st_size as u64);
    metadata.modified = time(stat.st_mtime.into(), stat.st_mtime_nsec as u64);
    metadata.identity = Some(Identity { device: stat.st_dev as u64, file: stat.st_ino as u64 });
    metadata.owner =
        Some(Owner { mode: u32::from(stat.st_mode) & 0o7777, uid: stat.st_uid, gid: stat.st_gid });
    metadata
}

#[allow(
    clippy::allow_attributes,
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    reason = "as above"
)]
fn mode_of(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode as fs::RawMode)
}

fn time(seconds: i64, nanoseconds: u64) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = SystemTime::UNIX_EPOCH;
    let base = if seconds < 0 { base.checked_sub(whole) } else { base.checked_add(whole) };
    base?.checked_add(Duration::from_nanos(nanoseconds))
}

fn timespec(time: SystemTime) -> Timespec {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timespec {
            tv_sec: since.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: since.subsec_nanos().into(),
        },
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => Timespec { tv_sec: -seconds, tv_nsec: 0 },
                nanos => Timespec { tv_sec: -seconds - 1, tv_nsec: (1_000_000_000 - nanos).into() },
            }
        }
    }
}

fn unchanged() -> Timespec {
    Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT }
}

/// An open file of the host.
#[derive(Debug)]
pub(super) struct LocalFile {
    file: File,
    /// Most file systems cannot promise not to block. One refusal is enough to know.
    may_try: AtomicBool,
}

impl LocalFile {
    fn new(handle: OwnedFd) -> Self {
        Self { file: handle.into(), may_try: AtomicBool::new(cfg!(target_os = "linux")) }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl BlockFile for LocalFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    #[cfg(target_os = "linux")]
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if !self.may_try.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(self.fd(), &mut [IoSliceMut::new(buf)], offset, flags) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.may_try.store(false, Ordering::Relaxed);
                Err(io::ErrorKind::Unsupported.into())
            }
            other => Ok(other?),
        }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::storage::{BlockStorage, LocalStorage};

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    /// A folder with `a/b/c` and a file in it, and another folder outside.
    fn folders() -> (tempfile::TempDir, LocalStorage) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("vault/a/b/c")).unwrap();
        std::fs::create_dir_all(dir.path().join("outside/b/c")).unwrap();
        for side in ["vault/a", "outside"] {
            std::fs::write(dir.path().join(side).join("b/c/file"), side).unwrap();
        }
        let storage = LocalStorage::open(dir.path().join("vault")).unwrap();
        (dir, storage)
    }

    /// Tries every call on `a/b/c/file` and returns those that did anything.
    fn what_works(storage: &LocalStorage) -> Vec<&'static str> {
        let (file, new, dir) = (path("a/b/c/file"), path("a/b/c/new"), path("a/b/c"));
        let touched =
            Attributes { modified: Some(SystemTime::UNIX_EPOCH), mode: Some(0o600), ..Attributes::default() };
        let calls = [
            ("open", storage.open(&file, OpenMode::Read).is_ok()),
            ("open to write", storage.open(&file, OpenMode::ReadWrite).is_ok()),
            ("create", storage.open(&new, OpenMode::CreateNew).is_ok()),
            ("metadata", storage.metadata(&file).is_ok_and(|metadata| metadata.kind == EntryKind::File)),
            ("list", storage.list(&dir).is_ok()),
            ("create_dir", storage.create_dir(&path("a/b/c/dir")).is_ok()),
            ("sync_dir", storage.sync_dir(&dir).is_ok()),
            ("set_attributes", storage.set_attributes(&file, &touched).is_ok()),
            ("rename", storage.rename(&file, &path("a/b/c/moved"), Replace::Always).is_ok()),
            ("remove", storage.remove(&path("a/b/c/moved"), EntryKind::File).is_ok()),
        ];
        calls.into_iter().filter_map(|(name, worked)| worked.then_some(name)).collect()
    }

    #[test]
    fn a_swapped_symlink_leads_nowhere() {
        assert_eq!(what_works(&folders().1).len(), 10);
        for (swapped, target) in
            [("a", "../outside"), ("a/b", "../../outside/b"), ("a/b/c", "../../../outside/b/c")]
        {
            let (dir, storage) = folders();
            let at = dir.path().join("vault").join(swapped);
            std::fs::rename(&at, dir.path().join("vault/elsewhere")).unwrap();
            symlink(target, &at).unwrap();
            assert!(at.is_dir(), "the link leads to a folder for whoever follows it");
            assert_eq!(what_works(&storage), Vec::<&str>::new(), "{swapped}");
            assert_eq!(std::fs::read(dir.path().join("outside/b/c/file")).unwrap(), b"outside");
        }
    }

    #[test]
    fn a_symlink_in_the_place_of_a_file_leads_nowhere() {
        let (dir, storage) = folders();
        let at = dir.path().join("vault/a/b/c/file");
        std::fs::remove_file(&at).unwrap();
        symlink("../../../../outside/b/c/file", &at).unwrap();
        assert!(storage.open(&path("a/b/c/file"), OpenMode::Read).is_err());
        assert!(storage.open(&path("a/b/c/file"), OpenMode::ReadWrite).is_err());
        assert_eq!(storage.metadata(&path("a/b/c/file")).unwrap().kind, EntryKind::Symlink);
    }

    #[test]
    fn without_openat2_it_is_the_same() {
        let (dir, storage) = folders();
        #[cfg(target_os = "linux")]
        storage.folder_without_openat2();
        assert_eq!(what_works(&storage).len(), 10);
        std::fs::rename(dir.path().join("vault/a/b"), dir.path().join("vault/b")).unwrap();
        symlink("../../outside/b", dir.path().join("vault/a/b")).unwrap();
        assert_eq!(what_works(&storage), Vec::<&str>::new());
    }

    #[cfg(target_os = "linux")]
    impl LocalStorage {
        fn folder_without_openat2(&self) {
            self.folder.has_openat2.store(false, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let (dir, storage) = folders();
        fs::mknodat(fs::CWD, dir.path().join("vault/pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        assert!(storage.open(&path("pipe"), OpenMode::Read).is_err());
        assert_eq!(storage.metadata(&path("pipe")).unwrap().kind, EntryKind::Other);
    }

    #[test]
    fn names_that_are_not_utf_8_are_listed() {
        let (dir, storage) = folders();
        let name = OsStr::from_bytes(b"\xff\xfe");
        if std::fs::write(dir.path().join("vault").join(name), b"").is_err() {
            return eprintln!("SKIPPED: this file system holds no such names");
        }
        assert!(storage.list(&CiphertextPath::root()).unwrap().iter().any(|listed| listed.name == name));
    }

    #[test]
    fn times_before_1970_survive() {
        let (_dir, storage) = folders();
        let file = path("a/b/c/file");
        for time in [
            SystemTime::UNIX_EPOCH - Duration::new(1_000, 250_000_000),
            SystemTime::UNIX_EPOCH - Duration::from_secs(7),
            SystemTime::UNIX_EPOCH + Duration::new(2_000_000_000, 123_456_000),
        ] {
            storage
                .set_attributes(&file, &Attributes { modified: Some(time), ..Attributes::default() })
                .unwrap();
            assert_eq!(storage.metadata(&file).unwrap().modified, Some(time));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reading_leaves_the_time_of_access_alone() {
        use std::os::unix::fs::MetadataExt;
        let (dir, storage) = folders();
        let host = dir.path().join("vault/a/b/c/file");
        let long_ago = Attributes { accessed: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
        storage.set_attributes(&path("a/b/c/file"), &long_ago).unwrap();
        storage.read(&path("a/b/c/file"), 100).unwrap();
        storage.list(&path("a/b/c")).unwrap();
        assert_eq!(host.metadata().unwrap().atime(), 0);
    }
}
