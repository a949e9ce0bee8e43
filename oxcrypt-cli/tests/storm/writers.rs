//! Writers whose storage hangs, and those beside them.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{CEILING, Child, poll};
use crate::mounted::Mounted;
use crate::scene::{Scene, Setting};
use crate::who::Who;

/// Starting a few programs takes longer beside a crowd; hanging takes for ever.
const SLACK: Duration = Duration::from_secs(3);

impl Mounted {
    /// Writes five chunks of each of the first `files` cold files, and closes them, each in a process of its own.
    fn write_cold(&self, files: usize) -> Child {
        let script = r#"
            i=0
            while [ $i -lt $2 ]; do
                dd if=/dev/zero of="$1/$i" bs=32K count=5 conv=notrunc status=none &
                i=$((i + 1))
            done
            for job in $(jobs -p); do wait $job || exit 1; done"#;
        let mut command = self.command("bash");
        command.args(["-uc", script, "bash"]).arg(self.path("cold"));
        Child::start(command.arg(files.to_string()))
    }

    /// Makes a file, writes to it, has it synced, moves it over another, and reads it back.
    #[track_caller]
    fn works(&self) -> Duration {
        let started = Instant::now();
        let script = r#"
            cd "$1"
            echo before > healthy
            dd if=/dev/zero of=new bs=4096 count=3 conv=fsync status=none
            mv new healthy
            test $(stat -c %s healthy) = 12288
            cmp -n 12288 healthy /dev/zero"#;
        let mut work = Child::start(self.command("bash").args(["-euc", script, "bash"]).arg(self.path("")));
        let Some(ended) = work.ended_within(Duration::from_secs(20)) else { panic!("healthy work hangs") };
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.output));
        started.elapsed()
    }

    fn unsaved_files(&self) -> u64 {
        self.status()["unsaved"]["files"].as_u64().unwrap()
    }
}

#[track_caller]
fn holds(who: Who, options: &[&str]) {
    const DEAD: usize = 64;
    let Some(scene) = Scene::new(Setting { max_background: 4096, async_dio: false, cold: DEAD }) else {
        return;
    };
    let mut mounted = scene.mount_to_work(who, options);
    mounted.works();
    let idle = mounted.works() + mounted.is_used();
    scene.freeze_writes();
    let mut writers = mounted.write_cold(DEAD);
    poll(CEILING, || (mounted.unsaved_files() >= DEAD as u64).then_some(())).expect("64 dead files");
    let storm = mounted.works() + mounted.is_used();
    assert!(storm < idle * 10 + SLACK, "{storm:?} beside {DEAD} dead files, {idle:?} without");
    // What hangs in storage is in memory, and so is what was written.
    let mut page = mounted.read_page("cold/5");
    let Some(page) = page.ended_within(Duration::from_secs(10)) else {
        panic!("what memory has is not answered: {}", mounted.status())
    };
    assert_eq!(page.output, [0; 4096]);
    assert!(writers.is_running(), "the writers were to wait to the end");
    scene.thaw();
    writers.ended_within(CEILING).expect("storage is back");
    let gone = mounted.oxcrypt(&["unmount"]).succeed();
    assert!(gone.status.success());
    assert!(mounted.process().ended_within(CEILING).expect("the end").status.success());
    let mounted = scene.mount(who, &[]);
    let script = r#"for i in $(seq 0 63); do cmp -n 163840 "$1/$i" /dev/zero; done"#;
    let read = Child::start(mounted.command("bash").args(["-euc", script, "bash"]).arg(mounted.path("cold")));
    read.succeed();
}

#[test]
fn while_the_writes_of_64_files_hang_others_are_made_synced_and_moved() {
    holds(Who::Root, &[]);
}

#[test]
fn while_the_writes_of_64_files_hang_one_session_thread_of_an_ordinary_user_is_enough() {
    holds(Who::Ordinary, &["--session-threads", "1"]);
}

#[test]
fn a_held_write_flush_and_fsync_die_with_their_process() {
    let Some(scene) = Scene::new(Setting { max_background: 4096, async_dio: false, cold: 3 }) else { return };
    let mounted = scene.mount_to_work(Who::Root, &[]);
    scene.freeze_writes();
    let dd = |file: &str, words: &str| {
        let mut command = mounted.command("dd");
        command.arg("if=/dev/zero").arg(format!("of={}", mounted.path(file).display()));
        Child::start(command.args(words.split(' ')))
    };
    // More than memory takes of one file; a close; a sync.
    let mut held = [
        dd("cold/0", "bs=1M count=40 conv=notrunc status=none"),
        dd("cold/1", "bs=32K count=1 conv=notrunc status=none"),
        dd("cold/2", "bs=32K count=1 conv=notrunc,fsync status=none"),
    ];
    let unsaved = || mounted.status()["unsaved"]["bytes"].as_u64().unwrap();
    let is_held = || mounted.waiting() >= 3 && unsaved() >= 15 << 20;
    poll(CEILING, || is_held().then_some(())).expect("three who wait, one of them for memory");
    for child in &mut held {
        child.kill();
    }
    for child in &mut held {
        assert!(child.ended_within(Duration::from_secs(2)).is_some(), "still there long after SIGKILL");
    }
    let bytes = unsaved();
    assert!(bytes <= 17 << 20, "one dead file has {bytes} bytes of memory");
    mounted.works();
    scene.thaw();
}

#[test]
fn what_was_synced_survives_the_death_of_the_process_behind_the_mount() {
    let Some(scene) = Scene::new(Setting { max_background: 4096, async_dio: false, cold: 0 }) else { return };
    for round in 0..5 {
        let mut mounted = scene.mount_to_work(Who::Root, &[]);
        // Each line of the log says that a file is whole and synced; it is synced itself.
        let script = r#"
            cd "$1"
            for i in $(seq 1 10000); do
                head -c $((i * 977 % 100000)) /dev/urandom > "part $2"
                sum=$(sha256sum < "part $2")
                dd if="part $2" of="file $2 $((i % 7))" bs=64K conv=fsync status=none 2>/dev/null
                sync "." && echo "$((i % 7)) ${sum%% *}" && echo more >> "appended $2"
            done"#;
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut writers = mounted.command("bash");
        writers.args(["-uc", script, "bash"]).arg(mounted.path("")).arg(round.to_string());
        writers.stdout(log.reopen().unwrap());
        let mut writers = std::process::Command::spawn(&mut writers).unwrap();
        poll(CEILING, || {
            let lines = std::fs::read_to_string(log.path()).unwrap().lines().count();
            (lines > 10 + round).then_some(())
        })
        .expect("writers that write");
        mounted.signal(Signal::KILL);
        writers.kill().unwrap();
        writers.wait().unwrap();
        mounted.process().ended_within(CEILING).expect("the end");
        drop(mounted);
        let mounted = scene.mount(Who::Root, &[]);
        let text = std::fs::read_to_string(log.path()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        // The last of each name, but for that which was being written over at the end: it is the seventh.
        for line in lines.iter().rev().take(6) {
            let (number, sum) = line.split_once(' ').unwrap();
            let name = format!("file {round} {number}");
            let found = mounted.look("sha256sum", &[&name]).succeed();
            let found = String::from_utf8_lossy(&found.output).into_owned();
            assert!(found.starts_with(sum), "{name}: {found}, not {sum}");
        }
    }
}
