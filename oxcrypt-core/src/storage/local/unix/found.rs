//! What is at a path: looked at and held, but not opened.
//!
//! A device node acts when it is opened, a pipe waits, and a file on a cloud drive may be downloaded. So everything is
//! looked at first. Linux then holds it by a handle that opened nothing (`O_PATH`), and nobody can put something else
//! in its place between the look and the opening; elsewhere the look is repeated behind the opening.

use std::borrow::Cow;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::super::super::{Attributes, EntryKind, Metadata};
use super::change::all_or_none;
use super::root::Root;
#[cfg(target_os = "linux")]
use super::root::retry;
use super::stat::{kind_of, metadata_of, mode_of, times_of};
use crate::ciphertext_path::CiphertextPath;

/// What is at a path.
pub(super) struct Found<'r> {
    root: &'r Root,
    path: &'r CiphertextPath,
    stat: Stat,
    #[cfg(target_os = "linux")]
    handle: OwnedFd,
}

impl<'r> Found<'r> {
    #[cfg(target_os = "linux")]
    pub(super) fn at(root: &'r Root, path: &'r CiphertextPath) -> io::Result<Self> {
        let handle = root.open_at(path, OFlags::PATH, Mode::empty())?;
        Ok(Self { root, path, stat: fs::fstat(&handle)?, handle })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn at(root: &'r Root, path: &'r CiphertextPath) -> io::Result<Self> {
        let (folder, name) = root.place(path)?;
        Ok(Self { root, path, stat: fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)? })
    }

    pub(super) fn metadata(&self) -> Metadata {
        metadata_of(&self.stat)
    }

    /// Opens the file, and tells what it is as of then.
    ///
    /// Waits like any opening, for instance until another process gives up its lease of the file.
    pub(super) fn open_file(&self, access: OFlags) -> io::Result<(OwnedFd, Metadata)> {
        only_a_file(&self.stat)?;
        // Only a file's owner may leave its time of access alone. Who owns the next file is another matter.
        #[cfg(target_os = "linux")]
        if access == OFlags::RDONLY {
            match self.open(access | OFlags::NOATIME) {
                Err(Errno::PERM) => {}
                other => return with_metadata(other?),
            }
        }
        with_metadata(self.open(access)?)
    }

