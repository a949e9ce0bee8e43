//! The vault: its kinds, and what lies in it.
//!
//! The length of a file says what it is, in the clear as encrypted, so that a store's rule can tell: cold files are
//! longer than all others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::ValueEnum;
use oxcrypt_core::DirId;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};

use super::Role;
use crate::child::{CEILING, Child, poll};
use crate::mounts;

/// What opens every vault here.
pub(crate) const PASSPHRASE: &str = "storm";

/// The store's rule for cold files, given what is to happen to them: `freeze`.
pub(crate) const COLD_RULE: &str = "read ** min-size=160K";

/// What that rule says of lengths.
pub(crate) const COLD_MIN: u64 = 160 << 10;

/// The length of a cold file.
const COLD_LEN: usize = 192 << 10;

/// The length of a hot file: below 16 KiB a read needs no place in a full background queue (Linux 6.18), and then hot
/// files would read through any storm.
pub(crate) const HOT_LEN: usize = 128 << 10;

/// How much of a file is there whose rest is a hole: its header, and its first chunk.
const STORED_LEN: usize = 68 + 32_796;

/// The length of a large file, in storage: 3,199 chunks.
const LARGE_LEN: u64 = 68 + 3_199 * 32_796;

/// How many hot files there are, and as many to open.
const HOT_FILES: usize = 20;

/// How many files the listed folder has.
pub(crate) const LISTED_FILES: usize = 100;

/// How many files there are to look at, one after the other: so many that none is looked at again while the kernel still
/// remembers its attributes, which for most mounts is a second.
const SEEN_FILES: usize = 500;

/// A kind of vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Cryptomator's format 8
    Cryptomator,
    /// That of gocryptfs, which is needed to make one
    Gocryptfs,
    /// No vault: the files as they are
    Plain,
}

/// The folder to list.
pub(crate) fn listed_folder(root: &Path) -> PathBuf {
    root.join("listed")
}

/// One file to look at after the other.
pub(crate) fn seen_file(root: &Path, number: usize) -> PathBuf {
    root.join("seen").join(format!("seen {}", number % SEEN_FILES))
}

/// One hot file after the other.
pub(crate) fn hot_file(root: &Path, number: usize) -> PathBuf {
    root.join("hot").join(format!("hot {}", number % HOT_FILES))
}

/// One file to open after the other, none of which anybody reads: opening a file waits for reads of it that hang.
pub(crate) fn opened_file(root: &Path, number: usize) -> PathBuf {
    root.join("opened").join(format!("opened {}", number % HOT_FILES))
}

/// A hot file that nobody else opens.
pub(crate) fn kept_file(root: &Path) -> PathBuf {
    root.join("hot").join("kept")
}

/// One cold file after the other, as long as there are some.
pub(crate) fn cold_file(root: &Path, number: usize) -> PathBuf {
    root.join("cold").join(format!("cold {number}"))
}

/// One large file after the other, as long as there are some.
pub(crate) fn large_file(root: &Path, number: usize) -> PathBuf {
    root.join("large").join(format!("large {number}"))
}

/// A folder to work in.
pub(crate) fn work_folder(root: &Path) -> PathBuf {
    root.join("work")
}

/// How many files there are that hang.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amount {
    /// Cold files.
    pub(crate) cold: usize,
    /// More of them, numbered on, of which storage has but the first chunk. For those that nobody will ever have read.
    pub(crate) sparse: usize,
    /// Large files, which are the same.
    pub(crate) large: usize,
}

/// Fills a folder with a vault of this kind. Only ours can have files that are not all there.
pub(crate) fn make(kind: Kind, folder: &Path, amount: Amount) {
    match kind {
        Kind::Cryptomator => cryptomator(folder, amount).expect("a vault"),
        Kind::Gocryptfs => gocryptfs(folder, amount.cold),
        Kind::Plain => fill(folder, amount.cold).expect("files"),
    }
}

