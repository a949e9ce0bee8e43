//! Programs that mount: the subjects of the bench.

use std::io;
use std::process::Command;

use super::options::{LARGE, Name, Options};
use super::served::{Served, is_installed, runs};
use super::storage::Storage;
use super::vault::{self, Amount, Kind};
use crate::mounts;

/// The environment variable that has the passphrase for subjects.
const PASSPHRASE_VARIABLE: &str = "OXCRYPT_STORM_PASSPHRASE";

/// Who is tested.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// What the table calls it.
    pub(crate) name: String,
    /// Whether it is the negative control.
    pub(crate) is_control: bool,
    /// Whether it is this program.
    pub(crate) is_ours: bool,
    pub(crate) vault: Kind,
    /// A shell command, with places for paths.
    command: String,
    /// What it says of its version.
    pub(crate) version: Option<String>,
    /// Why it cannot be tested here.
    pub(crate) lacking: Option<String>,
}

impl Subject {
    /// All that the options ask for.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let known = options.subject.iter().map(|name| match name {
            Name::Oxcrypt => Self::oxcrypt(),
            Name::Gocryptfs => Self::gocryptfs(),
        });
        let given = options.mount.iter().map(|command| Self {
            name: command.clone(),
            is_control: false,
            is_ours: false,
            vault: options.vault,
            command: command.clone(),
            version: None,
            lacking: (options.vault == Kind::Gocryptfs).then(Self::lacking_gocryptfs).flatten(),
        });
        known.chain(given).collect()
    }

    /// This program.
    pub(crate) fn oxcrypt() -> Self {
        let program = env!("CARGO_BIN_EXE_oxcrypt");
        let can_mount = runs(Command::new(program).args(["mount", "--help"]));
        Self {
            name: "oxcrypt".to_owned(),
            is_control: false,
            is_ours: true,
            vault: Kind::Cryptomator,
            command: format!(
                "'{program}' mount --read-only --foreground --passphrase-env {PASSPHRASE_VARIABLE} {{vault}} {{mountpoint}}"
            ),
            version: version(program),
            lacking: (!can_mount).then(|| "this oxcrypt cannot mount yet".to_owned()),
        }
    }

    fn gocryptfs() -> Self {
        Self {
            name: "gocryptfs".to_owned(),
            is_control: true,
            is_ours: false,
            vault: Kind::Gocryptfs,
            command: "gocryptfs -fg -q -nosyslog -ro -passfile {passfile} {vault} {mountpoint}".to_owned(),
            version: version("gocryptfs"),
            lacking: Self::lacking_gocryptfs(),
        }
    }

    fn lacking_gocryptfs() -> Option<String> {
        (!is_installed("gocryptfs"))
            .then(|| "install gocryptfs (on Debian: apt-get install gocryptfs)".to_owned())
    }

    /// How many files all its storms need. The large ones share theirs, because they leave them cold.
    pub(crate) fn amount(&self, options: &Options) -> Amount {
        let cold = options.small_files();
        let large = options.readers.iter().copied().filter(|readers| *readers > LARGE).max().unwrap_or(0);
        match self.vault {
            Kind::Cryptomator => Amount { cold, sparse: large, large: 0 },
            Kind::Gocryptfs if self.is_control => Amount { cold, ..Amount::default() },
            Kind::Gocryptfs | Kind::Plain => Amount { cold: cold + large, ..Amount::default() },
        }
    }

    /// Mounts what lies on a store.
    pub(crate) fn start(&self, storage: &Storage) -> io::Result<Served> {
        let place = mounts::new_place("subject");
        let places = [("{vault}", "\"$1\""), ("{mountpoint}", "\"$2\""), ("{passfile}", "\"$3\"")];
        let script = places.iter().fold(self.command.clone(), |text, (from, to)| text.replace(from, to));
        let mut command = Command::new("sh");
        // `exec`, so that the process is the program.
        command.args(["-c", &format!("exec {script}"), "sh"]).arg(storage.vault()).arg(&place);
        command.arg(storage.passfile()).env(PASSPHRASE_VARIABLE, vault::PASSPHRASE);
        Served::start(&mut command, &place)
    }
}

/// The first line that a program says of its version.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}
