//! `oxcrypt create`: a vault, or nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

#[cfg(target_os = "linux")]
use crate::command::skip;
use crate::command::{Ended, names_below, oxcrypt, run};
#[cfg(target_os = "linux")]
use crate::terminal::on_a_terminal;

/// Keeps a run short; no vault that somebody keeps should have it.
const CHEAP: [&str; 2] = ["--scrypt-cost", "2"];

/// A folder for a vault that is not there yet.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn vault(&self) -> PathBuf {
        self.0.path().join("vault")
    }

    fn create(&self, more: &[&str]) -> Ended {
        create(&self.vault(), more)
    }

    fn is_empty(&self) -> bool {
        names_below(self.0.path()).is_empty()
    }
}

fn create(vault: &Path, more: &[&str]) -> Ended {
    run(oxcrypt(&["create", "--passphrase-env", "PASSPHRASE"]).args(CHEAP).arg(vault).args(more))
}

fn ls(vault: &Path) -> Ended {
    run(oxcrypt(&["ls", "--passphrase-env", "PASSPHRASE"]).arg(vault))
}

#[test]
fn a_new_vault_is_one_that_every_command_opens() {
    for (more, combo, threshold) in [
        (&[][..], "SIV_GCM", 220),
        (&["--suite", "siv-ctrmac", "--shortening-threshold", "36"], "SIV_CTRMAC", 36),
    ] {
        let room = Room::new();
        let created = run(oxcrypt(&["create", "--json", "--passphrase-env", "PASSPHRASE"])
            .arg(room.vault())
            .args(more));
        assert_eq!(created.code, Some(0), "{created:?}");
        let said = &created.objects()[0];
        assert_eq!((&said["cipherCombo"], &said["shorteningThreshold"]), (&combo.into(), &threshold.into()));
        assert_eq!(said["scryptCost"], 32_768);
        let info = run(oxcrypt(&["info", "--json"]).arg(room.vault()));
        let info = &info.objects()[0];
        assert_eq!((&info["cipherCombo"], &info["scryptCost"]), (&combo.into(), &32_768.into()));
        assert!(info["warnings"].as_array().unwrap().is_empty(), "{info}");
        let listed = ls(&room.vault());
        assert_eq!((listed.code, listed.out.as_str(), listed.err.as_str()), (Some(0), "", ""));
        let dest = room.0.path().join("dest");
        let decrypted =
            run(oxcrypt(&["decrypt", "--passphrase-env", "PASSPHRASE"]).arg(room.vault()).arg(&dest));
        assert_eq!((decrypted.code, names_below(&dest).len()), (Some(0), 0), "{decrypted:?}");
    }
}

