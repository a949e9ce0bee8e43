//! Files that are open while something becomes of them.

use std::process::Command;
use std::sync::Arc;

use oxcrypt_core::DirId;
use oxcrypt_core::storage::{FaultyStorage, MemoryStorage, Method};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_fuse::{DirectIo, MountOptions};
use oxcrypt_io::volume::VolumeOptions;

use crate::child::{CEILING, Child};
use crate::house::House;
use crate::writing::{BOTH, empty_house};

#[test]
fn a_removed_file_is_read_written_and_cut_as_long_as_it_is_open() {
    for direct_io in BOTH {
        let Some(house) = empty_house(direct_io) else { return };
        let script = r#"
for stored in [False, True]:
    handle = os.open("file", O_RDWR | O_CREAT | O_EXCL, 0o640)
    os.write(handle, b"0123456789")
    if stored:
        fsync(handle)
    inode = fstat(handle).st_ino
    unlink("file")
    assert refused(os.stat, "file") == "ENOENT"
    seen = fstat(handle)
    assert (seen.st_size, seen.st_nlink, seen.st_ino) == (10, 0, inode), seen
    assert pread(handle, 20, 0) == b"0123456789"
    pwrite(handle, b"more", 100_000)
    assert fstat(handle).st_size == 100_004
    ftruncate(handle, 5)
    assert (fstat(handle).st_size, pread(handle, 20, 0)) == (5, b"01234")
    fchmod(handle, 0o600)
    assert fstat(handle).st_mode & 0o777 == 0o600
    # A new one of the same name is another.
    write_all("file", b"another")
    assert os.stat("file").st_ino != inode and read_all("file") == b"another"
    fsync(handle)
    os.close(handle)
    assert read_all("file") == b"another"
    unlink("file")
"#;
        house.python(script).succeed();
    }
}

#[test]
fn a_replaced_file_stays_what_it_was_for_whoever_has_it_open() {
    for direct_io in BOTH {
        let Some(house) = empty_house(direct_io) else { return };
        let script = r#"
write_all("old", b"old"); write_all("new", b"new")
handle, new = os.open("old", O_RDWR), os.open("new", O_RDWR)
rename("new", "old")
assert (pread(handle, 9, 0), read_all("old"), listdir()) == (b"old", b"new", ["old"])
pwrite(handle, b"gone", 0); pwrite(new, b"kept", 0)
fsync(handle); fsync(new)
assert (pread(handle, 9, 0), read_all("old"), fstat(handle).st_nlink) == (b"gone", b"kept", 0)
os.close(handle); os.close(new)
assert read_all("old") == b"kept"
"#;
        house.python(script).succeed();
    }
}

#[test]
fn whoever_appends_never_writes_over_what_another_appended() {
    for direct_io in BOTH {
        let Some(house) = empty_house(direct_io) else { return };
        let script = r#"
children = []
for writer in range(4):
    if (child := fork()) == 0:
        handle = os.open("log", O_WRONLY | O_CREAT | O_APPEND)
        for line in range(200):
            os.write(handle, b"%d %03d\n" % (writer, line))
        os._exit(0)
    children.append(child)
assert all(waitpid(child, 0)[1] == 0 for child in children)
lines = read_all("log").decode().splitlines()
assert sorted(lines) == sorted(f"{writer} {line:03}" for writer in range(4) for line in range(200)), len(lines)
"#;
        house.python(script).succeed();
    }
}

#[test]
fn only_one_makes_a_file_that_has_to_be_new() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
for round in range(20):
    children = []
    for writer in range(6):
        if (child := fork()) == 0:
            try:
                os.open(f"lock {round}", O_WRONLY | O_CREAT | O_EXCL)
            except FileExistsError:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert sorted(waitpid(child, 0)[1] for child in children) == [0] + [256] * 5
"#;
    house.python(script).succeed();
}

#[test]
fn what_one_handle_writes_every_other_reads_whatever_bypasses_the_page_cache() {
    for direct_io in BOTH {
        let Some(house) = empty_house(direct_io) else { return };
        let script = r#"
write_all("file", b"a" * 100_000)
one, other = os.open("file", O_RDWR), os.open("file", O_RDWR)
direct = os.open("file", O_RDWR | O_DIRECT)
page = mmap.mmap(-1, 4096)
for step in range(64):
    letter = bytes([65 + step % 26])
    writer, offset = [one, other, direct][step % 3], step * 1000 // 4096 * 4096
    page[:] = letter * 4096
    assert pwritev(writer, [page], offset) == 4096
    for reader in [one, other, direct]:
        buffer = mmap.mmap(-1, 4096)
        assert preadv(reader, [buffer], offset) == 4096 and buffer[:] == letter * 4096, step
assert fstat(direct).st_size == 100_000
"#;
        house.python(script).succeed();
    }
}

#[test]
fn a_file_that_one_bypasses_the_page_cache_of_is_the_same_for_all() {
    // Cold files are opened for direct I/O, and whole ones buffered, on storage that may block.
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    builder.file(&DirId::root(), "file", &vec![b'a'; 1_000_000]).unwrap();
    let faulty = Arc::new(FaultyStorage::new(&storage));
    let mut options = MountOptions::default();
    options.direct_io = DirectIo::WhereItMayBlock;
    let Some(house) = House::over(options, VolumeOptions::default(), faulty) else { return };
    let script = r#"
cold = os.open("file", O_RDWR)
assert pread(cold, 10, 0) == b"a" * 10
assert len(read_all("file")) == 1_000_000
warm = os.open("file", O_RDWR)
for step in range(40):
    letter, offset = bytes([65 + step % 26]), step * 20_011
    writer, reader = [(cold, warm), (warm, cold)][step % 2]
    assert pread(reader, 5000, offset) == pread(writer, 5000, offset)
    pwrite(writer, letter * 5000, offset)
    assert pread(reader, 5000, offset) == letter * 5000, step
"#;
    house.python(script).succeed();
}

