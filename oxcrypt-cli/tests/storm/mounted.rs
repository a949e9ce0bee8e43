//! `oxcrypt mount` and what children see of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::child::{CEILING, Child, poll};
use crate::mounts::Mount;
use crate::who::Who;

/// The command.
pub(crate) const OXCRYPT: &str = env!("CARGO_BIN_EXE_oxcrypt");

/// What opens the vaults here.
pub(crate) const PASSPHRASE: &str = "storm";

/// A vault that is mounted, and the process that serves it. Dropping it ends both, whoever waits for them.
pub(crate) struct Mounted {
    who: Who,
    place: PathBuf,
    home: PathBuf,
    process: Child,
}

impl Mounted {
    /// Mounts in the foreground, and returns when the mount answers.
    pub(crate) fn start(who: Who, vault: &Path, place: &Path, home: &Path, options: &[&str]) -> Self {
        let home = home.join(format!("{who:?}"));
        let mut command = who.command(&home, OXCRYPT);
        command.args(["mount", "--foreground", "--passphrase-env", "PASSPHRASE"]);
        Self::run(who, command.args(options).arg(vault).arg(place), place, &home)
    }

    /// The same by a command that is made otherwise.
    pub(crate) fn run(who: Who, command: &mut Command, place: &Path, home: &Path) -> Self {
        let process = Child::start(command.env("PASSPHRASE", PASSPHRASE));
        let mut mounted = Self { who, place: place.to_owned(), home: home.to_owned(), process };
        let up = poll(CEILING, || {
            let up = Mount::at(place).is_some();
            (up || !mounted.process.is_running()).then_some(up)
        });
        if up != Some(true) {
            let ended = mounted.process.ended_within(Duration::ZERO);
            panic!(
                "does not mount: {}",
                String::from_utf8_lossy(&ended.map(|end| end.output).unwrap_or_default())
            );
        }
        mounted.look("stat", &[""]).succeed();
        mounted
    }

    /// A file's path: for children only.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// The process that serves it.
    pub(crate) fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// A program run by whoever mounted.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.who.command(&self.home, program)
    }

    /// `oxcrypt` with the mount as its last word.
    pub(crate) fn oxcrypt(&self, words: &[&str]) -> Child {
        Child::start(self.command(OXCRYPT).args(words).arg(&self.place))
    }

    /// A program that looks at entries of the mount.
    pub(crate) fn look(&self, program: &str, names: &[&str]) -> Child {
        Child::start(self.command(program).args(names.iter().map(|name| self.path(name))))
    }

    /// Whether the mount table has it.
    pub(crate) fn is_mounted(&self) -> bool {
        Mount::at(&self.place).is_some()
    }

    /// What `oxcrypt status` says.
    pub(crate) fn status(&self) -> Value {
        let ended = self.oxcrypt(&["status", "--json"]).succeed();
        serde_json::from_slice(&ended.output).expect("JSON")
    }

    /// Sends a signal to the process that serves it.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("a process that is there");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.process.is_running() {
            self.signal(Signal::TERM);
            poll(Duration::from_secs(5), || (!self.process.is_running()).then_some(()));
        }
        if let Some(mount) = Mount::at(&self.place) {
            let _ = mount.undo();
        }
    }
}