#[test]
fn people_are_told_where_it_is_and_of_the_recovery_key() {
    let room = Room::new();
    let created = room.create(&[]);
    assert_eq!(created.code, Some(0), "{created:?}");
    assert_eq!(created.out, format!("created a vault in {}\n", room.vault().display()));
    assert!(created.err.contains("recovery-key show") && created.err.contains("scrypt cost"), "{created:?}");
    let quiet = Room::new().create(&["--quiet"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (Some(0), ""));
}

#[test]
fn what_is_in_the_way_is_left_as_it_is() {
    let room = Room::new();
    assert_eq!(room.create(&[]).code, Some(0));
    let before = names_below(&room.vault());
    let again = room.create(&[]);
    assert_eq!(again.code, Some(7), "{again:?}");
    assert!(again.err.contains("a vault in this folder already"), "{again:?}");
    assert_eq!(names_below(&room.vault()), before);

    let room = Room::new();
    fs::create_dir(room.vault()).unwrap();
    fs::write(room.vault().join("letter"), "dear").unwrap();
    let refused = room.create(&[]);
    assert!(refused.code == Some(7) && refused.err.contains("\"letter\""), "{refused:?}");
    assert_eq!(names_below(&room.vault()), ["letter"]);
    fs::rename(room.vault().join("letter"), room.vault().join(".DS_Store")).unwrap();
    assert_eq!(room.create(&[]).code, Some(0));

    let file = room.0.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(create(&file, &[]).code, Some(5));
    assert_eq!(create(&room.0.path().join("not/there"), &[]).code, Some(5));
    assert!(!room.0.path().join("not").exists());
}

#[test]
fn what_makes_no_vault_makes_no_folder() {
    let room = Room::new();
    for more in [
        &["--shortening-threshold", "35"][..],
        &["--shortening-threshold", "221"],
        &["--shortening-threshold", "x"],
        &["--suite", "rot13"],
        &["--passphrase-stdin"],
    ] {
        let refused = room.create(more);
        assert_eq!(refused.code, Some(2), "{more:?} {refused:?}");
        assert!(room.is_empty(), "{more:?}");
    }
    for cost in ["0", "1", "1000", "2097152", "4294967296"] {
        let mut command = oxcrypt(&["create", "--passphrase-env", "PASSPHRASE", "--scrypt-cost", cost]);
        let refused = run(command.arg(room.vault()));
        assert_eq!(refused.code, Some(2), "{cost} {refused:?}");
        assert!(room.is_empty(), "{cost}");
    }
    for passphrase in ["", "x"] {
        let mut command = oxcrypt(&["create", "--passphrase-env", "PASSPHRASE"]);
        let ended = run(command.args(CHEAP).arg(room.vault()).env("PASSPHRASE", passphrase));
        assert_eq!(ended.code, Some(if passphrase.is_empty() { 2 } else { 0 }), "{ended:?}");
        assert_eq!(ended.err.contains("fewer than 8 characters"), !passphrase.is_empty(), "{ended:?}");
        assert_eq!(room.is_empty(), passphrase.is_empty());
    }
}

#[test]
fn a_closed_or_empty_standard_input_is_no_passphrase() {
    let room = Room::new();
    let empty = run(oxcrypt(&["create", "--passphrase-stdin"]).arg(room.vault()).stdin(Stdio::null()));
    assert_eq!(empty.code, Some(2), "{empty:?}");
    if cfg!(unix) {
        let script = format!(
            "{} create --passphrase-stdin {} <&-",
            env!("CARGO_BIN_EXE_oxcrypt"),
            room.vault().display()
        );
        let closed = run(std::process::Command::new("sh").args(["-c", &script]));
        assert_eq!(closed.code, Some(2), "{closed:?}");
    }
    assert!(room.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_terminal_nothing_is_made_and_the_ways_to_give_a_passphrase_are_told() {
    let room = Room::new();
    let mut command = std::process::Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_oxcrypt"), "create"]).arg(room.vault()).stdin(Stdio::null());
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("--passphrase-stdin"), "{}", ended.err);
    assert!(room.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_the_passphrase_is_asked_for_twice_and_never_shown() {
    let room = Room::new();
    let command =
        format!("{} create --scrypt-cost 2 {}", env!("CARGO_BIN_EXE_oxcrypt"), room.vault().display());
    let (first, again) = ("New passphrase: ", "New passphrase again: ");
    // Ctrl-C, as a terminal sends it.
    for talk in [&[(first, "half\u{3}")][..], &[(first, "passphrase\n"), (again, "half\u{3}")]] {
        let Some((code, shown)) = on_a_terminal(&command, talk) else { return };
        assert_eq!(code, Some(130), "{shown}");
        assert!(room.is_empty(), "{shown}");
    }
    let talk =
        [(first, "passphrase\n"), (again, "passphrasf\n"), (first, "passphrase\n"), (again, "passphrase\n")];
    let Some((code, shown)) = on_a_terminal(&command, &talk) else { return };
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("not the same") && !shown.contains("passphrase\n") && !shown.contains("passphrasf"),
        "{shown}"
    );
    assert_eq!(ls(&room.vault()).code, Some(0));
    // What is in the way is told before anybody types.
    let Some((code, shown)) = on_a_terminal(&command, &[]) else { return };
    assert_eq!((code, shown.contains(first)), (Some(7), false), "{shown}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_create_leaves_no_vault_or_a_whole_one_and_can_be_run_again() {
    let steps = [
        "masterkey.cryptomator.tmp",
        "masterkey.cryptomator",
        "d",
        "vault.cryptomator.tmp",
        "vault.cryptomator",
    ];
    let mut halves = 0;
    for step in steps.iter().cycle().take(25) {
        let room = Room::new();
        let mut command = oxcrypt(&["create", "--quiet", "--passphrase-env", "PASSPHRASE"]);
        let mut child = command.args(CHEAP).arg(room.vault()).stdout(Stdio::null()).spawn().unwrap();
        // Whether it comes in time is luck; what is claimed holds either way.
        while !room.vault().join(step).exists() && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let code = ls(&room.vault()).code;
        assert!([Some(0), Some(4)].contains(&code), "{step}: {code:?} {:?}", names_below(&room.vault()));
        halves += u32::from(code == Some(4));
        let again = room.create(&["--quiet"]);
        assert_eq!(again.code, Some(if code == Some(0) { 7 } else { 0 }), "{step}: {again:?}");
        assert_eq!(ls(&room.vault()).code, Some(0), "{step}");
        assert_eq!(names_below(&room.vault()).len(), 6, "{:?}", names_below(&room.vault()));
    }
    if halves == 0 {
        skip("no run was killed in time");
    }
}