    /// By way of its handle. Where `/proc` is missing, by its path.
    #[cfg(target_os = "linux")]
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        match retry(|| fs::open(self.link(), flags | OFlags::CLOEXEC, Mode::empty())) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::STALE) => {
                self.open_by_path(flags)
            }
            other => other,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_by_path(flags)
    }

    /// Does not wait, because it may be a pipe by now. A lease of another process is `WouldBlock` here.
    fn open_by_path(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let handle = self.root.open_at(self.path, flags, Mode::empty())?;
        fs::fcntl_setfl(&handle, fs::fcntl_getfl(&handle)? & !OFlags::NONBLOCK)?;
        Ok(handle)
    }

    /// Changes what is given, or nothing as far as the host lets us put back what was done. Tells what it is then.
    pub(super) fn change(&self, change: &Attributes) -> io::Result<Metadata> {
        let before = self.metadata();
        if !matches!(before.kind, EntryKind::File | EntryKind::Directory) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a folder"));
        }
        all_or_none(change, &before, |change| self.change_in_order(change))?;
        #[cfg(target_os = "linux")]
        let stat = fs::fstat(&self.handle)?;
        #[cfg(not(target_os = "linux"))]
        let stat = Self::at(self.root, self.path)?.stat;
        Ok(metadata_of(&stat))
    }

    /// An owner takes bits of the mode along, so it comes first.
    fn change_in_order(&self, change: &Attributes) -> Result<(), Errno> {
        #[cfg(target_os = "linux")]
        if change.uid.is_none()
            && change.gid.is_none()
            && change.mode.is_none()
            && let Some(times) = times_of(change)
        {
            // By the handle itself, which kernels before 5.8 do not take.
            match fs::utimensat(&self.handle, "", &times, AtFlags::EMPTY_PATH) {
                Err(Errno::INVAL | Errno::NOENT | Errno::BADF) => {}
                other => return other,
            }
        }
        let parent;
        let (folder, name, flags) = if let Some(link) = self.checked_link() {
            (fs::CWD, Cow::Owned(link), AtFlags::empty())
        } else {
            parent = self.root.place(self.path)?;
            (parent.0.as_fd(), Cow::Borrowed(parent.1), AtFlags::SYMLINK_NOFOLLOW)
        };
        if change.uid.is_some() || change.gid.is_some() {
            let (uid, gid) = (change.uid.map(fs::Uid::from_raw), change.gid.map(fs::Gid::from_raw));
            fs::chownat(folder, &*name, uid, gid, flags)?;
        }
        if let Some(mode) = change.mode.and_then(mode_of) {
            match fs::chmodat(folder, &*name, mode, flags) {
                // Not every kernel changes a mode by name without following a link. By a handle each does, and that
                // takes the permission to read.
                Err(Errno::OPNOTSUPP) if !flags.is_empty() => {
                    fs::fchmod(self.open_by_path(OFlags::RDONLY)?, mode)?;
                }
                other => other?,
            }
        }
        match times_of(change) {
            Some(times) => fs::utimensat(folder, &*name, &times, flags),
            None => Ok(()),
        }
    }

    /// A name of the very entry that is held, for calls that take names and no such handles.
    #[cfg(target_os = "linux")]
    fn link(&self) -> String {
        #[cfg(test)]
        if tests::PROC_IS_MISSING.get() {
            return format!("/nowhere/self/fd/{}", self.handle.as_raw_fd());
        }
        format!("/proc/self/fd/{}", self.handle.as_raw_fd())
    }

    /// The same where `/proc` is there and is what it should be.
    #[cfg(target_os = "linux")]
    fn checked_link(&self) -> Option<String> {
        let link = self.link();
        let stat = fs::stat(&link).ok()?;
        (stat.st_dev == self.stat.st_dev && stat.st_ino == self.stat.st_ino).then_some(link)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "it takes a handle, which these systems do not give")]
    fn checked_link(&self) -> Option<String> {
        None
    }
}

fn with_metadata(handle: OwnedFd) -> io::Result<(OwnedFd, Metadata)> {
    let stat = fs::fstat(&handle)?;
    only_a_file(&stat)?;
    Ok((handle, metadata_of(&stat)))
}

