//! Where the passphrase may come from, and that it does not show.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::command::{Made, oxcrypt, run};
#[cfg(target_os = "linux")]
use crate::terminal::on_a_terminal;

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

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_a_mistyped_passphrase_is_asked_for_again_and_never_shown() {
    let made = Made::new(|builder| {
        builder.file(&oxcrypt_core::DirId::root(), "hello", b"").unwrap();
    });
    let command = format!("{} ls {}", env!("CARGO_BIN_EXE_oxcrypt"), made.vault().display());
    let typed = |text: &str| on_a_terminal(&command, &[("Passphrase: ", text)]);
    let Some((code, shown)) = typed("mistyped\npassphrase\n") else { return };
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("hello") && shown.contains("wrong passphrase"), "{shown}");
    let Some((code, shown)) = typed("one\ntwo\nthree\npassphrase\n") else { return };
    assert_eq!(code, Some(3), "{shown}");
    assert_eq!(shown.matches("Passphrase:").count(), 3, "{shown}");
    // Ctrl-C, as a terminal sends it.
    let Some((code, shown)) = typed("half\u{3}") else { return };
    assert_eq!(code, Some(130), "{shown}");
}
