//! Where the passphrase may come from, and that it does not show.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::Read as _;
use std::io::Write as _;
use std::process::Stdio;

#[cfg(target_os = "linux")]
use crate::command::skip;
use crate::command::{Made, oxcrypt, run};

#[test]
fn a_passphrase_comes_from_where_one_says() {
    let made = Made::new(|_| ());
    let file = made.dir().join("passphrase file");
    fs::write(&file, "passphrase\r\nnot this\n").unwrap();
    let vault = made.vault();
    let code = |args: &[&str]| run(oxcrypt(&["ls"]).args(args).arg(&vault)).code;
    assert_eq!(code(&["--passphrase-env", "PASSPHRASE"]), Some(0));
    assert_eq!(code(&["--passphrase-file", file.to_str().unwrap()]), Some(0));
    if cfg!(unix) {
        assert_eq!(code(&["--passphrase-command", "echo passphrase; echo more"]), Some(0));
        assert_eq!(code(&["--passphrase-command", "echo passphrase; exit 3"]), Some(2));
        assert_eq!(code(&["--passphrase-command", "echo wrong"]), Some(3));
        assert_eq!(code(&["--passphrase-command", "true"]), Some(2));
    }
    assert_eq!(code(&["--passphrase-stdin"]), Some(2));
    assert_eq!(code(&["--passphrase-env", "OXCRYPT_NOT_SET"]), Some(2));
    assert_eq!(code(&["--passphrase-file", "/nonexistent"]), Some(2));
    assert_eq!(code(&["--passphrase-file", "x", "--passphrase-env", "PASSPHRASE"]), Some(2));

    let mut child = oxcrypt(&["ls", "--passphrase-stdin"]).arg(&vault).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"passphrase\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_terminal_the_ways_to_give_a_passphrase_are_told() {
    let made = Made::new(|_| ());
    let mut command = std::process::Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_oxcrypt"), "ls"]).arg(made.vault()).stdin(Stdio::null());
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("--passphrase-stdin"), "{}", ended.err);
}

/// Runs the command on a terminal of its own, with `typed` typed there, and returns its code and what was shown.
#[cfg(target_os = "linux")]
fn on_a_terminal(command: &str, typed: &str) -> Option<(Option<i32>, String)> {
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", command, "/dev/null"]);
    let spawned = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        skip("there is no `script` to make a terminal with");
        return None;
    };
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut byte = [0];
    // Typed before anybody asks, Ctrl-C would be somebody else's.
    while !shown.ends_with(b"Passphrase: ") && stdout.read(&mut byte).unwrap() > 0 {
        shown.push(byte[0]);
    }
    stdin.write_all(typed.as_bytes()).unwrap();
    stdout.read_to_end(&mut shown).unwrap();
    drop(stdin);
    Some((child.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned()))
}

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_a_mistyped_passphrase_is_asked_for_again_and_never_shown() {
    let made = Made::new(|builder| {
        builder.file(&oxcrypt_core::DirId::root(), "hello", b"").unwrap();
    });
    let command = format!("{} ls {}", env!("CARGO_BIN_EXE_oxcrypt"), made.vault().display());
    let Some((code, shown)) = on_a_terminal(&command, "mistyped\npassphrase\n") else { return };
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("hello") && shown.contains("wrong passphrase"), "{shown}");
    let Some((code, shown)) = on_a_terminal(&command, "one\ntwo\nthree\npassphrase\n") else { return };
    assert_eq!(code, Some(3), "{shown}");
    assert_eq!(shown.matches("Passphrase:").count(), 3, "{shown}");
    // Ctrl-C, as a terminal sends it.
    let Some((code, shown)) = on_a_terminal(&command, "half\u{3}") else { return };
    assert_eq!(code, Some(130), "{shown}");
}
