//! A slow store for a test: built, mounted on a temporary folder, and gone afterwards, whatever happened.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use crate::child::{CEILING, Child, poll};

/// A running store.
pub(crate) struct Store {
    process: std::process::Child,
    folder: TempDir,
}

impl Store {
    /// Starts a store over the files that `fill` makes; `None`, with a word on standard error, where nothing can be
    /// mounted.
    pub(crate) fn start(options: &[&str], fill: impl FnOnce(&Path)) -> Option<Self> {
        if !can_mount() {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("oxcrypt-store-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("files")).expect("a folder");
        fs::create_dir(folder.path().join("mount")).expect("a folder");
        fill(&folder.path().join("files"));
        let mut command = Command::new(exe());
        command.arg("--end-with-stdin").arg("--socket").arg(folder.path().join("socket")).args(options);
        command.arg(folder.path().join("files")).arg(folder.path().join("mount"));
        // Its standard input is a pipe that ends with this process, even if that is killed.
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the slow store starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let store = Self { process, folder };
        let (tell, told) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        assert_eq!(told.recv_timeout(CEILING).as_deref(), Ok("ready"));
        Some(store)
    }

    /// A file's path through the mount: for children only.
    pub(crate) fn mounted(&self, name: &str) -> PathBuf {
        self.folder.path().join("mount").join(name)
    }

    /// A file's path in the folder behind the mount.
    pub(crate) fn behind(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// The socket for commands.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Sends a command that has to succeed.
    #[track_caller]
    pub(crate) fn command(&self, command: &str) -> Value {
        let mut stream = UnixStream::connect(self.socket()).expect("the store's socket");
        stream.set_read_timeout(Some(CEILING * 2)).expect("a time limit");
        writeln!(stream, "{command}").expect("a command sent");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    /// How many requests of a kind for one file have reached the store.
    pub(crate) fn arrived(&self, path: &str, op: &str) -> u64 {
        self.command("counters files")["files"][path][op]["arrived"].as_u64().unwrap_or(0)
    }

    /// Starts a child that reads the first page of a file; `flags` are those of `dd`.
    pub(crate) fn read_page(&self, name: &str, flags: &[&str]) -> Child {
        let mut input = std::ffi::OsString::from("if=");
        input.push(self.mounted(name));
        Child::start(Command::new("dd").arg(input).args(["bs=4096", "count=1", "status=none"]).args(flags))
    }

    /// Sends a signal to the store.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("a store that runs");
    }

    /// The store's end, if it comes in time.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        poll(CEILING, || self.process.try_wait().expect("a child of ours"))
    }

    /// Whether the mount table has it.
    pub(crate) fn is_mounted(&self) -> bool {
        self.mount_line().is_some()
    }

    /// Its line in the mount table.
    pub(crate) fn mount_line(&self) -> Option<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("a mount table");
        let path = self.folder.path().join("mount");
        table.lines().find(|line| line.split(' ').nth(4) == path.to_str()).map(str::to_owned)
    }

    /// Unmounts from outside.
    pub(crate) fn unmount(&self, flags: UnmountFlags) -> rustix::io::Result<()> {
        rustix::mount::unmount(self.folder.path().join("mount"), flags)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The store ends with its standard input. If it does not, its device is closed for it, which frees all waiters.
        drop(self.process.stdin.take());
        if self.ended().is_none() {
            let _ = self.process.kill();
        }
        if self.is_mounted() {
            let _ = self.unmount(UnmountFlags::DETACH);
        }
        if self.is_mounted() {
            // Cleaning up would reach through the mount.
            self.folder.disable_cleanup(true);
        }
    }
}

/// Whether this process can mount. Where continuous integration cannot, that is a failure and no reason to skip.
fn can_mount() -> bool {
    let device = fs::File::options().read(true).write(true).open("/dev/fuse");
    let reason = match device {
        Ok(_) if rustix::process::geteuid().is_root() => return true,
        Ok(_) => "not root".to_owned(),
        Err(error) => format!("/dev/fuse: {error}"),
    };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing can be mounted: {reason}");
    // Not `eprintln!`, which a test that passes keeps to itself.
    let test = thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: nothing can be mounted ({reason})");
    false
}

/// The store's program. Cargo builds an example that has tests of its own for those only, so it is built here; the
/// environment variable `SLOW_STORE` names one that exists.
pub(crate) fn exe() -> &'static Path {
    static EXE: OnceLock<PathBuf> = OnceLock::new();
    EXE.get_or_init(|| {
        if let Some(path) = std::env::var_os("SLOW_STORE") {
            return path.into();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--example", "slow_store", "--message-format", "json"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let output = cargo.stderr(Stdio::inherit()).output().expect("cargo");
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let mut executables = messages.filter_map(|line| {
            let message: Value = serde_json::from_slice(line).ok()?;
            (message["target"]["name"] == "slow_store")
                .then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        executables.next_back().expect("cargo builds the slow store")
    })
}
