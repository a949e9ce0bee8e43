//! A vault, a folder to mount it on, and folders for sockets and logs that are nobody else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use oxcrypt_core::DirId;
use oxcrypt_core::testing::VaultBuilder;
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{Ended, Made, oxcrypt, run, skip};

/// More than anything here takes on any machine.
const CEILING: Duration = Duration::from_secs(30);

/// What the vault's one file holds.
pub(crate) const CONTENT: &[u8] = b"what memory has is answered at once";

pub(crate) struct Place {
    made: Made,
}

impl Place {
    /// `None` where nothing can be mounted, which is said.
    pub(crate) fn new() -> Option<Self> {
        Self::with(|builder| {
            builder.file(&DirId::root(), "file", CONTENT).unwrap();
        })
    }

    pub(crate) fn with(fill: impl FnOnce(&VaultBuilder<'_>)) -> Option<Self> {
        let fuse = fs::File::options().read(true).write(true).open("/dev/fuse");
        if let Err(error) = fuse {
            skip(&format!("/dev/fuse: {error}"));
            return None;
        }
        let place = Self { made: Made::new(fill) };
        for folder in ["mount", "run", "state"] {
            fs::create_dir(place.made.dir().join(folder)).unwrap();
        }
        Some(place)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.made.dir()
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.made.vault()
    }

    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.made.dir().join("mount")
    }

    /// Mounts another vault than this place's own.
    pub(crate) fn mount_other(&self, vault: &Path, more: &[&str]) -> Ended {
        run(self.mount_other_command(vault).args(["-o", "ro"]).args(more))
    }

    pub(crate) fn mount_other_command(&self, vault: &Path) -> Command {
        let mut command = self.command(&["mount", "--passphrase-env", "PASSPHRASE"]);
        command.arg(vault).arg(self.mountpoint());
        command
    }

    /// The command, with folders of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = oxcrypt(args);
        self.settle(&mut command);
        command
    }

    /// Gives a command this place's folders.
    pub(crate) fn settle(&self, command: &mut Command) {
        command
            .env("XDG_RUNTIME_DIR", self.dir().join("run"))
            .env("XDG_STATE_HOME", self.dir().join("state"))
            .env_remove("NOTIFY_SOCKET");
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// A command that mounts.
    pub(crate) fn mount_command(&self, more: &[&str]) -> Command {
        let mut command = self.command(&["mount", "--passphrase-env", "PASSPHRASE"]);
        command.arg(self.vault()).arg(self.mountpoint()).args(more);
        command
    }

    pub(crate) fn mount(&self, more: &[&str]) -> Ended {
        run(&mut self.mount_command(more))
    }

    pub(crate) fn unmount(&self, more: &[&str]) -> Ended {
        run(self.command(&["unmount"]).args(more).arg(self.mountpoint()))
    }

    /// What a program reads of the vault's file. In a process of its own, which a mount that hangs cannot keep.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut cat = Command::new("timeout");
        let output = cat.args(["-k", "1", "10", "cat"]).arg(self.mountpoint().join("file")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn is_mounted(&self) -> bool {
        self.connection().is_some()
    }

    /// The number of its connection to the kernel.
    pub(crate) fn connection(&self) -> Option<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = self.mountpoint().canonicalize().unwrap().display().to_string();
        let line = table.lines().rfind(|line| line.split(' ').nth(4) == Some(&place))?;
        line.split(' ').nth(2)?.strip_prefix("0:").map(str::to_owned)
    }

    /// The process behind the mount.
    pub(crate) fn daemon(&self) -> Pid {
        let ended = self.run(&["mounts", "--json"]);
        let own = self.mountpoint().display().to_string();
        let about = ended.objects().into_iter().find(|about| about["mountpoint"] == own.as_str()).unwrap();
        Pid::from_raw(about["pid"].as_i64().unwrap().try_into().unwrap()).unwrap()
    }

    /// The sockets that lie in the folder for them.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let dir = fs::read_dir(self.dir().join("run/oxcrypt"));
        let paths = dir.into_iter().flatten().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = self.unmount(&["--force"]);
        }
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < CEILING, "never: {what}");
        std::thread::yield_now();
    }
}

/// Processes that a process has started.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// Whether any thread of a process is left: the first one may end long before another that holds its files and locks.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let threads =
        fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let lives = |stat: String| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X']));
    threads.into_iter().any(|thread| fs::read_to_string(thread.path().join("stat")).is_ok_and(lives))
}

pub(crate) fn send(pid: Pid, signal: Signal) {
    kill_process(pid, signal).unwrap();
}

/// How a process ends that is about to.
pub(crate) fn ended(child: &mut Child) -> Option<i32> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(since.elapsed() < CEILING, "it never ends");
        std::thread::yield_now();
    }
}
