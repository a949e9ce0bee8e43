//! One run that brings files into a vault: what becomes of each entry.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oxcrypt_core::{Name, Node};

use super::directory::{Directory, Filling};
use super::host::Root;
use super::origin::Origin;
use super::stopped::Stopped;
use crate::exit::{Code, code_of};
use crate::interrupt::Interrupt;
use crate::output::Console;
use crate::printable::printable;
use crate::progress::{Words, count};
use crate::run::{Event, Fatal, OnEvent, Run};
use crate::source::Source;

mod check;
mod find;
mod find_entries;
mod work;

/// What the command line asked for.
pub(crate) struct Settings {
    /// Leave what is there alone.
    pub(crate) no_clobber: bool,
    /// Skip what is there already with the right length and time.
    pub(crate) resume: bool,
    pub(crate) workers: usize,
}

/// A run.
pub(crate) struct Job<'j> {
    pub(crate) run: Run<'j, Found, Infallible, String>,
    filling: Arc<Filling>,
    settings: Settings,
    /// The vault's storage has failed for some entry.
    storage_failed: AtomicBool,
}

/// A file to be brought into the vault.
pub(crate) struct Found {
    origin: Origin,
    directory: Arc<Directory>,
    /// Its name there.
    name: Name,
    /// Its length, where somebody watches how far it is; else 0.
    len: u64,
}

/// What is to be brought into the vault, with all that is below.
pub(crate) enum Start {
    Host(Root),
    Entry(Arc<Node>),
    StandardInput,
}

/// Where it is to go.
pub(crate) struct Target {
    pub(crate) directory: Arc<Directory>,
    /// The name to have there; its own where this is `None`.
    pub(crate) name: Option<Name>,
}

impl<'j> Job<'j> {
    pub(crate) fn new(
        filling: Arc<Filling>,
        settings: Settings,
        words: Words,
        console: &'j Console,
        interrupt: &'j Interrupt,
        on_event: OnEvent<'j>,
    ) -> Self {
        let run = Run::new(words, console, interrupt, on_event);
        Self { run, filling, settings, storage_failed: AtomicBool::new(false) }
    }

    /// Whether the vault's storage has failed for some entry.
    pub(crate) fn has_storage_failed(&self) -> bool {
        self.storage_failed.load(Ordering::Relaxed)
    }

    /// Brings everything to where it is to go.
    ///
    /// # Errors
    ///
    /// What ended the run before its time. Everything else is told as it happens.
    pub(crate) fn put(&self, starts: Vec<Start>, target: Target) -> Result<(), Fatal<String>> {
        let find = || {
            let mut taken = HashSet::new();
            for start in starts {
                match start {
                    Start::Host(root) => self.find_on_host(root, &target, &mut taken),
                    Start::Entry(node) => self.find_in_vault(&node, &target, &mut taken),
                    Start::StandardInput => self.find_standard_input(&target),
                }
            }
            // Its time, and that of those above, is set when nobody needs it any more.
            drop(target);
        };
        self.run.go(self.settings.workers, || self.work(), find)?;
        for (path, error) in self.filling.take_unsynced() {
            self.stopped(&path, &Stopped::Vault(error));
        }
        Ok(())
    }

    fn source(&self) -> &Source {
        &self.filling.source
    }

    fn find_standard_input(&self, target: &Target) {
        let Target { directory, name: Some(name) } = target else { return };
        let (directory, name) = (Arc::clone(directory), name.clone());
        self.run.queue.push(Found { origin: Origin::StandardInput, directory, name, len: 0 });
    }

    /// Whether a name is still free among those that were given in a directory by this run.
    fn is_free(&self, taken: &mut HashSet<Name>, name: &Name, path: &dyn Fn() -> String) -> bool {
        let is_free = taken.insert(name.clone());
        if !is_free {
            self.run.failed(&path(), "something else that was brought along has this name in the vault");
        }
        is_free
    }

    /// Only this entry, or the whole run.
    fn stopped(&self, path: &str, stopped: &Stopped) {
        if stopped.is_fatal() {
            return self.run.give_up(Fatal::Destination(stopped.to_string()));
        }
        if let Stopped::Vault(error) = stopped {
            self.storage_failed.fetch_or(code_of(error) == Code::Failed, Ordering::Relaxed);
        }
        if !matches!(stopped, Stopped::Asked) {
            self.run.failed(path, &stopped.to_string());
        }
    }

    fn left_out(&self, path: &str, why: &str) {
        count(&self.run.counts.left_out);
        self.run.console.note(format_args!("{}: left out: {why}", printable(path)));
        self.run.tell(Event::LeftOut { path, why });
    }
}