#[test]
fn what_is_written_through_a_map_is_in_the_file() {
    for direct_io in BOTH {
        let Some(mut house) = empty_house(direct_io) else { return };
        let script = r#"
handle = os.open("file", O_RDWR | O_CREAT)
ftruncate(handle, 300_000)
view = mmap.mmap(handle, 300_000)
os.close(handle)
view[0:5], view[99_999:100_002], view[299_998:300_000] = b"begin", b"mid", b"xy"
view.flush()
assert read_all("file")[99_999:100_002] == b"mid"
view[50_000:50_004] = b"late"
view.close()
reader = os.open("file", O_RDONLY)
assert pread(reader, 4, 50_000) == b"late"
handle = os.open("file", O_RDWR)
pwrite(handle, b"by write", 200_000)
again = mmap.mmap(handle, 300_000)
assert again[200_000:200_008] == b"by write" and again[0:5] == b"begin"
"#;
        house.python(script).succeed();
        house.unmount(oxcrypt_io::mount::Unmount::IfUnused).unwrap();
        house.mount_again();
        let content = house.read("file");
        assert_eq!(
            (content.len(), &content[50_000..50_004], &content[299_998..]),
            (300_000, &b"late"[..], &b"xy"[..])
        );
    }
}

#[test]
fn opening_empties_a_file_only_where_that_was_asked_for() {
    for direct_io in BOTH {
        let Some(house) = empty_house(direct_io) else { return };
        let script = r#"
write_all("file", b"long ago" * 10_000)
other = os.open("file", O_RDONLY)
assert pread(other, 4, 0) == b"long"
os.close(os.open("file", O_RDWR | O_CREAT)); assert os.stat("file").st_size == 80_000
handle = os.open("file", O_WRONLY | O_TRUNC)
assert (os.stat("file").st_size, pread(other, 4, 0)) == (0, b"")
os.write(handle, b"new")
assert (fstat(other).st_size, pread(other, 9, 0)) == (3, b"new")
truncate("file", 1); truncate("file", 5)
assert read_all("file") == b"n" + bytes(4)
"#;
        house.python(script).succeed();
    }
}

#[test]
fn locks_are_kept_between_programs_of_this_machine() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    house.sh(": > \"$1\"", "file").succeed();
    let script = r#"exec 9<>"$1"; flock 9; ! flock -n "$1" true"#;
    Child::start(Command::new("sh").current_dir("/").args(["-euc", script, "sh"]).arg(house.path("file")))
        .succeed();
    let script = r#"
import fcntl
one = os.open("file", O_RDWR)
fcntl.lockf(one, fcntl.LOCK_EX, 10)
if (child := fork()) == 0:
    other = os.open("file", O_RDWR)
    os._exit(0 if refused(fcntl.lockf, other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10) == "EAGAIN" else 1)
assert waitpid(child, 0)[1] == 0
"#;
    house.python(script).succeed();
}

#[test]
fn what_somebody_else_has_made_meanwhile_is_opened_and_not_replaced() {
    let storage = Arc::new(FaultyStorage::new(&MemoryStorage::default()));
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let mut options = MountOptions::default();
    options.attribute_lifetime = Some(CEILING);
    let Some(house) = House::over(options, VolumeOptions::default(), Arc::clone(&storage)) else { return };
    // The kernel believes for a minute that there is none.
    house.sh(r#"! test -e "$1""#, "file").succeed();
    builder.file(&DirId::root(), "file", b"from elsewhere").unwrap();
    let script = r#"
assert refused(os.open, "file", O_RDWR | O_CREAT | O_EXCL) == "EEXIST"
handle = os.open("file", O_RDWR | O_CREAT | O_APPEND)
os.write(handle, b" and here"); os.close(handle)
assert read_all("file") == b"from elsewhere and here"
"#;
    house.python(script).succeed();
}

#[test]
fn whoever_has_a_file_open_may_ask_for_it_to_be_durable() {
    let Some(house) = House::new(MountOptions::default(), |_, _| ()) else { return };
    let synced = || house.storage.counts().of(Method::Sync);
    let before = synced();
    let script = r#"
writer = os.open("file", O_WRONLY | O_CREAT)
os.write(writer, b"x" * 100_000)
reader = os.open("file", O_RDONLY)
fsync(reader)
fdatasync(writer)
folder = os.open(".", O_RDONLY)
mkdir("dir"); fsync(folder)
"#;
    house.python(script).succeed();
    assert!(synced() > before, "nothing was made durable");
}

#[test]
fn a_removed_directory_can_be_asked_what_it_is_by_whoever_is_in_it() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
mkdir("dir"); handle = os.open("dir", O_RDONLY); os.chdir("dir")
rmdir("../dir")
assert (fstat(handle).st_nlink, stat.S_ISDIR(os.stat(".").st_mode)) == (0, True)
assert refused(os.open, "file", O_WRONLY | O_CREAT) == "ENOENT" and refused(mkdir, "inner") == "ENOENT"
"#;
    house.python(script).succeed();
}
