//! Unmounting while writes hang: storage has its time, and then somebody is told.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{CEILING, poll};
use crate::mounted::Mounted;
use crate::scene::{Scene, Setting};
use crate::who::Who;

/// How long unmounting waits for storage to take what is unsaved.
const DRAIN: Duration = Duration::from_secs(10);

/// That, less what the clocks of two processes differ by.
const DRAINED: Duration = Duration::from_millis(9_500);

/// How long whoever insists waits at most.
const FORCED: Duration = Duration::from_secs(2);

/// What a busy machine adds to that.
const SLACK: Duration = Duration::from_secs(3);

/// Mounts, and writes to three files whose storage hangs, until the writers have been told so.
fn unsaved(scene: &Scene, who: Who) -> Mounted {
    let mounted = scene.mount_to_work(who, &["--deadline", "write=500ms"]);
    scene.freeze_writes();
    let told = mounted.write_cold(3).ended_within(CEILING).expect("an answer by the deadline");
    assert!(String::from_utf8_lossy(&told.output).contains("timed out"), "{told:?}");
    assert_eq!(mounted.unsaved_files(), 3);
    mounted
}

/// Whether all three are named.
#[track_caller]
fn names_them(told: &[u8], how: &str) {
    let told = String::from_utf8_lossy(told);
    assert!((0..3).all(|number| told.contains(&format!("/cold/{number}: "))) && told.contains(how), "{told}");
}

#[test]
fn unmounting_waits_ten_seconds_for_writes_that_hang_and_names_what_is_not_stored() {
    let Some(scene) = Scene::new(Setting { max_background: 4096, async_dio: false, cold: 3 }) else { return };
    for who in [Who::Root, Who::Ordinary] {
        let mut mounted = unsaved(&scene, who);
        let ended = mounted.oxcrypt(&["unmount"]).ended_within(DRAIN + SLACK).expect("ten seconds at most");
        assert!(ended.took >= DRAINED && ended.status.code() == Some(8), "{ended:?}");
        names_them(&ended.output, "not stored");
        // Nothing is lost: it is there, answers, and has what storage has not.
        assert!(mounted.is_mounted());
        mounted.is_used();
        assert_eq!(mounted.read_page("cold/2").succeed().output, [33 + 2; 4096]);
        let ended = mounted
            .oxcrypt(&["unmount", "--force"])
            .ended_within(FORCED + SLACK)
            .expect("two seconds at most");
        assert_eq!(ended.status.code(), Some(8));
        names_them(&ended.output, "is lost");
        assert!(!mounted.is_mounted());
        scene.thaw();
        let ended = mounted.process().ended_within(CEILING).expect("the end");
        assert_eq!(ended.status.code(), Some(8));
    }
}

#[test]
fn a_signal_waits_ten_seconds_for_writes_that_hang_and_the_code_says_that_they_are_lost() {
    let Some(scene) = Scene::new(Setting { max_background: 4096, async_dio: false, cold: 3 }) else { return };
    let mut mounted = unsaved(&scene, Who::Root);
    let started = Instant::now();
    mounted.signal(Signal::TERM);
    poll(DRAIN + FORCED + SLACK, || (!mounted.is_mounted()).then_some(())).expect("twelve seconds at most");
    assert!(started.elapsed() >= DRAINED, "{:?}", started.elapsed());
    // The kernel keeps what is left of the process until the store lets its threads go.
    scene.thaw();
    let ended = mounted.process().ended_within(CEILING).expect("the end");
    assert_eq!(ended.status.code(), Some(8), "{}", String::from_utf8_lossy(&ended.output));
}
