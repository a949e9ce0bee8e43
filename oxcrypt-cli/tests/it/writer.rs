//! One writer for each vault, and any number of readers.

use std::io::Write as _;
use std::process::{Child, Stdio};

use crate::command::{Ended, Made, names_below, oxcrypt, run};

/// A process that writes to the vault and waits for a passphrase meanwhile. Returns when it is the writer.
fn writer(made: &Made) -> Child {
    loop {
        let mut command = oxcrypt(&["passphrase", "change", "--passphrase-stdin", "--new-passphrase-stdin"]);
        command.args(["--scrypt-cost", "2"]).arg(made.vault());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Whoever asks whether it is may be in its way, and then it is for the next one.
        while child.try_wait().unwrap().is_none() {
            if another(made).code == Some(6) {
                return child;
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(6));
    }
}

/// Another process that would write, and has nothing to do if it may.
fn another(made: &Made) -> Ended {
    made.run(&["backups", "prune", "--yes"], &[])
}

#[test]
fn a_second_writer_is_told_who_the_first_is_and_readers_are_welcome() {
    let made = Made::new(|_| ());
    let before = names_below(&made.vault());
    let mut first = writer(&made);
    let refused = another(&made);
    let who = format!("process {} (passphrase change) writes to this vault already", first.id());
    assert!(refused.err.contains(&who), "{refused:?}");
    for verb in [&["ls"][..], &["recovery-key", "show"]] {
        assert_eq!(made.run(verb, &[]).code, Some(0), "{verb:?}");
    }
    let other = Made::new(|_| ());
    assert_eq!(another(&other).code, Some(0), "another vault has a writer of its own");
    assert_eq!(names_below(&made.vault()), before, "the lock is not in the vault");

    first.stdin.take().unwrap().write_all(b"passphrase\nlong enough\n").unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let after = run(made.command(&["backups", "prune", "--yes"], &[]).env("PASSPHRASE", "long enough"));
    assert_eq!(after.code, Some(0), "{after:?}");
}

#[test]
fn a_killed_writer_is_no_writer_any_more() {
    let made = Made::new(|_| ());
    let mut first = writer(&made);
    first.kill().unwrap();
    first.wait().unwrap();
    let next = another(&made);
    assert_eq!(next.code, Some(0), "{next:?}");
}

#[test]
fn another_environment_is_no_way_around_it() {
    let made = Made::new(|_| ());
    let mut first = writer(&made);
    let elsewhere = tempfile::tempdir().unwrap();
    for runtime_dir in [Some(elsewhere.path()), None] {
        let mut command = made.command(&["backups", "prune", "--yes"], &[]);
        match runtime_dir {
            Some(dir) => command.env("XDG_RUNTIME_DIR", dir),
            None => command.env_remove("XDG_RUNTIME_DIR"),
        };
        let refused = run(&mut command);
        assert_eq!(refused.code, Some(6), "{runtime_dir:?} {refused:?}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
}
