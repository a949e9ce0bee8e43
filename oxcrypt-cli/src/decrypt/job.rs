//! One run of `decrypt`: the walk, the workers, and what becomes of each entry.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use oxcrypt_core::{Node, NodeKind, Vault};

use super::copy::Stopped;
use super::folder::Folder;
use super::progress::{Counts, Progress, count};
use super::queue::Queue;
use crate::interrupt::Interrupt;
use crate::lock::lock;
use crate::output::Console;
use crate::printable::printable;
use crate::walk::Walk;

mod find;
mod work;

use work::Shared;

/// What the command line asked for.
pub(crate) struct Settings {
    pub(crate) force: bool,
    pub(crate) resume: bool,
    pub(crate) keep_damaged: bool,
    pub(crate) workers: usize,
}

/// Told of each entry that could not be decrypted, or not whole: its path, and why.
type OnFailed<'j> = &'j (dyn Fn(&str, &str) + Sync);

/// A run.
pub(crate) struct Job<'j> {
    vault: &'j Vault,
    settings: Settings,
    console: &'j Console,
    interrupt: &'j Interrupt,
    counts: Counts,
    on_failed: OnFailed<'j>,
    queue: Queue<Found, Arc<Shared>>,
    /// Why the destination takes nothing more.
    fatal: Mutex<Option<io::Error>>,
}

/// A file that the walk has found.
pub(crate) struct Found {
    node: Arc<Node>,
    folder: Arc<Folder>,
    /// Its name in the destination.
    name: String,
}

impl<'j> Job<'j> {
    pub(crate) fn new(
        vault: &'j Vault,
        settings: Settings,
        console: &'j Console,
        interrupt: &'j Interrupt,
        on_failed: OnFailed<'j>,
    ) -> Self {
        let (counts, queue, fatal) = (Counts::default(), Queue::new(), Mutex::default());
        Self { vault, settings, console, interrupt, counts, on_failed, queue, fatal }
    }

    pub(crate) fn vault(&self) -> &'j Vault {
        self.vault
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Decrypts each of `starts` to the place it has in the vault, the vault's root being `dest`.
    ///
    /// # Errors
    ///
    /// Why the destination takes nothing more. Everything else is told as it happens.
    pub(crate) fn run(&self, starts: &[Arc<Node>], dest: &Arc<Folder>) -> io::Result<()> {
        let progress = Progress::new(&self.counts, self.console);
        thread::scope(|scope| {
            scope.spawn(|| progress.run());
            if progress.wants_totals() {
                scope.spawn(|| self.add_up(starts).map(|bytes| progress.set_total(bytes)));
            }
            let workers: Vec<_> = (0..self.settings.workers).map(|_| scope.spawn(|| self.work())).collect();
            for start in starts {
                self.find_below(start, dest);
            }
            self.queue.close();
            for worker in workers {
                if worker.join().is_err() {
                    self.give_up(io::Error::other("a worker panicked"));
                }
            }
            self.queue.stop();
            progress.end();
        });
        match lock(&self.fatal).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.interrupt.is_asked() || lock(&self.fatal).is_some()
    }

    /// Adds up how much there is, as long as anybody works on it.
    fn add_up(&self, starts: &[Arc<Node>]) -> Option<u64> {
        let mut bytes = 0;
        let mut add = |node: &Arc<Node>| {
            if node.kind() == NodeKind::File {
                bytes += self.vault.attributes(node, Instant::now()).map_or(0, |known| known.len);
            }
        };
        for start in starts {
            if start.kind() != NodeKind::Directory {
                add(start);
                continue;
            }
            for item in Walk::below(self.vault, start).ok()? {
                if self.queue.is_stopped() || self.is_over() {
                    return None;
                }
                item.node.iter().for_each(&mut add);
            }
        }
        Some(bytes)
    }

    fn stopped(&self, found: &Found, stopped: Stopped) {
        let path = found.node.path().to_string();
        match stopped {
            Stopped::Source(error) => self.failed(&path, &error.to_string()),
            Stopped::CutOff(torn) => self.failed(&path, &torn.to_string()),
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
            _ => self.give_up(error),
        }
    }

    fn give_up(&self, error: io::Error) {
        lock(&self.fatal).get_or_insert(error);
        self.queue.stop();
    }

    /// Tells of an entry that could not be decrypted, or not whole.
    pub(crate) fn failed(&self, path: &str, why: &str) {
        count(&self.counts.failed);
        self.console.error(format_args!("{}: {why}", printable(path)));
        (self.on_failed)(path, why);
    }
}

fn taken(settings: &Settings) -> &'static str {
    if settings.resume {
        "the destination has something else of this name; --force replaces it"
    } else {
        "the destination has something of this name; --force replaces it, --resume skips what is right already"
    }
}
