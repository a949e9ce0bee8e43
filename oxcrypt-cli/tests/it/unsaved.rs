//! What storage does not take: who is told, what keeps it, and what gives it up.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::child::{CEILING, Child};
use crate::command::{Ended, run};
use crate::place::{Place, ended, is_alive, send, until};
use crate::slow_store::Store;

/// What the promised time may take longer on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// A vault on a store that can be told to fail and to hang, and a place to mount it at.
struct Failing {
    place: Place,
    store: Store,
}

impl Failing {
    fn new() -> Option<Self> {
        let place = Place::new()?;
        let store = Store::start(&["--max-background", "256"], |to| {
            let copied = Command::new("cp").arg("-a").arg(place.vault().join(".")).arg(to).status();
            assert!(copied.unwrap().success());
        })?;
        Some(Self { place, store })
    }

    fn mount(&self, more: &[&str]) {
        let mounted = run(self.place.mount_other_command(&self.store.mounted("")).args(more));
        assert_eq!(mounted.code, Some(0), "{mounted:?}");
    }

    /// Writes a file through the mount, and returns whether the program was content. It closes the empty file once before,
    /// so the rules of these tests leave its header alone.
    fn write(&self, name: &str) -> bool {
        let file = self.place.mountpoint().join(name);
        let mut child = Child::sh(r#"printf 'some bytes' | dd of="$1" conv=fsync status=none"#, &[&file]);
        child.ended_within(CEILING).expect("an end").status.success()
    }

    /// How many files the status says are unsaved, and how many of them failed.
    fn unsaved(&self) -> (u64, u64) {
        let status = self.on_mount("status", &["--json"]).objects().remove(0);
        let number = |field: &str| status["unsaved"][field].as_u64().unwrap();
        (number("files"), number("failed"))
    }

    fn on_mount(&self, verb: &str, more: &[&str]) -> Ended {
        run(self.place.command(&[verb]).arg(self.place.mountpoint()).args(more))
    }

    /// A file of the vault, past the mount.
    fn cat(&self, name: &str) -> Ended {
        let mut command = self.place.command(&["cat", "--passphrase-env", "PASSPHRASE"]);
        run(command.arg(self.store.behind("")).arg(name))
    }
}

#[test]
fn what_could_not_be_stored_keeps_the_mount_until_it_is_given_up() {
    let Some(failing) = Failing::new() else { return };
    failing.mount(&[]);
    failing.store.command("fail EIO write ** offset=68..9999999");
    assert!(!failing.write("lost"), "the program is told");
    assert_eq!(failing.unsaved(), (1, 1));

    let stays = failing.on_mount("unmount", &[]);
    assert_eq!(stays.code, Some(8), "{stays:?}");
    assert!(
        stays.err.contains("/lost: 32.00 KiB not stored: ") && stays.err.contains("oxcrypt discard"),
        "{stays:?}"
    );
    assert!(failing.place.is_mounted());
    let status = failing.on_mount("status", &[]).out;
    assert!(status.contains("unsaved    1 file, 32.00 KiB") && status.contains("not stored d/"), "{status}");
    assert!(!status.contains("/lost"), "names are secret: {status}");

    let listed = failing.on_mount("discard", &[]);
    assert!(listed.code == Some(0) && listed.out.starts_with("/lost: "), "{listed:?}");
    for (more, code) in [(&["file", "--yes"][..], 7), (&["lost"], 7), (&["--all"], 7)] {
        assert_eq!(failing.on_mount("discard", more).code, Some(code), "{more:?}");
    }
    assert_eq!(failing.unsaved(), (1, 1), "it is there still");
    let inside = failing.place.mountpoint().join("lost").display().to_string();
    let given_up = failing.on_mount("discard", &["--json", "--yes", &inside]);
    assert_eq!(given_up.code, Some(0), "{given_up:?}");
    assert_eq!(given_up.objects()[0]["path"], "/lost");
    assert_eq!(given_up.objects()[1]["discarded"], 1);
    assert_eq!(failing.unsaved(), (0, 0));
    assert_eq!(failing.on_mount("unmount", &[]).code, Some(0));
}

#[test]
fn what_storage_takes_after_all_is_stored_before_the_mount_goes() {
    let Some(failing) = Failing::new() else { return };
    failing.mount(&[]);
    failing.store.command("fail EIO write ** offset=68..9999999");
    assert!(!failing.write("late"));
    failing.store.command("thaw");
    let unmounted = failing.on_mount("unmount", &[]);
    assert_eq!(unmounted.code, Some(0), "{unmounted:?}");
    assert_eq!(failing.cat("late").out, "some bytes");
}

#[test]
fn who_insists_is_told_what_is_lost_and_waits_two_seconds_at_most() {
    let Some(failing) = Failing::new() else { return };
    failing.mount(&["--deadline", "write=500ms"]);
    failing.store.command("freeze write ** offset=68..9999999");
    assert!(!failing.write("lost"), "its time is over");
    let daemon = failing.place.daemon();
    let log = failing.on_mount("status", &["--json"]).objects()[0]["log"].as_str().unwrap().to_owned();
    let since = Instant::now();
    let forced = failing.on_mount("unmount", &["--force"]);
    assert!(since.elapsed() < Duration::from_secs(2) + SLACK, "{:?}", since.elapsed());
    assert_eq!(forced.code, Some(8), "{forced:?}");
    assert!(forced.err.contains("/lost: 32.00 KiB") && forced.err.contains("is lost"), "{forced:?}");
    assert!(!failing.place.is_mounted());
    let told = fs::read_to_string(log).unwrap();
    assert!(told.contains("lost: 32768 bytes of d/") && !told.contains("/lost"), "{told}");
    // The write may be carried out yet, so nobody else writes before it is.
    let mut again = failing.place.mount_other_command(&failing.store.mounted(""));
    let refused = run(&mut again);
    assert!(refused.code == Some(6) && refused.err.contains("hangs in the storage"), "{refused:?}");
    failing.store.command("thaw");
    until("the daemon has ended", || !is_alive(daemon));
    // Its last thread takes the lock along, a moment later.
    let mount = || run(&mut failing.place.mount_other_command(&failing.store.mounted(""))).code;
    until("another may write", || mount() == Some(0));
}

#[test]
fn a_signal_waits_for_storage_and_the_code_says_what_came_of_it() {
    let Some(failing) = Failing::new() else { return };
    let outcomes = [("delay 2s", "stored", Some(0)), ("fail EIO", "lost", Some(8))];
    for (storage, name, code) in outcomes {
        let mut command = failing.place.mount_other_command(&failing.store.mounted(""));
        command.args(["--foreground", "--deadline", "write=500ms"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        until("it is mounted", || failing.place.is_mounted());
        failing.store.command(&format!("{storage} write ** offset=68..9999999"));
        assert!(!failing.write(name), "{storage}");
        send(Pid::from_child(&child), Signal::TERM);
        assert_eq!(ended(&mut child), code, "{storage}");
        failing.store.command("thaw");
        assert!(!failing.place.is_mounted());
    }
    assert_eq!(failing.cat("stored").out, "some bytes");
}

#[test]
fn what_others_unmount_is_stored_by_the_process_before_it_ends() {
    let Some(failing) = Failing::new() else { return };
    failing.mount(&["--deadline", "write=500ms"]);
    failing.store.command("freeze write ** offset=68..9999999");
    assert!(!failing.write("late"));
    let daemon = failing.place.daemon();
    let unmounted = Command::new("fusermount3").arg("-u").arg(failing.place.mountpoint()).status().unwrap();
    assert!(unmounted.success());
    assert!(is_alive(daemon), "it has something to do");
    let refused = run(&mut failing.place.mount_other_command(&failing.store.mounted("")));
    assert_eq!(refused.code, Some(6), "{refused:?}");
    failing.store.command("thaw");
    until("it is done", || !is_alive(daemon));
    assert_eq!(failing.cat("late").out, "some bytes");
}
