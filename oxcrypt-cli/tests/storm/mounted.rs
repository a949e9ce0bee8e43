//! `oxcrypt mount` and what children see of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::child::{CEILING, Child, Ended, poll};
use crate::mounts::Mount;
use crate::scene::{HOT_FILES, PASSPHRASE, hot_content};
use crate::who::Who;

/// The command.
pub(crate) const OXCRYPT: &str = env!("CARGO_BIN_EXE_oxcrypt");

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
        command.args(["mount", "--read-only", "--foreground", "--passphrase-env", "PASSPHRASE"]);
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

    /// Reads the first page of a file.
    pub(crate) fn read_page(&self, name: &str) -> Child {
        let mut input = std::ffi::OsString::from("if=");
        input.push(self.path(name));
        Child::start(self.command("dd").arg(input).args(["bs=4096", "count=1", "status=none"]))
    }

    /// A crowd, each of whom reads the first page of a cold file of its own. Returns when the kernel has `waiting`
    /// requests from them.
    pub(crate) fn crowd(&self, cold: std::ops::Range<usize>, waiting: usize) -> Child {
        let script = r#"
            i=$2
            while [ $i -lt $3 ]; do
                dd if="$1/$i" bs=4096 count=1 of=/dev/null status=none 2>/dev/null &
                i=$((i + 1))
            done
            wait"#;
        let mut command = self.command("sh");
        command.args(["-uc", script, "sh"]).arg(self.path("cold"));
        let crowd = Child::start(command.args([cold.start.to_string(), cold.end.to_string()]));
        let there = poll(CEILING, || (self.waiting() >= waiting as u64).then_some(()));
        assert!(there.is_some(), "{} wait, not {waiting}", self.waiting());
        crowd
    }

    /// How many requests of this mount the kernel has no answer to.
    pub(crate) fn waiting(&self) -> u64 {
        let controls = Mount::at(&self.place).and_then(|mount| mount.controls());
        controls.and_then(|controls| controls.waiting().ok()).unwrap_or(0)
    }

    /// Whether the mount table has it.
    pub(crate) fn is_mounted(&self) -> bool {
        Mount::at(&self.place).is_some()
    }

    /// What `oxcrypt status` says.
    pub(crate) fn status(&self) -> Value {
        let ended = self.oxcrypt(&["status", "--json"]).succeed();
        serde_json::from_slice(&ended.output).unwrap()
    }

    /// How many reads the mount has not answered.
    pub(crate) fn reads(&self) -> usize {
        let demand = &self.status()["classes"]["demand"];
        let count = |which: &str| demand[which].as_u64().unwrap_or(0);
        usize::try_from(count("waiting") + count("running")).unwrap()
    }

    /// Sends a signal to the process that serves it.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Reads hot files, looks at attributes, lists, asks for free space, each as a program does, and checks what comes.
    /// Returns how long that took altogether. Panics if anything hangs or fails.
    #[track_caller]
    pub(crate) fn is_used(&self) -> Duration {
        let started = Instant::now();
        for number in 0..HOT_FILES {
            let name = format!("hot/{number}");
            // Past the kernel's page cache, so that it is this mount that answers.
            let script = r#"dd if="$1" of=/dev/null iflag=nocache count=0 status=none; cat "$1""#;
            let mut command = self.command("sh");
            let read = Child::start(command.args(["-euc", script, "sh"]).arg(self.path(&name)));
            assert!(succeed(read, &name).output == hot_content(number), "{name} reads as something else");
        }
        succeed(self.look("stat", &["cold/0", "hot", "listed/listed 7"]), "stat");
        let listed = succeed(self.look("ls", &["listed"]), "ls");
        assert_eq!(listed.output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 50);
        succeed(self.look("df", &[""]), "df");
        started.elapsed()
    }
}

/// Whoever has no reason to hang is not to take longer than this, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(10);

#[track_caller]
fn succeed(mut child: Child, what: &str) -> Ended {
    let Some(ended) = child.ended_within(PATIENCE) else { panic!("{what} hangs") };
    assert!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&ended.output));
    ended
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
