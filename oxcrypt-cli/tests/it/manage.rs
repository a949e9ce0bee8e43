//! `mkdir`, `mv`, `rm` and `cp`: as elsewhere, in a vault.

use std::fs;

use oxcrypt_core::DirId;

use crate::command::{Made, names_below, oxcrypt, run};

/// A vault with files, a tree and a link.
fn some() -> Made {
    Made::new(|builder| {
        let dir = builder.directory(&DirId::root(), "dir").unwrap();
        let inner = builder.directory(&dir, "inner").unwrap();
        builder.file(&DirId::root(), "a", b"content of a").unwrap();
        builder.file(&DirId::root(), "b", b"content of b").unwrap();
        builder.file(&inner, "c", b"content of c").unwrap();
        builder.symlink(&dir, "link", "inner/c").unwrap();
    })
}

impl Made {
    fn listed(&self) -> Vec<String> {
        let ended = self.run(&["ls", "-R"], &[]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str], more: &[&str]) {
        let ended = self.run(args, more);
        assert_eq!(ended.code, Some(0), "{args:?} {more:?}: {}", ended.err);
    }

    #[track_caller]
    fn fails(&self, args: &[&str], more: &[&str], code: i32, said: &str) {
        let ended = self.run(args, more);
        assert_eq!(ended.code, Some(code), "{args:?} {more:?}: {}", ended.err);
        assert!(ended.err.contains(said), "{args:?} {more:?}: {}", ended.err);
    }

    fn content(&self, path: &str) -> String {
        self.run(&["cat"], &[path]).out
    }
}

#[test]
fn directories_are_made_one_by_one_or_with_their_parents() {
    let made = Made::new(|_| ());
    made.succeeds(&["mkdir"], &["/a", "/a/b"]);
    made.fails(&["mkdir"], &["/a"], 1, "/a: the name is taken");
    made.fails(&["mkdir"], &["/x/y"], 1, "/x: no such entry");
    made.succeeds(&["mkdir", "-p"], &["/a/b", "/x/y/z"]);
    assert_eq!(made.listed(), ["a", "a/b", "x", "x/y", "x/y/z"]);
    made.fails(&["mkdir"], &["/"], 2, "root");
    made.fails(&["mkdir"], &["/x", "/new", "/x/y"], 1, "/x/y: the name is taken");
    assert!(made.listed().contains(&"new".to_owned()), "others are made");
}

#[test]
fn entries_are_renamed_and_moved_into_directories() {
    let made = some();
    made.succeeds(&["mv"], &["/a", "/renamed"]);
    made.succeeds(&["mv"], &["/renamed", "/b", "/dir/link", "/dir/inner"]);
    made.succeeds(&["mv"], &["/dir", &format!("/{}", "long".repeat(60))]);
    made.succeeds(&["mv"], &[&format!("/{}", "long".repeat(60)), "/dir"]);
    assert_eq!(
        made.listed(),
        ["dir", "dir/inner", "dir/inner/b", "dir/inner/c", "dir/inner/link", "dir/inner/renamed"]
    );
    assert_eq!(made.content("/dir/inner/renamed"), "content of a");
    made.fails(&["mv"], &["/dir", "/dir/inner"], 1, "cannot lie within itself");
    made.fails(&["mv"], &["/", "/dir"], 2, "root");
    made.fails(&["mv"], &["/nowhere", "/dir/inner/c", "/dir"], 1, "/nowhere: no such entry");
    assert!(made.listed().contains(&"dir/c".to_owned()), "the other one is moved");
}

#[test]
fn what_is_moved_replaces_what_is_there_unless_one_says_otherwise() {
    let made = some();
    made.succeeds(&["mv", "--no-clobber"], &["/a", "/b"]);
    assert_eq!((made.content("/a"), made.content("/b")), ("content of a".into(), "content of b".into()));
    made.succeeds(&["mv", "--exchange"], &["/a", "/b"]);
    assert_eq!((made.content("/a"), made.content("/b")), ("content of b".into(), "content of a".into()));
    made.succeeds(&["mv"], &["/a", "/b"]);
    assert_eq!(made.content("/b"), "content of b");
    made.succeeds(&["mkdir"], &["/other", "/other/inner"]);
    made.succeeds(&["mv"], &["/dir/inner", "/other"]);
    assert_eq!(made.content("/other/inner/c"), "content of c");
    made.succeeds(&["mkdir"], &["/dir/inner"]);
    made.fails(&["mv"], &["/dir/inner", "/b", "/other"], 1, "not empty");
}

