//! What becomes of those who wait.

use std::time::Duration;

use crate::scene::{Scene, Setting};
use crate::who::Who;

const SETTING: Setting = Setting { max_background: 12, async_dio: false, cold: 4 };

#[test]
fn a_killed_reader_is_gone_within_the_second() {
    let Some(scene) = Scene::new(SETTING) else { return };
    for who in [Who::Root, Who::Ordinary] {
        let mounted = scene.mount(who, &[]);
        scene.freeze();
        let mut reader = mounted.read_page("cold/0");
        scene.store.command("await held 1 60s");
        reader.kill();
        let ended = reader.ended_within(Duration::from_secs(1));
        assert!(ended.is_some(), "{who:?}: still there a second after SIGKILL");
        scene.thaw();
    }
}

#[test]
fn a_waiter_gets_etimedout_at_its_deadline_and_once() {
    let Some(scene) = Scene::new(SETTING) else { return };
    let mounted = scene.mount(Who::Root, &["--deadline", "read=3s"]);
    scene.freeze();
    let mut reader = mounted.read_page("cold/1");
    let ended = reader.ended_within(Duration::from_secs(20)).expect("an answer by the deadline");
    let text = String::from_utf8_lossy(&ended.output);
    assert!(text.contains("Connection timed out"), "{text}");
    // Twice the deadline would be six seconds.
    let once = Duration::from_millis(2_900)..Duration::from_millis(5_500);
    assert!(once.contains(&ended.took), "{:?}", ended.took);
}

#[test]
fn what_came_too_late_is_there_for_the_next() {
    let Some(scene) = Scene::new(SETTING) else { return };
    let mounted = scene.mount(Who::Root, &["--deadline", "read=2s"]);
    scene.freeze();
    let mut reader = mounted.read_page("cold/2");
    let ended = reader.ended_within(Duration::from_secs(20)).expect("an answer by the deadline");
    assert!(!ended.status.success());
    // Only what hung is carried out; whatever is read from now on hangs.
    scene.store.command("release");
    let came = crate::child::poll(crate::child::CEILING, || {
        let mut retry = mounted.read_page("cold/2");
        retry.ended_within(Duration::from_secs(10)).filter(|ended| ended.status.success())
    });
    assert!(came.is_some(), "the late result was thrown away");
}
