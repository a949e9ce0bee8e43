//! Where a mount logs to: standard error, or a file that stays small.
//!
//! Only this project's own crates are heard, because they are careful with what they say: ciphertext paths, never
//! names or keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use log::{LevelFilter, Log, Metadata, Record};

use crate::runtime_dir;

/// The length at which a log is put aside and a new one begun. One old one is kept.
const FULL: u64 = 1 << 20;
/// Lines that wait to be written, at most. Those beyond are lost.
const WAITING: usize = 1024;
/// How long the end of a process waits for the last of them.
const LAST_LINES: Duration = Duration::from_millis(300);

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

/// From now on what is logged goes to `file`, or to standard error. A thread of its own writes it: a terminal that was
/// stopped, a pipe that nobody reads or a folder that hangs is not to hold up whoever has something to say.
pub(crate) fn start(file: Option<LogFile>, verbose: bool) {
    let level = if verbose { LevelFilter::Debug } else { LevelFilter::Info };
    // Fails only where there is a logger already, and then that one is heard; or where the system refuses a thread, and
    // then there will be no mount.
    if let Ok(logger) = Logger::to(file)
        && log::set_boxed_logger(Box::new(logger)).is_ok()
    {
        log::set_max_level(level);
    }
}

/// Waits until what was logged has been written, for a moment at most.
pub(crate) fn finish() {
    log::logger().flush();
}

struct Logger(SyncSender<Note>);

/// What the thread that writes is told.
enum Note {
    Line(String),
    /// To say when it has come as far as this.
    Flush(SyncSender<()>),
}

impl Logger {
    fn to(file: Option<LogFile>) -> io::Result<Self> {
        let (tell, told) = mpsc::sync_channel(WAITING);
        let writer = thread::Builder::new().name("oxcrypt-log".to_owned()).stack_size(256 << 10);
        writer.spawn(move || write_out(file, &told))?;
        Ok(Self(tell))
    }
}

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
        drop(self.0.try_send(Note::Line(line)));
    }

    fn flush(&self) {
        let (tell, told) = mpsc::sync_channel(1);
        if self.0.try_send(Note::Flush(tell)).is_ok() {
            let _in_time = told.recv_timeout(LAST_LINES);
        }
    }
}

fn write_out(mut file: Option<LogFile>, notes: &Receiver<Note>) {
    for note in notes {
        match (note, &mut file) {
            // A log that cannot be written is no reason to stop.
            (Note::Line(line), Some(file)) => drop(file.write(&line)),
            (Note::Line(line), None) => drop(io::stderr().write_all(line.as_bytes())),
            (Note::Flush(tell), _) => drop(tell.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
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
    fn a_log_that_nobody_reads_holds_nobody_up_and_goes_on_when_somebody_does() {
        let (reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let logger = Logger::to(Some(LogFile { path: PathBuf::new(), file, len: 0 })).unwrap();
        let (tell, told) = mpsc::channel();
        let speaker = thread::spawn(move || {
            // More than the pipe holds and than may wait.
            for number in 0..4 * WAITING {
                let text = format!("{number} {}", "x".repeat(200));
                logger.log(&Record::builder().target("oxcrypt").args(format_args!("{text}")).build());
            }
            logger.flush();
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(20)).expect("an end, though nobody reads");
        speaker.join().unwrap();
        let lines = io::BufReader::new(reader).lines().map(Result::unwrap);
        let numbers: Vec<_> =
            lines.map(|line| line.split(' ').rev().nth(1).unwrap().parse::<usize>().unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.starts_with(&[0, 1, 2]), "{numbers:?}");
        assert!((WAITING..4 * WAITING).contains(&numbers.len()), "{}", numbers.len());
    }

    #[test]
    fn nobody_is_heard_but_this_project() {
        let logger = Logger::to(None).unwrap();
        let enabled = |target| logger.enabled(&Metadata::builder().target(target).build());
        assert!(enabled("oxcrypt_fuse::adapter") && enabled("oxcrypt::daemon"));
        assert!(!enabled("fuser::request"));
    }
}
