//! A vault that is mounted, and a plain folder beside it, for the same work in both.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{CEILING, Child, Ended, poll};
use crate::mounted::{Mounted, PASSPHRASE};
use crate::slow_store::{Store, can_mount};
use crate::who::Who;

/// Where files lie in memory when there are many, or large ones, or much is synced.
pub(crate) const MEMORY: &str = "/dev/shm";

/// No program here works for so long, unless it hangs.
const LIMIT: Duration = Duration::from_mins(10);

/// Goes to the folder, and tells which command failed.
const PROLOGUE: &str = r#"
    trap 'echo "$BASH_COMMAND: failed" >&2' ERR
    umask 022
    cd -- "$1"
    shift
    "#;

/// What a tree holds: names, kinds, permissions, owners, lengths, links, the content of files, and with `$1` times.
const CENSUS: &str = r#"
    file="%p f %m %U:%G %n %s" link="%p l %U:%G %l" other="%p %y %m %U:%G"
    find . -mindepth 1 -type f -printf "$file$1\n" -o -type l -printf "$link$1\n" -o -printf "$other$1\n" | sort
    find . -type f -print0 | sort -z | xargs -0r sha256sum"#;

/// The vault, its mount, and the folder. Dropping it undoes the mount.
pub(crate) struct Stage {
    who: Who,
    options: &'static [&'static str],
    mounted: Option<Mounted>,
    folder: TempDir,
    /// What the vault lies on, if that may hang; here it never does.
    store: Option<Store>,
}

impl Stage {
    /// One of root and one of an ordinary user, each with other ciphers; none, with a word on standard error, where
    /// nothing can be mounted.
    pub(crate) fn both() -> impl Iterator<Item = Self> {
        let both = [(Who::Root, CipherCombo::SivGcm), (Who::Ordinary, CipherCombo::SivCtrMac)];
        both.into_iter().map_while(|(who, combo)| Self::new(who, combo, &[]))
    }

    /// One of root.
    pub(crate) fn of_root() -> Option<Self> {
        Self::new(Who::Root, CipherCombo::SivGcm, &[])
    }

