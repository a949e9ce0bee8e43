//! The handle of the vault's folder, and the ways down from it: with no link followed, in any component.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::ciphertext_path::CiphertextPath;

/// How often a call that asks to be made again is made at once. A host may ask for ever.
const ATTEMPTS: usize = 16;

/// The vault's folder, by its handle.
#[derive(Debug)]
pub(super) struct Root {
    handle: OwnedFd,
    /// Kernels before 5.6, and some containers, have no `openat2`.
    #[cfg(target_os = "linux")]
    has_openat2: AtomicBool,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            handle: fs::open(path, flags, Mode::empty())?,
            #[cfg(target_os = "linux")]
            has_openat2: AtomicBool::new(true),
        })
    }

    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Opens `path` below the folder. A link in its way is no folder, whatever the host calls it.
    pub(super) fn open_at(&self, path: &CiphertextPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.open_unfollowed(path, flags, mode).map_err(|errno| match errno {
            Errno::LOOP | Errno::MLINK => Errno::NOTDIR,
            errno => errno,
        })
    }

    fn open_unfollowed(&self, path: &CiphertextPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        #[cfg(target_os = "linux")]
        if self.has_openat2.load(Ordering::Relaxed) {
            let text = if path.as_str().is_empty() { "." } else { path.as_str() };
            match retry(|| openat2(&self.handle, text, flags, mode)) {
                Err(Errno::NOSYS) => self.has_openat2.store(false, Ordering::Relaxed),
                // So says a container that forbids calls it does not know. With `O_NOATIME` it has another meaning.
                Err(Errno::PERM) if !flags.contains(OFlags::NOATIME) => {
                    let opened = self.walk(path, flags, mode)?;
                    self.has_openat2.store(false, Ordering::Relaxed);
                    return Ok(opened);
                }
                // The kernel cannot rule out a concurrent rename. The walk has no such doubts.
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        self.walk(path, flags, mode)
    }

    /// The same, one component at a time.
    fn walk(&self, path: &CiphertextPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let open = |at: BorrowedFd<'_>, name: &str, flags| retry(|| fs::openat(at, name, flags, mode));
        let Some(parent) = path.parent() else { return open(self.handle(), ".", flags) };
        let mut at = None;
        for component in parent.components() {
            at = Some(open(at.as_ref().map_or(self.handle(), OwnedFd::as_fd), component, on_the_way())?);
        }
        open(at.as_ref().map_or(self.handle(), OwnedFd::as_fd), path.file_name().unwrap_or("."), flags)
    }

    /// A handle of the folder that `path` is in, and its name there; for the vault's own folder, itself and `.`.
    pub(super) fn place<'p>(&self, path: &'p CiphertextPath) -> Result<(OwnedFd, &'p str), Errno> {
        let folder = path.parent().unwrap_or_else(CiphertextPath::root);
        Ok((self.open_at(&folder, on_the_way(), Mode::empty())?, path.file_name().unwrap_or(".")))
    }

    /// The same for an entry that is to be made, moved or removed, which the vault's own folder is not.
    pub(super) fn place_of_entry<'p>(&self, path: &'p CiphertextPath) -> io::Result<(OwnedFd, &'p str)> {
        if path.as_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the vault's own folder"));
        }
        Ok(self.place(path)?)
    }
}

/// A folder on the way is passed through, not opened, where the system knows the difference.
fn on_the_way() -> OFlags {
    #[cfg(target_os = "linux")]
    let access = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlags::RDONLY;
    access | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW
}

#[cfg(target_os = "linux")]
fn openat2(at: &OwnedFd, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    #[cfg(test)]
    if let Some(errno) = tests::instead_of_openat2() {
        return Err(errno);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    fs::openat2(at, path, flags, mode, resolve)
}

/// Makes a call again that was interrupted or asks for it, a few times.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..ATTEMPTS {
        match call() {
            Err(Errno::INTR | Errno::AGAIN) => {}
            other => return other,
        }
    }
    call()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
pub(super) mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// What `openat2` says on this thread in place of the kernel, and how often it was asked.
        static ANSWER: RefCell<(Option<Errno>, usize)> = const { RefCell::new((None, 0)) };
    }

    pub(super) fn instead_of_openat2() -> Option<Errno> {
        ANSWER.with_borrow_mut(|(errno, asked)| {
            *asked += 1;
            *errno
        })
    }

    /// Runs `work` while `openat2` fails on this thread, and tells how often it was called.
    pub(in super::super) fn with_openat2_failing<T>(errno: Errno, work: impl FnOnce() -> T) -> (T, usize) {
        ANSWER.set((Some(errno), 0));
        let result = work();
        (result, ANSWER.replace((None, 0)).1)
    }

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/file"), b"x").unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    fn open(root: &Root, path: &str) -> Result<OwnedFd, Errno> {
        root.open_at(&CiphertextPath::parse(path).unwrap(), OFlags::RDONLY, Mode::empty())
    }

    #[test]
    fn a_kernel_that_asks_to_try_again_is_asked_a_few_times_only() {
        let (_dir, root) = root();
        let (opened, asked) = with_openat2_failing(Errno::AGAIN, || open(&root, "a/file"));
        assert!(opened.is_ok() && asked == ATTEMPTS, "{asked}");
        let (opened, asked) = with_openat2_failing(Errno::INTR, || open(&root, "a/file"));
        assert_eq!((opened.unwrap_err(), asked), (Errno::INTR, ATTEMPTS));
        assert_eq!(retry(|| Err::<(), _>(Errno::AGAIN)), Err(Errno::AGAIN));
    }

    #[test]
    fn where_openat2_is_missing_or_forbidden_it_is_not_asked_twice() {
        for errno in [Errno::NOSYS, Errno::PERM] {
            let (_dir, root) = root();
            let ((), asked) = with_openat2_failing(errno, || {
                open(&root, "a/file").unwrap();
                open(&root, "a/file").unwrap();
                open(&root, "").unwrap();
                assert_eq!(open(&root, "a/none").unwrap_err(), Errno::NOENT);
                assert_eq!(open(&root, "a/file/below").unwrap_err(), Errno::NOTDIR);
            });
            assert_eq!(asked, 1, "{errno}");
        }
    }
}
