//! Runs the command, and has vaults for it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::read::GzDecoder;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use serde_json::Value;
use tempfile::TempDir;

/// Unlocks the vaults of the archive.
pub(crate) const OFFICIAL_PASSPHRASE: &str = "test-p\u{e4}ssword";

/// The command, on the way to be run. It has no terminal, and gets its passphrase from the environment.
pub(crate) fn oxcrypt(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxcrypt"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env("PASSPHRASE", "passphrase")
        .env("OFFICIAL", OFFICIAL_PASSPHRASE);
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Ended {
    /// The lines of standard output, each as JSON.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The official vaults, in a folder that goes when this is dropped.
pub(crate) struct Official(TempDir);

impl Official {
    pub(crate) fn unpack() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = File::open(fixture("vaults.tar.gz")).unwrap();
        tar::Archive::new(GzDecoder::new(archive)).unpack(dir.path()).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, vault: &str) -> PathBuf {
        self.0.path().join("fixtures").join(vault)
    }

    pub(crate) fn decrypt(&self, vault: &str, dest: &Path, more: &[&str]) -> Ended {
        let mut command = oxcrypt(&["decrypt", "--passphrase-env", "OFFICIAL"]);
        run(command.args(more).arg(self.path(vault)).arg(dest))
    }
}

/// A file that the tests of the core have.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../oxcrypt-core/tests/fixtures").join(name)
}

/// A vault made to order, and a place to decrypt it to.
pub(crate) struct Made {
    dir: TempDir,
}

impl Made {
    pub(crate) fn new(fill: impl FnOnce(&VaultBuilder<'_>)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Self { dir };
        fs::create_dir(made.vault()).unwrap();
        let storage = LocalStorage::open(made.vault()).unwrap();
        fill(&VaultBuilder::create(&storage, Recipe::default()).unwrap());
        made
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    pub(crate) fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    /// A command on the vault; `args` are the verb and its options, `more` what comes behind the vault.
    pub(crate) fn command(&self, args: &[&str], more: &[&str]) -> Command {
        let mut command = oxcrypt(args);
        command.args(["--passphrase-env", "PASSPHRASE"]).arg(self.vault()).args(more);
        command
    }

    pub(crate) fn run(&self, args: &[&str], more: &[&str]) -> Ended {
        run(&mut self.command(args, more))
    }

    pub(crate) fn decrypt(&self, options: &[&str], paths: &[&str]) -> Ended {
        let mut command = oxcrypt(&["decrypt", "--passphrase-env", "PASSPHRASE"]);
        run(command.args(options).arg(self.vault()).arg(self.dest()).args(paths))
    }
}

/// Says why a test does nothing here. In CI every test has to do something.
#[cfg(target_os = "linux")]
pub(crate) fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
}

/// Names of everything below `dir`, sorted.
pub(crate) fn names_below(dir: &Path) -> Vec<String> {
    let mut open = vec![dir.to_owned()];
    let mut names = Vec::new();
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            names.push(entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    names.sort();
    names
}

/// Names of everything in a vault but the backups of its key files, which every writer makes first.
pub(crate) fn content_of(vault: &Path) -> Vec<String> {
    let is_backup = |name: &String| name.rsplit('.').next() == Some("bkup");
    names_below(vault).into_iter().filter(|name| !is_backup(name)).collect()
}
