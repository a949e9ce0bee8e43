//! Who is measured, and the folder that each has the same files in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use oxcrypt_core::DirId;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use rustix::process::{Pid, Signal};

use super::measured::Measured;
use super::task::Task;
use crate::child::{CEILING, Child, poll};
use crate::mounts::{self, Mount};

/// What opens the vaults.
const PASSPHRASE: &str = "speed";
/// The length of the large file.
pub(crate) const LARGE_LEN: usize = 1 << 30;
/// The length of the file on the slow store: it fits into the cache.
pub(crate) const MEDIUM_LEN: usize = 32 << 20;
/// Folders of small files.
pub(crate) const FOLDERS: usize = 50;
/// Small files in each of the folders.
pub(crate) const SMALL_FILES: usize = 100;
/// The length of a small file.
pub(crate) const SMALL_LEN: usize = 4 << 10;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Oxcrypt,
    Gocryptfs,
    /// A folder without encryption.
    Bare,
}

/// A folder for each subject.
pub(crate) struct Vaults {
    oxcrypt: PathBuf,
    gocryptfs: PathBuf,
    bare: PathBuf,
    passfile: PathBuf,
}

impl Vaults {
    /// Makes them, in folders of a folder.
    pub(crate) fn make(folder: &Path) -> Self {
        let vaults = Self::at(folder, folder);
        for folder in [&vaults.oxcrypt, &vaults.gocryptfs, &vaults.bare] {
            fs::create_dir(folder).expect("a folder");
        }
        fs::write(&vaults.passfile, format!("{PASSPHRASE}\n")).expect("a file");
        vaults.fill_bare();
        vaults.fill_ours();
        vaults.fill_theirs();
        vaults
    }

    /// Those that were made in a folder that is seen somewhere else.
    pub(crate) fn at(folder: &Path, behind: &Path) -> Self {
        Self {
            oxcrypt: folder.join("oxcrypt"),
            gocryptfs: folder.join("gocryptfs"),
            bare: folder.join("bare"),
            passfile: behind.join("passphrase"),
        }
    }

    fn fill_bare(&self) {
        for (name, len) in [("large", LARGE_LEN), ("medium", MEDIUM_LEN)] {
            fs::write(self.bare.join(name), content(len)).expect("a file");
        }
        for number in 0..FOLDERS {
            let folder = self.bare.join(format!("folder {number}"));
            fs::create_dir(&folder).expect("a folder");
            for number in 0..SMALL_FILES {
                fs::write(folder.join(format!("small {number}")), content(SMALL_LEN)).expect("a file");
            }
        }
    }

    fn fill_ours(&self) {
        let storage = LocalStorage::open(&self.oxcrypt).expect("a folder");
        let recipe = Recipe { passphrase: PASSPHRASE, ..Recipe::default() };
        let builder = VaultBuilder::create(&storage, recipe).expect("a vault");
        let root = DirId::root();
        for (name, len) in [("large", LARGE_LEN), ("medium", MEDIUM_LEN)] {
            builder.file(&root, name, &content(len)).expect("a file");
        }
        for number in 0..FOLDERS {
            let dir = builder.directory(&root, &format!("folder {number}")).expect("a directory");
            for number in 0..SMALL_FILES {
                builder.file(&dir, &format!("small {number}"), &content(SMALL_LEN)).expect("a file");
            }
        }
    }

    fn fill_theirs(&self) {
        let program = || {
            let mut command = Command::new("gocryptfs");
            command.arg("-q").arg("-passfile").arg(&self.passfile);
            command
        };
        Child::start(program().args(["-init", "-scryptn", "10"]).arg(&self.gocryptfs)).succeed();
        let place = mounts::new_place("clear");
        let mut mount = Child::start(program().args(["-fg", "-nosyslog"]).arg(&self.gocryptfs).arg(&place));
        poll(CEILING, || (Mount::at(&place).is_some() || !mount.is_running()).then_some(()));
        Child::start(Command::new("cp").arg("-rT").arg(&self.bare).arg(&place)).succeed();
        Child::start(Command::new("umount").arg(&place)).succeed();
        mount.succeed();
        let _ = fs::remove_dir(place);
    }
}

impl Subject {
    pub(crate) const ALL: [Self; 3] = [Self::Oxcrypt, Self::Gocryptfs, Self::Bare];

    /// Whether a task says something about it. The slow store is no bare folder.
    pub(crate) fn can(self, task: Task) -> bool {
        self != Self::Bare || !task.is_on_the_slow_store()
    }

    /// Mounts, has a child do the task, and unmounts. What that took, by the child's own clock.
    pub(crate) fn measure(self, task: Task, vaults: &Vaults) -> Option<Measured> {
        let text = match self {
            Self::Bare => ran(&mut task.command(&vaults.bare, None)),
            Self::Oxcrypt | Self::Gocryptfs => self.mounted(vaults, |place, server| {
                Child::start(Command::new("stat").arg(place)).succeed();
                ran(&mut task.command(place, Some(server)))
            }),
        };
        text.parse().map_err(|text| println!("{self:?}: {text}")).ok()
    }

    fn mounted(self, vaults: &Vaults, run: impl FnOnce(&Path, u32) -> String) -> String {
        let place = mounts::new_place("speed");
        let mut process = Child::start(&mut self.command(vaults, &place));
        poll(CEILING, || (Mount::at(&place).is_some() || !process.is_running()).then_some(()));
        let text = run(&place, process.id());
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
        if process.ended_within(Duration::from_secs(10)).is_none()
            && let Some(mount) = Mount::at(&place)
        {
            let _ = mount.undo();
        }
        let _ = fs::remove_dir(&place);
        text
    }

    fn command(self, vaults: &Vaults, place: &Path) -> Command {
        match self {
            Self::Bare => unreachable!("nobody mounts a bare folder"),
            Self::Oxcrypt => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_oxcrypt"));
                command.args(["mount", "--foreground", "--passphrase-env", "PASSPHRASE"]);
                command.arg(&vaults.oxcrypt).arg(place).env("PASSPHRASE", PASSPHRASE);
                command
            }
            Self::Gocryptfs => {
                let mut command = Command::new("gocryptfs");
                command.args(["-fg", "-q", "-nosyslog", "-passfile"]).arg(&vaults.passfile);
                command.arg(&vaults.gocryptfs).arg(place);
                command
            }
        }
    }
}

/// What a child has printed, which does a task.
fn ran(command: &mut Command) -> String {
    let ended = Child::start(command).ended_within(CEILING * 2);
    ended.map(|ended| String::from_utf8_lossy(&ended.output).into_owned()).unwrap_or_default()
}

/// Why nothing can be measured here.
pub(crate) fn lacking() -> Option<&'static str> {
    let status =
        Command::new("gocryptfs").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        return Some("install gocryptfs (on Debian: apt-get install gocryptfs)");
    }
    (!rustix::process::geteuid().is_root()).then_some("only root can do this")
}

pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}