fn only_a_file(stat: &Stat) -> io::Result<()> {
    match kind_of(FileType::from_raw_mode(stat.st_mode)) {
        EntryKind::File => Ok(()),
        EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
        EntryKind::Symlink | EntryKind::Other => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::cell::Cell;
    use std::io::{BufRead, BufReader, Lines};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::thread;
    use std::time::{Duration, SystemTime};

    use super::*;

    thread_local! {
        /// Whether this thread is to find no `/proc`.
        pub(super) static PROC_IS_MISSING: Cell<bool> = const { Cell::new(false) };
    }

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        std::fs::write(dir.path().join("dir/file"), b"content").unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    fn open(root: &Root, at: &str, access: OFlags) -> io::Result<OwnedFd> {
        Found::at(root, &path(at))?.open_file(access).map(|(handle, _)| handle)
    }

    fn with_and_without_proc(mut claim: impl FnMut()) {
        for missing in [false, true] {
            PROC_IS_MISSING.set(missing);
            claim();
        }
        PROC_IS_MISSING.set(false);
    }

    #[test]
    fn an_open_file_waits_as_any_file_does() {
        let (_dir, root) = root();
        with_and_without_proc(|| {
            for access in [OFlags::RDONLY, OFlags::RDWR] {
                let handle = open(&root, "dir/file", access).unwrap();
                assert!(!fs::fcntl_getfl(&handle).unwrap().contains(OFlags::NONBLOCK));
            }
        });
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let (dir, root) = root();
        let both = Mode::RUSR | Mode::WUSR;
        fs::mknodat(fs::CWD, dir.path().join("pipe"), FileType::Fifo, both, 0).unwrap();
        symlink("dir/file", dir.path().join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        with_and_without_proc(|| {
            for access in [OFlags::RDONLY, OFlags::RDWR] {
                for at in ["pipe", "link", "socket"] {
                    let error = open(&root, at, access).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{at}");
                }
                assert_eq!(open(&root, "dir", access).unwrap_err().kind(), io::ErrorKind::IsADirectory);
                assert_eq!(open(&root, "none", access).unwrap_err().kind(), io::ErrorKind::NotFound);
            }
        });
    }

    #[test]
    fn attributes_change_with_and_without_proc() {
        let (dir, root) = root();
        with_and_without_proc(|| {
            for (at, mode) in [("dir/file", 0o640), ("dir", 0o750), ("", 0o700)] {
                let change = Attributes {
                    mode: Some(mode),
                    uid: Some(own_uid()),
                    modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)),
                    ..Attributes::default()
                };
                Found::at(&root, &path(at)).unwrap().change(&change).unwrap();
                let host = dir.path().join(at).metadata().unwrap();
                assert_eq!((host.mode() & 0o7777, host.mtime()), (mode, 7), "{at}");
                std::fs::set_permissions(dir.path().join(at), PermissionsExt::from_mode(0o755)).unwrap();
            }
        });
    }

    /// The user that owns what this process creates.
    fn own_uid() -> u32 {
        tempfile::tempdir().unwrap().path().metadata().unwrap().uid()
    }

    #[test]
    fn attributes_of_a_link_are_not_changed_and_neither_are_those_it_leads_to() {
        let (dir, root) = root();
        symlink("dir/file", dir.path().join("link")).unwrap();
        let before = dir.path().join("dir/file").metadata().unwrap();
        let change =
            Attributes { mode: Some(0o600), modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
        with_and_without_proc(|| {
            let error = Found::at(&root, &path("link")).unwrap().change(&change).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        });
        let after = dir.path().join("dir/file").metadata().unwrap();
        assert_eq!((after.mode(), after.mtime()), (before.mode(), before.mtime()));
        assert_ne!(dir.path().join("link").symlink_metadata().unwrap().mtime(), 0);
    }

    #[test]
    fn what_is_wrong_with_a_change_is_seen_before_anything_is_changed() {
        let (dir, root) = root();
        let change = Attributes {
            mode: Some(0o100_600),
            modified: Some(SystemTime::UNIX_EPOCH),
            ..Attributes::default()
        };
        let error = Found::at(&root, &path("dir/file")).unwrap().change(&change).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_ne!(dir.path().join("dir/file").metadata().unwrap().mtime(), 0);
    }

    const DIR_VARIABLE: &str = "OXCRYPT_TEST_UNPRIVILEGED_DIR";

    /// Permissions mean nothing to root, so a process of somebody else makes these claims.
    #[test]
    fn an_owner_needs_no_permission_to_read_and_a_stranger_hides_no_time_of_access() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::write(dir.path().join("foreign"), b"content").unwrap();
        std::fs::set_permissions(dir.path().join("foreign"), PermissionsExt::from_mode(0o644)).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "storage::local::unix::found::tests::claims_of_an_unprivileged_owner"]);
        child.args(["--ignored", "--nocapture"]).env(DIR_VARIABLE, dir.path());
        if own_uid() == 0 {
            child.uid(65_534).gid(65_534);
        }
        match child.output() {
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => eprintln!("SKIPPED: the test cannot run as somebody else: {error}"),
        }
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn claims_of_an_unprivileged_owner() {
        let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
        let dir = Path::new(&dir);
        let root = Root::open(dir).unwrap();
        let (own, host) = (path("own"), dir.join("own"));
        std::fs::write(&host, b"content").unwrap();
        let found = Found::at(&root, &own).unwrap();
        let mode = |mode| Attributes { mode: Some(mode), ..Attributes::default() };
        for bits in [0o000, 0o200, 0o644] {
            found.change(&mode(bits)).unwrap();
            assert_eq!(host.metadata().unwrap().mode() & 0o7777, bits);
        }
        // To give a file away is for root; then the rest is not done either.
        let refused = Attributes { uid: Some(0), modified: Some(SystemTime::UNIX_EPOCH), ..mode(0o600) };
        assert_eq!(found.change(&refused).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let after = host.metadata().unwrap();
        assert!(after.mode() & 0o7777 == 0o644 && after.mtime() != 0);
        // A folder that may be passed through and not listed.
        std::fs::create_dir(dir.join("passage")).unwrap();
        std::fs::write(dir.join("passage/file"), b"").unwrap();
        std::fs::set_permissions(dir.join("passage"), PermissionsExt::from_mode(0o311)).unwrap();
        open(&root, "passage/file", OFlags::RDWR).unwrap();
        // Somebody else's file does not keep this user from hiding reads of files of its own.
        open(&root, "foreign", OFlags::RDONLY).unwrap();
        found
            .change(&Attributes { accessed: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() })
            .unwrap();
        let handle = open(&root, "own", OFlags::RDONLY).unwrap();
        rustix::io::pread(handle, &mut [0; 7], 0).unwrap();
        assert_eq!(host.metadata().unwrap().atime(), 0);
    }

    /// Takes a lease of a file, says so, says when somebody wants to open it, and gives it up at a word.
    const HOLDER: &str = "import fcntl, os, signal, sys
file = os.open(sys.argv[1], os.O_RDWR)
signal.signal(signal.SIGIO, lambda *_: print('wanted', flush=True))
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.readline()";

    /// Another process with a lease of a file. It ends when it is dropped.
    struct Holder {
        process: Child,
        says: Lines<BufReader<ChildStdout>>,
    }

    impl Holder {
        /// `None` where there is no such process or no lease.
        fn of(file: &Path) -> Option<Self> {
            let mut process = Command::new("python3")
                .args(["-c", HOLDER])
                .arg(file)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .ok()?;
            let mut says = BufReader::new(process.stdout.take()?).lines();
            let held = says.next()?.ok()?;
            assert_eq!(held, "held");
            Some(Self { process, says })
        }
    }

    impl Drop for Holder {
        fn drop(&mut self) {
            drop(self.process.stdin.take());
            let _ended = self.process.wait();
        }
    }

    #[test]
    fn a_lease_of_another_process_is_waited_for_without_burning_time() {
        let (dir, root) = root();
        if time_on_cpu().is_none() {
            return eprintln!("SKIPPED: nobody here tells what a thread spends");
        }
        let Some(mut holder) = Holder::of(&dir.path().join("dir/file")) else {
            return eprintln!("SKIPPED: nobody here holds a lease");
        };
        thread::scope(|scope| {
            let opening = scope.spawn(|| {
                let before = time_on_cpu();
                open(&root, "dir/file", OFlags::RDONLY).map(|_| time_on_cpu().zip(before))
            });
            assert_eq!(holder.says.next().unwrap().unwrap(), "wanted");
            // Long enough to tell waiting from trying again and again.
            thread::sleep(Duration::from_millis(300));
            assert!(!opening.is_finished());
            drop(holder);
            let (after, before) = opening.join().unwrap().unwrap().unwrap();
            assert!(after.saturating_sub(before) < Duration::from_millis(100), "{before:?} to {after:?}");
        });
    }

    #[test]
    fn without_proc_a_lease_is_an_error_at_once() {
        let (dir, root) = root();
        let Some(_holder) = Holder::of(&dir.path().join("dir/file")) else {
            return eprintln!("SKIPPED: nobody here holds a lease");
        };
        PROC_IS_MISSING.set(true);
        let error = open(&root, "dir/file", OFlags::RDONLY).unwrap_err();
        PROC_IS_MISSING.set(false);
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    /// What this thread has spent on a processor.
    fn time_on_cpu() -> Option<Duration> {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(stat.split(' ').next()?.parse().ok()?))
    }
}
