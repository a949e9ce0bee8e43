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

/// The vault's own folder, as bytes by name.
fn contents(vault: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| (name.clone(), fs::read(vault.join(name)).unwrap_or_default());
    names_below(vault).into_iter().map(read).collect()
}

#[cfg(unix)]
#[test]
fn a_vault_that_is_decrypted_beside_itself_is_not_written_to() {
    let made = Made::new(|builder| {
        let dir = builder.directory(&DirId::root(), "vault").unwrap();
        builder.file(&dir, "masterkey.cryptomator", b"an old backup").unwrap();
        builder.file(&dir, "new", b"new").unwrap();
        builder.file(&DirId::root(), "beside", b"beside").unwrap();
    });
    let before = contents(&made.vault());
    let dest = made.dir().to_str().unwrap();
    for options in [&["decrypt"][..], &["decrypt", "--force"], &["decrypt", "--resume", "--force"]] {
        let ended = made.run(options, &[dest]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.err.contains("/vault: ") && ended.err.contains("the vault's own folder"),
            "{}",
            ended.err
        );
        assert_eq!(contents(&made.vault()), before);
        assert_eq!(fs::read(made.dir().join("beside")).unwrap(), b"beside");
    }
}

#[test]
fn a_destination_that_climbs_out_of_what_is_not_there_is_refused() {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "file", b"file").unwrap();
    });
    let before = contents(&made.vault());
    let dest = made.dir().join("missing/../vault/out");
    let ended = made.run(&["decrypt"], &[dest.to_str().unwrap()]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert_eq!(contents(&made.vault()), before);
    assert!(!made.dir().join("missing").exists());
}

#[test]
fn two_entries_never_replace_each_other() {
    let long = "y".repeat(300);
    let first = Made::new(|builder| {
        builder.file(&DirId::root(), &long, b"long").unwrap();
    });
    assert_eq!(first.decrypt(&[], &[]).code, Some(0));
    let alias = names_below(&first.dest()).remove(0);
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), &long, b"long").unwrap();
        builder.file(&DirId::root(), &alias, b"short").unwrap();
    });
    for options in [&["--force"][..], &["--resume"], &["--resume", "--force"], &[]] {
        for dest_exists in [false, true] {
            let _ = fs::remove_dir_all(made.dest());
            if dest_exists {
                fs::create_dir(made.dest()).unwrap();
            }
            let ended = made.decrypt(&[options, &["--jobs", "1"]].concat(), &[]);
            assert_eq!(ended.code, Some(1), "{options:?}: {ended:?}");
            assert_eq!(names_below(&made.dest()), std::slice::from_ref(&alias));
        }
    }
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
