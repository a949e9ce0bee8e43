//! What is answered while storage hangs.

use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::storage::{
    Attributes, BlockStorage as _, Call, FaultyStorage, MemoryStorage, Method, Replace, Verdict,
};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, Name, VaultOptions};
use oxcrypt_fuse::{DirectIo, MountOptions};
use oxcrypt_io::mount::Unmount;
use oxcrypt_io::volume::VolumeOptions;

use crate::child::{CEILING, Child, poll};
use crate::house::{House, content};

/// The length of a file that is to hang; of the others none is as long.
const COLD_LEN: usize = 150_000;
const COLD_FILES: usize = 64;

/// Reads of cold files.
fn of_a_cold_file(call: &Call) -> bool {
    call.method == Method::ReadAt
}

fn house(options: MountOptions, volume: VolumeOptions) -> Option<House> {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let root = DirId::root();
    let file = |name: &str, len| {
        let path = builder.file(&root, name, &content(len)).unwrap();
        // Without a time nobody could say that it is what it was when it is opened again.
        let modified = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
        storage.set_attributes(&path, &modified).unwrap();
    };
    for number in 0..COLD_FILES {
        file(&format!("cold {number}"), COLD_LEN);
    }
    file("hot", 60_000);
    let dir = builder.directory(&root, "directory").unwrap();
    for number in 0..30 {
        builder.file(&dir, &number.to_string(), b"x").unwrap();
    }
    House::over(options, volume, Arc::new(FaultyStorage::new(&storage)))
}

fn options(threads: usize, direct_io: DirectIo) -> MountOptions {
    let mut options = MountOptions::default();
    options.session_threads = NonZeroUsize::new(threads).unwrap();
    options.direct_io = direct_io;
    options
}

fn with_read_deadline(seconds: u64) -> VolumeOptions {
    let mut volume = VolumeOptions::default();
    volume.deadlines.read = Duration::from_secs(seconds);
    volume
}