    /// One of anybody; `options` are those of `oxcrypt mount`.
    pub(crate) fn new(who: Who, combo: CipherCombo, options: &'static [&'static str]) -> Option<Self> {
        Self::below(&std::env::temp_dir(), who, combo, options)
    }

    /// One of root, whose vault lies on storage that might hang, so that files are opened past the page cache.
    pub(crate) fn on_a_store() -> Option<Self> {
        let store = Store::start(&[], |folder| make_vault(folder, CipherCombo::SivGcm))?;
        let mut stage = Self::empty(&std::env::temp_dir(), Who::Root, &[]);
        stage.store = Some(store);
        stage.mount();
        Some(stage)
    }

    /// One whose files lie in a new folder of this one.
    pub(crate) fn below(
        parent: &Path,
        who: Who,
        combo: CipherCombo,
        options: &'static [&'static str],
    ) -> Option<Self> {
        if !can_mount() {
            return None;
        }
        let mut stage = Self::empty(parent, who, options);
        fs::create_dir(stage.vault()).unwrap();
        make_vault(&stage.vault(), combo);
        stage.give_away(&stage.home());
        stage.mount();
        Some(stage)
    }

    /// Runs a script on the mount; what it says. Panics if it fails.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, words: &[&str]) -> String {
        self.run_in(&self.place(), script, words)
    }

    /// Runs a script on the mount and in the plain folder: both times it has to say the same, and to leave the same
    /// behind. The plain folder is `../plain` for either.
    #[track_caller]
    pub(crate) fn compare(&self, script: &str, words: &[&str]) {
        let plain = self.run_in(&self.plain(), script, words);
        same(&self.run(script, words), &plain, "what is said on the mount, and in a plain folder");
        let plain = self.run_in(&self.plain(), CENSUS, &[""]);
        same(&self.run(CENSUS, &[""]), &plain, "what is left on the mount, and in a plain folder");
    }

    /// Unmounts, mounts again, and finds every name, permission, time and byte as it was.
    #[track_caller]
    pub(crate) fn outlives_a_remount(&mut self) {
        let before = self.run(CENSUS, &[" %T@"]);
        self.remount();
        same(&self.run(CENSUS, &[" %T@"]), &before, "what is there after a remount, and was before");
    }

    /// Unmounts, and mounts again.
    #[track_caller]
    pub(crate) fn remount(&mut self) {
        self.apart(|_| ());
    }

    /// Unmounts, lets somebody else work with the vault, and mounts again.
    #[track_caller]
    pub(crate) fn apart<T>(&mut self, work: impl FnOnce(&Path) -> T) -> T {
        let mut mounted = self.mounted.take().unwrap();
        let ended = mounted.oxcrypt(&["unmount"]).ended_within(LIMIT).expect("an end of unmount");
        assert!(ended.status.success(), "unmount: {}", text(&ended));
        let ended = mounted.process().ended_within(CEILING).expect("an end of the mount's process");
        assert!(ended.status.success(), "the mount's process: {}", text(&ended));
        // It would undo whatever is mounted there.
        drop(mounted);
        self.meanwhile(work)
    }

    /// Kills the mount's process, lets somebody look at what is left, and mounts again.
    #[track_caller]
    pub(crate) fn killed<T>(&mut self, work: impl FnOnce(&Path) -> T) -> T {
        let mut mounted = self.mounted.take().unwrap();
        mounted.signal(Signal::KILL);
        mounted.process().ended_within(CEILING).expect("an end of the mount's process");
        poll(CEILING, || (!mounted.is_mounted()).then_some(())).expect("nothing mounted any more");
        drop(mounted);
        self.meanwhile(work)
    }

    fn meanwhile<T>(&mut self, work: impl FnOnce(&Path) -> T) -> T {
        let done = work(&self.vault());
        if self.store.is_none() {
            // Whoever worked there was root, as these tests are.
            self.give_away(&self.vault());
        }
        self.mount();
        done
    }

    /// The mount's process.
    pub(crate) fn process(&mut self) -> &mut Child {
        self.mounted.as_mut().unwrap().process()
    }

    /// Puts a program beside the mount, as `../PROGRAM`: others may not enter the folder where it was installed.
    pub(crate) fn lend(&self, program: &str) {
        let script = r#"cp -- "$(command -v "$1")" "$2""#;
        Child::start(Command::new("sh").args(["-euc", script, "sh", program]).arg(self.home())).succeed();
    }

    /// A folder of the user's own that is neither of the vault nor of its mount.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join(format!("{:?}", self.who))
    }

    fn empty(parent: &Path, who: Who, options: &'static [&'static str]) -> Self {
        let folder = tempfile::Builder::new().prefix("oxcrypt-stage-").tempdir_in(parent).unwrap();
        // Whoever is not root has to get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let stage = Self { who, options, mounted: None, folder, store: None };
        for path in [stage.home(), stage.place(), stage.plain()] {
            fs::create_dir(path).unwrap();
        }
        stage
    }

    fn mount(&mut self) {
        let (vault, place) = (self.vault(), self.place());
        self.mounted = Some(Mounted::start(self.who, &vault, &place, self.folder.path(), self.options));
    }

    fn vault(&self) -> PathBuf {
        self.store.as_ref().map_or_else(|| self.home().join("vault"), |store| store.mounted(""))
    }

    /// For children only.
    fn place(&self) -> PathBuf {
        self.home().join("mount")
    }

    fn plain(&self) -> PathBuf {
        self.home().join("plain")
    }

    #[track_caller]
    fn run_in(&self, folder: &Path, script: &str, words: &[&str]) -> String {
        // Only who mounted may enter it, so it is the shell that goes there.
        let script = format!("{PROLOGUE}{script}");
        let mut command = self.who.command(&self.home(), "bash");
        command.args(["-Eeuo", "pipefail", "-c", &script, "bash"]).arg(folder).args(words);
        let mut child = Child::start(&mut command);
        let Some(ended) = child.ended_within(LIMIT) else { panic!("{:?}: hangs", self.who) };
        assert!(ended.status.success(), "{:?}: {}: {}", self.who, ended.status, text(&ended));
        text(&ended)
    }

    fn give_away(&self, path: &Path) {
        self.who.owns(path);
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.give_away(&entry.unwrap().path());
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.mounted.take());
        if crate::mounts::Mount::at(&self.place()).is_some() {
            // Cleaning up would reach through the mount.
            self.folder.disable_cleanup(true);
        }
    }
}

fn make_vault(folder: &Path, combo: CipherCombo) {
    let recipe = Recipe { passphrase: PASSPHRASE, combo, ..Recipe::default() };
    VaultBuilder::create(&LocalStorage::open(folder).unwrap(), recipe).unwrap();
}

/// The first lines that differ are enough to be told of.
#[track_caller]
fn same(found: &str, wanted: &str, what: &str) {
    let first = found.lines().zip(wanted.lines()).enumerate().find(|(_, (found, wanted))| found != wanted);
    assert!(first.is_none(), "{what}: {first:#?}");
    let more = found.lines().count().min(wanted.lines().count());
    let (found, wanted) = (found.lines().nth(more), wanted.lines().nth(more));
    assert!(found == wanted, "{what}: line {more}: {found:?} and {wanted:?}");
}

fn text(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.output).into_owned()
}
