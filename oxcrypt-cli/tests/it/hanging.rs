//! Mounts of a vault whose storage hangs: what is answered, and how they end.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use oxcrypt_core::DirId;
use oxcrypt_core::testing::VaultBuilder;
use rustix::process::Signal;

use crate::child::Child;
use crate::command::Ended;
use crate::place::{CONTENT, Place, is_alive, send, until};
use crate::slow_store::Store;

/// Files that hang, more than there are slots to read them with.
const COLD: usize = 80;
/// Within how long a mount ends, whatever hangs.
const END: Duration = Duration::from_secs(2);
/// What a busy machine may take longer, and what starting a command takes.
const SLACK: Duration = Duration::from_secs(3);

/// A mount whose requests to storage hang, with programs that wait for them.
struct Hanging {
    place: Place,
    readers: Vec<Child>,
    store: Store,
}

fn fill(builder: &VaultBuilder<'_>) {
    builder.file(&DirId::root(), "file", CONTENT).unwrap();
    for number in 0..COLD {
        builder.file(&DirId::root(), &format!("cold {number}"), &vec![7; 200_000]).unwrap();
    }
}

impl Hanging {
    /// `operations` are those that hang, as the store calls them.
    fn new(operations: &str) -> Option<Self> {
        let place = Place::with(fill)?;
        let copy = |to: &Path| {
            let copied = Command::new("cp").arg("-a").arg(place.vault().join(".")).arg(to).status();
            assert!(copied.unwrap().success());
        };
        let store = Store::start(&["--max-background", "256"], copy)?;
        let mounted = place.mount_other(&store.mounted(""), &[]);
        assert_eq!(mounted.code, Some(0), "{mounted:?}");
        assert_eq!(place.read(), CONTENT);
        Child::sh(r#"ls -l "$1" > /dev/null"#, &[&place.mountpoint()]).succeed();

        store.command(&format!("freeze {operations} **"));
        let read = |number| {
            let file = place.mountpoint().join(format!("cold {number}"));
            Child::sh(r#"exec dd if="$1" bs=4096 count=1 status=none"#, &[&file])
        };
        let readers: Vec<_> = (0..COLD).map(read).collect();
        let hanging = Self { place, readers, store };
        until("all wait", || hanging.status()["requests"].as_u64().unwrap() >= COLD as u64);
        Some(hanging)
    }

    fn status(&self) -> serde_json::Value {
        let ended = self.place.run(&["status", "--json", self.place.mountpoint().to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.objects().remove(0)
    }

    /// Does what is to end the mount, and sees that all is over soon.
    fn ends_by(mut self, end: impl FnOnce(&Place)) {
        let daemon = self.place.daemon();
        let since = Instant::now();
        end(&self.place);
        until("it is mounted no longer", || !self.place.is_mounted());
        let took = since.elapsed();
        println!("unmounted within {took:?}");
        assert!(took < END + SLACK, "{took:?}");
        for reader in &mut self.readers {
            let reader = reader.ended_within(END + SLACK).expect("who waited gets an answer");
            assert!(!reader.status.success(), "{reader:?}");
        }
        until("its socket is gone", || self.place.sockets().is_empty());
        // The vault's own files close when storage lets them; nothing of ours is to wait for that.
        self.store.command("thaw");
        until("the daemon has ended", || !is_alive(daemon));
    }
}

fn took<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let since = Instant::now();
    (what(), since.elapsed())
}

#[test]
fn what_is_in_memory_and_the_status_are_told_while_reads_hang() {
    let Some(hanging) = Hanging::new("read") else { return };
    assert_eq!(hanging.place.read(), CONTENT);
    until("it stalls", || hanging.status()["storage"] != "answers");
    let (status, time) = took(|| hanging.status());
    println!("status within {time:?}");
    assert!(time < SLACK, "{time:?}");
    let oldest = &status["oldest"];
    assert!(oldest["path"].as_str().unwrap().contains(".c9r"), "{oldest}");
    assert!(oldest["ageMs"].as_u64().unwrap() > 0, "{oldest}");
    let told = hanging.place.run(&["status", hanging.place.mountpoint().to_str().unwrap()]);
    let first = told.out.lines().next().unwrap();
    assert!(first.contains("waiting for storage: ") && first.contains(" files, oldest "), "{first}");
    let log = status["log"].as_str().unwrap();
    assert!(!fs::read_to_string(log).unwrap().contains("cold "), "names are secret");
    hanging.ends_by(|place| assert_eq!(place.unmount(&["--force"]).code, Some(0)));
}

#[test]
fn a_signal_ends_a_mount_that_hangs() {
    let Some(hanging) = Hanging::new("all") else { return };
    hanging.ends_by(|place| send(place.daemon(), Signal::TERM));
}

#[test]
fn a_mount_that_hangs_and_is_in_use_says_so() {
    let Some(hanging) = Hanging::new("all") else { return };
    let (ended, time): (Ended, _) = took(|| hanging.place.unmount(&[]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(time < END + SLACK, "{time:?}");
    assert!(hanging.status()["requests"].as_u64().unwrap() >= COLD as u64, "nobody was disturbed");
    hanging.ends_by(|place| assert_eq!(place.unmount(&["--force"]).code, Some(0)));
}
