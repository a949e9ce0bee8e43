//! `oxcrypt unmount` and `oxcrypt mounts`: of mounts that are used, and of those whose process is gone.

use std::process::Command;

use rustix::process::Signal;

use crate::place::{CONTENT, Place, children, is_alive, send, until};

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
