//! What `put` brings into a vault, and what it does with what is there already.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::DirId;

use crate::command::{Ended, Made, content_of, names_below};

/// An empty vault.
fn empty() -> Made {
    Made::new(|_| ())
}

/// A vault with a file.
fn with_file() -> Made {
    Made::new(|builder| {
        builder.file(&DirId::root(), "file", b"old").unwrap();
    })
}

impl Made {
    /// Puts what lies beside the vault into it.
    fn put(&self, options: &[&str], sources: &[&str], dest: &str) -> Ended {
        let mut command = self.command(&[&["put"], options].concat(), sources);
        crate::command::run(command.arg(dest).current_dir(self.dir()))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn cat(&self, path: &str) -> String {
        let ended = self.run(&["cat"], &[path]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    }

    fn names(&self) -> Vec<String> {
        let ended = self.run(&["ls", "-R"], &[]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out.lines().map(str::to_owned).collect()
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

#[cfg(unix)]
#[test]
fn a_tree_comes_out_of_the_vault_as_it_went_in() {
    let made = empty();
    for len in [0, 1, 32_767, 32_768, 32_769, 262_143, 262_144, 262_145, 3_000_001] {
        made.write(&format!("tree/sizes/{len}"), pattern(len));
    }
    made.write("tree/\u{e4}/b/c/deep", "deep");
    made.write(&format!("tree/{}", "long".repeat(60)), "long");
    fs::create_dir(made.dir().join("tree/empty")).unwrap();
    std::os::unix::fs::symlink("../nowhere \u{1f980}", made.dir().join("tree/link")).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for name in ["sizes/1", "empty", "\u{e4}/b"] {
        fs::File::open(made.dir().join("tree").join(name)).unwrap().set_modified(old).unwrap();
    }
    let ended = made.put(&["--verify"], &["tree"], "/");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(made.decrypt(&[], &[]).code, Some(0));

    let (before, after) = (made.dir().join("tree"), made.dest().join("tree"));
    assert_eq!(names_below(&before), names_below(&after));
    for name in names_below(&before) {
        let (before, after) = (before.join(&name), after.join(&name));
        let times = [&before, &after].map(|path| path.symlink_metadata().unwrap().modified().unwrap());
        assert_eq!(times[0], times[1], "{name}");
        if before.is_symlink() {
            assert_eq!(before.read_link().unwrap(), after.read_link().unwrap());
        } else if before.is_file() {
            assert!(fs::read(before).unwrap() == fs::read(after).unwrap(), "{name}");
        }
    }
}

#[test]
fn sources_go_into_a_directory_that_is_there_and_one_may_get_a_name() {
    let made = Made::new(|builder| {
        builder.directory(&DirId::root(), "dir").unwrap();
        builder.symlink(&DirId::root(), "link", "dir").unwrap();
    });
    made.write("a", "a");
    made.write("tree/b", "b");
    assert_eq!(made.put(&[], &["a", "tree"], "/dir").code, Some(0));
    assert_eq!(made.put(&[], &["a"], "/link/named").code, Some(0));
    assert_eq!(made.put(&[], &["tree"], "/renamed").code, Some(0));
    assert_eq!(made.put(&[], &["tree/."], "/dir").code, Some(0), "what is in it, as cp has it");
    assert_eq!(made.put(&[], &["tree/"], "/dir").code, Some(0), "the same as without a slash");
    let names =
        ["dir", "dir/a", "dir/b", "dir/named", "dir/tree", "dir/tree/b", "link", "renamed", "renamed/b"];
    assert_eq!(made.names(), names);

    for (sources, dest, said) in [
        (&["a", "tree"][..], "/nowhere", "there is no such directory"),
        (&["a", "tree"], "/dir/a", "this is no directory"),
        (&["a"], "/nowhere/", "there is no such directory"),
        (&["a"], "/nowhere/a", "no such entry"),
        (&["tree"], "/dir/a", "no directory"),
        (&["missing"], "/", "missing: cannot be read"),
    ] {
        let ended = made.put(&[], sources, dest);
        assert_eq!(ended.code, Some(1), "{sources:?} {dest}: {}", ended.err);
        assert!(ended.err.contains(said), "{sources:?} {dest}: {}", ended.err);
    }
    assert_eq!(made.names(), names);
}

#[test]
fn a_file_replaces_one_that_is_there_unless_one_says_otherwise() {
    let made = with_file();
    made.write("file", "new");
    let ended = made.put(&["--no-clobber"], &["file"], "/");
    assert_eq!((ended.code, made.cat("/file").as_str()), (Some(0), "old"), "{}", ended.err);
    assert!(ended.err.contains("1 skipped"), "{}", ended.err);
    assert_eq!(made.put(&[], &["file"], "/").code, Some(0));
    assert_eq!((made.cat("/file").as_str(), made.names().len()), ("new", 1));
}

#[cfg(unix)]
#[test]
fn links_and_files_replace_each_other_and_no_directory() {
    let made = with_file();
    std::os::unix::fs::symlink("target", made.dir().join("file")).unwrap();
    assert_eq!(made.put(&[], &["file"], "/").code, Some(0));
    assert!(made.run(&["ls", "-l"], &[]).out.contains("file -> target"));
    fs::remove_file(made.dir().join("file")).unwrap();
    made.write("file", "a file again");
    assert_eq!(made.put(&[], &["file"], "/").code, Some(0));
    assert_eq!(made.cat("/file"), "a file again");
    assert_eq!(made.run(&["mkdir"], &["dir"]).code, Some(0));
    made.write("dir", "no directory");
    let ended = made.put(&[], &["dir"], "/");
    assert!(ended.code == Some(1) && ended.err.contains("a directory of this name"), "{}", ended.err);
}

#[test]
fn resume_brings_what_is_missing_and_what_has_changed() {
    let made = empty();
    for name in ["same", "longer", "newer"] {
        made.write(&format!("tree/{name}"), "one");
    }
    assert_eq!(made.put(&[], &["tree"], "/").code, Some(0));
    made.write("tree/longer", "longer");
    let later = SystemTime::now() + Duration::from_mins(1);
    made.write("tree/newer", "two");
    fs::File::open(made.dir().join("tree/newer")).unwrap().set_modified(later).unwrap();
    made.write("tree/missing", "three");
    let ended = made.put(&["--resume", "--json"], &["tree"], "/");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let counts = ended.objects().pop().unwrap();
    assert_eq!((counts["files"].as_u64(), counts["skipped"].as_u64()), (Some(3), Some(1)), "{counts}");
    assert_eq!(["longer", "newer"].map(|name| made.cat(&format!("/tree/{name}"))), ["longer", "two"]);
}

#[test]
fn standard_input_becomes_a_file() {
    let made = empty();
    let content = pattern(1_000_000);
    let put = |args: &[&str], dest: &str| {
        let mut command = made.command(args, &["-", dest]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // One that is refused does not read.
        drop(child.stdin.take().unwrap().write_all(&content));
        child.wait().unwrap().code()
    };
    assert_eq!(put(&["put", "--verify"], "/stream"), Some(0));
    assert_eq!(made.decrypt(&[], &["stream"]).code, Some(0));
    assert!(fs::read(made.dest().join("stream")).unwrap() == content);
    assert_eq!(put(&["put"], "/"), Some(2), "it has no name");
    let both = ["put", "--passphrase-stdin"];
    let ended = crate::command::run(crate::command::oxcrypt(&both).arg(made.vault()).args(["-", "/both"]));
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert_eq!(made.put(&[], &["-", "-"], "/two").code, Some(2));
    assert_eq!(made.names(), ["stream"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_no_vault_can_hold_is_told_and_the_rest_goes_on() {
    use std::os::unix::ffi::OsStrExt as _;
    let made = empty();
    made.write("tree/file", "one");
    let tree = made.dir().join("tree");
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::write(tree.join(".oxcrypt-put-0a-1b-2c"), "left over").unwrap();
    let ended = made.put(&["--json"], &["tree"], "/");
    assert_eq!(ended.code, Some(0), "what is left out is no failure: {}", ended.err);
    let left_out = ended.objects().iter().filter(|object| object["event"] == "leftOut").count();
    assert_eq!((left_out, ended.objects().last().unwrap()["leftOut"].as_u64()), (3, Some(3)));

    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"latin \xe4")), "two").unwrap();
    fs::write(tree.join("a\u{308}"), "decomposed").unwrap();
    fs::write(tree.join("\u{e4}"), "composed").unwrap();
    let ended = made.put(&[], &["tree"], "/");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("not UTF-8"), "{}", ended.err);
    assert!(ended.err.contains("has this name in the vault"), "{}", ended.err);
    assert_eq!(made.names(), ["tree", "tree/file", "tree/\u{e4}"]);
}

#[test]
fn a_vault_is_not_put_into_itself() {
    let made = empty();
    made.write("file", "one");
    for inside in ["vault", "vault/d", "./vault/vault.cryptomator"] {
        let ended = made.put(&[], &["file", inside], "/");
        assert_eq!(ended.code, Some(2), "{inside}: {}", ended.err);
        assert!(ended.err.contains("the vault's own folder"), "{}", ended.err);
    }
    assert!(made.names().is_empty());
    let ended = made.put(&[], &["."], "/all");
    assert_eq!(ended.code, Some(1), "what it lies in goes without it");
    assert!(ended.err.contains("the vault's own folder"), "{}", ended.err);
    assert_eq!(made.names(), ["all", "all/file"]);
}

#[test]
fn what_a_killed_run_has_left_over_is_removed_by_the_next_and_nothing_else_is() {
    let made = empty();
    made.write("file", "one");
    let stream = Stream::start(&made);
    let name = stream.draft.clone();
    assert_eq!(stream.end(), Some(0));
    assert_eq!(made.run(&["rm"], &["/stream"]).code, Some(0));
    let others = name.replace(".oxcrypt-put-", ".oxcrypt-put-0");
    // Put under their names by a rename, for no put takes them along.
    for left in [&name, &others, &".oxcrypt-put-notes".to_owned()] {
        assert_eq!(made.put(&[], &["file"], "/dir-less").code, Some(0));
        assert_eq!(made.run(&["mv"], &["/dir-less", left]).code, Some(0));
    }
    assert_eq!(made.put(&[], &["file"], "/").code, Some(0));
    let mut left = [others, ".oxcrypt-put-notes".to_owned(), "file".to_owned()];
    left.sort();
    assert_eq!(made.names(), left, "those of others are young");
    let long_ago = SystemTime::now() - Duration::from_hours(48);
    age(&made.vault(), long_ago);
    assert_eq!(made.put(&[], &["file"], "/").code, Some(0));
    assert_eq!(made.names(), [".oxcrypt-put-notes", "file"]);
}

/// A put that waits for more of its standard input.
struct Stream {
    child: Child,
    input: ChildStdin,
    /// What its file is called until it is whole.
    draft: String,
}

impl Stream {
    fn start(made: &Made) -> Self {
        let mut command = made.command(&["put", "--quiet"], &["-", "/stream"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let started = Instant::now();
        let draft = loop {
            assert!(started.elapsed() < Duration::from_mins(1), "it has begun the file");
            // Some of it goes to storage before the rest has come.
            input.write_all(&pattern(100_000)).unwrap();
            if let Some(draft) = made.names().into_iter().find(|name| name.starts_with(".oxcrypt-put-")) {
                break draft;
            }
        };
        Self { child, input, draft }
    }

    fn end(self) -> Option<i32> {
        let Self { mut child, input, .. } = self;
        drop(input);
        child.wait().unwrap().code()
    }
}

#[test]
fn one_command_at_a_time_changes_a_vault_and_everybody_reads() {
    let made = empty();
    made.write("file", "one");
    let stream = Stream::start(&made);
    for (args, more) in [(&["mkdir"][..], &["/dir"][..]), (&["rm", "-r", "--yes"], &["/dir"])] {
        let ended = made.run(args, more);
        assert_eq!(ended.code, Some(6), "{args:?} {}", ended.err);
        assert!(ended.err.contains("(put)"), "{}", ended.err);
    }
    assert_eq!(made.put(&[], &["file"], "/").code, Some(6));
    assert_eq!(made.names(), std::slice::from_ref(&stream.draft));
    assert_eq!(stream.end(), Some(0));
    assert_eq!(made.run(&["mkdir"], &["/dir"]).code, Some(0));
}

#[cfg(unix)]
#[test]
fn a_put_that_waits_for_its_standard_input_can_be_interrupted() {
    use rustix::process::{Pid, Signal, kill_process};
    let made = empty();
    let before = content_of(&made.vault());
    let mut stream = Stream::start(&made);
    kill_process(Pid::from_child(&stream.child), Signal::INT).unwrap();
    // Nothing more comes, and nothing ends.
    assert_eq!(stream.child.wait().unwrap().code(), Some(130));
    assert_eq!(content_of(&made.vault()), before);
}

/// Gives everything in a vault a time.
fn age(vault: &Path, time: SystemTime) {
    for name in names_below(vault) {
        fs::File::open(vault.join(name)).unwrap().set_modified(time).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded_whatever_is_brought() {
    let made = empty();
    for name in ["a", "b"] {
        made.write(&format!("tree/{name}"), vec![7; 100 << 20]);
    }
    for number in 0..5_000 {
        made.write(&format!("tree/dir/{number}"), "");
    }
    let mut command = made.command(&["put", "--quiet", "--jobs", "16"], &["tree", "/"]);
    let mut child = command.current_dir(made.dir()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::yield_now();
    }
    assert!(child.wait().unwrap().success());
    assert!((1 << 10..160 << 10).contains(&peak), "{peak} KiB");
}
