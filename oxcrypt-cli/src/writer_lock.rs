//! One writer for each vault: two that know nothing of each other's caches would overwrite each other's changes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::{Failure, Result};

/// More than any holder says of itself.
const MAX_NOTE: u64 = 8 << 10;

/// For so long a writer that has ended is waited for. One that was killed lets go a moment later, when the last of its
/// threads is gone; one that still hangs in the storage may never do so.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at a lock that somebody is about to let go of.
const PAUSE: Duration = Duration::from_millis(5);

/// The right to write to a vault, for as long as this lives.
///
/// It is a locked file in the user's runtime directory, never in the vault, named by the file system and the number of the
/// vault's folder, so that it does not matter which path leads there. The system lets go of it when the process ends,
/// however it ends. Readers need none. It holds among the processes of one user on one machine.
#[derive(Debug)]
pub(crate) struct WriterLock {
    /// One in every folder that some process of this user may take for the runtime directory: the environment tells one
    /// so and another otherwise.
    _held: Vec<Held>,
}

/// A file that nobody else has locked.
#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
}

impl WriterLock {
    /// Becomes the writer of the vault in `folder`, which is asked for its number and may take its time to tell. `what`
    /// is what others are told that this process does, without anything secret.
    ///
    /// # Errors
    ///
    /// Whoever writes to the vault already is named.
    pub(crate) fn take(folder: &Path, what: &str) -> Result<Self> {
        let cannot = |error: io::Error| Failure::failed(format_args!("{}: {error}", folder.display()));
        let name = format!("{}.writer", name_of(folder).map_err(cannot)?);
        let dirs = lock_dirs()
            .map_err(|error| Failure::failed(format_args!("no place for the lock of a writer: {error}")))?;
        let held = dirs.iter().map(|dir| Held::take(dir.join(&name), what)).collect::<Result<_>>()?;
        Ok(Self { _held: held })
    }
}

