//! The folder that a vault is decrypted to, and the folders in it: by their handles, so that nothing is ever written
//! outside, whatever links lie there or are put there meanwhile.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, SystemTimeSpec};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use super::host_name::Rules;
use crate::lock::lock;

/// What a file is called until it is whole.
const UNFINISHED: (&str, &str) = (".oxcrypt-", ".part");

/// What all folders of a destination share.
#[derive(Debug)]
pub(crate) struct Destination {
    rules: Rules,
    /// Replace what is there.
    force: bool,
    /// Clear away what an earlier run left unfinished.
    resume: bool,
    /// Tells the temporary names of two runs apart.
    process: u32,
    next: AtomicU64,
    unfinished: Mutex<HashMap<String, Arc<Folder>>>,
}

/// A folder of the destination. When the last one who works in it is done, it gets its time.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: Dir,
    parent: Option<Arc<Self>>,
    modified: Option<SystemTime>,
    /// It was made by this run, so nothing can be in it but what this run puts there.
    is_new: bool,
    taken: Mutex<HashSet<String>>,
    destination: Arc<Destination>,
}

/// What there is under a name already.
#[derive(Debug)]
pub(crate) enum Existing {
    File { len: u64, modified: Option<SystemTime> },
    Link(std::path::PathBuf),
    Other,
}

impl Destination {
    /// Opens the folder at `path`, which is created if need be, with the folders on the way to it.
    pub(crate) fn open(path: &Path, force: bool, resume: bool) -> io::Result<Arc<Folder>> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let is_new = match std::fs::create_dir(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let rules = Rules { max_len: max_name_len(&dir), folds_case: false, is_windows: cfg!(windows) };
        let mut destination = Self {
            rules,
            force,
            resume,
            process: std::process::id(),
            next: AtomicU64::new(0),
            unfinished: Mutex::default(),
        };
        destination.rules.folds_case = destination.folds_case(&dir)?;
        let folder = Folder {
            dir,
            parent: None,
            modified: None,
            is_new,
            taken: Mutex::default(),
            destination: Arc::new(destination),
        };
        folder.clear_unfinished()?;
        Ok(Arc::new(folder))
    }

    /// Removes what is not finished. For the end of a run that cannot wait for its workers.
    pub(crate) fn remove_unfinished(&self) {
        for (name, folder) in std::mem::take(&mut *lock(&self.unfinished)) {
            drop(folder.dir.remove_file(name));
        }
    }

    fn temporary_name(&self) -> String {
        let (start, end) = UNFINISHED;
        format!("{start}{:x}-{:x}{end}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the file system takes `A` and `a` for one name. Asks it, with a file that is gone afterwards.
    fn folds_case(&self, dir: &Dir) -> io::Result<bool> {
        let name = self.temporary_name();
        drop(dir.open_with(&name, OpenOptions::new().write(true).create_new(true))?);
        let folds = dir.symlink_metadata(name.to_uppercase()).is_ok();
        dir.remove_file(&name)?;
        Ok(folds)
    }
}

impl Folder {
    /// What all folders of the destination share.
    pub(crate) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// The name to use here for the entry `name` of the vault.
    pub(crate) fn fit<'n>(&self, name: &'n str) -> Cow<'n, str> {
        self.destination.rules.fit(name, &mut lock(&self.taken))
    }

