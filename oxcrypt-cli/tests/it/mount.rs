//! `oxcrypt mount`: when it returns, how it ends, what it refuses.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid};

use crate::command::{run, skip};
use crate::place::{CONTENT, Place, children, ended, is_alive, send, until};

#[test]
fn the_command_returns_when_the_mount_answers() {
    let Some(place) = Place::new() else { return };
    let mounted = place.mount(&["--read-only", "--quiet"]);
    assert_eq!((mounted.code, mounted.err.as_str()), (Some(0), ""), "{mounted:?}");
    assert!(mounted.out.contains("oxcrypt unmount"), "{mounted:?}");
    assert!(place.is_mounted());
    assert_eq!(place.read(), CONTENT);

    let logs: Vec<_> = fs::read_dir(place.dir().join("state/oxcrypt")).unwrap().map(Result::unwrap).collect();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let log = fs::read_to_string(logs[0].path()).unwrap();
    assert!(log.contains("mounted") && !log.contains("/file"), "{log}");
    assert_eq!(fs::metadata(place.dir().join("run/oxcrypt")).unwrap().permissions().mode() & 0o777, 0o700);

    let unmounted = place.unmount(&[]);
    assert_eq!(unmounted.code, Some(0), "{unmounted:?}");
    assert!(!place.is_mounted());
    until("its socket is gone", || place.sockets().is_empty());
}

#[test]
fn the_passphrase_is_in_no_argument_and_no_environment_of_the_processes_that_stay() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    let daemon = place.daemon();
    for pid in [&[daemon][..], &children(daemon)].concat() {
        let of = |what: &str| fs::read(format!("/proc/{}/{what}", pid.as_raw_nonzero()));
        let (Ok(arguments), Ok(environment)) = (of("cmdline"), of("environ")) else {
            // The kernel shows neither to anybody but root, which is as well.
            assert!(!geteuid().is_root());
            return;
        };
        let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has(&environment, "XDG_STATE_HOME=") && !has(&environment, "PASSPHRASE="));
        assert!(!has(&arguments, "passphrase\0"), "{}", String::from_utf8_lossy(&arguments));
    }
}

#[test]
fn the_janitor_of_a_mount_in_the_foreground_is_without_the_passphrase() {
    let Some(place) = Place::new() else { return };
    let mut command = place.mount_command(&["-o", "ro", "--foreground"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it is mounted", || place.is_mounted());
    let environments = children(Pid::from_child(&child)).into_iter().map(|janitor| {
        // The kernel shows it to nobody but root, which is as well.
        fs::read(format!("/proc/{}/environ", janitor.as_raw_nonzero())).unwrap_or_default()
    });
    let environments: Vec<_> = environments.collect();
    assert_eq!(place.unmount(&["--force"]).code, Some(0));
    assert_eq!(ended(&mut child), Some(0));
    assert_eq!(environments.len(), 1);
    assert!(!environments[0].windows(11).any(|part| part == b"PASSPHRASE="));
    assert!(!geteuid().is_root() || environments[0].windows(15).any(|part| part == b"XDG_STATE_HOME="));
}

#[test]
fn a_wrong_passphrase_mounts_nothing_and_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let mut command = place.command(&["mount", "--passphrase-env", "OFFICIAL", "-o", "ro"]);
    let mounted = run(command.arg(place.vault()).arg(place.mountpoint()));
    assert_eq!(mounted.code, Some(3), "{mounted:?}");
    assert_eq!(mounted.err.lines().count(), 1, "{mounted:?}");
    assert!(mounted.err.contains("wrong passphrase"), "{mounted:?}");
    assert!(!place.is_mounted());
    assert!(place.sockets().is_empty());
}

#[test]
fn a_service_is_told_when_it_is_ready_and_when_it_stops() {
    let Some(place) = Place::new() else { return };
    let socket = place.dir().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let heard = || {
        let mut buf = [0; 256];
        let len = manager.recv(&mut buf).unwrap();
        String::from_utf8(buf[..len].to_vec()).unwrap()
    };
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut command = place.mount_command(&["--foreground", "-o", "ro"]);
        let mut child = command.env("NOTIFY_SOCKET", &socket).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("mounted "), "{line}");
        assert_eq!(heard().lines().next(), Some("READY=1"));
        assert_eq!(place.read(), CONTENT);
        send(Pid::from_child(&child), signal);
        assert_eq!(heard(), "STOPPING=1");
        assert_eq!(ended(&mut child), Some(0), "{signal:?}");
        assert!(!place.is_mounted());
    }
}

