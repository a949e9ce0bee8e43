//! The slow store does what it is told, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oxcrypt_core::storage::{LocalStorage, conformance};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use crate::child::{CEILING, Child, poll};
use crate::store::{self, Store};

/// How long something may take before one looks whether it is stuck.
const STUCK: Duration = Duration::from_millis(500);

/// A file long enough for the kernel's readahead, which is what takes a slot of its background queue. Of a file below
/// 16 KiB it does without where that queue is full (Linux 6.18), and then such a file reads when others hang.
const LEN: usize = 64 << 10;

/// Bytes that look like no other file's.
fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(LEN).collect()
}

fn fill<'a>(names: impl IntoIterator<Item = &'a str>) -> impl FnOnce(&Path) {
    move |folder| {
        for name in names {
            fs::write(folder.join(name), content(name)).unwrap();
        }
    }
}

fn cold(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("cold{number}")).collect()
}

#[test]
fn what_is_written_through_it_is_what_lies_behind_it() {
    let Some(store) = Store::start(&["--attr-timeout", "0s", "--entry-timeout", "0s"], |_| ()) else {
        return;
    };
    let (mounted, behind) = (store.mounted("tree"), store.behind("tree"));
    let script = r#"
        mkdir "$1" "$1/dir" "$1/empty" "$1/gone"
        seq 100000 > "$1/dir/numbers"
        printf 'overwritten' | dd of="$1/dir/numbers" bs=1 seek=1000 conv=notrunc,fsync status=none
        echo appended >> "$1/dir/numbers"
        cp -a "$1/dir/numbers" "$1/copy" && cp "$1/copy" "$1/cut" && truncate -s 12345 "$1/cut"
        truncate -s 1M "$1/hole"
        chmod 640 "$1/copy" && touch -d 1969-12-31T23:59:58.5Z "$1/copy"
        ln "$1/copy" "$1/hard" && mkfifo "$1/pipe"
        mv "$1/dir" "$1/moved" && ln -s moved/numbers "$1/link" && echo new > "$1/new" && echo old > "$1/old" && mv "$1/new" "$1/old"
        echo x > "$1/gone/x" && rm "$1/gone/x" && rmdir "$1/gone"
        exec 3<> "$1/unlinked" && rm "$1/unlinked" && echo still >&3 && sync && exec 3<&-
        test "$(cat "$1/old")" = new && test "$(readlink "$1/link")" = moved/numbers
        list() { (cd "$1" && find . -printf '%p %y %s %m %n %U %T@ %l\n' | sort); }
        list "$1" > "$3" && list "$2" > "$4" && cmp "$3" "$4"
        rm "$1/pipe" && diff -r "$1" "$2"
    "#;
    let lists = tempfile::tempdir().unwrap();
    let (a, b) = (lists.path().join("a"), lists.path().join("b"));
    Child::sh(script, &[&mounted, &behind, &a, &b]).succeed();
    assert_eq!(fs::read_to_string(a).unwrap().lines().count(), 11);
}

#[test]
fn a_folder_on_it_is_a_store_as_any_other_read_directly_or_not() {
    // Beside a writer, who reads through the kernel's page cache may get a page that he shares with him as it was before: the
    // kernel drops pages of a file that has changed, and asks for them while what was written is still on its way.
    const NOT_CACHED: &str = "serves many threads on one handle";
    for directly in [false, true] {
        let Some(store) = Store::start(&[], |_| ()) else { return };
        let cases = conformance::CASES.iter().filter(|(name, _)| directly || *name != NOT_CACHED);
        for (number, (name, case)) in cases.enumerate() {
            println!("{name}");
            let folder = store.mounted(&number.to_string());
            fs::create_dir(&folder).unwrap();
            let folder = LocalStorage::open(folder).unwrap();
            case(&if directly { folder.read_directly() } else { folder });
        }
    }
}

