//! Memory answers while storage hangs.

use std::time::Duration;

use std::fs;

use crate::child::{CEILING, Child};
use crate::scene::{Scene, Setting, hot_content};
use crate::who::Who;

/// Starting some twenty programs takes longer beside a crowd; hanging takes for ever.
const SLACK: Duration = Duration::from_secs(3);

#[track_caller]
fn holds(who: Who, readers: usize, max_background: u16, options: &[&str]) {
    let Some(scene) = Scene::new(Setting { max_background, async_dio: false, cold: readers }) else { return };
    let mut mounted = scene.mount(who, options);
    mounted.is_used();
    let idle = mounted.is_used();
    scene.freeze();
    let mut crowd = mounted.crowd(0..readers, readers);
    let storm = mounted.is_used();
    assert!(storm < idle * 10 + SLACK, "{storm:?} beside {readers} readers, {idle:?} without");
    let status = fs::read_to_string(format!("/proc/{}/status", mounted.process().id())).unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    assert!(threads.trim().parse::<usize>().unwrap() <= 88 + 128, "{threads} threads");
    let waiting = mounted.waiting();
    assert!(
        waiting >= readers as u64,
        "{waiting} of {readers} readers were left, who were to wait to the end"
    );
    scene.thaw();
    let ended = crowd.ended_within(CEILING);
    assert!(ended.is_some(), "storage is back, and readers still wait");
}

#[test]
fn while_64_readers_hang_what_memory_has_is_answered() {
    holds(Who::Root, 64, 12, &[]);
}

#[test]
fn while_64_readers_hang_one_session_thread_is_enough() {
    holds(Who::Root, 64, 4096, &["--session-threads", "1"]);
}

#[test]
fn while_64_readers_hang_the_mount_of_an_ordinary_user_answers() {
    holds(Who::Ordinary, 64, 12, &[]);
}

#[test]
fn while_64_readers_hang_one_session_thread_of_an_ordinary_user_is_enough() {
    holds(Who::Ordinary, 64, 4096, &["--session-threads", "1"]);
}

#[test]
fn while_2000_readers_hang_what_memory_has_is_answered() {
    holds(Who::Root, 2_000, 4096, &[]);
}

#[test]
fn while_2000_readers_hang_one_session_thread_is_enough() {
    holds(Who::Root, 2_000, 12, &["--session-threads", "1"]);
}

#[test]
fn while_the_whole_store_hangs_what_was_seen_before_is_still_there() {
    let Some(scene) = Scene::new(Setting { max_background: 12, async_dio: false, cold: 8 }) else { return };
    let mounted = scene.mount(Who::Root, &["--deadline", "read=3s"]);
    mounted.is_used();
    let head = mounted.read_page("cold/1").succeed().output;
    let sum = mounted.look("md5sum", &["hot/1"]).succeed().output;
    scene.freeze_all();
    let mut read = mounted.look("cat", &["hot/1"]);
    let read = read.ended_within(Duration::from_secs(10)).expect("what memory has");
    assert!(read.output == hot_content(1));
    let mut again = mounted.look("md5sum", &["hot/1"]);
    assert_eq!(again.ended_within(Duration::from_secs(10)).expect("what memory has").output, sum);
    let mut page = mounted.read_page("cold/1");
    assert!(page.ended_within(Duration::from_secs(10)).expect("what memory has").output == head);
    let script = r#"exec dd if="$1" of=/dev/null bs=4096 skip=40 count=1 status=none"#;
    let mut tail = mounted.command("sh");
    let mut tail = Child::start(tail.args(["-euc", script, "sh"]).arg(mounted.path("cold/1")));
    let tail = tail.ended_within(Duration::from_secs(20)).expect("an answer by the deadline");
    let said = String::from_utf8_lossy(&tail.output);
    assert!(said.contains("Connection timed out"), "{said}");
    for (program, name) in [("stat", "hot/2"), ("ls", "listed"), ("df", "")] {
        let mut look = mounted.look(program, &[name]);
        let ended = look.ended_within(Duration::from_secs(10)).unwrap_or_else(|| panic!("{program} hangs"));
        assert!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.output));
    }
    scene.thaw();
}

#[test]
fn status_tells_what_hangs() {
    let Some(scene) = Scene::new(Setting { max_background: 12, async_dio: false, cold: 100 }) else { return };
    let mounted = scene.mount(Who::Root, &[]);
    scene.freeze();
    let _crowd = mounted.crowd(0..100, 100);
    let status = mounted.status();
    assert!(status.to_string().contains("waiters"), "{status}");
}
