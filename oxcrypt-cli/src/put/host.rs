//! Folders of the host that files come from: by their handles, so that no link leads out of them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, Metadata, OpenOptions};
use oxcrypt_core::storage::{BlockStorage, LocalStorage};

use crate::file_limit;
use crate::patience;
use crate::source::Buffer;
use crate::vault_folder::FileId;

/// What all folders of the host share that a run reads.
#[derive(Debug)]
pub(crate) struct Host {
    patience: Duration,
    /// The vault's own folder, which is not brought into it.
    vault: Option<FileId>,
    open_folders: AtomicUsize,
    max_folders: usize,
}

/// What the command line names.
#[derive(Debug)]
pub(crate) enum Root {
    /// An entry of a folder.
    Entry(Arc<Folder>, OsString),
    /// A folder, and its name, which `.` and `/` do not have.
    Folder(Arc<Folder>, Option<OsString>),
}

/// A folder of the host.
#[derive(Debug)]
pub(crate) struct Folder {
    host: Arc<Host>,
    /// What is in it may take long to answer.
    may_block: bool,
    dir: Arc<Dir>,
    /// What people call it.
    path: PathBuf,
}

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    pub(crate) len: u64,
    pub(crate) modified: Option<SystemTime>,
}

impl Host {
    pub(crate) fn new(patience: Duration, vault: Option<FileId>) -> Arc<Self> {
        let (open_folders, max_folders) = (AtomicUsize::new(0), file_limit::of_folders());
        Arc::new(Self { patience, vault, open_folders, max_folders })
    }

    /// Whether no more folders should be open at a time.
    pub(crate) fn has_many_folders(&self) -> bool {
        self.open_folders.load(Ordering::Relaxed) >= self.max_folders
    }

    /// Finds what the command line names. A link there is a link, unless a slash follows it.
    pub(crate) fn find(self: &Arc<Self>, path: &Path) -> io::Result<Root> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let last = bytes.split(|byte| *byte == b'/').rfind(|part| !part.is_empty());
        let name = path.file_name().filter(|_| !matches!(last, Some(b"." | b"..") | None));
        let is_entry = name.is_some() && !bytes.ends_with(b"/");
        let folder = match path.parent().filter(|_| is_entry) {
            Some(parent) if parent == Path::new("") => Path::new("."),
            Some(parent) => parent,
            None => path,
        };
        let (host, folder) = (Arc::clone(self), folder.to_owned());
        // Nobody knows yet whether it answers.
        let opened = self.patiently(true, move || {
            let may_block = LocalStorage::open(&folder)?.habits().may_block;
            let dir = Dir::open_ambient_dir(&folder, ambient_authority())?;
            Folder::new(host, may_block, dir, folder)
        });
        let (opened, name) = (Arc::new(opened?), name.map(OsStr::to_owned));
        Ok(match name {
            Some(name) if is_entry => Root::Entry(opened, name),
            name => Root::Folder(opened, name),
        })
    }

    /// Does what may hang where it `may_block`.
    fn patiently<T: Send + 'static>(
        &self,
        may_block: bool,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if !may_block {
            return work();
        }
        patience::within(self.patience, work)
            .unwrap_or_else(|none| Err(io::Error::new(io::ErrorKind::TimedOut, none.to_string())))
    }
}

impl Folder {
    fn new(host: Arc<Host>, may_block: bool, dir: Dir, path: PathBuf) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt as _;
            let metadata = dir.dir_metadata()?;
            if host.vault == Some((metadata.dev(), metadata.ino())) {
                return Err(io::Error::other("this is the vault's own folder"));
            }
        }
        host.open_folders.fetch_add(1, Ordering::Relaxed);
        Ok(Self { host, may_block, dir: Arc::new(dir), path })
    }

    /// What people call an entry of it.
    pub(crate) fn path_of(&self, name: &OsStr) -> PathBuf {
        if self.path == Path::new(".") { PathBuf::from(name) } else { self.path.join(name) }
    }

    /// What people call it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no more folders should be open at a time.
    pub(crate) fn has_many_folders(&self) -> bool {
        self.host.has_many_folders()
    }

    /// What is in it, in no order.
    pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        let dir = Arc::clone(&self.dir);
        self.ask(move || {
            dir.entries()?
                .map(|entry| {
                    let entry = entry?;
                    Ok((entry.file_name(), Kind::of(entry.file_type()?)))
                })
                .collect()
        })
    }

    /// Opens a folder in it, never by a link.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let (host, may_block, path) = (Arc::clone(&self.host), self.may_block, self.path_of(name));
        let (dir, name) = (Arc::clone(&self.dir), name.to_owned());
        self.ask(move || Self::new(host, may_block, dir.open_dir_nofollow(name)?, path))
    }

    /// When what is in it was changed last.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        let dir = Arc::clone(&self.dir);
        self.ask(move || Ok(Stat::of(&dir.dir_metadata()?))).ok()?.modified
    }

    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        let (dir, name) = (Arc::clone(&self.dir), name.to_owned());
        self.ask(move || Ok(Stat::of(&dir.symlink_metadata(name)?)))
    }

    pub(crate) fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let (dir, name) = (Arc::clone(&self.dir), name.to_owned());
        self.ask(move || dir.read_link_contents(name))
    }

    /// Opens a file in it, never by a link. Of anything else it only tells what it is.
    pub(crate) fn open(&self, name: &OsStr) -> io::Result<(Arc<File>, Stat)> {
        let (dir, name) = (Arc::clone(&self.dir), name.to_owned());
        self.ask(move || {
            let mut options = OpenOptions::new();
            options.read(true).follow(FollowSymlinks::No);
            #[cfg(unix)]
            {
                use cap_std::fs::OpenOptionsExt as _;
                // A pipe that has taken the place of a file would wait for somebody to write.
                options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
            }
            let file = dir.open_with(name, &options)?;
            let stat = Stat::of(&file.metadata()?);
            Ok((Arc::new(file.into_std()), stat))
        })
    }

    /// Reads up to `want` bytes at `offset` of a file that was opened here into the beginning of `buffer`.
    pub(crate) fn read_at(
        &self,
        file: &Arc<File>,
        offset: u64,
        buffer: &mut Buffer,
        want: usize,
    ) -> io::Result<usize> {
        if !self.may_block {
            return read_at(file, offset, buffer.get_mut(..want).unwrap_or_default());
        }
        // It goes with the work, and comes back unless that comes too late.
        let (len, mut lent, file) = (buffer.len(), std::mem::take(buffer), Arc::clone(file));
        let read = self.ask(move || {
            let read = read_at(&file, offset, lent.get_mut(..want).unwrap_or_default());
            Ok((lent, read))
        });
        match read {
            Ok((lent, read)) => {
                *buffer = lent;
                read
            }
            Err(error) => {
                *buffer = vec![0; len].into();
                Err(error)
            }
        }
    }

    /// What is known of an open file now.
    pub(crate) fn stat_of(&self, file: &Arc<File>) -> io::Result<Stat> {
        let file = Arc::clone(file);
        self.ask(move || Ok(Stat::of(&Metadata::from_just_metadata(file.metadata()?))))
    }

    fn ask<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        self.host.patiently(self.may_block, work)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.host.open_folders.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Kind {
    fn of(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link
        } else {
            Self::Other
        }
    }
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
        Self { kind: Kind::of(metadata.file_type()), len: metadata.len(), modified }
    }
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    retry(|| std::os::unix::fs::FileExt::read_at(file, into, offset))
}

#[cfg(windows)]
fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    retry(|| std::os::windows::fs::FileExt::seek_read(file, into, offset))
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
