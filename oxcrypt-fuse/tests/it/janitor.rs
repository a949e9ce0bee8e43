//! What becomes of a mount whose daemon dies, of one that never comes about, and of those of ordinary users.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oxcrypt_core::storage::{BlockStorage, LocalStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, VaultOptions};
use oxcrypt_fuse::{FuseBackend, MountOptions, table};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::volume::{Volume, VolumeOptions};
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::child::{CEILING, Child, poll};
use crate::house::{House, content, janitor, janitor_exe};
use crate::store::{self, Store};

/// How soon the mount of a dead daemon has to be gone.
const SOON: Duration = Duration::from_secs(2);

/// How often a number is tried to be had that others may have taken.
const ATTEMPTS: usize = 30;

/// Somebody without rights.
const NOBODY: &str = "65534";

fn fill(builder: &VaultBuilder<'_>, root: &DirId) {
    builder.file(root, "file", &content(100_000)).unwrap();
}

fn house() -> Option<House> {
    House::new(MountOptions::default(), fill)
}

fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("oxcrypt-janitor-").tempdir().unwrap()
}

/// A process that has mounted a vault, and does nothing else.
struct Daemon {
    process: std::process::Child,
    place: Arc<TempDir>,
}

impl Daemon {
    fn start(vault: &Path) -> Self {
        Self::start_at(vault, Arc::new(temporary()))
    }

    fn start_at(vault: &Path, place: Arc<TempDir>) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "janitor::serves_a_vault_for_the_tests_here", "--ignored", "--nocapture"])
            .env("VAULT", vault)
            .env("PLACE", place.path())
            .env("JANITOR", janitor_exe())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { process, place };
        poll(CEILING, || daemon.mounted()).expect("a mount");
        daemon
    }

    fn mounted(&self) -> Option<table::Mounted> {
        table::find(self.place.path()).unwrap()
    }

    fn read(&self) -> Child {
        Child::sh(r#"cat "$1""#, &[&self.place.path().join("file")])
    }

    fn janitor(&self) -> Pid {
        let tasks = fs::read_dir(format!("/proc/{0}/task", self.process.id())).unwrap();
        let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let all: String = tasks.map(|task| of(task.unwrap())).collect();
        let all: Vec<i32> = all.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let [janitor] = all[..] else { panic!("one child, and not {all:?}") };
        Pid::from_raw(janitor).unwrap()
    }

    /// Whether the kernel has something of it still.
    fn is_there(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        if poll(SOON, || self.mounted().is_none().then_some(())).is_none() {
            // Cleaning up would reach through the mount.
            std::mem::forget(Arc::clone(&self.place));
        }
    }
}

/// A process that is not our child, and does nothing until this is dropped.
struct Paused(Pid);

impl Paused {
    fn new(process: Pid) -> Self {
        kill_process(process, Signal::STOP).unwrap();
        Self(process)
    }