#[test]
fn a_command_that_ends_while_it_waits_leaves_nothing_mounted_and_no_process() {
    let Some(place) = Place::new() else { return };
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let mut command = place.mount_command(&["-o", "ro"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        // The command itself is stopped, so that it surely does not let the daemon stay before.
        let daemon = loop {
            send(pid, Signal::STOP);
            let started = children(pid);
            if let Some(daemon) = started.first() {
                break *daemon;
            }
            send(pid, Signal::CONT);
        };
        send(pid, signal);
        send(pid, Signal::CONT);
        assert_eq!(ended(&mut child), code);
        until("the daemon has ended", || !is_alive(daemon));
        until("nothing is mounted", || !place.is_mounted());
    }
}

#[test]
fn places_where_it_would_lie_in_itself_are_refused() {
    let Some(place) = Place::new() else { return };
    let (dir, vault) = (place.dir(), place.vault());
    fs::write(dir.join("a file"), "").unwrap();
    fs::create_dir_all(dir.join("full/entry")).unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    symlink(&vault, dir.join("alias")).unwrap();
    let at = |mountpoint: &str, more: &[&str]| {
        let mut command = place.command(&["mount", "-o", "ro", "--passphrase-env", "PASSPHRASE"]);
        run(command.arg(&vault).arg(dir.join(mountpoint)).args(more))
    };
    let log = dir.join("empty/log").display().to_string();
    symlink(dir.join("empty/new"), dir.join("loglink")).unwrap();
    let led_astray = dir.join("loglink").display().to_string();
    for (ended, code, text) in [
        (
            at("nowhere", &[]),
            2,
            "nowhere: there is no such folder to mount at; make one first, as by `mkdir -p",
        ),
        (at("a file/in it", &[]), 2, "Not a directory"),
        (at("a file", &[]), 2, "no folder"),
        (at("full", &[]), 2, "--nonempty"),
        (at("vault/d", &[]), 2, "vault's own folder"),
        (at("alias", &[]), 2, "vault's own folder"),
        (at("", &["--nonempty"]), 2, "would lie below the mount"),
        (at("run", &["--nonempty"]), 2, "control socket"),
        (at("empty", &["--log", &log]), 2, "the log"),
        (at("empty", &["--log", &led_astray]), 2, "the log"),
        (at("empty", &["-o", "tachyon"]), 2, "known are ro"),
    ] {
        assert_eq!(ended.code, Some(code), "{text}: {ended:?}");
        assert!(ended.err.contains(text), "{text}: {ended:?}");
    }
    let mut command = place.command(&["mount", "-o", "ro", "--passphrase-env", "PASSPHRASE"]);
    let no_vault = run(command.arg(dir.join("full")).arg(dir.join("empty")));
    assert_eq!(no_vault.code, Some(4), "{no_vault:?}");

    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    let again = place.mount(&["-o", "ro"]);
    assert_eq!(again.code, Some(5), "{again:?}");
    assert!(again.err.contains("already"), "{again:?}");
}

#[test]
fn an_ordinary_user_mounts_by_fusermount() {
    let Some(place) = Place::new() else { return };
    if !geteuid().is_root() {
        // Then every other test here is this one.
        return;
    }
    let nobody = 65_534;
    let mut open = vec![place.dir().to_owned()];
    while let Some(path) = open.pop() {
        chown(&path, Some(nobody), Some(nobody)).unwrap();
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let as_nobody = |command: &Command| {
        let mut setpriv = Command::new("setpriv");
        setpriv
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("PASSPHRASE", "passphrase")
            .current_dir("/");
        place.settle(&mut setpriv);
        setpriv
    };
    // The program itself may lie where only its owner can go.
    let version = as_nobody(&place.command(&["--version"])).output();
    if !version.is_ok_and(|output| output.status.success()) {
        skip("another user cannot run the command here, or setpriv is missing");
        return;
    }
    let roots = place.dir().join("root's");
    fs::create_dir(&roots).unwrap();
    let mut elsewhere = place.command(&["mount", "--passphrase-env", "PASSPHRASE"]);
    let refused = run(&mut as_nobody(elsewhere.arg(place.vault()).arg(roots)));
    assert!(refused.code == Some(2) && refused.err.contains("may not write to"), "{refused:?}");
    let mounted = run(&mut as_nobody(&place.mount_command(&[])));
    assert_eq!(mounted.code, Some(0), "{mounted:?}");
    // Root asks its process, although that has its socket where root's own would not be.
    let own = place.mountpoint().display().to_string();
    let listed = place.run(&["mounts", "--json"]).objects();
    let listed = listed.iter().find(|mount| mount["mountpoint"] == own.as_str()).unwrap();
    assert_eq!(listed["state"], "mounted");
    let mut copy = Command::new("timeout");
    copy.args(["10", "sh", "-euc", r#"cd "$1"; mkdir new; cp file new/copy; cat new/copy"#, "sh"]);
    let read = run(&mut as_nobody(copy.arg(place.mountpoint())));
    assert_eq!(read.out.as_bytes(), CONTENT, "{read:?}");
    let mkdir = || {
        let mut command = place.command(&["mkdir", "--passphrase-env", "PASSPHRASE"]);
        run(&mut as_nobody(command.arg(place.vault()).arg("another")))
    };
    let refused = mkdir();
    assert!(refused.code == Some(6) && refused.err.contains("(mount at "), "{refused:?}");
    let mut unmount = place.command(&["unmount"]);
    let unmounted = run(&mut as_nobody(unmount.arg(place.mountpoint())));
    assert_eq!(unmounted.code, Some(0), "{unmounted:?}");
    assert!(!place.is_mounted());
    assert_eq!(mkdir().code, Some(0), "it is the user's to write to again");
}
