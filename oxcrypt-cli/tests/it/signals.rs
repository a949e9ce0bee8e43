//! Ctrl-C, closed pipes and full disks.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use oxcrypt_core::DirId;
use rustix::process::{Pid, Signal, kill_process};

#[cfg(target_os = "linux")]
use crate::command::skip;
use crate::command::{Made, names_below, oxcrypt, run};

/// More than any of this takes on any machine.
const CEILING: Duration = Duration::from_mins(1);

fn large() -> Made {
    Made::new(|builder| {
        builder.file(&DirId::root(), "large", &vec![7; 200 << 20]).unwrap();
    })
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn an_interrupted_decrypt_leaves_nothing_half_done_and_can_be_resumed() {
    let made = large();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let dest = made.dest();
        let mut command = made.command(&["decrypt", "--jobs", "1"], &[dest.to_str().unwrap()]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        // Stopped in the middle, it gets the signal when it goes on.
        while !dest.exists() || !names_below(&dest).iter().any(|name| has_ending(name, "part")) {
            assert!(
                started.elapsed() < CEILING && child.try_wait().unwrap().is_none(),
                "it has begun the file"
            );
        }
        send(&child, Signal::STOP);
        send(&child, signal);
        send(&child, Signal::CONT);
        let status = child.wait().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(names_below(&dest).is_empty(), "{:?}", names_below(&dest));
    }
    let ended = made.decrypt(&["--resume"], &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(fs::metadata(made.dest().join("large")).unwrap().len(), 200 << 20);
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_started_to_outlive_its_terminal_does() {
    let made = large();
    let dest = made.dest();
    let script = format!(
        "trap '' HUP; exec {} decrypt --quiet --jobs 1 --passphrase-env PASSPHRASE {} {}",
        env!("CARGO_BIN_EXE_oxcrypt"),
        made.vault().display(),
        dest.display()
    );
    let mut shell = std::process::Command::new("sh");
    let mut child = shell.args(["-c", &script]).env("PASSPHRASE", "passphrase").spawn().unwrap();
    let started = Instant::now();
    while !dest.exists() || names_below(&dest).is_empty() {
        assert!(started.elapsed() < CEILING && child.try_wait().unwrap().is_none(), "it has begun the file");
    }
    send(&child, Signal::HUP);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit('.').next() == Some(ending)
}

#[test]
fn whoever_closes_the_pipe_has_seen_enough() {
    let made = large();
    for args in [&["cat"][..], &["ls", "-R"]] {
        let more: &[&str] = if args == ["cat"] { &["large", "--quiet"] } else { &["--quiet"] };
        let mut child =
            made.command(args, more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_standard_output_is_told() {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "file", b"content").unwrap();
    });
    for args in [&["ls"][..], &["cat", "file"], &["tree"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = made.command(&args[..1], &args[1..]);
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_destination_ends_the_run_and_leaves_only_whole_files() {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "a small", &[1; 1000]).unwrap();
        builder.file(&DirId::root(), "large", &vec![2; 20 << 20]).unwrap();
    });
    fs::create_dir(made.dest()).unwrap();
    let as_root = |command: &[&str]| {
        // Root itself, or somebody who may become root without being asked.
        [&[][..], &["sudo", "-n"]].into_iter().any(|prefix: &[&str]| {
            let words = [prefix, command].concat();
            let run = std::process::Command::new(words[0]).args(&words[1..]).arg(made.dest()).output();
            run.is_ok_and(|output| output.status.success())
        })
    };
    if !as_root(&["mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs"]) {
        skip("only root can make a small file system to fill");
        return;
    }
    let ended = made.decrypt(&["--jobs", "1"], &[]);
    let left = names_below(&made.dest());
    assert!(as_root(&["umount"]));
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    assert!(ended.err.contains("the destination failed"), "{}", ended.err);
    assert_eq!(left, ["a small"]);
}

#[test]
fn help_has_an_example_for_each_command() {
    let verbs = ["info", "ls", "tree", "cat", "decrypt", "locate", "mount", "unmount", "mounts", "status"];
    let of_keys = [
        "create",
        "passphrase change",
        "recovery-key show",
        "recovery-key validate",
        "recovery-key reset-passphrase",
        "config rebuild",
        "backups list",
        "backups prune",
    ];
    for verb in verbs.into_iter().chain(of_keys) {
        let words: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
        let ended = run(&mut oxcrypt(&words));
        assert_eq!(ended.code, Some(0));
        assert!(
            ended.out.contains("Example") && ended.out.contains(&format!("oxcrypt {verb}")),
            "{}",
            ended.out
        );
    }
    assert!(run(&mut oxcrypt(&["--help"])).out.contains("Exit codes"));
}
