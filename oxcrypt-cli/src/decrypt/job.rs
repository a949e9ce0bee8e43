//! One run of `decrypt`: the walk, the workers, and what becomes of each entry.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oxcrypt_core::{ErrorKind, Node};

use super::copy::Stopped;
use super::folder::Folder;
use super::progress::{Counts, Progress, count};
use super::queue::Queue;
use crate::exit::{Code, code_of};
use crate::interrupt::Interrupt;
use crate::lock::lock;
use crate::output::Console;
use crate::printable::printable;
use crate::source::Source;

mod find;
mod work;

use work::Shared;

/// How long a file is waited for, for each thing that is asked of it, while there are others that may answer.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What the command line asked for.
pub(crate) struct Settings {
    pub(crate) force: bool,
    pub(crate) resume: bool,
    pub(crate) keep_damaged: bool,
    pub(crate) workers: usize,
}

/// What is worth telling a program, too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'e> {
    /// An entry could not be decrypted, or not whole.
    Failed { path: &'e str, why: &'e str },
    /// An entry has another name in the destination.
    Alias { path: &'e str, name: &'e str },
}

/// Told of each event.
type OnEvent<'j> = &'j (dyn Fn(Event<'_>) + Sync);

/// Why a run ended before its time.
#[derive(Debug)]
pub(crate) enum Fatal {
    /// The destination takes nothing more.
    Destination(io::Error),
    /// This program is wrong.
    Panic,
}

/// A run.
pub(crate) struct Job<'j> {
    source: &'j Source,
    /// The same for whatever is asked the first time; `None` where that gets all the patience there is.
    hurried: Option<Source>,
    settings: Settings,
    console: &'j Console,
    interrupt: &'j Interrupt,
    counts: Counts,
    on_event: OnEvent<'j>,
    queue: Queue<Found, Shared>,
    fatal: Mutex<Option<Fatal>>,
    /// The vault's storage has failed for some entry.
    storage_failed: AtomicBool,
    /// Some entry is damaged, and a part of it could be kept.
    could_keep: AtomicBool,
}

/// A file that the walk has found.
pub(crate) struct Found {
    node: Arc<Node>,
    folder: Arc<Folder>,
    /// Its name in the destination.
    name: String,
    /// Its length, where somebody watches how far it is; else 0.
    len: u64,
    /// It did not answer when it was asked in a hurry.
    is_set_aside: bool,
}

impl<'j> Job<'j> {
    pub(crate) fn new(
        source: &'j Source,
        settings: Settings,
        console: &'j Console,
        interrupt: &'j Interrupt,
        on_event: OnEvent<'j>,
    ) -> Self {
        let (counts, queue, fatal) = (Counts::default(), Queue::new(), Mutex::default());
        let (storage_failed, could_keep) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            source,
            hurried: source.hurried(FIRST_PATIENCE),
            settings,
            console,
            interrupt,
            counts,
            on_event,
            queue,
            fatal,
            storage_failed,
            could_keep,
        }
    }

    pub(crate) fn source(&self) -> &'j Source {
        self.source
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the vault's storage has failed for some entry.
    pub(crate) fn has_storage_failed(&self) -> bool {
        self.storage_failed.load(Ordering::Relaxed)
    }

    /// Whether a part of some damaged entry could have been kept.
    pub(crate) fn could_keep_damaged(&self) -> bool {
        self.could_keep.load(Ordering::Relaxed)
    }

    /// Decrypts each of `starts` to the place it has in the vault, the vault's root being `dest`.
    ///
    /// # Errors
    ///
    /// What ended the run before its time. Everything else is told as it happens.
    pub(crate) fn run(&self, starts: &[Arc<Node>], dest: &Arc<Folder>) -> Result<(), Fatal> {
        let progress = Progress::new(&self.counts, self.console);
        thread::scope(|scope| {
            let _ending = Ending { job: self, progress: &progress };
            scope.spawn(|| progress.run());
            let workers: Vec<_> = (0..self.settings.workers)
                .map(|_| {
                    scope.spawn(|| {
                        let _guard = OnPanic(self);
                        self.work();
                    })
                })
                .collect();
            self.find(starts, dest);
            self.counts.found_all();
            self.queue.close();
            for worker in workers {
                // One that panicked has said so.
                drop(worker.join());
            }
        });
        match lock(&self.fatal).take() {
            Some(fatal) => Err(fatal),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.interrupt.is_asked() || lock(&self.fatal).is_some()
    }

    fn stopped(&self, found: &Found, stopped: Stopped) {
        let path = found.node.path().to_string();
        match stopped {
            Stopped::Source(error) => {
                if error.kind() == Some(ErrorKind::Damaged) {
                    self.could_keep.fetch_or(!self.settings.keep_damaged, Ordering::Relaxed);
                }
                self.storage_failed.fetch_or(code_of(&error) == Code::Failed, Ordering::Relaxed);
                self.failed(&path, &error.to_string());
            }
            Stopped::CutOff(torn) => {
                let could_keep = torn.readable > 0 && !self.settings.keep_damaged;
                self.could_keep.fetch_or(could_keep, Ordering::Relaxed);
                self.failed(&path, &torn.to_string());
            }
            Stopped::NameTaken => self.failed(&path, OF_THIS_RUN),
            Stopped::Destination(error) => self.destination_failed(&path, error),
            Stopped::Asked => {}
        }
    }

    /// Only this entry, or the whole run.
    fn destination_failed(&self, path: &str, error: io::Error) {
        use io::ErrorKind as Io;
        match error.kind() {
            Io::AlreadyExists => self.failed(path, taken(&self.settings)),
            Io::NotADirectory
            | Io::IsADirectory
            | Io::NotFound
            | Io::PermissionDenied
            | Io::InvalidFilename
            | Io::InvalidInput
            | Io::FileTooLarge
            | Io::DirectoryNotEmpty
            | Io::Unsupported => {
                self.failed(path, &format!("cannot be written to the destination: {error}"));
            }
            _ if is_too_many_files(&error) => {
                self.failed(path, "too many folders within each other for this system");
            }
            _ => self.give_up(Fatal::Destination(error)),
        }
    }

    fn give_up(&self, fatal: Fatal) {
        lock(&self.fatal).get_or_insert(fatal);
        self.queue.stop();
    }

    /// Tells of an entry that could not be decrypted, or not whole.
    pub(crate) fn failed(&self, path: &str, why: &str) {
        count(&self.counts.failed);
        self.console.error(format_args!("{}: {why}", printable(path)));
        (self.on_event)(Event::Failed { path, why });
    }
}

/// Ends the run if a worker panics, so that nobody waits for it.
struct OnPanic<'j>(&'j Job<'j>);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.give_up(Fatal::Panic);
        }
    }
}

/// Sees to it that workers and progress end, also if the walk panics.
struct Ending<'j> {
    job: &'j Job<'j>,
    progress: &'j Progress<'j>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.job.queue.stop();
        self.progress.end();
    }
}

#[cfg(unix)]
fn is_too_many_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).contains(&error.raw_os_error().unwrap_or(0))
}

#[cfg(not(unix))]
fn is_too_many_files(_: &io::Error) -> bool {
    false
}

/// What is said of an entry whose name this run has given to another.
const OF_THIS_RUN: &str = "another entry has this name in the destination already";

fn taken(settings: &Settings) -> &'static str {
    match settings {
        Settings { force: true, .. } => OF_THIS_RUN,
        Settings { resume: true, .. } => {
            "the destination has something else of this name; --force replaces it"
        }
        _ => {
            "the destination has something of this name; --force replaces it, --resume skips what is right already"
        }
    }
}
