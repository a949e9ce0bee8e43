//! One run of `decrypt`: what becomes of each entry.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oxcrypt_core::{ErrorKind, Node};

use super::copy::Stopped;
use super::folder::Folder;
use crate::exit::{Code, code_of};
use crate::interrupt::Interrupt;
use crate::output::Console;
use crate::progress::Words;
use crate::run::{Fatal, OnEvent, Run};
use crate::source::Source;

mod find;
mod work;

use work::Shared;

/// How long a file is waited for, for each thing that is asked of it, while there are others that may answer.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

const WORDS: Words = Words { done: "decrypted", destination: "destination" };

/// What the command line asked for.
pub(crate) struct Settings {
    pub(crate) force: bool,
    pub(crate) resume: bool,
    pub(crate) keep_damaged: bool,
    pub(crate) workers: usize,
}

/// A run of `decrypt`.
pub(crate) struct Job<'j> {
    pub(crate) run: Run<'j, Found, Shared, io::Error>,
    source: &'j Source,
    /// The same for whatever is asked the first time; `None` where that gets all the patience there is.
    hurried: Option<Source>,
    settings: Settings,
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
        let (storage_failed, could_keep) = (AtomicBool::new(false), AtomicBool::new(false));
        let run = Run::new(WORDS, console, interrupt, on_event);
        Self { run, source, hurried: source.hurried(FIRST_PATIENCE), settings, storage_failed, could_keep }
    }

    pub(crate) fn source(&self) -> &'j Source {
        self.source
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
    pub(crate) fn decrypt(&self, starts: &[Arc<Node>], dest: &Arc<Folder>) -> Result<(), Fatal<io::Error>> {
        self.run.go(self.settings.workers, || self.work(), || self.find(starts, dest))
    }

    fn stopped(&self, found: &Found, stopped: Stopped) {
        let path = found.node.path().to_string();
        match stopped {
            Stopped::Source(error) => {
                if error.kind() == Some(ErrorKind::Damaged) {
                    self.could_keep.fetch_or(!self.settings.keep_damaged, Ordering::Relaxed);
                }
                self.storage_failed.fetch_or(code_of(&error) == Code::Failed, Ordering::Relaxed);
                self.run.failed(&path, &error.to_string());
            }
            Stopped::CutOff(torn) => {
                let could_keep = torn.readable > 0 && !self.settings.keep_damaged;
                self.could_keep.fetch_or(could_keep, Ordering::Relaxed);
                self.run.failed(&path, &torn.to_string());
            }
            Stopped::NameTaken => self.run.failed(&path, OF_THIS_RUN),
            Stopped::Destination(error) => self.destination_failed(&path, error),
            Stopped::Asked => {}
        }
    }

    /// Only this entry, or the whole run.
    fn destination_failed(&self, path: &str, error: io::Error) {
        use io::ErrorKind as Io;
        match error.kind() {
            Io::AlreadyExists => self.run.failed(path, taken(&self.settings)),
            Io::NotADirectory
            | Io::IsADirectory
            | Io::NotFound
            | Io::PermissionDenied
            | Io::InvalidFilename
            | Io::InvalidInput
            | Io::FileTooLarge
            | Io::DirectoryNotEmpty
            | Io::Unsupported => {
                self.run.failed(path, &format!("cannot be written to the destination: {error}"));
            }
            _ if is_too_many_files(&error) => {
                self.run.failed(path, "too many folders within each other for this system");
            }
            _ => self.run.give_up(Fatal::Destination(error)),
        }
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