    fn goes_on_to_its_end(self) {
        let stat = format!("/proc/{}/stat", self.0.as_raw_nonzero());
        drop(self);
        // Whoever inherited it may not have asked for what is left of it.
        let is_gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        poll(CEILING, || is_gone().then_some(())).expect("its end");
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[test]
#[ignore = "the other tests run it as a process of its own"]
fn serves_a_vault_for_the_tests_here() {
    let [vault, place] = ["VAULT", "PLACE"].map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let janitor = janitor();
    let storage: Arc<dyn BlockStorage> = Arc::new(LocalStorage::open(vault).unwrap());
    let vault = Locked::read(storage).unwrap();
    let vault = vault.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
    let volume =
        Volume::start(Arc::new(vault), VolumeOptions::default(), Arc::new(SystemClock::new())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let backend = FuseBackend::new(janitor, MountOptions::default());
    let _mount = runtime.block_on(backend.mount_fuse(Arc::new(volume), &place)).unwrap();
    // Until it is killed, or whoever started it is.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

fn vault_in(folder: &Path) {
    let storage = LocalStorage::open(folder).unwrap();
    fill(&VaultBuilder::create(&storage, Recipe::default()).unwrap(), &DirId::root());
}

#[test]
fn the_mount_of_a_killed_daemon_is_gone_soon() {
    if !store::can_mount() {
        return;
    }
    let folder = temporary();
    vault_in(folder.path());
    let mut daemon = Daemon::start(folder.path());
    assert!(daemon.read().succeed().output == content(100_000));
    daemon.process.kill().unwrap();
    poll(SOON, || daemon.mounted().is_none().then_some(())).expect("an unmounted folder");
}

/// Kills a daemon with a thread that the kernel does not let go of, and sees that whoever waits for it does not.
fn kills_a_daemon_whose_storage_hangs(before: impl FnOnce(&Daemon)) {
    let Some(store) = Store::start(&["--attr-timeout", "0s", "--entry-timeout", "0s"], vault_in) else {
        return;
    };
    let mut daemon = Daemon::start(&store.mounted(""));
    store.command("freeze open **");
    let mut reader = daemon.read();
    store.command("await held 1 60s");
    before(&daemon);
    daemon.process.kill().unwrap();
    poll(SOON, || daemon.mounted().is_none().then_some(())).expect("an unmounted folder");
    let ended = reader.ended_within(SOON).expect("a reader that was let go");
    assert!(!ended.status.success());
    assert!(daemon.is_there(), "no thread was stuck, so this shows nothing");
    store.command("thaw");
    poll(CEILING, || (!daemon.is_there()).then_some(())).expect("an end");
}

#[test]
fn a_thread_that_hangs_in_storage_does_not_keep_the_mount_of_a_killed_daemon() {
    kills_a_daemon_whose_storage_hangs(|_| ());
}

#[test]
fn whoever_waits_in_a_mount_that_was_taken_out_of_the_tree_is_let_go_when_its_daemon_is_killed() {
    kills_a_daemon_whose_storage_hangs(|daemon| {
        rustix::mount::unmount(daemon.place.path(), UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn a_second_process_can_end_a_mount_whose_daemon_hangs() {
    let Some(store) = Store::start(&["--attr-timeout", "0s", "--entry-timeout", "0s"], vault_in) else {
        return;
    };
    let daemon = Daemon::start(&store.mounted(""));
    store.command("freeze open **");
    let mut reader = daemon.read();
    store.command("await held 1 60s");
    table::unmount_by_force(&daemon.mounted().unwrap()).unwrap();
    assert_eq!(daemon.mounted(), None);
    assert!(!reader.ended_within(SOON).expect("a reader that was let go").status.success());
    store.command("thaw");
}

#[test]
fn ctrl_c_does_not_end_the_janitor_before_the_daemon() {
    if !store::can_mount() {
        return;
    }
    let folder = temporary();
    vault_in(folder.path());
    let mut daemon = Daemon::start(folder.path());
    let janitor = daemon.janitor();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill_process(janitor, signal).unwrap();
    }
    assert!(daemon.read().succeed().output == content(100_000));
    daemon.process.kill().unwrap();
    poll(SOON, || daemon.mounted().is_none().then_some(())).expect("an unmounted folder");
}

/// Takes a mount out of the tree as a person may.
fn take_out(place: &Path) {
    let script = if geteuid().is_root() { r#"umount -l "$1""# } else { r#"fusermount3 -uz "$1""# };
    Child::sh(script, &[place]).succeed();
}

#[test]
fn regression_a_late_janitor_takes_a_new_mount_with_the_old_ones_number_for_its_own() {
    if !store::can_mount() {
        return;
    }
    let folder = temporary();
    vault_in(folder.path());
    // The kernel gives the lowest number that is free: another one, where others mounted or unmounted meanwhile.
    for _ in 0..ATTEMPTS {
        let mut old = Daemon::start(folder.path());
        let (place, was) = (Arc::clone(&old.place), old.mounted().unwrap());
        let janitor = Paused::new(old.janitor());
        old.process.kill().unwrap();
        old.process.wait().unwrap();
        take_out(place.path());
        let new = Daemon::start_at(folder.path(), place);
        if new.mounted().unwrap().connection != was.connection {
            continue;
        }
        assert_eq!(table::unmount_by_force(&was).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        janitor.goes_on_to_its_end();
        assert!(new.mounted().is_some(), "it was taken out of the tree");
        assert!(new.read().succeed().output == content(100_000));
        return;
    }
    panic!("no mount was given the number of the one before");
}

#[test]
fn a_new_mount_survives_the_end_of_the_one_that_was_there_before() {
    let Some(mut house) = house() else { return };
    let umount = if geteuid().is_root() { "umount" } else { "fusermount3 -u" };
    Child::sh(&format!(r#"{umount} "$1""#), &[house.place()]).succeed();
    house.wait().unwrap();
    // The old mount's janitor ends when the new one is there; it may have got the same number.
    house.mount_again();
    assert!(house.is_mounted());
    assert!(house.read("file") == content(100_000));
}

#[test]
fn a_mountpoint_may_have_any_name() {
    let Some(house) = house() else { return };
    let folder = temporary();
    for name in ["with blank", "a,b=c", "back\\slash\\040", "line\nbreak\tand tab", "-o", "\u{e4}\u{1f512}"] {
        let at = folder.path().join(name);
        fs::create_dir(&at).unwrap();
        let mut options = MountOptions::default();
        options.source = format!("source {name}");
        let mount = house.try_mount(&options, &at).unwrap();
        assert_eq!(table::find(&at).unwrap().unwrap().source, options.source);
        assert!(Child::sh(r#"cat "$1""#, &[&at.join("file")]).succeed().output == content(100_000));
        house.unmount_other(mount).unwrap();
        assert_eq!(table::find(&at).unwrap(), None, "{name}");
    }
}

#[test]
fn a_mountpoint_may_be_named_by_a_link() {
    let Some(house) = house() else { return };
    let folder = temporary();
    let (at, link) = (folder.path().join("folder"), folder.path().join("link"));
    fs::create_dir(&at).unwrap();
    symlink(&at, &link).unwrap();
    let mount = house.try_mount(&MountOptions::default(), &link).unwrap();
    assert!(table::find(&at).unwrap().is_some());
    house.unmount_other(mount).unwrap();
    assert_eq!(table::find(&at).unwrap(), None);
}

#[test]
fn what_cannot_be_mounted_leaves_nothing() {
    let Some(house) = house() else { return };
    let folder = temporary();
    fs::write(folder.path().join("file"), "").unwrap();
    for words in [&["rw"][..], &["noexec", "suid"], &["noatime,dev"], &["max_read=4096"], &["no-such-option"]]
    {
        let mut options = MountOptions::default();
        options.kernel_options = words.iter().map(|&word| word.to_owned()).collect();
        house.try_mount(&options, folder.path()).unwrap_err();
    }
    for name in ["file", "absent"] {
        house.try_mount(&MountOptions::default(), &folder.path().join(name)).unwrap_err();
    }
    let below = table::mounts().unwrap().into_iter().find(|it| it.mountpoint.starts_with(folder.path()));
    assert_eq!(below, None);
}

#[test]
fn nobody_becomes_another_there_whatever_the_mode() {
    let Some(house) = house() else { return };
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.split(' ').nth(4) == house.place().to_str()).unwrap();
    let flags: Vec<_> = line.split(' ').nth(5).unwrap().split(',').collect();
    assert!(["rw", "nosuid", "nodev"].iter().all(|flag| flags.contains(flag)), "{line}");
    assert!(line.contains("default_permissions"), "{line}");
}

/// Runs tests of this program as somebody without rights.
#[test]
fn an_ordinary_user_may_do_the_same() {
    let tests = [
        "ending::a_mount_in_use_stays_unless_it_is_forced",
        "ending::the_same_place_can_be_mounted_again",
        "janitor::a_mountpoint_may_be_named_by_a_link",
        "janitor::a_mountpoint_may_have_any_name",
        "janitor::a_new_mount_survives_the_end_of_the_one_that_was_there_before",
        "janitor::ctrl_c_does_not_end_the_janitor_before_the_daemon",
        "janitor::nobody_becomes_another_there_whatever_the_mode",
        "janitor::regression_a_late_janitor_takes_a_new_mount_with_the_old_ones_number_for_its_own",
        "janitor::the_mount_of_a_killed_daemon_is_gone_soon",
        "janitor::what_cannot_be_mounted_leaves_nothing",
        "looks::mode_owner_and_times_are_kept_where_storage_keeps_them",
        "open_files::a_removed_file_is_read_written_and_cut_as_long_as_it_is_open",
        "open_files::what_is_written_through_a_map_is_in_the_file",
        "writing::two_names_change_places_and_nothing_is_replaced_that_must_not_be",
        "writing::what_is_written_is_read_and_is_there_after_the_next_mount",
    ];
    if !store::can_mount() {
        return;
    }
    // Where cargo builds need not be readable for everybody.
    let folder = temporary();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (program, janitor) = (folder.path().join("it"), folder.path().join("janitor"));
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::copy(janitor_exe(), &janitor).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(program);
    command.arg("--exact").args(tests).env("OXCRYPT_AS_USER", "1").env("JANITOR", janitor).current_dir("/");
    let ended = Child::start(&mut command).succeed();
    let output = String::from_utf8_lossy(&ended.output).into_owned();
    assert!(output.contains(&format!(" {} passed", tests.len())), "{output}");
}
