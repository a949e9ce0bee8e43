//! What holds at full scale, in the small: by counts and ratios, with generous ceilings. The bench of the same name
//! measures.

use std::time::Duration;

use rustix::process::Signal;

use crate::child::{CEILING, Child, poll};
use crate::mounted::Mounted;
use crate::scene::{COLD_LEN, Scene, Setting};
use crate::who::Who;

/// How long whatever needs nothing of what hangs may take on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store as most are.
fn setting(cold: usize) -> Setting {
    Setting { max_background: 12, async_dio: false, cold }
}

/// Reads a file that nobody has read yet.
#[track_caller]
fn answers(mounted: &Mounted, name: &str) {
    let mut child = mounted.look("cat", &[name]);
    let ended = child.ended_within(PATIENCE);
    let ended = ended.unwrap_or_else(|| panic!("{name} hangs: {}", mounted.status()));
    assert_eq!(ended.output, b"short", "{name}");
}

#[test]
fn a_hundred_readers_of_one_chunk_cost_one_read() {
    const READERS: usize = 100;
    let Some(scene) = Scene::new(setting(1)) else { return };
    let mounted = scene.mount(Who::Root, &[]);
    scene.freeze();
    scene.store.command("reset");
    let mut readers: Vec<Child> = (0..READERS).map(|_| mounted.read_page("cold/0")).collect();
    poll(CEILING, || (mounted.waiting() >= READERS as u64).then_some(())).expect("a hundred who wait");
    scene.thaw();
    for reader in &mut readers {
        let ended = reader.ended_within(CEILING).expect("storage is back");
        assert_eq!(ended.output, [7; 4096]);
    }
    let counters = scene.store.command("counters files");
    let files = counters["files"].as_object().unwrap();
    let is_cold =
        |path: &str| scene.store.behind(path).metadata().is_ok_and(|file| file.len() >= COLD_LEN as u64);
    let cold: Vec<_> = files.iter().filter(|(path, _)| is_cold(path)).collect();
    assert!(matches!(cold[..], [(_, counts)] if counts["read"]["arrived"] == 1), "{cold:?}");
}

#[test]
fn a_healthy_file_is_found_among_600_dead_ones() {
    const DEAD: usize = 600;
    let Some(scene) = Scene::new(setting(DEAD)) else { return };
    let mounted = scene.mount(Who::Ordinary, &["--session-threads", "1"]);
    scene.freeze();
    let _crowd = mounted.crowd(0..DEAD, DEAD);
    // Some of them may still be at opening, and whoever asks last is served first.
    poll(CEILING, || (mounted.reads() >= DEAD).then_some(())).expect("a crowd that reads");
    for number in 0..3 {
        answers(&mounted, &format!("listed/listed {number}"));
    }
    scene.thaw();
}

#[test]
fn a_store_that_is_stopped_and_goes_on_has_every_thread_back() {
    const READERS: usize = 64;
    let Some(scene) = Scene::new(setting(READERS)) else { return };
    let mounted = scene.mount(Who::Root, &[]);
    mounted.is_used();
    scene.store.signal(Signal::STOP);
    let mut crowd = mounted.crowd(0..READERS, READERS);
    for (program, name) in [("ls", "listed"), ("df", "")] {
        let ended = mounted.look(program, &[name]).ended_within(PATIENCE);
        assert!(
            ended.is_some_and(|ended| ended.status.success()),
            "{program} beside a store that is stopped"
        );
    }
    scene.store.signal(Signal::CONT);
    assert!(crowd.ended_within(CEILING).is_some(), "the store is back, and readers still wait");
    answers(&mounted, "listed/listed 9");
    let is_whole = |status: &serde_json::Value| status["reserveLeft"] == 128 && status["requests"] == 0;
    poll(CEILING, || is_whole(&mounted.status()).then_some(())).expect("every thread back");
}

#[test]
fn names_that_are_held_in_one_directory_hold_no_other() {
    let mut place = String::new();
    let more = |builder: &oxcrypt_core::testing::VaultBuilder<'_>| {
        let dead = builder.directory(&oxcrypt_core::DirId::root(), "dead")?;
        builder.content_dir(&dead)?.as_str().clone_into(&mut place);
        Ok(())
    };
    let Some(scene) = Scene::with(setting(1), more) else { return };
    let mounted = scene.mount_to_work(Who::Ordinary, &["--session-threads", "1"]);
    scene.store.command(&format!("freeze create,mkdir,rename,unlink {place}/**"));
    let held =
        [("mkdir", "dead/new"), ("touch", "dead/file")].map(|(program, name)| mounted.look(program, &[name]));
    scene.store.command("await held 1 60s");
    mounted.works();
    mounted.is_used();
    scene.thaw();
    for mut child in held {
        assert!(child.ended_within(CEILING).is_some_and(|ended| ended.status.success()));
    }
}

#[test]
fn what_is_flushed_and_synced_in_vain_holds_nobody_else() {
    let Some(scene) = Scene::new(setting(16)) else { return };
    let mounted = scene.mount_to_work(Who::Root, &[]);
    scene.store.command("freeze flush,fsync ** min-size=128K");
    let mut writers = mounted.write_cold(16);
    scene.store.command("await held 1 60s");
    mounted.works();
    mounted.is_used();
    scene.thaw();
    writers.ended_within(CEILING).expect("storage is back");
}
