//! A store, a vault on it, and `oxcrypt` with that mounted by somebody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Variant;
use crate::child::{CEILING, Child, poll};
use crate::controls::Controls;
use crate::mounted::Mounted;
use crate::mounts::{self, Mount};
use crate::slow_store::Store;
use crate::storm::caller::Caller;
use crate::storm::probe::Probe;
use crate::storm::prober::Prober;
use crate::storm::readers::{Outcome, Patience, Readers};
use crate::storm::served::Usage;
use crate::storm::vault::{self, Amount, Kind};

/// After this a probe has blocked.
const BLOCKED: Duration = Duration::from_secs(10);

/// What a store is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) max_background: u16,
    /// Whether direct reads share that queue.
    pub(crate) async_dio: bool,
    pub(crate) amount: Amount,
}

impl Setting {
    /// A store as most are: with a short queue, which direct reads pass by.
    pub(crate) fn usual(amount: Amount) -> Self {
        Self { max_background: 12, async_dio: false, amount }
    }
}

/// All of it.
pub(crate) struct Stage {
    /// Goes first, before the store that it needs.
    pub(crate) mounted: Mounted,
    pub(crate) store: Store,
    pub(crate) caller: Caller,
    variant: Variant,
    folder: PathBuf,
}

impl Stage {
    /// Brings it up. `options` are those of `oxcrypt mount`.
    pub(crate) fn new(variant: Variant, setting: Setting, options: &[&str]) -> Self {
        let limit = setting.max_background.to_string();
        let mut arguments = vec!["--allow-other", "--max-background", &limit];
        // Which stores let direct reads pass by their queue is known by their names.
        arguments.extend(if setting.async_dio { ["--async-dio"].as_slice() } else { &["--type", "rclone"] });
        let fill = |folder: &Path| vault::make(Kind::Cryptomator, folder, setting.amount);
        let store = Store::start(&arguments, fill).expect("a machine that can mount");
        let folder = mounts::new_place("stage");
        // Whoever is not root has to get there, and to write to what root has made.
        for path in [folder.as_path(), store.socket().parent().expect("a folder")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a folder of ours");
        }
        Child::start(Command::new("chmod").args(["-R", "a+rwX"]).arg(store.behind(""))).succeed();
        let caller = Caller::new(variant.who, &folder.join(format!("{:?}", variant.who)));
        let mounted = mount(variant, &store, &folder, options);
        Self { mounted, store, caller, variant, folder }
    }

    /// Mounts it again, when it has ended. What is left of its process may wait for the store yet, and undoing its mount
    /// would undo this one: it goes with the others of the run.
    pub(crate) fn mount_again(&mut self, options: &[&str]) {
        let new = mount(self.variant, &self.store, &self.folder, options);
        std::mem::forget(std::mem::replace(&mut self.mounted, new));
    }

    /// Where it is mounted: for children only.
    pub(crate) fn root(&self) -> PathBuf {
        self.mounted.path("")
    }

    /// From now on reads of cold files hang.
    pub(crate) fn freeze(&self) {
        self.store.command(&format!("freeze {}", vault::COLD_RULE));
    }

    /// Takes back all rules, and carries out all that hangs.
    pub(crate) fn thaw(&self) {
        self.store.command("thaw");
    }

    /// From now on such reads fail, so that cold files stay so, and what hangs fails too. Then no rule is left.
    pub(crate) fn fail(&self, mut readers: Readers) -> Vec<Outcome> {
        self.store.command(&format!("fail ETIMEDOUT {}", vault::COLD_RULE));
        self.store.command("answer ETIMEDOUT");
        assert!(readers.ended_within(CEILING), "storage is back, and readers still wait");
        self.thaw();
        readers.outcomes()
    }

    /// How many requests hang in the store.
    pub(crate) fn held(&self) -> u64 {
        self.store.command("status")["held"].as_u64().expect("a count of held requests")
    }

    /// Readers of these cold files, once they block.
    pub(crate) fn readers(&self, files: std::ops::Range<usize>) -> Readers {
        let readers = Readers::start(&self.caller, &self.root(), files, Patience::Once);
        readers.gather(self.controls().as_ref(), || self.held());
        readers
    }

    /// The kernel's controls of the mount.
    pub(crate) fn controls(&self) -> Option<Controls> {
        Mount::at(&self.root()).and_then(|mount| mount.controls())
    }

    /// Whoever measures, and has got used to it.
    pub(crate) fn prober(&self, probe: Probe) -> Prober {
        let mut prober = Prober::new(probe, &self.root(), BLOCKED, &self.caller);
        // What only the first time costs is nobody's to pay. There are twenty hot files.
        prober.measure(25);
        prober
    }

    /// What the process costs now.
    pub(crate) fn usage(&mut self) -> Usage {
        Usage::of(self.mounted.process().id()).expect("a process that runs")
    }

    /// How many reads have come to the store since its counters were reset, of files whose lengths are these.
    pub(crate) fn reads(&self, lens: impl std::ops::RangeBounds<u64>) -> u64 {
        let counters = self.store.command("counters files");
        let files = counters["files"].as_object().cloned().expect("counters of files");
        let len = |path: &String| fs::metadata(self.store.behind(path)).map_or(0, |metadata| metadata.len());
        let wanted = files.iter().filter(|(path, _)| lens.contains(&len(path)));
        wanted.filter_map(|(_, counts)| counts["read"]["arrived"].as_u64()).sum()
    }

    /// How many requests the mount has not answered.
    pub(crate) fn requests(&self) -> u64 {
        self.mounted.status()["requests"].as_u64().expect("a count of requests")
    }

    /// How many reads of storage are under way, or wait for their turn.
    pub(crate) fn reading(&self) -> u64 {
        let demand = &self.mounted.status()["classes"]["demand"];
        ["waiting", "running"].into_iter().filter_map(|which| demand[which].as_u64()).sum()
    }

    /// A shell script run by whoever mounted, in the mount.
    pub(crate) fn bash(&self, script: &str, words: &[&str]) -> Child {
        let mut command = self.mounted.command("bash");
        command.args(["-euc", &format!("cd \"$1\"; shift; {script}"), "bash"]).arg(self.root());
        Child::start(command.args(words))
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
        assert!(poll(CEILING, || is_so().then_some(())).is_some(), "not within a minute: {what}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing that is to end now is to wait for what hangs.
        self.store.command("thaw");
    }
}

fn mount(variant: Variant, store: &Store, folder: &Path, options: &[&str]) -> Mounted {
    let home = folder.join(format!("{:?}", variant.who));
    let place = home.join("mount");
    fs::create_dir_all(&place).expect("a folder");
    for folder in [&home, &place] {
        variant.who.owns(folder);
    }
    let threads = variant.session_threads.map(|threads| threads.to_string());
    let mut options = options.to_vec();
    options.extend(threads.iter().flat_map(|threads| ["--session-threads", threads.as_str()]));
    Mounted::start(variant.who, &store.mounted(""), &place, folder, &options)
}
