//! Unmounting always works.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{CEILING, poll};
use crate::mounted::Mounted;
use crate::scene::{Scene, Setting};
use crate::who::Who;

const SETTING: Setting = Setting { max_background: 4096, async_dio: false, cold: 200 };

/// Two seconds are promised; the rest is for a busy machine.
const PROMPT: Duration = Duration::from_secs(2 + 2);

/// Mounts, and has so many readers wait that no lane is left.
fn stuck(scene: &Scene, who: Who) -> (Mounted, crate::child::Child) {
    let mounted = scene.mount(who, &[]);
    scene.freeze();
    let crowd = mounted.crowd(0..SETTING.cold, SETTING.cold);
    (mounted, crowd)
}

#[test]
fn unmounting_takes_two_seconds_with_every_lane_stuck_and_the_place_is_free_again() {
    let Some(scene) = Scene::new(SETTING) else { return };
    for who in [Who::Root, Who::Ordinary] {
        let (mut mounted, mut crowd) = stuck(&scene, who);
        let started = Instant::now();
        mounted.oxcrypt(&["unmount", "--force"]).succeed();
        assert!(!mounted.is_mounted() && started.elapsed() < PROMPT, "{who:?}: {:?}", started.elapsed());
        assert!(crowd.ended_within(CEILING).is_some(), "{who:?}: readers were left behind");
        // The kernel keeps what is left of the process until the store lets its threads go.
        scene.thaw();
        let ended = mounted.process().ended_within(CEILING);
        assert!(ended.is_some(), "{who:?}: the process stays");
        let again = scene.mount(who, &[]);
        again.is_used();
    }
}

#[test]
fn a_signal_unmounts_in_two_seconds_with_every_lane_stuck() {
    let Some(scene) = Scene::new(SETTING) else { return };
    for signal in [Signal::TERM, Signal::INT] {
        let (mounted, mut crowd) = stuck(&scene, Who::Root);
        let started = Instant::now();
        mounted.signal(signal);
        let gone = poll(PROMPT, || (!mounted.is_mounted()).then(|| started.elapsed()));
        assert!(gone.is_some(), "{signal:?}: mounted after {PROMPT:?}");
        assert!(crowd.ended_within(CEILING).is_some(), "{signal:?}: readers were left behind");
        scene.thaw();
    }
}

#[test]
fn after_kill_9_the_place_is_free_and_unmount_by_force_recovers() {
    let Some(scene) = Scene::new(SETTING) else { return };
    for who in [Who::Root, Who::Ordinary] {
        let (mut mounted, mut crowd) = stuck(&scene, who);
        mounted.process().kill();
        // Whoever was quicker, the janitor or this: what counts is that nothing is left.
        let mut forced = mounted.oxcrypt(&["unmount", "--force"]);
        assert!(forced.ended_within(PROMPT).is_some(), "{who:?}: unmount --force hangs");
        assert!(poll(PROMPT, || (!mounted.is_mounted()).then_some(())).is_some(), "{who:?}: still mounted");
        assert!(crowd.ended_within(CEILING).is_some(), "{who:?}: readers were left behind");
        scene.thaw();
        let again = scene.mount(who, &[]);
        again.is_used();
    }
}

#[test]
fn a_mount_in_use_is_not_unmounted_without_force() {
    let Some(scene) = Scene::new(SETTING) else { return };
    let mounted = scene.mount(Who::Root, &[]);
    scene.freeze();
    let _reader = mounted.read_page("cold/0");
    scene.store.command("await held 1 60s");
    let mut refused = mounted.oxcrypt(&["unmount"]);
    let ended = refused.ended_within(CEILING).expect("an answer");
    assert!(!ended.status.success() && mounted.is_mounted(), "{}", String::from_utf8_lossy(&ended.output));
    mounted.is_used();
}