fn read_page(house: &House, name: &str) -> Child {
    house.sh(r#"exec dd if="$1" bs=4096 count=1 status=none"#, name)
}

#[test]
fn memory_answers_while_64_readers_wait_whatever_the_number_of_session_threads() {
    for (threads, direct) in
        [(1, DirectIo::WhereItMayBlock), (4, DirectIo::WhereItMayBlock), (1, DirectIo::Never)]
    {
        let Some(house) = house(options(threads, direct), VolumeOptions::default()) else { return };
        assert!(house.read("hot") == content(60_000));
        house.sh(r#"ls -l "$1" > /dev/null"#, "directory").succeed();
        let gate = house.hold(of_a_cold_file);
        let mut readers: Vec<_> = (0..COLD_FILES).map(|n| read_page(&house, &format!("cold {n}"))).collect();
        let held = || house.mount.as_ref().unwrap().status().figures.held.len();
        poll(CEILING, || (held() >= COLD_FILES).then_some(())).expect("readers that wait");
        // Past the page cache, so that it is this mount that answers.
        house.sh(r#"dd if="$1" of=/dev/null iflag=nocache count=0 status=none"#, "hot").succeed();
        assert!(house.read("hot") == content(60_000));
        house
            .sh(r#"ls -l "$1" > /dev/null; stat "$1/7"; df "$1"; test ! -e "$1/absent""#, "directory")
            .succeed();
        assert!(readers.iter_mut().all(Child::is_running), "{threads} threads, {direct:?}");
        gate.open();
        for reader in readers {
            assert!(reader.succeed().output == content(4_096));
        }
    }
}

#[test]
fn a_killed_reader_is_let_go_within_a_second_and_ctrl_c_ends_one() {
    let Some(house) = house(options(2, DirectIo::Always), VolumeOptions::default()) else { return };
    let gate = house.hold(of_a_cold_file);
    let mut killed = read_page(&house, "cold 1");
    gate.wait_for(1);
    killed.kill();
    assert!(killed.ended_within(Duration::from_secs(1)).is_some(), "still there after SIGKILL");
    let mut stopped = read_page(&house, "cold 2");
    gate.wait_for(2);
    Child::start(Command::new("kill").args(["-INT", &stopped.id().to_string()])).succeed();
    assert!(stopped.ended_within(Duration::from_secs(2)).is_some(), "still there after SIGINT");
    gate.open();
}

#[test]
fn a_reader_gets_etimedout_at_the_deadline_and_not_at_twice_that() {
    for direct in [DirectIo::Always, DirectIo::Never] {
        let Some(house) = house(options(2, direct), with_read_deadline(2)) else { return };
        let gate = house.hold(of_a_cold_file);
        let mut reader = read_page(&house, "cold 3");
        let ended = reader.ended_within(CEILING).expect("an answer");
        let said = String::from_utf8_lossy(&ended.output);
        assert!(said.contains("Connection timed out"), "{said}");
        assert!(ended.took > Duration::from_millis(1_900), "{:?}", ended.took);
        assert!(
            ended.took < Duration::from_millis(3_900),
            "{direct:?}: twice the deadline: {:?}",
            ended.took
        );
        gate.open();
        // What came too late is there for the next.
        let late = poll(CEILING, || {
            let mut reader = read_page(&house, "cold 3");
            reader.ended_within(CEILING).filter(|ended| ended.status.success())
        });
        assert!(late.unwrap().output == content(4_096));
    }
}

#[test]
fn names_are_listed_while_what_they_name_hangs() {
    let Some(house) = house(options(2, DirectIo::WhereItMayBlock), VolumeOptions::default()) else { return };
    house.sh(r#"test -d "$1""#, "directory").succeed();
    let gate = house.hold(|call| call.method == Method::Metadata && call.path.as_str().contains(".c9r"));
    let mut listing = house.sh(r#"ls --color=never "$1""#, "directory");
    gate.wait_for(1);
    let ended = listing.ended_within(Duration::from_secs(10)).expect("names");
    let names = String::from_utf8(ended.output).unwrap();
    assert_eq!(names.lines().count(), 30, "{names}");
    gate.open();
}

#[test]
fn who_waits_is_told_by_ciphertext_and_forgotten_when_answered() {
    let Some(house) = house(options(2, DirectIo::Always), VolumeOptions::default()) else { return };
    let gate = house.hold(of_a_cold_file);
    let reader = read_page(&house, "cold 5");
    gate.wait_for(1);
    let held = || house.mount.as_ref().unwrap().status().figures.held;
    let told = held();
    assert_eq!((told.len(), told[0].operation), (1, "read"));
    assert!(told[0].place.starts_with("d/") && !told[0].place.contains("cold"), "{told:?}");
    gate.open();
    reader.succeed();
    poll(CEILING, || held().is_empty().then_some(())).expect("nobody waits");
}

/// Writes of content.
fn of_a_write(call: &Call) -> bool {
    call.method == Method::WriteAt
}

/// Writes a file, and closes it or syncs it. A shell closes a file before anything is in it.
fn write_and(house: &House, name: &str, end: &str) -> Child {
    house.python(&format!(
        "handle = os.open({name:?}, O_WRONLY | O_CREAT); os.write(handle, bytes(1000)); os.{end}(handle)"
    ))
}

/// Whether a file is in storage: it is there when the vault is mounted again.
fn is_stored(house: &mut House, name: &str) {
    house.sh(r#"sync "$1""#, name).succeed();
    house.unmount(Unmount::IfUnused).unwrap();
    house.mount_again();
    assert!(house.read(name) == [0; 1000], "{name}");
}

#[test]
fn a_killed_writer_is_let_go_within_a_second_and_what_it_wrote_is_stored() {
    let Some(mut house) = house(options(2, DirectIo::Never), VolumeOptions::default()) else { return };
    let gate = house.hold(of_a_write);
    for (number, end) in ["close", "fsync"].into_iter().enumerate() {
        let mut writer = write_and(&house, end, end);
        gate.wait_for(number + 1);
        writer.kill();
        assert!(writer.ended_within(Duration::from_secs(1)).is_some(), "{end}: still there after SIGKILL");
    }
    gate.open();
    is_stored(&mut house, "close");
    is_stored(&mut house, "fsync");
}

#[test]
fn a_writer_gets_etimedout_at_the_deadline_and_what_it_wrote_is_kept() {
    let mut volume = VolumeOptions::default();
    volume.deadlines.write = Some(Duration::from_secs(1));
    let Some(mut house) = house(options(2, DirectIo::Never), volume) else { return };
    let gate = house.hold(of_a_write);
    let mut writer = write_and(&house, "late", "fsync");
    let ended = writer.ended_within(CEILING).expect("an answer");
    let said = String::from_utf8_lossy(&ended.output);
    assert!(said.contains("Connection timed out"), "{said}");
    // Memory has it meanwhile.
    assert!(house.read("late") == [0; 1000]);
    gate.open();
    is_stored(&mut house, "late");
}

#[test]
fn while_writes_hang_reading_and_what_was_written_goes_on() {
    let Some(house) = house(options(1, DirectIo::WhereItMayBlock), VolumeOptions::default()) else { return };
    let gate = house.hold(of_a_write);
    let writers: Vec<_> = (0..8).map(|number| write_and(&house, &format!("new {number}"), "fsync")).collect();
    gate.wait_for(1);
    for number in 0..8 {
        let name = format!("new {number}");
        house.sh(r#"until test -s "$1"; do sleep 0.02; done"#, &name).succeed();
        assert!(house.read(&name) == [0; 1000], "{name}");
    }
    assert!(house.read("hot") == content(60_000));
    house.sh(r#"ls -l "$1" > /dev/null"#, "directory").succeed();
    gate.open();
    for writer in writers {
        writer.succeed();
    }
}

#[test]
fn while_a_name_is_being_made_what_the_kernel_knows_of_its_directory_is_answered() {
    let Some(house) = house(options(2, DirectIo::Never), VolumeOptions::default()) else { return };
    house.sh(r#"ls -l "$1" > /dev/null"#, "directory").succeed();
    let gate = house.hold(|call| call.method == Method::Open && call.path.as_str().contains(".c9r"));
    let mut maker = house.sh(r#": > "$1""#, "directory/new");
    gate.wait_for(1);
    house.sh(r#"stat "$1""#, "directory/7").succeed();
    // The kernel keeps this one from asking: it holds the directory for whoever makes something there.
    let mut lister = house.sh(r#"ls "$1""#, "directory");
    maker.kill();
    assert!(maker.ended_within(Duration::from_secs(2)).is_some(), "still there after SIGKILL");
    let ended = lister.ended_within(CEILING).expect("a listing, now that the directory is free");
    assert!(ended.status.success() && ended.output.starts_with(b"0\n1\n"), "{ended:?}");
    gate.open();
}

#[test]
fn what_memory_has_opened_says_estale_where_storage_has_another_file_by_then() {
    for way in ["removed", "replaced", "changed"] {
        let Some(house) = house(options(2, DirectIo::Always), VolumeOptions::default()) else { return };
        read_page(&house, "cold 5").succeed();
        let gate = house.hold(|call| call.method == Method::Open);
        let signs = tempfile::tempdir().unwrap();
        let (opened, go) = (signs.path().join("opened"), signs.path().join("go"));
        let mut reader = house.python(&format!(
            r"
file = os.open('cold 5', O_RDONLY)
open({opened:?}, O_CREAT)
wait_for({go:?})
assert os.pread(file, 4096, 0) == bytes(range(251)) * 16 + bytes(range(80))
assert refused(os.pread, file, 4096, 140_000) == 'ESTALE'
if {way:?} == 'changed':
    assert refused(os.pread, file, 10, 0) == 'ESTALE'
else:
    assert os.pread(file, 10, 0) == bytes(range(10))
"
        ));
        poll(CEILING, || opened.exists().then_some(())).expect("a file that memory has opened");
        // The opening that storage was asked for hangs on.
        house.storage.on_call(|_| Verdict::Pass);
        let locked = Locked::read(Arc::clone(&house.storage) as _).unwrap();
        let others = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
        let (root, now) = (others.root(), Instant::now());
        let [cold, hot] = ["cold 5", "hot"].map(|name| Name::new(name).unwrap());
        match way {
            "removed" => others.remove(&root, &cold, now).unwrap(),
            "replaced" => others.rename((&root, &hot), (&root, &cold), Replace::Always, now).unwrap(),
            _ => {
                let file = others.lookup(&root, &cold, now).unwrap();
                let file = others.open_for_writing(&file, now).unwrap();
                file.write_at(file.len(), b"more", SystemTime::now()).unwrap();
                file.flush(now).unwrap();
            }
        }
        fs::write(&go, "").unwrap();
        let ended = reader.ended_within(CEILING).expect("an end");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.output));
        gate.open();
    }
}
