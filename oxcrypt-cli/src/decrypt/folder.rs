//! A folder of the destination, by its handle, so that nothing is ever written outside, whatever links lie there or are
//! put there meanwhile.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder};

use super::destination::{Destination, Options, is_leftover};
use crate::lock::lock;

/// A folder of the destination. When the last one who works in it is done, it gets its time.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: Arc<Dir>,
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
    File {
        len: u64,
        modified: Option<SystemTime>,
    },
    Link(PathBuf),
    Other,
    /// This run put it there, for another entry.
    OfThisRun,
}

/// What a folder of the vault is like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Like {
    pub(crate) modified: Option<SystemTime>,
    /// The permissions to have, as far as the umask lets them.
    pub(crate) mode: Option<u32>,
}

impl Folder {
    /// Opens the folder at `path` as a destination. It is created if need be, with the folders on the way to it.
    pub(crate) fn open(path: &Path, options: Options) -> io::Result<Arc<Self>> {
        let is_new = create(path)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let destination = Arc::new(Destination::of(&dir, is_new, options)?);
        Self::new(dir, None, Like::default(), is_new, destination)
    }

    fn new(
        dir: Dir,
        parent: Option<Arc<Self>>,
        like: Like,
        is_new: bool,
        destination: Arc<Destination>,
    ) -> io::Result<Arc<Self>> {
        destination.refuse_vault(&dir)?;
        destination.open_folders.fetch_add(1, Ordering::Relaxed);
        let folder = Self {
            dir: Arc::new(dir),
            parent,
            modified: like.modified,
            is_new,
            taken: Mutex::default(),
            destination,
        };
        folder.clear_leftovers();
        Ok(Arc::new(folder))
    }

    /// What all folders of the destination share.
    pub(crate) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    pub(super) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// Makes everything durable, and tells of errors that came up only after a file was closed, where the system can.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "Linux can")
    )]
    pub(crate) fn sync(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Mode, OFlags, openat, syncfs};
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            syncfs(openat(&self.dir, ".", flags, Mode::empty())?)?;
        }
        Ok(())
    }

    /// The name to use here for the entry `name` of the vault.
    pub(crate) fn fit<'n>(&self, name: &'n str) -> Cow<'n, str> {
        self.destination.rules.fit(name, &mut lock(&self.taken))
    }

    /// Makes a folder in this one, or enters it if it is there already. A link to a folder is none.
    pub(crate) fn enter(self: &Arc<Self>, name: &str, like: Like) -> io::Result<Arc<Self>> {
        let is_new = match self.dir.create_dir_with(name, &builder(like)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let dir = match self.dir.open_dir_nofollow(name) {
            Err(_) if self.dir.symlink_metadata(name).is_ok_and(|metadata| !metadata.is_dir()) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "there is something of this name that is no folder, and that has to be moved away",
                ));
            }
            opened => opened?,
        };
        Self::new(dir, Some(Arc::clone(self)), like, is_new, Arc::clone(&self.destination))
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
        Ok(Some(if self.destination.is_of_this_run(&metadata) {
            Existing::OfThisRun
        } else if metadata.is_symlink() {
            Existing::Link(self.dir.read_link_contents(name)?)
        } else if metadata.is_file() {
            let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
            Existing::File { len: metadata.len(), modified }
        } else {
            Existing::Other
        }))
    }

    /// Makes a symbolic link. Whatever its target says, nothing here ever follows it.
    pub(crate) fn link(&self, name: &str, target: &str, modified: Option<SystemTime>) -> io::Result<()> {
        let temporary = self.destination.temporary_name();
        self.destination.begun(&temporary, &self.dir);
        let made = make_link(&self.dir, target, &temporary).and_then(|()| {
            if let Some(modified) = modified {
                // Not every file system has times for links, and nobody misses them.
                drop(self.dir.set_symlink_times(&temporary, None, Some(time(modified))));
            }
            self.give_name(&temporary, name)
        });
        if made.is_err() {
            self.remove(&temporary);
        }
        self.destination.ended(&temporary);
        made
    }

    /// Gives what is finished its name. What this run has put under that name is never replaced.
    pub(super) fn give_name(&self, temporary: &str, name: &str) -> io::Result<()> {
        match self.rename_to_free(temporary, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.may_replace(name)? => {
                self.dir.rename(temporary, &self.dir, name)
            }
            other => other,
        }
    }

    fn may_replace(&self, name: &str) -> io::Result<bool> {
        if !self.destination.options.force || self.is_new {
            return Ok(false);
        }
        Ok(!self.destination.is_of_this_run(&self.dir.symlink_metadata(name)?))
    }

    fn rename_to_free(&self, temporary: &str, name: &str) -> io::Result<()> {
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

    /// Removes a file that was begun; if that fails, it stays, and nobody is worse off.
    pub(super) fn remove(&self, temporary: &str) {
        drop(self.dir.remove_file(temporary));
    }

    /// Removes what an earlier run left behind when it was killed.
    fn clear_leftovers(&self) {
        if self.is_new || !self.destination.options.resume {
            return;
        }
        let Ok(entries) = self.dir.entries() else { return };
        for entry in entries.flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink());
            if is_file && is_leftover(&entry.file_name()) {
                drop(entry.remove_file());
            }
        }
    }

    fn close(&mut self) {
        self.destination.open_folders.fetch_sub(1, Ordering::Relaxed);
        if let Some(modified) = self.modified.take() {
            // A folder without its time is no loss that anybody should hear of.
            drop(self.dir.set_times(".", None, Some(time(modified))));
        }
    }
}

impl Drop for Folder {
    /// Sets the times from the innermost folder outwards. A loop, because folders can be nested deeper than a stack.
    fn drop(&mut self) {
        self.close();
        let mut parent = self.parent.take();
        while let Some(mut folder) = parent.and_then(Arc::into_inner) {
            parent = folder.parent.take();
        }
    }
}

/// Creates a folder that only its owner may look into, for cleartext comes to lie in it. False if it is there already.
fn create(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    create_private(path).map(|()| true)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

#[cfg(unix)]
fn builder(like: Like) -> DirBuilder {
    use cap_std::fs::DirBuilderExt as _;
    let mut builder = DirBuilder::new();
    if let Some(mode) = like.mode {
        builder.mode(mode & 0o777 | 0o700);
    }
    builder
}

#[cfg(not(unix))]
fn builder(like: Like) -> DirBuilder {
    let _ = like.mode;
    DirBuilder::new()
}

fn time(time: SystemTime) -> SystemTimeSpec {
    SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time))
}

#[cfg(unix)]
fn make_link(dir: &Dir, target: &str, name: &str) -> io::Result<()> {
    dir.symlink_contents(target, name)
}

#[cfg(windows)]
fn make_link(dir: &Dir, target: &str, name: &str) -> io::Result<()> {
    dir.symlink_file(target, name)
}
