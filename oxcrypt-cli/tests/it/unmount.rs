//! `oxcrypt unmount` and `oxcrypt mounts`: of mounts that are used, and of those whose process is gone.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::command::skip;
use crate::place::{CONTENT, Place, children, ended, is_alive, send, until};

#[test]
fn a_mount_in_use_stays_until_somebody_insists() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    let mut user = Command::new("sleep").arg("60").current_dir(place.mountpoint()).spawn().unwrap();
    let busy = place.unmount(&[]);
    assert_eq!(busy.code, Some(1), "{busy:?}");
    assert!(busy.err.contains("in use") && busy.err.contains("--force"), "{busy:?}");
    assert_eq!(place.read(), CONTENT, "it goes on");
    let daemon = place.daemon();
    let forced = place.unmount(&["--force"]);
    user.kill().unwrap();
    user.wait().unwrap();
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert!(!place.is_mounted());
    until("the daemon has ended", || !is_alive(daemon));
}

#[test]
fn the_vaults_folder_names_its_mount_too() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    let vault = place.vault().display().to_string();
    let unmounted = place.run(&["unmount", &vault]);
    assert_eq!(unmounted.code, Some(0), "{unmounted:?}");
    assert!(!place.is_mounted());
}

#[test]
fn what_is_unmounted_already_is_told() {
    let Some(place) = Place::new() else { return };
    for more in [&[][..], &["--force"]] {
        let ended = place.unmount(more);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.err.contains("no vault is mounted"), "{ended:?}");
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_mounted() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    send(place.daemon(), Signal::KILL);
    until("its janitor has tidied up", || !place.is_mounted());
    // The socket is there still, and nobody listens.
    assert_eq!(place.sockets().len(), 1);
    let again = place.mount(&["-o", "ro"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(place.read(), CONTENT);
}

#[test]
fn a_mount_that_lost_all_its_processes_is_told_and_ended_by_force() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    let daemon = place.daemon();
    let janitors = children(daemon);
    assert_eq!(janitors.len(), 1);
    send(janitors[0], Signal::KILL);
    send(daemon, Signal::KILL);
    until("both are gone", || !is_alive(daemon) && !is_alive(janitors[0]));
    assert!(place.is_mounted());

    let own = place.mountpoint().display().to_string();
    let listed = place.run(&["mounts", "--json"]).objects();
    let listed = listed.iter().find(|mount| mount["mountpoint"] == own.as_str()).unwrap();
    assert_eq!(listed["state"], "stale");
    for ended in [place.unmount(&[]), place.mount(&["-o", "ro"]), place.run(&["status", &own])] {
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.err.contains("not answer"), "{ended:?}");
    }
    let forced = place.unmount(&["--force"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert!(!place.is_mounted());
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
}

#[test]
fn two_who_unmount_at_once_are_both_content() {
    let Some(place) = Place::new() else { return };
    for _ in 0..5 {
        assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| place.unmount(&[]));
            (place.unmount(&[]), one.join().unwrap())
        });
        for ended in [&one, &other] {
            let came_late = ended.err.contains("no vault is mounted");
            assert!(ended.code == Some(0) || came_late, "{ended:?}");
        }
        assert!([&one, &other].iter().any(|ended| ended.code == Some(0)), "{one:?} {other:?}");
        assert!(!place.is_mounted());
    }
}

#[test]
fn a_connection_that_somebody_ended_is_told_and_its_rest_removed() {
    let Some(place) = Place::new() else { return };
    let mut command = place.mount_command(&["--foreground", "-o", "ro"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let device = place.connection().expect("it is mounted");
    if let Err(error) = fs::write(format!("/sys/fs/fuse/connections/{device}/abort"), "1") {
        send(Pid::from_child(&child), Signal::TERM);
        ended(&mut child);
        skip(&format!("connections cannot be ended here: {error}"));
        return;
    }
    assert_eq!(ended(&mut child), Some(5));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("unmount --force"), "{said}");
    assert_eq!(place.unmount(&["--force"]).code, Some(0));
    assert!(!place.is_mounted());
}

#[test]
fn a_folder_whose_name_a_terminal_would_act_on_is_told_so_that_it_does_not() {
    let Some(place) = Place::new() else { return };
    let ended = place.run(&["unmount", "/no\u{1b}[31m such\nfolder"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains(r"/no\u{1b}[31m such\nfolder"), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
}

#[test]
fn a_mount_whose_folder_was_moved_is_taken_out_of_the_tree_where_it_is() {
    let Some(place) = Place::new() else { return };
    let (before, after) = (place.dir().join("before"), place.dir().join("after"));
    fs::create_dir_all(before.join("mount")).unwrap();
    let mut command = place.command(&["mount", "--passphrase-env", "PASSPHRASE", "-o", "ro", "--foreground"]);
    command.arg(place.vault()).arg(before.join("mount")).stderr(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A line says that it answers.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    fs::rename(&before, &after).unwrap();
    send(Pid::from_child(&child), Signal::TERM);
    assert_eq!(ended(&mut child), Some(0));
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let left = after.join("mount").display().to_string();
    let is_left = table.contains(&format!(" {left} "));
    if is_left {
        drop(place.run(&["unmount", "--force", &left]));
    }
    assert!(!is_left, "a dead mount is left at {left}");
}
