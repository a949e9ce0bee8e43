//! The calls of a Unix host, each relative to a directory handle.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(not(target_os = "linux"))]
use rustix::fs::Dir;
#[cfg(target_os = "linux")]
use rustix::fs::RawDir;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::{
    Attributes, BlockFile, BlockStorage, EntryKind, Habits, Listed, Metadata, OpenMode, Replace, Space,
};
use crate::ciphertext_path::CiphertextPath;

mod change;
mod file;
mod found;
mod habits;
mod root;
mod stat;

use file::LocalFile;
use found::Found;
use habits::Ground;
use root::Root;
#[cfg(target_os = "linux")]
use root::retry;
use stat::kind_of;

/// A folder, by its handle.
#[derive(Debug)]
pub(super) struct Folder {
    root: Root,
    ground: Ground,
    /// Not every file system has modes, or those that one asks for. One refusal is enough to know.
    holds_modes: AtomicBool,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = Root::open(path)?;
        let ground = Ground::of(root.handle());
        Ok(Self { root, ground, holds_modes: AtomicBool::new(true) })
    }

    #[cfg(target_os = "linux")]
    pub(super) fn read_directly(&mut self) {
        self.ground.read_directly();
    }

    /// Opens a file to read it.
    fn open_to_read(&self, path: &CiphertextPath) -> io::Result<(OwnedFd, Metadata)> {
        let found = Found::at(&self.root, path)?;
        #[cfg(target_os = "linux")]
        if self.ground.reads_directly() {
            match found.open_file(OFlags::RDONLY | OFlags::DIRECT) {
                // Not every file system can.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                other => return other,
            }
        }
        found.open_file(OFlags::RDONLY)
    }

    fn create(&self, path: &CiphertextPath, mode: Option<u32>) -> io::Result<(OwnedFd, Metadata)> {
        let wanted = mode.map(change::permissions).transpose()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let handle = self.root.open_at(path, flags, wanted.unwrap_or(Mode::from_raw_mode(0o666)))?;
        let created = stat::metadata_of(&fs::fstat(&handle)?);
        match wanted {
            // The process's umask has taken some away, or the folder has given others.
            Some(wanted)
                if created.owner.map(|owner| owner.mode) != mode
                    && self.holds_modes.load(Ordering::Relaxed) =>
            {
                match fs::fchmod(&handle, wanted) {
                    Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP) => {
                        self.holds_modes.store(false, Ordering::Relaxed);
                        Ok((handle, created))
                    }
                    result => {
                        result?;
                        let metadata = stat::metadata_of(&fs::fstat(&handle)?);
                        Ok((handle, metadata))
                    }
                }
            }
            _ => Ok((handle, created)),
        }
    }

    /// Tells what is at a path, by a handle of the folder that it is in: the last one, where that is the same.
    fn metadata_within<'p>(
        &self,
        held: &mut Option<(&'p str, OwnedFd)>,
        path: &'p CiphertextPath,
    ) -> io::Result<Metadata> {
        let Some((folder, name)) = path.as_str().rsplit_once('/') else { return self.metadata(path) };
        let handle = match held.take_if(|(last, _)| *last == folder) {
            Some((_, handle)) => handle,
            None => self.root.place(path)?.0,
        };
        let (_, handle) = held.insert((folder, handle));
        Ok(stat::metadata_of(&fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn opened(&self, handle: OwnedFd) -> LocalFile {
        #[cfg(target_os = "linux")]
        if self.ground.stays_in_memory {
            return LocalFile::in_memory(handle);
        }
        LocalFile::from(handle)
    }

    /// Opens a folder to list it, without a trace where the host allows that.
    fn open_to_list(&self, dir: &CiphertextPath) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        #[cfg(target_os = "linux")]
        match self.root.open_at(dir, flags | OFlags::NOATIME, Mode::empty()) {
            // It is somebody else's.
            Err(Errno::PERM) => {}
            other => return other,
        }
        self.root.open_at(dir, flags, Mode::empty())
    }
}

impl BlockStorage for Folder {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        let (handle, metadata) = match mode {
            OpenMode::Read => {
                let (handle, metadata) = self.open_to_read(path)?;
                return Ok((Box::new(self.opened(handle)), metadata));
            }
            OpenMode::ReadWrite => Found::at(&self.root, path)?.open_file(OFlags::RDWR)?,
            OpenMode::CreateNew { .. } if path.as_str().is_empty() => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            OpenMode::CreateNew { mode } => self.create(path, mode)?,
        };
        #[cfg(target_os = "linux")]
        if self.ground.reads_directly() {
            return Ok((Box::new(LocalFile::read_directly(handle)), metadata));
        }
        Ok((Box::new(self.opened(handle)), metadata))
    }

    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        Ok(Found::at(&self.root, path)?.metadata())
    }

    fn metadata_of_each(&self, paths: &[CiphertextPath]) -> Vec<io::Result<Metadata>> {
        let mut held = None;
        paths.iter().map(|path| self.metadata_within(&mut held, path)).collect()
    }

    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        scan(&self.open_to_list(dir)?)
    }

    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        if dir.as_str().is_empty() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (parent, name) = self.root.place(dir)?;
        Ok(fs::mkdirat(parent, name, Mode::from_raw_mode(0o777))?)
    }

    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        let (parent, name) = self.root.place_of_entry(path)?;
        let flags = if kind == EntryKind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match fs::unlinkat(parent, name, flags) {
            // What POSIX wants for a folder, and what macOS says.
            Err(Errno::PERM) if kind != EntryKind::Directory => match self.metadata(path) {
                Ok(metadata) if metadata.kind == EntryKind::Directory => {
                    Err(io::ErrorKind::IsADirectory.into())
                }
                _ => Err(Errno::PERM.into()),
            },
            // Some systems call a folder that is not empty one that exists.
            Err(Errno::EXIST) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            other => Ok(other?),
        }
    }

    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        let (from_parent, from_name) = self.root.place_of_entry(from)?;
        let elsewhere =
            if from.parent() == to.parent() { None } else { Some(self.root.place_of_entry(to)?.0) };
        let to_parent = elsewhere.as_ref().unwrap_or(&from_parent);
        let to_name = to.file_name().unwrap_or(".");
        if replace == Replace::Always {
            return match fs::renameat(&from_parent, from_name, to_parent, to_name) {
                Err(Errno::EXIST) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
                other => Ok(other?),
            };
        }
        match rename_with(&from_parent, from_name, to_parent, to_name, replace) {
            // The host's word for a folder that would be moved into itself is its word for what it cannot do, too.
            Err(Errno::INVAL) if super::is_below(to, from) || super::is_below(from, to) => {
                Err(io::ErrorKind::InvalidInput.into())
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(io::ErrorKind::Unsupported.into()),
            other => Ok(other?),
        }
    }

    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        let handle = self.root.open_at(dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        file::sync(&File::from(handle))
    }

    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        Found::at(&self.root, path)?.change(change)
    }

    fn habits(&self) -> Habits {
        self.ground.habits
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fs::fstatvfs(self.root.handle())?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bfree), available: bytes(stat.f_bavail) })
    }
}

