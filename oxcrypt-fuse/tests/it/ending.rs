//! How a mount ends.

use std::process::Command;
use std::time::{Duration, Instant};

use oxcrypt_core::DirId;
use oxcrypt_core::storage::Method;
use oxcrypt_core::testing::VaultBuilder;
use oxcrypt_fuse::{DirectIo, MountOptions};
use oxcrypt_io::mount::Unmount;
use rustix::mount::UnmountFlags;

use crate::child::{CEILING, Child, poll};
use crate::house::{House, content};

fn fill(builder: &VaultBuilder<'_>, root: &DirId) {
    builder.file(root, "file", &content(100_000)).unwrap();
}

fn house() -> Option<House> {
    House::new(MountOptions::default(), fill)
}

#[test]
fn somebody_else_may_unmount_and_that_is_noticed() {
    let Some(mut house) = house() else { return };
    Child::start(Command::new("umount").arg(house.place())).succeed();
    house.wait().unwrap();
    assert!(!house.is_mounted());
}

#[test]
fn a_mount_in_use_stays_unless_it_is_forced() {
    let Some(mut house) = house() else { return };
    let gate = house.hold(|call| call.method == Method::ReadAt);
    let mut reader = house.sh(r#"cat "$1""#, "file");
    gate.wait_for(1);
    let refused = house.unmount(Unmount::IfUnused).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ResourceBusy);
    assert!(house.is_mounted() && reader.is_running());
    let started = Instant::now();
    house.unmount(Unmount::Force).unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(!house.is_mounted());
    let ended = reader.ended_within(CEILING).expect("a reader that was answered");
    assert!(!ended.status.success());
    gate.open();
}

#[test]
fn three_hundred_held_requests_do_not_delay_a_forced_end() {
    let mut options = MountOptions::default();
    options.direct_io = DirectIo::Always;
    let Some(mut house) = House::new(options, fill) else { return };
    let gate = house.hold(|call| call.method == Method::ReadAt);
    let script = r#"for _ in $(seq 300); do cat "$1" & done 2> /dev/null; wait"#;
    let mut readers = house.sh(script, "file");
    let waiting = || house.mount.as_ref().unwrap().status().waiting;
    poll(CEILING, || waiting().is_some_and(|waiting| waiting >= 300).then_some(())).expect("held requests");
    let started = Instant::now();
    house.unmount(Unmount::Force).unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!house.is_mounted());
    readers.ended_within(CEILING).expect("readers that were answered");
    gate.open();
}

#[test]
fn what_was_mounted_above_it_meanwhile_is_left_alone() {
    let Some(mut house) = house() else { return };
    let above = house.place().to_owned();
    rustix::mount::mount("none", &above, "tmpfs", rustix::mount::MountFlags::empty(), c"").unwrap();
    std::fs::write(above.join("mine"), "still here").unwrap();
    // What is seen there is not ours, so it counts as unmounted already.
    house.unmount(Unmount::IfUnused).unwrap();
    assert_eq!(std::fs::read_to_string(above.join("mine")).unwrap(), "still here");
    rustix::mount::unmount(&above, UnmountFlags::empty()).unwrap();
    rustix::mount::unmount(&above, UnmountFlags::DETACH).unwrap();
}

#[test]
fn the_same_place_can_be_mounted_again() {
    let Some(mut house) = house() else { return };
    for _ in 0..3 {
        assert!(house.read("file") == content(100_000));
        house.unmount(Unmount::IfUnused).unwrap();
        house.wait().unwrap();
        house.mount_again();
    }
}
