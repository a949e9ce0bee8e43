//! Commands that change a vault, and end before they are done: by a signal, a full disk, or a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use oxcrypt_core::DirId;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{Made, content_of, names_below, oxcrypt, run, skip};

/// More than any of this takes on any machine.
const CEILING: Duration = Duration::from_mins(1);

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until the vault has a file of at least `len` bytes of ciphertext that `before` did not have.
fn until_begun(child: &mut Child, vault: &Path, before: &[String], len: u64) {
    let started = Instant::now();
    let is_begun = |name: &String| {
        !before.contains(name) && fs::metadata(vault.join(name)).is_ok_and(|metadata| metadata.len() >= len)
    };
    while !content_of(vault).iter().any(is_begun) {
        assert!(started.elapsed() < CEILING && child.try_wait().unwrap().is_none(), "it has begun the file");
    }
}

#[test]
fn an_interrupted_put_leaves_nothing_half_done_and_can_be_resumed() {
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "large", b"the old one").unwrap();
    });
    fs::create_dir(made.dir().join("new")).unwrap();
    fs::write(made.dir().join("new/large"), vec![7; 200 << 20]).unwrap();
    let source = made.dir().join("new/large");
    let before = content_of(&made.vault());
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut command = made.command(&["put", "--quiet"], &[source.to_str().unwrap(), "/"]);
        let mut child = command.spawn().unwrap();
        // Stopped in the middle, it gets the signal when it goes on.
        until_begun(&mut child, &made.vault(), &before, 1 << 20);
        send(&child, Signal::STOP);
        send(&child, signal);
        send(&child, Signal::CONT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(content_of(&made.vault()), before);
        assert_eq!(made.run(&["cat"], &["/large"]).out, "the old one");
    }
    let ended = made.run(&["put", "--resume"], &[source.to_str().unwrap(), "/"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(made.run(&["ls", "-l"], &[]).out.contains("209715200"));
}

#[test]
fn a_source_that_somebody_writes_to_meanwhile_is_told() {
    let made = Made::new(|_| ());
    let source = made.dir().join("log");
    fs::write(&source, vec![7; 100 << 20]).unwrap();
    let before = content_of(&made.vault());
    let mut command = made.command(&["put"], &[source.to_str().unwrap(), "/"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    until_begun(&mut child, &made.vault(), &before, 1 << 20);
    send(&child, Signal::STOP);
    fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(50 << 20).unwrap();
    send(&child, Signal::CONT);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("log: it was changed while it was read"), "{said}");
    let ended = made.run(&["put", "--resume", "--json"], &[source.to_str().unwrap(), "/"]);
    assert_eq!((ended.code, ended.objects().last().unwrap()["files"].as_u64()), (Some(0), Some(1)));
}

/// Runs as root itself, or as somebody who may become root without being asked.
fn as_root(words: &[&str]) -> bool {
    [&[][..], &["sudo", "-n"]].into_iter().any(|prefix: &[&str]| {
        let words = [prefix, words].concat();
        let run = std::process::Command::new(words[0]).args(&words[1..]).output();
        run.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_the_old_content() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, sources) = (dir.path().join("vault"), dir.path().join("sources"));
    fs::create_dir(&vault).unwrap();
    fs::create_dir(&sources).unwrap();
    let place = vault.to_str().unwrap();
    if !as_root(&["mount", "-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", place]) {
        return skip("only root can make a small file system to fill");
    }
    let storage = LocalStorage::open(&vault).unwrap();
    let old = vec![1; 3 << 20];
    VaultBuilder::create(&storage, Recipe::default()).unwrap().file(&DirId::root(), "old", &old).unwrap();
    drop(storage);
    for number in 0..40 {
        fs::write(sources.join(format!("small {number}")), "small").unwrap();
    }
    fs::write(sources.join("old"), vec![2; 20 << 20]).unwrap();
    let before = content_of(&vault);
    let ended_by = |words: &[&str]| {
        let mut command = oxcrypt(&[&words[..1], &["--passphrase-env", "PASSPHRASE"]].concat());
        run(command.arg(&vault).args(&words[1..]).current_dir(&sources))
    };
    let rewrite = ended_by(&["put", "old", "/"]);
    let after_rewrite = content_of(&vault);
    let new = ended_by(&["put", "--jobs", "1", "old", "/new"]);
    let copies: Vec<_> = (0..3).map(|number| ended_by(&["cp", "/old", &format!("/copy {number}")])).collect();
    let tree = ended_by(&["put", ".", "/tree"]);
    let listed = ended_by(&["ls", "-R"]);
    let dest = dir.path().join("dest");
    let decrypted = ended_by(&["decrypt", dest.to_str().unwrap()]);
    assert!(as_root(&["umount", place]));

    for ended in [&rewrite, &new, &tree, &copies[2]] {
        assert_eq!(ended.code, Some(5), "{}", ended.err);
        assert_eq!(ended.err.matches("the vault's storage failed: ").count(), 1, "{}", ended.err);
        assert!(ended.err.contains("no space left"), "{}", ended.err);
    }
    assert_eq!(after_rewrite, before, "nothing half-visible");
    assert_eq!(copies[0].code, Some(0), "there is room for one: {}", copies[0].err);
    assert!(!listed.out.contains("oxcrypt-put"), "{}", listed.out);
    assert_eq!(decrypted.code, Some(0), "{}", decrypted.err);
    assert!(fs::read(dest.join("old")).unwrap() == old);
    for name in names_below(&dest).iter().filter(|name| name.contains("small")) {
        assert_eq!(fs::read(dest.join(name)).unwrap(), b"small", "{name}");
    }
}

/// What a file of the small tree holds in one of its states: longer than a block, so that a part of it could be seen.
fn content(name: &str, state: u8) -> Vec<u8> {
    [name.as_bytes(), &vec![state; 300_000 + usize::from(state)]].concat()
}

fn write_tree(dir: &Path, state: u8) {
    for name in NAMES {
        let path = dir.join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content(name, state)).unwrap();
    }
}

const NAMES: [&str; 6] = ["a", "b", "dir/c", "dir/d", "dir/deeper/e", "other/f"];

/// Kills a command after each of many times, and looks at the vault after each.
fn kill_often(made: &Made, args: &[&str], more: &[&str], mut look: impl FnMut(&Made)) -> usize {
    let mut killed = 0;
    // From the time that unlocking takes to more than all of it does.
    for step in 0..30 {
        let mut child =
            made.command(args, more).current_dir(made.dir()).stderr(Stdio::null()).spawn().unwrap();
        let ends = Instant::now() + Duration::from_millis(3 * step);
        while Instant::now() < ends && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        look(made);
    }
    killed
}

/// Everything that can be decrypted by now, drafts apart. What cannot must not be one of our files.
fn decrypted(made: &Made) -> BTreeMap<String, Vec<u8>> {
    drop(fs::remove_dir_all(made.dest()));
    let ended = made.decrypt(&["--json"], &[]);
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.err);
    for object in ended.objects().iter().filter(|object| object["event"] == "failed") {
        let path = object["path"].as_str().unwrap();
        // A directory that was on its way into being, or out of it: nothing is in it that anybody could miss.
        assert!(!NAMES.iter().any(|name| path.ends_with(&format!("/{name}"))), "{object}");
    }
    let names = names_below(&made.dest()).into_iter().filter(|name| !name.contains(".oxcrypt-put-"));
    names.filter_map(|name| Some((name.clone(), fs::read(made.dest().join(name)).ok()?))).collect()
}

#[test]
fn a_kill_in_the_middle_of_put_leaves_every_file_old_or_new() {
    let made = Made::new(|_| ());
    write_tree(made.dir(), 1);
    assert_eq!(run(made.command(&["put"], &["tree", "/"]).current_dir(made.dir())).code, Some(0));
    write_tree(made.dir(), 2);
    let killed = kill_often(&made, &["put"], &["tree", "/"], |made| {
        let files = decrypted(made);
        for name in NAMES {
            let found = &files[&format!("tree/{name}")];
            assert!(
                [1, 2].iter().any(|state| *found == content(name, *state)),
                "{name}: neither old nor new"
            );
        }
    });
    assert!(killed > 3, "{killed}");
    let ended = run(made.command(&["put"], &["tree", "/"]).current_dir(made.dir()));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let names = made.run(&["ls", "-R"], &[]).out;
    assert!(!names.contains("oxcrypt-put"), "what is left over is removed: {names}");
}

#[test]
fn a_kill_in_the_middle_of_mv_leaves_a_tree_in_one_place() {
    let made = Made::new(|_| ());
    write_tree(made.dir(), 1);
    assert_eq!(run(made.command(&["put"], &["tree", "/"]).current_dir(made.dir())).code, Some(0));
    let long = format!("/{}", "long".repeat(60));
    let mut places = ["/tree".to_owned(), long];
    for _ in 0..2 {
        kill_often(&made, &["mv"], &[&places[0], &places[1]], |made| {
            let files = decrypted(made);
            let whole = |file: &Vec<u8>| NAMES.iter().any(|name| *file == content(name, 1));
            assert_eq!(files.len(), NAMES.len(), "{:?}", files.keys());
            assert!(files.values().all(whole));
        });
        // Wherever it is by now, it goes on from there.
        drop(made.run(&["mv"], &[&places[0], &places[1]]));
        places.reverse();
    }
}

#[test]
fn a_kill_in_the_middle_of_rm_leaves_whole_files_and_rm_goes_on() {
    let made = Made::new(|_| ());
    write_tree(made.dir(), 1);
    let put = || run(made.command(&["put", "--resume"], &["tree", "/"]).current_dir(made.dir()));
    assert_eq!(put().code, Some(0));
    kill_often(&made, &["rm", "-r", "--yes"], &["/tree"], |made| {
        for (name, file) in decrypted(made) {
            let own = name.strip_prefix("tree/").unwrap();
            assert!(file == content(own, 1), "{name}");
        }
        // What is gone comes back, so that there is something to remove.
        drop(put());
    });
    let ended = made.run(&["rm", "-r", "--yes", "--json"], &["/tree"]);
    for object in ended.objects().iter().filter(|object| object["event"] == "failed") {
        // The rest of a directory, which nothing tells from one that a sync client is still to fill.
        assert!(object["error"].as_str().unwrap().contains("does not say what it is"), "{object}");
    }
    assert!(decrypted(&made).is_empty(), "{}", ended.err);
}