impl Held {
    fn take(path: PathBuf, what: &str) -> Result<Self> {
        let cannot = |error: io::Error| Failure::failed(format_args!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let since = Instant::now();
        loop {
            let mut file = options.open(&path).map_err(cannot)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = Holder::of(&mut file);
                    if !holder.has_ended || since.elapsed() >= PATIENCE {
                        return Err(Failure::other_writer(holder.who));
                    }
                    thread::sleep(PAUSE);
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
            // Whoever held it has removed it between these two calls, so the next one would lock another.
            if !is_still(&path, &file).map_err(cannot)? {
                continue;
            }
            // Whether others can read who it is changes nothing.
            let noted = file.set_len(0).and_then(|()| write!(file, "{} {what}", process::id()));
            drop(noted);
            return Ok(Self { file, path });
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Another file that came to this path is somebody else's.
        if is_still(&self.path, &self.file).unwrap_or(false) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Whether a path leads to this file.
#[cfg(unix)]
fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Nobody removes a file here that is open.
#[cfg(not(unix))]
fn is_still(path: &Path, _: &File) -> io::Result<bool> {
    path.try_exists()
}

/// Who has a lock, as it has noted itself.
struct Holder {
    who: String,
    has_ended: bool,
}

impl Holder {
    fn of(file: &mut File) -> Self {
        let mut note = String::new();
        let read = file.rewind().and_then(|()| file.take(MAX_NOTE).read_to_string(&mut note));
        let Some((process, what)) = note.split_once(' ').filter(|_| read.is_ok()) else {
            return Self { who: "another process".to_owned(), has_ended: false };
        };
        let has_ended = has_ended(process);
        let hangs = if has_ended { ", which has ended but still hangs in the storage," } else { "" };
        Self { who: format!("process {process} ({what}){hangs}"), has_ended }
    }
}

/// Whether a process has ended, and the kernel waits for what it still does in the storage: that may be a change, so its
/// lock holds until then.
fn has_ended(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// The same for every path of a folder.
#[cfg(unix)]
fn name_of(folder: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(folder)?;
    Ok(format!("{:x}-{:x}", found.dev(), found.ino()))
}

/// The standard library tells no number here.
#[cfg(not(unix))]
fn name_of(folder: &Path) -> io::Result<String> {
    use sha2::{Digest as _, Sha256};
    let path = fs::canonicalize(folder)?;
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    Ok(data_encoding::HEXLOWER.encode(hash.get(..8).unwrap_or_default()))
}

#[cfg(target_os = "linux")]
fn lock_dirs() -> io::Result<Vec<PathBuf>> {
    crate::runtime_dir::all()
}

/// The folder for temporary files is the user's own here.
#[cfg(not(target_os = "linux"))]
fn lock_dirs() -> io::Result<Vec<PathBuf>> {
    let dir = std::env::temp_dir().join("oxcrypt");
    fs::create_dir_all(&dir)?;
    Ok(vec![dir])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Code;

    #[test]
    fn a_second_writer_is_told_who_the_first_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = WriterLock::take(dir.path(), "passphrase change").unwrap();
        let refused = WriterLock::take(dir.path(), "put").unwrap_err();
        assert_eq!(refused.code(), Code::OtherWriter);
        let who = format!("process {} (passphrase change)", process::id());
        assert!(refused.text().unwrap().contains(&who), "{refused:?}");
        let name = format!("{}.writer", name_of(dir.path()).unwrap());
        let files = || lock_dirs().unwrap().into_iter().filter(|dir| dir.join(&name).exists()).count();
        assert_eq!(files(), lock_dirs().unwrap().len());
        drop(first);
        assert!(cfg!(not(unix)) || files() == 0, "nothing of it stays");
        let second = WriterLock::take(dir.path(), "put").unwrap();
        let refused = WriterLock::take(dir.path(), "rm").unwrap_err();
        assert!(refused.text().unwrap().contains("(put)"), "{refused:?}");
        drop(second);
    }

    #[test]
    fn another_vault_is_another_lock() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _first = WriterLock::take(one.path(), "put").unwrap();
        assert!(WriterLock::take(other.path(), "put").is_ok());
    }

    #[test]
    fn of_many_that_come_and_go_only_one_is_the_writer_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (writers, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while taken.load(Ordering::SeqCst) < 500 {
                        let Ok(lock) = WriterLock::take(dir.path(), "put") else { continue };
                        assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(writers.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_writer_that_has_ended_is_waited_for_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = WriterLock::take(dir.path(), "put").unwrap();
        let mut ended = process::Command::new("true").spawn().unwrap();
        while !has_ended(&ended.id().to_string()) {
            thread::yield_now();
        }
        for lock in lock_dirs().unwrap() {
            let lock = lock.join(format!("{}.writer", name_of(dir.path()).unwrap()));
            fs::write(lock, format!("{} put", ended.id())).unwrap();
        }
        let refused = WriterLock::take(dir.path(), "rm").unwrap_err();
        assert!(refused.text().unwrap().contains("(put), which has ended"), "{refused:?}");
        thread::scope(|scope| {
            let next = scope.spawn(|| WriterLock::take(dir.path(), "rm"));
            thread::sleep(10 * PAUSE);
            drop(first);
            assert!(next.join().unwrap().is_ok());
        });
        ended.wait().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn another_path_of_the_same_vault_is_the_same_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, link) = (dir.path().join("vault"), dir.path().join("link"));
        fs::create_dir(&vault).unwrap();
        std::os::unix::fs::symlink(&vault, &link).unwrap();
        let first = WriterLock::take(&link, "put").unwrap();
        assert!(WriterLock::take(&vault, "put").is_err());
        // Nothing is ever put into the vault for that.
        assert_eq!(fs::read_dir(&vault).unwrap().count(), 0);
        fs::rename(&vault, dir.path().join("moved")).unwrap();
        assert!(WriterLock::take(&dir.path().join("moved"), "put").is_err());
        drop(first);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_writer() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(WriterLock::take(&dir.path().join("none"), "put").unwrap_err().code(), Code::Failed);
    }
}
