//! The store's own queue: while it has room, what the store could serve is served.

use std::time::Duration;

use crate::child::{CEILING, Child, poll};
use crate::mounted::Mounted;
use crate::scene::{Scene, Setting};
use crate::who::Who;

/// Reads a file that nobody has read yet, but that the store has at hand.
#[track_caller]
fn reads(mounted: &Mounted, number: usize, beside: usize) {
    let mut read: Child = mounted.look("cat", &[&format!("hot/{number}")]);
    let Some(ended) = read.ended_within(Duration::from_secs(20)) else {
        panic!("a file of a healthy store hangs beside {beside} that do");
    };
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.output));
    assert!(ended.output == crate::scene::hot_content(number), "it reads as something else");
}

#[track_caller]
fn holds(async_dio: bool) {
    let Some(scene) = Scene::new(Setting { max_background: 12, async_dio, cold: 600 }) else { return };
    let mounted = scene.mount(Who::Root, &["--cache-size", "0"]);
    if async_dio {
        // There a file is trusted that answered within the minute before.
        (0..3).for_each(|number| reads(&mounted, number, 0));
    }
    scene.freeze();
    let mut crowds = Vec::new();
    for (number, (from, to)) in [(0, 14), (14, 48), (48, 600)].into_iter().enumerate() {
        crowds.push(mounted.crowd(from..to, to));
        // Some of them may still be at opening, and whoever asks last is served first.
        poll(CEILING, || (mounted.reads() >= to).then_some(())).expect("a crowd that reads");
        reads(&mounted, number, to);
    }
    scene.thaw();
}

#[test]
fn a_file_that_the_store_could_serve_reads_while_14_48_and_600_hang() {
    holds(false);
}

#[test]
fn the_same_where_direct_reads_share_the_stores_queue() {
    holds(true);
}

#[test]
fn files_that_are_open_for_writing_read_past_the_stores_queue_too() {
    const COLD: usize = 14;
    let Some(scene) = Scene::new(Setting { max_background: 12, async_dio: false, cold: COLD }) else {
        return;
    };
    let mounted = scene.mount_to_work(Who::Root, &["--cache-size", "0"]);
    // By handles that could write.
    let script = r#"for file; do dd bs=64K count=1 status=none 0<> "$file" & done; wait"#;
    let read = |files: &[String]| {
        let mut command = mounted.command("bash");
        command.args(["-euc", script, "bash"]).args(files.iter().map(|file| mounted.path(file)));
        Child::start(&mut command)
    };
    scene.freeze();
    let _crowd = read(&(0..COLD).map(|number| format!("cold/{number}")).collect::<Vec<_>>());
    poll(CEILING, || (mounted.reads() >= COLD).then_some(())).expect("a crowd that reads");
    let hot = read(&["hot/1".to_owned()]).ended_within(Duration::from_secs(20));
    scene.thaw();
    let hot = hot.unwrap_or_else(|| panic!("a file of a healthy store hangs beside {COLD} that do"));
    assert!(hot.output == crate::scene::hot_content(1), "it reads as something else");
}