    /// Makes a folder in this one, or enters it if it is there already. A link to a folder is none.
    pub(crate) fn enter(self: &Arc<Self>, name: &str, modified: Option<SystemTime>) -> io::Result<Arc<Self>> {
        let is_new = match self.dir.create_dir(name) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let dir = match self.dir.open_dir_nofollow(name) {
            Err(_) if self.dir.symlink_metadata(name).is_ok_and(|metadata| !metadata.is_dir()) => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "there is something else of this name",
                ));
            }
            opened => opened?,
        };
        let folder = Self {
            dir,
            parent: Some(Arc::clone(self)),
            modified,
            is_new,
            taken: Mutex::default(),
            destination: Arc::clone(&self.destination),
        };
        folder.clear_unfinished()?;
        Ok(Arc::new(folder))
    }

    /// What there is under a name; asks only where there can be anything.
    pub(crate) fn existing(&self, name: &str) -> io::Result<Option<Existing>> {
        if self.is_new {
            return Ok(None);
        }
        let metadata = match self.dir.symlink_metadata(name) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(if metadata.is_symlink() {
            Existing::Link(self.dir.read_link_contents(name)?)
        } else if metadata.is_file() {
            let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
            Existing::File { len: metadata.len(), modified }
        } else {
            Existing::Other
        }))
    }

    /// Begins a file under a name of its own. `mode` are the permissions to have, as far as the umask lets them.
    pub(crate) fn begin(self: &Arc<Self>, mode: Option<u32>) -> io::Result<Unfinished> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        #[cfg(unix)]
        if let Some(mode) = mode {
            use cap_std::fs::OpenOptionsExt as _;
            options.mode(mode & 0o777 | 0o600);
        }
        #[cfg(not(unix))]
        let _ = mode;
        loop {
            let name = self.destination.temporary_name();
            match self.dir.open_with(&name, &options) {
                Ok(file) => {
                    lock(&self.destination.unfinished).insert(name.clone(), Arc::clone(self));
                    return Ok(Unfinished { folder: Arc::clone(self), name, file: Some(file.into_std()) });
                }
                // A process of the same number left it behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a symbolic link. Whatever its target says, nothing here ever follows it.
    pub(crate) fn link(
        self: &Arc<Self>,
        name: &str,
        target: &str,
        modified: Option<SystemTime>,
    ) -> io::Result<()> {
        if self.destination.force && !self.is_new {
            let temporary = self.destination.temporary_name();
            make_link(&self.dir, target, &temporary)?;
            self.dir
                .rename(&temporary, &self.dir, name)
                .inspect_err(|_| drop(self.dir.remove_file(&temporary)))?;
        } else {
            make_link(&self.dir, target, name)?;
        }
        if let Some(modified) = modified {
            let time = SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(modified));
            // Not every file system has times for links, and nobody misses them.
            drop(self.dir.set_symlink_times(name, None, Some(time)));
        }
        Ok(())
    }

    /// Gives a finished file its name.
    fn rename(&self, temporary: &str, name: &str) -> io::Result<()> {
        if self.destination.force {
            return self.dir.rename(temporary, &self.dir, name);
        }
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            use rustix::io::Errno;
            match renameat_with(&self.dir, temporary, &self.dir, name, RenameFlags::NOREPLACE) {
                // Not every file system can promise that.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                other => return Ok(other?),
            }
        }
        match self.dir.symlink_metadata(name) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => self.dir.rename(temporary, &self.dir, name),
        }
    }

    /// Removes what an earlier run left behind when it was killed.
    fn clear_unfinished(&self) -> io::Result<()> {
        if self.is_new || !self.destination.resume {
            return Ok(());
        }
        let (start, end) = UNFINISHED;
        let is_ours =
            |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(start) && name.ends_with(end));
        for entry in self.dir.entries()? {
            let name = entry?.file_name();
            if is_ours(&name) {
                self.dir.remove_file(name)?;
            }
        }
        Ok(())
    }

    fn set_time(&mut self) {
        if let Some(modified) = self.modified.take() {
            let time = SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(modified));
            // A folder without its time is no loss that anybody should hear of.
            drop(self.dir.set_times(".", None, Some(time)));
        }
    }
}

impl Drop for Folder {
    /// Sets the times from the innermost folder outwards. A loop, because folders can be nested deeper than a stack.
    fn drop(&mut self) {
        self.set_time();
        let mut parent = self.parent.take();
        while let Some(mut folder) = parent.and_then(Arc::into_inner) {
            folder.set_time();
            parent = folder.parent.take();
        }
    }
}

/// A file that is not whole yet. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: Arc<Folder>,
    name: String,
    file: Option<File>,
}

impl Unfinished {
    /// Writes at an offset; any number of threads may.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        write_all_at(file, offset, bytes)
    }

    /// Extends it to `len` bytes, by zeros.
    pub(crate) fn extend(&self, len: u64) -> io::Result<()> {
        self.file.as_ref().ok_or(io::ErrorKind::InvalidInput)?.set_len(len)
    }

    /// Gives it its time and its name.
    pub(crate) fn finish(mut self, name: &str, modified: Option<SystemTime>) -> io::Result<()> {
        let file = self.file.take().ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(modified) = modified {
            file.set_times(FileTimes::new().set_modified(modified))?;
        }
        // Some systems do not rename open files.
        drop(file);
        self.folder.rename(&self.name, name)?;
        lock(&self.folder.destination.unfinished).remove(&self.name);
        self.name.clear();
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.file = None;
            drop(self.folder.dir.remove_file(&self.name));
            lock(&self.folder.destination.unfinished).remove(&self.name);
        }
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_link(dir: &Dir, target: &str, name: &str) -> io::Result<()> {
    dir.symlink_contents(target, name)
}

#[cfg(windows)]
fn make_link(dir: &Dir, target: &str, name: &str) -> io::Result<()> {
    dir.symlink_file(target, name)
}

#[cfg(unix)]
fn max_name_len(dir: &Dir) -> usize {
    let known = rustix::fs::fstatvfs(dir).ok().and_then(|stat| usize::try_from(stat.f_namemax).ok());
    known.filter(|len| *len > 32).unwrap_or(255)
}

#[cfg(not(unix))]
fn max_name_len(_: &Dir) -> usize {
    255
}
