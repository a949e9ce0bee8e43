//! Writers whose storage hangs, and those beside them.

use std::time::{Duration, Instant};

use crate::child::{CEILING, Child, poll};
use crate::mounted::Mounted;
use crate::scene::{Scene, Setting};
use crate::who::Who;

/// Starting a few programs takes longer beside a crowd; hanging takes for ever.
const SLACK: Duration = Duration::from_secs(3);

impl Mounted {
    /// Writes over five of the six chunks of each of the first `files` cold files, and closes them, each in a process of
    /// its own and to other bytes.
    pub(crate) fn write_cold(&self, files: usize) -> Child {
        let script = r#"
            i=0
            while [ $i -lt $2 ]; do
                (head -c 160K /dev/zero | tr '\0' "$(printf '\\%03o' $((33 + i)))" |
                    dd of="$1/$i" bs=32K iflag=fullblock conv=notrunc status=none) &
                i=$((i + 1))
            done
            for job in $(jobs -p); do wait $job || exit 1; done"#;
        let mut command = self.command("bash");
        command.args(["-uc", script, "bash"]).arg(self.path("cold"));
        Child::start(command.arg(files.to_string()))
    }

    /// Makes a file, writes to it, has it synced, moves it over another, and reads it back.
    #[track_caller]
    pub(crate) fn works(&self) -> Duration {
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

    pub(crate) fn unsaved_files(&self) -> u64 {
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
    assert_eq!(page.output, [33 + 5; 4096]);
    assert!(writers.is_running(), "the writers were to wait to the end");
    scene.thaw();
    writers.ended_within(CEILING).expect("storage is back");
    let gone = mounted.oxcrypt(&["unmount"]).succeed();
    assert!(gone.status.success());
    assert!(mounted.process().ended_within(CEILING).expect("the end").status.success());
    let mounted = scene.mount(who, &[]);
    for number in 0..DEAD {
        let read = mounted.look("cat", &[&format!("cold/{number}")]).succeed().output;
        let (written, rest) = read.split_at(160 << 10);
        let byte = u8::try_from(33 + number).unwrap();
        assert!(written.iter().all(|found| *found == byte), "cold/{number} has something else");
        assert!(rest == vec![7; 32 << 10], "what nobody wrote to in cold/{number} is another");
    }
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
fn a_write_that_hangs_delays_no_read_of_other_chunks() {
    let Some(scene) = Scene::new(Setting { max_background: 12, async_dio: false, cold: 2 }) else { return };
    for (who, options) in [(Who::Root, &[][..]), (Who::Ordinary, &["--session-threads", "1"])] {
        let mounted = scene.mount_to_work(who, options);
        let chunk = |number: usize| {
            let mut input = std::ffi::OsString::from("if=");
            input.push(mounted.path("cold/0"));
            let mut command = mounted.command("dd");
            command.arg(input).args(["bs=32K", "count=1", "status=none", &format!("skip={number}")]);
            Child::start(&mut command).ended_within(Duration::from_secs(10)).map(|ended| ended.output)
        };
        scene.freeze_writes();
        let mut output = std::ffi::OsString::from("of=");
        output.push(mounted.path("cold/0"));
        let mut command = mounted.command("dd");
        command.args(["if=/dev/zero", "bs=32K", "count=1", "conv=notrunc", "status=none"]).arg(output);
        let mut writer = Child::start(&mut command);
        scene.store.command("await held 1 60s");
        // 160 KiB away, in no block with the first, and nobody has read it yet; then its neighbour; then itself.
        for (number, byte) in [(5, 7), (1, 7), (0, 0)] {
            let Some(read) = chunk(number) else { panic!("{who:?}: chunk {number} waits for a write") };
            assert!(read == vec![byte; 32 << 10], "{who:?}: chunk {number} is another");
        }
        assert!(writer.is_running() && scene.store.command("status")["held"] == 1);
        scene.thaw();
        assert!(writer.ended_within(CEILING).expect("storage is back").status.success());
        mounted.oxcrypt(&["unmount"]).succeed();
    }
}