#[test]
fn trees_are_removed_when_somebody_has_said_so() {
    let made = some();
    made.fails(&["rm"], &["/dir"], 1, "--recursive");
    made.fails(&["rm", "-r"], &["/dir"], 7, "--yes");
    made.fails(&["rm", "-r", "--yes"], &["/"], 2, "root");
    made.fails(&["rm"], &["/a", "/nowhere"], 1, "/nowhere: no such entry");
    assert_eq!(made.listed().len(), 5);
    let ended = made.run(&["rm", "-r", "--yes", "--json"], &["/dir", "/b"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let counts = &ended.objects()[0];
    let counted = ["files", "folders", "links", "failed"].map(|what| counts[what].as_u64().unwrap());
    assert_eq!(counted, [2, 2, 1, 0]);
    assert!(made.listed().is_empty());
    let left = names_below(&made.vault());
    let is_entry = |name: &String| name.contains(".c9r") && !name.contains("dirid.c9r");
    assert!(!left.iter().any(is_entry), "{left:?}");
}

#[test]
fn foreign_files_keep_a_directory_and_are_named() {
    let made = some();
    let place = made.run(&["locate"], &["/dir/inner"]).out.lines().nth(1).unwrap().to_owned();
    fs::write(format!("{place}/letter.docx"), "somebody's").unwrap();
    let ended = made.run(&["rm", "-r", "--yes"], &["/dir"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("letter.docx"), "{}", ended.err);
    assert_eq!(fs::read(format!("{place}/letter.docx")).unwrap(), b"somebody's");
    let left = made.run(&["ls", "-R"], &[]).out;
    assert!(
        left.contains("dir/inner") && !left.contains("dir/inner/c\n") && !left.contains("link"),
        "{left}"
    );
}

#[test]
fn a_copy_is_the_same_and_shares_no_key() {
    let made = some();
    made.succeeds(&["cp"], &["/a", "/copy"]);
    made.succeeds(&["cp"], &["/a", "/b", "/dir"]);
    made.succeeds(&["cp", "-r"], &["/dir", "/tree"]);
    assert_eq!(
        made.listed(),
        [
            "a",
            "b",
            "copy",
            "dir",
            "dir/a",
            "dir/b",
            "dir/inner",
            "dir/inner/c",
            "dir/link",
            "tree",
            "tree/a",
            "tree/b",
            "tree/inner",
            "tree/inner/c",
            "tree/link"
        ]
    );
    assert_eq!(
        (made.content("/copy"), made.content("/tree/link")),
        ("content of a".into(), "content of c".into())
    );
    let header = |path: &str| {
        let place = made.run(&["locate"], &[path]).out;
        fs::read(place.trim_end()).unwrap()[..68].to_vec()
    };
    let (original, copy, again) = (header("/a"), header("/copy"), header("/dir/a"));
    assert!(original != copy && copy != again && original[..12] != copy[..12]);

    made.fails(&["cp"], &["/dir", "/elsewhere"], 1, "--recursive");
    made.fails(&["cp", "-r"], &["/dir", "/dir/inner"], 1, "into itself");
    made.fails(&["cp"], &["/a", "/a"], 1, "to itself");
    made.fails(&["cp"], &["/nowhere", "/b", "/dir"], 1, "/nowhere: no such entry");
}

#[test]
fn a_copy_leaves_alone_what_one_says() {
    let made = some();
    made.succeeds(&["cp", "--no-clobber"], &["/a", "/b"]);
    assert_eq!(made.content("/b"), "content of b");
    made.succeeds(&["cp", "-r"], &["/dir", "/tree"]);
    let ended = made.run(&["cp", "-r", "--resume", "--json"], &["/dir/inner", "/tree"]);
    assert_eq!((ended.code, ended.objects().last().unwrap()["skipped"].as_u64()), (Some(0), Some(1)));
}

#[test]
fn a_damaged_file_is_not_copied_as_if_it_were_sound() {
    let made = Made::new(|builder| {
        let mut ciphertext = builder.encrypt(&vec![7; 100_000]);
        ciphertext[50_000] ^= 1;
        builder.ciphertext_file(&DirId::root(), "damaged", &ciphertext).unwrap();
        builder.ciphertext_file(&DirId::root(), "cut", &ciphertext[..40_010]).unwrap();
        builder.file(&DirId::root(), "sound", b"sound").unwrap();
        builder.directory(&DirId::root(), "to").unwrap();
    });
    let ended = made.run(&["cp"], &["/damaged", "/cut", "/sound", "/to"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("/damaged: ") && ended.err.contains("/cut: "), "{}", ended.err);
    assert_eq!(made.run(&["ls"], &["/to"]).out, "sound\n");
}

#[test]
fn commands_that_change_a_vault_say_how_they_are_used() {
    for verb in ["put", "mkdir", "mv", "rm", "cp"] {
        let ended = run(&mut oxcrypt(&[verb, "--help"]));
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains("Example") && ended.out.contains(&format!("oxcrypt {verb} ")), "{verb}");
        assert_eq!(run(&mut oxcrypt(&[verb])).code, Some(2), "{verb} without anything");
    }
}
