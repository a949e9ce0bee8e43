//! Where a mount logs to: standard error, or a file that stays small.
//!
//! Only this project's own crates are heard, because they are careful with what they say: ciphertext paths, never
//! names or keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use jiff::Timestamp;
use log::{LevelFilter, Log, Metadata, Record};

use crate::lock::lock;
use crate::runtime_dir;

/// The length at which a log is put aside and a new one begun. One old one is kept.
const FULL: u64 = 1 << 20;

/// A log in a file, and its length.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl LogFile {
    /// Opens the log at `path` to go on with it. Nobody but its user may read a new one.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, len })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.len + line.len() as u64 > FULL && self.file.metadata()?.is_file() {
            fs::rename(&self.path, self.path.with_extension("old"))?;
            *self = Self::open(&self.path)?;
        }
        self.file.write_all(line.as_bytes())?;
        self.len += line.len() as u64;
        Ok(())
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The log of the mount at `mountpoint`, unless somebody chose another file. Its folder is made.
pub(crate) fn path_for(mountpoint: &Path) -> io::Result<PathBuf> {
    let told = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state = told("XDG_STATE_HOME").or_else(|| Some(told("HOME")?.join(".local/state")));
    let dir = match state {
        Some(state) => state.join("oxcrypt"),
        None => runtime_dir::create()?,
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    Ok(dir.join(format!("mount-{}.log", runtime_dir::tag(mountpoint))))
}

/// From now on what is logged goes to `file`, or to standard error.
pub(crate) fn start(file: Option<LogFile>, verbose: bool) {
    let level = if verbose { LevelFilter::Debug } else { LevelFilter::Info };
    // Fails only where there is a logger already, and then that one is heard.
    if log::set_boxed_logger(Box::new(Logger(Mutex::new(file)))).is_ok() {
        log::set_max_level(level);
    }
}

struct Logger(Mutex<Option<LogFile>>);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("oxcrypt")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let time = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let time = time.strftime("%Y-%m-%dT%H:%M:%SZ");
        let line = format!("{time} {:<5} {}\n", record.level(), record.args());
        // A log that cannot be written is no reason to stop.
        match &mut *lock(&self.0) {
            Some(file) => drop(file.write(&line)),
            None => drop(io::stderr().write_all(line.as_bytes())),
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_log_stays_small_and_private_and_one_old_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mount-x.log");
        let line = format!("{}\n", "x".repeat(1 << 16));
        let mut file = LogFile::open(&path).unwrap();
        for _ in 0..40 {
            file.write(&line).unwrap();
        }
        drop(file);
        let len = |path: &Path| fs::metadata(path).unwrap().len();
        let old = path.with_extension("old");
        assert!(len(&path) <= FULL && len(&old) <= FULL);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);

        let before = len(&path);
        LogFile::open(&path).unwrap().write("more\n").unwrap();
        assert_eq!(len(&path), before + 5, "a log is gone on with");
    }

    #[test]
    fn nobody_is_heard_but_this_project() {
        let logger = Logger(Mutex::new(None));
        let enabled = |target| logger.enabled(&Metadata::builder().target(target).build());
        assert!(enabled("oxcrypt_fuse::adapter") && enabled("oxcrypt::daemon"));
        assert!(!enabled("fuser::request"));
    }
}
