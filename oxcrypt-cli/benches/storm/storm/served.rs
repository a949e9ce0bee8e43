//! Programs that serve a mount, whatever they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::child::{CEILING, Child, poll};
use crate::controls::Controls;
use crate::mounts::Mount;

/// How long a program may take to unmount when asked to.
const UNMOUNTING: Duration = Duration::from_secs(5);

/// A mount and the program behind it. Dropping it ends both, whoever waits for them.
pub(crate) struct Served {
    place: PathBuf,
    process: Child,
}

impl Served {
    /// Starts a program that mounts at a place and stays in the foreground.
    pub(crate) fn start(command: &mut Command, place: &Path) -> io::Result<Self> {
        let mut served = Self { place: place.to_owned(), process: Child::start(command) };
        let up = poll(CEILING, || {
            let mounted = Mount::at(place).is_some();
            (mounted || !served.process.is_running()).then_some(mounted)
        });
        if up != Some(true) {
            let output = served.process.ended_within(Duration::ZERO).map(|ended| ended.output);
            let output = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
            return Err(io::Error::other(format!("does not mount: {output}")));
        }
        // The table has it before it answers.
        let mut look = Child::start(Command::new("stat").arg(place));
        match look.ended_within(CEILING) {
            Some(ended) if ended.status.success() => Ok(served),
            _ => Err(io::Error::other("mounts, and does not answer")),
        }
    }

    /// Where it is mounted. For children only.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// The kernel's controls, if it is a FUSE mount.
    pub(crate) fn controls(&self) -> Option<Controls> {
        Mount::at(&self.place)?.controls()
    }

    /// What the program costs now. An error if it has ended.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let usage = Usage::of(self.process.id());
        usage.ok_or_else(|| io::Error::other("the program behind the mount is not there any more"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if self.process.is_running() {
            let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
            poll(UNMOUNTING, || (!self.process.is_running()).then_some(()));
        }
        if let Some(mount) = Mount::at(&self.place) {
            let _ = mount.undo();
        }
    }
}

/// What a process costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) threads: u64,
    pub(crate) resident_kib: u64,
    pub(crate) handles: usize,
    /// What its threads have had of processors.
    pub(crate) busy: Duration,
}

impl Usage {
    /// That of a process.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let handles = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?.filter_map(Result::ok);
        // One that has ended meanwhile has none.
        let spent = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let nanos = spent.filter_map(|spent| spent.split(' ').next()?.parse::<u64>().ok()).sum();
        let (threads, resident_kib) = (number("Threads")?, number("VmRSS")?);
        Some(Self { threads, resident_kib, handles, busy: Duration::from_nanos(nanos) })
    }

    /// The greater of both, each for itself.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            threads: self.threads.max(other.threads),
            resident_kib: self.resident_kib.max(other.resident_kib),
            handles: self.handles.max(other.handles),
            busy: self.busy.max(other.busy),
        }
    }
}

/// Whether a program is here.
pub(crate) fn is_installed(program: &str) -> bool {
    runs(Command::new(program).arg("--version"))
}

/// Whether a command goes well.
pub(crate) fn runs(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
