//! Vaults and destinations that somebody prepared: nothing is written outside the destination, and everything ends.

use std::fs;

use oxcrypt_core::DirId;

use crate::command::{Made, names_below};

#[test]
fn names_that_lead_elsewhere_are_told_and_written_nowhere() {
    let evil = ["..", ".", "../evil", "/etc/evil", "a/../../evil", "nul\0"];
    let made = Made::new(|builder| {
        for name in evil {
            builder.file(&DirId::root(), name, b"evil").unwrap();
        }
        builder.file(&DirId::root(), "good", b"good").unwrap();
    });
    let ended = made.decrypt(&["--force"], &[]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(names_below(&made.dest()), ["good"]);
    let mut around: Vec<_> =
        fs::read_dir(made.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    around.sort();
    assert_eq!(around, ["dest", "vault"]);
    let told = ended.err.matches("one that no entry can have").count();
    assert_eq!(told, evil.len(), "{}", ended.err);
}

#[cfg(unix)]
#[test]
fn links_in_the_destination_are_never_followed() {
    use std::os::unix::fs::symlink;
    let made = Made::new(|builder| {
        let dir = builder.directory(&DirId::root(), "dir").unwrap();
        builder.file(&dir, "inner", b"inner").unwrap();
        builder.file(&DirId::root(), "file", b"file").unwrap();
    });
    let outside = made.dir().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir(made.dest()).unwrap();
    symlink(&outside, made.dest().join("dir")).unwrap();
    symlink(outside.join("target"), made.dest().join("file")).unwrap();
    for options in [&["--force"][..], &[], &["--resume"]] {
        let ended = made.decrypt(options, &[]);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        assert!(ended.err.contains("/dir: "), "{}", ended.err);
        assert!(names_below(&outside).is_empty(), "{options:?}");
    }
    assert!(
        made.dest().join("file").symlink_metadata().unwrap().is_file(),
        "--force has replaced the link itself"
    );
}

#[cfg(unix)]
#[test]
fn links_of_the_vault_are_made_as_they_are_and_never_written_through() {
    let made = Made::new(|builder| {
        builder.symlink(&DirId::root(), "up", "../outside").unwrap();
        builder.symlink(&DirId::root(), "abs", "/nonexistent/oxcrypt").unwrap();
    });
    assert_eq!(made.decrypt(&[], &[]).code, Some(0));
    assert_eq!(fs::read_link(made.dest().join("up")).unwrap().to_str(), Some("../outside"));
    assert_eq!(fs::read_link(made.dest().join("abs")).unwrap().to_str(), Some("/nonexistent/oxcrypt"));
    assert!(!made.dir().join("outside").exists());
}

#[test]
fn a_vault_that_leads_in_circles_is_walked_to_an_end() {
    let made = Made::new(|builder| {
        let outer = builder.directory(&DirId::root(), "outer").unwrap();
        builder.file(&outer, "file", b"file").unwrap();
        builder.directory_with_id(&outer, "again", &outer).unwrap();
        for copy in 0..40 {
            builder.directory_with_id(&DirId::root(), &format!("copy {copy}"), &outer).unwrap();
        }
    });
    let ended = made.decrypt(&[], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("/copy 0/again: "), "{}", ended.err);
    assert_eq!(fs::read(made.dest().join("copy 0/file")).unwrap(), b"file");
    for verb in [&["ls", "-R"][..], &["tree"]] {
        assert_eq!(made.run(verb, &[]).code, Some(1), "{verb:?}");
    }
}

#[test]
fn names_that_a_terminal_would_act_on_are_told_without_that() {
    let made = Made::new(|builder| {
        builder.ciphertext_file(&DirId::root(), "red\u{1b}[31m", b"no header").unwrap();
    });
    let ended = made.decrypt(&[], &[]);
    assert!(ended.err.contains("/red\\u{1b}[31m: ") && !ended.err.contains('\u{1b}'), "{}", ended.err);
}
