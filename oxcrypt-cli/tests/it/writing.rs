//! Mounts that are written to: what stays, and who else may write.

use std::process::Command;

use rustix::process::Signal;

use crate::command::run;
use crate::place::{CONTENT, Place, is_alive, send, until};

/// Has a shell do something in the mount, in a process that a mount that hangs cannot keep.
fn sh(place: &Place, script: &str) {
    let mut shell = Command::new("timeout");
    shell.args(["-k", "1", "20", "sh", "-euc", script]).current_dir(place.mountpoint());
    let ended = run(&mut shell);
    assert_eq!(ended.code, Some(0), "{script}: {ended:?}");
}

/// A command on the vault itself.
fn on_vault(place: &Place, verb: &[&str], more: &[&str]) -> crate::command::Ended {
    run(place.command(verb).args(["--passphrase-env", "PASSPHRASE"]).arg(place.vault()).args(more))
}

#[test]
fn what_is_written_is_there_for_commands_and_after_a_remount() {
    let Some(place) = Place::new() else { return };
    let mounted = place.mount(&["--quiet"]);
    assert_eq!((mounted.code, mounted.err.as_str()), (Some(0), ""), "{mounted:?}");
    sh(&place, "mkdir new; printf 'by a program' > new/one; mv file new/two; ln -s one new/link");
    let listed = place.run(&["mounts"]);
    let own = place.mountpoint().display().to_string();
    let line = listed.out.lines().find(|line| line.starts_with(&own)).unwrap();
    assert!(line.contains("(read-write, "), "{line}");
    assert_eq!(place.unmount(&[]).code, Some(0));
    assert_eq!(
        on_vault(&place, &["cat"], &["new/one", "new/two"]).out.as_bytes(),
        [b"by a program".as_slice(), CONTENT].concat()
    );
    assert_eq!(place.mount(&[]).code, Some(0));
    sh(&place, "test \"$(cat new/link)\" = 'by a program'; rm -r new");
    assert_eq!(place.unmount(&[]).code, Some(0));
    assert_eq!(on_vault(&place, &["ls"], &[]).out, "");
    let backups = place.run(&["backups", "list", &place.vault().display().to_string()]);
    assert_eq!(backups.out.lines().count(), 2, "its key files were backed up: {backups:?}");
}

#[test]
fn whoever_opens_too_many_files_leaves_room_for_everything_else() {
    let Some(place) = Place::new() else { return };
    let wanted = place.mount_command(&[]);
    let mut mount = Command::new("sh");
    mount.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(wanted.get_program()).args(wanted.get_args());
    mount.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mounted = run(&mut mount);
    assert_eq!(mounted.code, Some(0), "{mounted:?}");
    let script = r#"
import errno, os
held = []
try:
    while len(held) < 300:
        held.append(os.open(f"file {len(held)}", os.O_RDWR | os.O_CREAT))
        os.write(held[-1], b"x")
    raise SystemExit("there is no end of it")
except OSError as error:
    assert error.errno == errno.ENFILE, error
assert len(held) > 100, len(held)
os.mkdir("dir"); os.rename("file 0", "dir/file"); assert "file 1" in os.listdir(".")
for handle in held:
    os.fsync(handle); os.close(handle)
os.close(os.open("one more", os.O_RDWR | os.O_CREAT))
"#;
    sh(&place, &format!("ulimit -n 1000; python3 -c '{script}'"));
    assert_eq!(place.unmount(&[]).code, Some(0));
}

#[test]
fn while_it_is_mounted_commands_that_write_are_refused_and_those_that_read_go_on() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&[]).code, Some(0));
    let who = format!(
        "process {} (mount at {}) writes to this vault already",
        place.daemon().as_raw_nonzero(),
        place.mountpoint().display()
    );
    let other = place.dir().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = other.display().to_string();
    for refused in [
        on_vault(&place, &["mkdir"], &["x"]),
        on_vault(&place, &["rm"], &["file"]),
        on_vault(&place, &["backups", "prune", "--yes"], &[]),
        on_vault(&place, &["mount"], &[&other]),
        on_vault(&place, &["mount", "--foreground"], &[&other]),
    ] {
        assert!(refused.code == Some(6) && refused.err.contains(&who), "{who}: {refused:?}");
    }
    assert_eq!(on_vault(&place, &["cat"], &["file"]).out.as_bytes(), CONTENT);
    let second = on_vault(&place, &["mount", "--read-only"], &[&other]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.out.contains("read-only"), "{second:?}");
    assert_eq!(place.run(&["unmount", &other]).code, Some(0));
    assert_eq!(place.unmount(&[]).code, Some(0));
    assert_eq!(on_vault(&place, &["mkdir"], &["x"]).code, Some(0));
}

#[test]
fn nobody_is_asked_for_a_passphrase_while_another_writes() {
    let Some(place) = Place::new() else { return };
    let (asked, other) = (place.dir().join("asked"), place.dir().join("other"));
    std::fs::create_dir(&other).unwrap();
    let ask = format!("touch {}; echo passphrase", asked.display());
    let mount = || {
        let mut command = place.command(&["mount", "--passphrase-command", &ask]);
        run(command.arg(place.vault()).arg(&other))
    };
    assert_eq!(place.mount(&[]).code, Some(0));
    let refused = mount();
    assert!(refused.code == Some(6) && !asked.exists(), "{refused:?}");
    assert_eq!(place.unmount(&[]).code, Some(0));
    assert_eq!(mount().code, Some(0));
    assert!(asked.exists());
    assert_eq!(place.run(&["unmount", &other.display().to_string()]).code, Some(0));
}

#[test]
fn a_killed_daemon_is_no_writer_any_more() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&[]).code, Some(0));
    let daemon = place.daemon();
    send(daemon, Signal::KILL);
    until("it has ended", || !is_alive(daemon) && !place.is_mounted());
    let next = on_vault(&place, &["mkdir"], &["x"]);
    assert_eq!(next.code, Some(0), "{next:?}");
    assert_eq!(place.mount(&[]).code, Some(0));
}

#[test]
fn a_mount_that_nobody_uses_ends_by_itself_and_one_that_somebody_does_stays() {
    let (Some(used), Some(unused)) = (Place::new(), Place::new()) else { return };
    let idle = ["--auto-unmount-after", "1s"];
    // Long enough for a busy machine to open a file there.
    assert_eq!(used.mount(&["--auto-unmount-after", "4s"]).code, Some(0));
    // It asks for nothing, but has a file open.
    let file = std::fs::File::open(used.mountpoint().join("file")).unwrap();
    let mut holder = Command::new("sleep").arg("600").stdin(file).spawn().unwrap();
    for _ in 0..5 {
        assert_eq!(unused.mount(&idle).code, Some(0));
        until("nobody uses it", || !unused.is_mounted() && unused.sockets().is_empty());
        assert!(used.is_mounted());
    }
    // Nor does whoever works there. He comes before the other one goes, or it might end between the two.
    let mut worker = Command::new("sleep").arg("600").current_dir(used.mountpoint()).spawn().unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    for _ in 0..5 {
        assert_eq!(unused.mount(&idle).code, Some(0));
        until("nobody uses it", || !unused.is_mounted() && unused.sockets().is_empty());
        assert!(used.is_mounted());
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    until("nobody uses it", || !used.is_mounted());
    until("its socket is gone", || used.sockets().is_empty());
}