fn cryptomator(folder: &Path, amount: Amount) -> io::Result<()> {
    let storage = LocalStorage::open(folder)?;
    let recipe = Recipe { passphrase: PASSPHRASE, ..Recipe::default() };
    let builder = VaultBuilder::create(&storage, recipe)?;
    let mut folders = vec![(work_folder(Path::new("")), builder.directory(&DirId::root(), "work")?)];
    for (path, len) in files(Path::new(""), amount.cold) {
        let (folder, name) = (path.parent().expect("a folder"), path.file_name().expect("a name"));
        if folders.last().is_none_or(|(last, _)| last != folder) {
            let id = builder.directory(&DirId::root(), &folder.to_string_lossy())?;
            folders.push((folder.to_owned(), id));
        }
        let (_, id) = folders.last().expect("the folder just made");
        builder.file(id, &name.to_string_lossy(), &content(len))?;
    }
    if amount.sparse + amount.large == 0 {
        return Ok(());
    }
    let sample = builder.file(&DirId::root(), "sample", &content(COLD_LEN))?;
    let mut sample = fs::read(folder.join(sample.as_str()))?;
    let cold_len = sample.len();
    sample.truncate(STORED_LEN);
    let folders = folders.iter().find(|(folder, _)| folder.ends_with("cold"));
    let cold = folders.map_or_else(|| builder.directory(&DirId::root(), "cold"), |(_, id)| Ok(id.clone()))?;
    let large = builder.directory(&DirId::root(), "large")?;
    let numbers = amount.cold..amount.cold + amount.sparse;
    let sparse = numbers.map(|number| (&cold, cold_file(Path::new(""), number), cold_len as u64));
    let large = (0..amount.large).map(|number| (&large, large_file(Path::new(""), number), LARGE_LEN));
    for (id, path, len) in sparse.chain(large) {
        let name = path.file_name().expect("a name").to_string_lossy();
        let stored = builder.ciphertext_file(id, &name, &sample)?;
        fs::File::options().write(true).open(folder.join(stored.as_str()))?.set_len(len)?;
    }
    Ok(())
}

/// Has gocryptfs make its vault, at a cost of the key that no real vault should have, and write into it.
fn gocryptfs(folder: &Path, cold: usize) {
    let (passfile, place) = (passfile(folder), mounts::new_place("clear"));
    let program = || {
        let mut command = Command::new("gocryptfs");
        command.arg("-q").arg("-passfile").arg(&passfile);
        command
    };
    Child::start(program().args(["-init", "-scryptn", "10"]).arg(folder)).succeed();
    // It lies on a folder that answers, but also a child's child may look at a mount.
    let mut mount = Child::start(program().args(["-fg", "-nosyslog"]).arg(folder).arg(&place));
    poll(CEILING, || (mounts::Mount::at(&place).is_some() || !mount.is_running()).then_some(()));
    Child::start(Role::Filler.command().arg(&place).arg(cold.to_string())).succeed();
    Child::start(Command::new("umount").arg(&place)).succeed();
    mount.succeed();
}

/// The file that has the passphrase, beside a vault's folder; made where it is missing.
pub(crate) fn passfile(vault: &Path) -> PathBuf {
    let path = vault.with_file_name("passphrase");
    fs::write(&path, format!("{PASSPHRASE}\n")).expect("a file");
    path
}

/// A child that fills a folder.
pub(crate) fn main(root: &Path, cold: &str) -> ExitCode {
    match cold.parse().map_err(io::Error::other).and_then(|cold| fill(root, cold)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", root.display());
            ExitCode::FAILURE
        }
    }
}

fn fill(root: &Path, cold: usize) -> io::Result<()> {
    fs::create_dir_all(work_folder(root))?;
    for (path, len) in files(root, cold) {
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(path, content(len))?;
    }
    Ok(())
}

/// All that lies in the vault, folder by folder, with lengths.
fn files(root: &Path, cold: usize) -> Vec<(PathBuf, usize)> {
    let hot = (0..HOT_FILES).map(|number| (hot_file(root, number), HOT_LEN));
    let opened = (0..HOT_FILES).map(|number| (opened_file(root, number), HOT_LEN));
    let listed = (0..LISTED_FILES).map(|number| (listed_folder(root).join(format!("listed {number}")), 100));
    let seen = (0..SEEN_FILES).map(|number| (seen_file(root, number), 100));
    let cold = (0..cold).map(|number| (cold_file(root, number), COLD_LEN));
    hot.chain([(kept_file(root), HOT_LEN)]).chain(opened).chain(listed).chain(seen).chain(cold).collect()
}

fn content(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}