#[test]
fn what_changes_behind_it_is_seen_through_it() {
    let Some(store) = Store::start(&["--attr-timeout", "0s", "--entry-timeout", "0s"], fill(["file"])) else {
        return;
    };
    let read = || Child::sh(r#"cat "$1""#, &[&store.mounted("file")]).succeed().output;
    assert_eq!(read(), content("file"));
    fs::write(store.behind("other"), "a file put there by a sync client").unwrap();
    fs::rename(store.behind("other"), store.behind("file")).unwrap();
    assert_eq!(read(), b"a file put there by a sync client");
}

#[test]
fn a_frozen_read_waits_while_other_files_answer() {
    let Some(store) = Store::start(&["--threads", "1"], fill(["cold", "hot"])) else { return };
    store.command("freeze read cold");
    let mut reader = Child::sh(r#"cat "$1""#, &[&store.mounted("cold")]);
    store.command("await held 1 60s");
    assert_eq!(Child::sh(r#"cat "$1""#, &[&store.mounted("hot")]).succeed().output, content("hot"));
    Child::sh(r#"stat "$1" && ls -l "$2" && df "$2""#, &[&store.mounted("cold"), &store.mounted("")])
        .succeed();
    assert!(reader.is_running());
    let held = &store.command("held")["held"];
    assert_eq!(
        (&held[0]["op"], &held[0]["path"], &held[0]["offset"]),
        (&"read".into(), &"cold".into(), &0.into())
    );
    assert_eq!(store.command("thaw")["rules"], 1);
    assert_eq!(reader.succeed().output, content("cold"));
}

#[test]
fn every_operation_can_be_frozen_and_goes_on_afterwards() {
    let names =
        ["getattr", "setattr", "open", "read", "write", "flush", "fsync", "unlink", "rename", "lookup"];
    let fill = |folder: &Path| {
        fill(names)(folder);
        for dir in ["opendir", "readdir", "rmdir"] {
            fs::create_dir(folder.join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("target", folder.join("readlink")).unwrap();
    };
    let Some(store) = Store::start(&["--attr-timeout", "0s", "--entry-timeout", "0s"], fill) else { return };
    for (op, script) in [
        ("lookup", r#"stat "$1""#),
        ("getattr", r#"stat "$1""#),
        ("setattr", r#"chmod 600 "$1""#),
        ("readlink", r#"readlink "$1""#),
        ("mknod", r#"mkfifo "$1""#),
        ("mkdir", r#"mkdir "$1""#),
        ("unlink", r#"rm "$1""#),
        ("rmdir", r#"rmdir "$1""#),
        ("symlink", r#"ln -s target "$1""#),
        ("rename", r#"mv "$1" "$1.new""#),
        ("link", r#"ln "$2/read" "$1""#),
        ("open", r#"cat "$1""#),
        ("create", r#"echo x > "$1""#),
        ("read", r#"cat "$1""#),
        ("write", r#"echo x > "$1""#),
        ("flush", r#"echo x > "$1""#),
        ("fsync", r#"echo x | dd of="$1" conv=notrunc,fsync"#),
        ("opendir", r#"ls "$1""#),
        ("readdir", r#"ls "$1""#),
    ] {
        let rule = store.command(&format!("freeze {op} /{op}"))["rule"].clone();
        let mut child = Child::sh(script, &[&store.mounted(op), &store.mounted("")]);
        store.command("await held 1 60s");
        assert!(child.is_running(), "{op}");
        store.command(&format!("thaw {rule}"));
        child.succeed();
    }
    store.command("freeze statfs **");
    let mut child = Child::sh(r#"df "$1""#, &[&store.mounted("")]);
    store.command("await held 1 60s");
    assert!(child.is_running());
    store.command("thaw");
    child.succeed();
    // The kernel waits for no release.
    store.command("freeze release read");
    Child::sh(r#"cat "$1""#, &[&store.mounted("read")]).succeed();
    store.command("await held 1 60s");
}

#[test]
fn a_delayed_read_comes_late_and_whole() {
    let Some(store) = Store::start(&[], fill(["slow"])) else { return };
    store.command("delay 300ms open,read slow");
    let ended = Child::sh(r#"cat "$1""#, &[&store.mounted("slow")]).succeed();
    assert_eq!(ended.output, content("slow"));
    assert!(ended.took >= Duration::from_millis(600), "{:?}", ended.took);
}

#[test]
fn a_read_fails_when_its_time_is_over() {
    let Some(store) = Store::start(&[], fill(["bad", "good"])) else { return };
    store.command("fail ETIMEDOUT read bad after=300ms");
    let mut reader = store.read_page("bad", &[]);
    let ended = reader.ended_within(CEILING).expect("an answer");
    let output = String::from_utf8_lossy(&ended.output).into_owned();
    assert!(!ended.status.success() && output.contains("Connection timed out"), "{output}");
    assert!(ended.took >= Duration::from_millis(300), "{:?}", ended.took);
    let counts = store.command("counters files")["files"]["bad"]["read"].clone();
    assert!(counts["arrived"].as_u64() > Some(0) && counts["failed"] == counts["arrived"], "{counts}");
    store.read_page("good", &[]).succeed();
    // What is held can be answered with an error, too, which comes at once.
    store.command("thaw");
    store.command("freeze read bad");
    let mut reader = store.read_page("bad", &["iflag=direct"]);
    store.command("await held 1 60s");
    assert_eq!(store.command("answer EACCES")["released"], 1);
    let output =
        String::from_utf8_lossy(&reader.ended_within(CEILING).expect("an answer").output).into_owned();
    assert!(output.contains("Permission denied"), "{output}");
}

#[test]
fn a_rule_may_be_about_a_part_of_large_files() {
    let Some(store) = Store::start(&["--direct-io"], fill(["large", "small"])) else { return };
    fs::write(store.behind("small"), "few").unwrap();
    store.command("freeze read * offset=32K.. min-size=64K");
    store.read_page("small", &["skip=8"]).succeed();
    store.read_page("large", &["skip=7"]).succeed();
    let mut reader = store.read_page("large", &["skip=8"]);
    store.command("await held 1 60s");
    assert!(reader.is_running());
    store.command("thaw");
    reader.succeed();
}

#[test]
fn counters_tell_what_reached_it() {
    let Some(store) = Store::start(&["--direct-io"], fill(["file", "other"])) else { return };
    store.read_page("other", &[]).succeed();
    store.command("await release 1 60s");
    store.command("reset");
    store.read_page("file", &[]).succeed();
    store.command("await release 1 60s");
    let files = store.command("counters files")["files"].clone();
    assert_eq!(files["other"], serde_json::Value::Null, "{files}");
    let count = |bytes| serde_json::json!({"arrived": 1, "held": 0, "failed": 0, "bytes": bytes});
    assert_eq!(files["file"]["read"], count(4096), "{files}");
    for op in ["lookup", "open", "release"] {
        assert_eq!(files["file"][op], count(0), "{files}");
    }
}

#[test]
fn the_client_sends_commands() {
    let Some(store) = Store::start(&[], |_| ()) else { return };
    let client =
        |words: &[&str]| Child::start(Command::new(store::exe()).arg("ctl").arg(store.socket()).args(words));
    let answer = client(&["freeze", "read", "*.c9r", "min-size=1M"]).succeed().output;
    assert_eq!(answer, b"{\"ok\":true,\"rule\":1}\n");
    let status = store.command("status");
    assert_eq!((&status["held"], &status["max_background"]), (&0.into(), &12.into()));
    let refused = client(&["melt"]).ended_within(CEILING).expect("an answer");
    assert!(!refused.status.success() && refused.output.starts_with(b"{\"error\":"));
    client(&["quit"]).succeed();
    assert!(!store.is_mounted());
}

#[test]
fn it_mounts_over_its_folder_but_not_in_it() {
    let Some(store) = Store::start(&[], |_| ()) else { return };
    let (folder, inside) = (store.behind(""), store.behind("inside"));
    fs::create_dir(&inside).unwrap();
    // Its standard input has ended already, so that it ends as soon as it is up.
    let run = |mountpoint| {
        let mut command = Command::new(store::exe());
        Child::start(command.arg("--end-with-stdin").arg(&folder).arg(mountpoint)).ended_within(CEILING)
    };
    let ended = run(&folder).expect("an end");
    assert!(ended.status.success() && ended.output == b"ready\n");
    let ended = run(&inside).expect("an end");
    assert!(!ended.status.success() && ended.output.ends_with(b"lies in the folder\n"));
}

#[test]
fn it_may_pose_as_another_program() {
    let Some(store) = Store::start(&["--type", "rclone"], |_| ()) else { return };
    let line = store.mount_line().unwrap();
    assert!(line.contains(" - fuse.rclone "), "{line}");
    store.command("quit");
    assert!(poll(CEILING, || (!store.is_mounted()).then_some(())).is_some());
}

/// Freezes the first page of `held` files for readers with these flags of `dd`, and reads one more file. Whether that
/// reads although they hang.
fn a_hot_file_reads(options: &[&str], held: usize, cold_flags: &[&str], hot_flags: &[&str]) -> Option<bool> {
    let names = cold(held);
    let store = Store::start(options, fill(names.iter().map(String::as_str).chain(["hot"])))?;
    store.command("freeze read cold*");
    let readers: Vec<_> = names.iter().map(|name| store.read_page(name, cold_flags)).collect();
    store.command(&format!("await held {held} 60s"));
    let mut hot = store.read_page("hot", hot_flags);
    // Either it ends, or it is seen twice in a row that the kernel keeps its request to itself.
    let mut seen_stuck = 0;
    let reads = poll(CEILING, || {
        if let Some(ended) = hot.ended_within(STUCK) {
            return Some(ended.status.success());
        }
        let kernel_has_more = store.command("status")["kernel_waiting"].as_u64() > Some(held as u64);
        let stuck = kernel_has_more && store.arrived("hot", "open") > 0 && store.arrived("hot", "read") == 0;
        seen_stuck = if stuck { seen_stuck + 1 } else { 0 };
        (seen_stuck == 2).then_some(false)
    });
    let reads = reads.expect("it ends, or it hangs in the kernel");
    if !reads {
        // What needs no read still answers.
        Child::sh(r#"stat "$1" && ls "$2" && df "$2""#, &[&store.mounted("hot"), &store.mounted("")])
            .succeed();
    }
    store.command("thaw");
    if !reads {
        hot.succeed();
    }
    for reader in readers {
        reader.succeed();
    }
    Some(reads)
}

/// The negative control of the whole project: if this does not hang, our own measurements measure nothing.
#[test]
fn twelve_frozen_reads_block_every_other_where_the_queue_is_twelve() {
    let Some(eleven) = a_hot_file_reads(&[], 11, &[], &[]) else { return };
    assert!(eleven);
    assert_eq!(a_hot_file_reads(&["--max-background", "12"], 12, &[], &[]), Some(false));
}

#[test]
fn a_full_queue_keeps_releases_from_the_store_but_not_writes() {
    let names = cold(12);
    let Some(store) = Store::start(&[], fill(names.iter().map(String::as_str))) else { return };
    store.command("freeze read cold*");
    let readers: Vec<_> = names.iter().map(|name| store.read_page(name, &[])).collect();
    store.command("await held 12 60s");
    Child::sh(r#"echo text | dd of="$1" conv=fsync status=none"#, &[&store.mounted("new")]).succeed();
    assert_eq!(fs::read(store.behind("new")).unwrap(), b"text\n");
    let more =
        poll(CEILING, || (store.command("status")["kernel_waiting"].as_u64() > Some(12)).then_some(()));
    assert!(more.is_some() && store.arrived("new", "release") == 0);
    store.command("thaw");
    store.command("await release 1 60s");
    for reader in readers {
        reader.succeed();
    }
}

#[test]
fn a_long_queue_holds_many_frozen_reads() {
    let Some(reads) = a_hot_file_reads(&["--max-background", "1024"], 40, &[], &[]) else { return };
    assert!(reads);
}

#[test]
fn direct_reads_take_no_place_in_the_queue() {
    let direct: &[&str] = &["iflag=direct"];
    let Some(reads) = a_hot_file_reads(&[], 24, direct, &[]) else { return };
    assert!(reads);
    assert_eq!(a_hot_file_reads(&[], 12, &[], direct), Some(true));
    assert_eq!(a_hot_file_reads(&["--direct-io"], 24, &[], &[]), Some(true));
}

#[test]
fn direct_reads_take_places_where_they_are_asynchronous() {
    let direct: &[&str] = &["iflag=direct"];
    let Some(reads) = a_hot_file_reads(&["--async-dio"], 11, direct, direct) else { return };
    assert!(reads);
    assert_eq!(a_hot_file_reads(&["--async-dio"], 12, direct, direct), Some(false));
    assert_eq!(a_hot_file_reads(&["--async-dio"], 12, &[], direct), Some(false));
}

/// Lets a hundred callers of all kinds hang, and sees that the store ends in time and frees them.
fn ends_with_a_hundred_held(end: impl FnOnce(&Store)) {
    let names = cold(100);
    let fill = fill(names.iter().map(String::as_str).chain(["hot"]));
    let Some(mut store) = Store::start(&["--max-background", "256"], fill) else { return };
    store.command("freeze read,write,rename cold*");
    let flags: [&[&str]; 2] = [&[], &["iflag=direct"]];
    let readers = names.iter().zip(flags.into_iter().cycle()).skip(2);
    let mut callers: Vec<_> = readers.map(|(name, flags)| store.read_page(name, flags)).collect();
    store.command("await held 98 60s");
    // Somebody is in there, with an open file.
    let sleeper = Child::sh(r#"cd "$1" && exec sleep 600 < hot"#, &[&store.mounted("")]);
    poll(CEILING, || (store.arrived("hot", "open") > 0).then_some(())).expect("an open file");
    callers.push(Child::sh(r#"echo x >> "$1""#, &[&store.mounted("cold0")]));
    store.command("await held 99 60s");
    // The last, because the kernel locks the folder for as long as a rename in it takes.
    callers.push(Child::sh(r#"mv "$1" "$1.new""#, &[&store.mounted("cold1")]));
    store.command("await held 100 60s");
    end(&store);
    let before = std::time::Instant::now();
    assert!(store.ended().is_some_and(|status| status.success()));
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert!(!store.is_mounted());
    for caller in &mut callers {
        assert!(caller.ended_within(CEILING).is_some(), "a caller still hangs");
    }
    drop(sleeper);
    assert_eq!(fs::read_dir(store.mounted("")).unwrap().count(), 0);
}

#[test]
fn a_hundred_held_requests_do_not_delay_its_end_by_signal() {
    ends_with_a_hundred_held(|store| store.signal(Signal::TERM));
}

#[test]
fn a_hundred_held_requests_do_not_delay_its_end_by_command() {
    ends_with_a_hundred_held(|store| {
        store.command("quit");
    });
}

#[test]
fn it_ends_when_somebody_else_unmounts_it() {
    let Some(mut store) = Store::start(&[], |_| ()) else { return };
    store.unmount(UnmountFlags::empty()).unwrap();
    assert!(store.ended().is_some_and(|status| status.success()));
}

#[test]
fn a_lazy_unmount_with_held_requests_leaves_it_running_until_told() {
    let Some(mut store) = Store::start(&[], fill(["cold"])) else { return };
    store.command("freeze read *");
    let mut reader = store.read_page("cold", &["iflag=direct"]);
    store.command("await held 1 60s");
    store.unmount(UnmountFlags::DETACH).unwrap();
    assert!(reader.is_running());
    store.signal(Signal::INT);
    assert!(store.ended().is_some_and(|status| status.success()));
    assert!(reader.ended_within(CEILING).is_some());
}