/// Renames as POSIX does not have it.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_with(
    from_parent: &OwnedFd,
    from: &str,
    to_parent: &OwnedFd,
    to: &str,
    replace: Replace,
) -> Result<(), Errno> {
    use rustix::fs::RenameFlags;
    let flags = if replace == Replace::Never { RenameFlags::NOREPLACE } else { RenameFlags::EXCHANGE };
    fs::renameat_with(from_parent, from, to_parent, to, flags)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_with(_: &OwnedFd, _: &str, _: &OwnedFd, _: &str, _: Replace) -> Result<(), Errno> {
    Err(Errno::NOTSUP)
}

/// Scans a folder by the kernel's own call: what libraries make of it takes some errors for the end.
#[cfg(target_os = "linux")]
fn scan(folder: &OwnedFd) -> io::Result<Vec<Listed>> {
    let mut buf = Vec::with_capacity(32 << 10);
    let mut scan = RawDir::new(folder, buf.spare_capacity_mut());
    let mut next = || match scan.next() {
        Some(entry) => entry.map(|entry| Some((owned(entry.file_name()), entry.file_type()))),
        None => Ok(None),
    };
    let mut listed = Vec::new();
    while let Some((name, file_type)) = retry(&mut next)? {
        listed.extend(line(folder, name, file_type)?);
    }
    Ok(listed)
}

#[cfg(not(target_os = "linux"))]
fn scan(folder: &OwnedFd) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        listed.extend(line(folder, owned(entry.file_name()), entry.file_type())?);
    }
    Ok(listed)
}

fn owned(name: &CStr) -> OsString {
    OsStr::from_bytes(name.to_bytes()).to_owned()
}

/// One line of a scan; `None` for what is no entry, or none any more.
fn line(folder: &OwnedFd, name: OsString, file_type: FileType) -> io::Result<Option<Listed>> {
    if name == "." || name == ".." {
        return Ok(None);
    }
    let kind = match file_type {
        // Some file systems do not tell in the scan.
        FileType::Unknown => match fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => kind_of(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
        known => kind_of(known),
    };
    Ok(Some(Listed { name, kind, len: None }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::storage::LocalStorage;

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
            ("create", storage.open(&new, OpenMode::CreateNew { mode: None }).is_ok()),
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

    #[cfg(target_os = "linux")]
    #[test]
    fn without_openat2_it_is_the_same() {
        let (dir, storage) = folders();
        root::tests::with_openat2_failing(Errno::NOSYS, || {
            assert_eq!(what_works(&storage).len(), 10);
            std::fs::rename(dir.path().join("vault/a/b"), dir.path().join("vault/b")).unwrap();
            symlink("../../outside/b", dir.path().join("vault/a/b")).unwrap();
            assert_eq!(what_works(&storage), Vec::<&str>::new());
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_host_that_always_asks_to_try_again_is_an_error_or_asked_otherwise() {
        let (_dir, storage) = folders();
        let (works, _) = root::tests::with_openat2_failing(Errno::AGAIN, || what_works(&storage).len());
        assert_eq!(works, 10);
        let (error, _) = root::tests::with_openat2_failing(Errno::INTR, || {
            storage.open(&path("a/b/c/file"), OpenMode::Read).unwrap_err()
        });
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_link_in_the_way_is_no_folder() {
        let (dir, storage) = folders();
        symlink("a", dir.path().join("vault/link")).unwrap();
        let inside = path("link/b/c/file");
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(storage.open(&inside, OpenMode::Read).map(|_| ())), io::ErrorKind::NotADirectory);
        assert_eq!(kind(storage.metadata(&inside).map(|_| ())), io::ErrorKind::NotADirectory);
        assert_eq!(kind(storage.list(&path("link")).map(|_| ())), io::ErrorKind::NotADirectory);
        assert_eq!(kind(storage.sync_dir(&path("link"))), io::ErrorKind::NotADirectory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_was_removed_while_it_is_listed_is_not_an_empty_one() {
        let (dir, storage) = folders();
        let handle = storage.folder.open_to_list(&path("a/b/c")).unwrap();
        std::fs::remove_dir_all(dir.path().join("vault/a/b/c")).unwrap();
        assert_eq!(scan(&handle).unwrap_err().kind(), io::ErrorKind::NotFound);
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
