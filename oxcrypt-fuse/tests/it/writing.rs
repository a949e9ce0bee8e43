//! What is written into a mounted vault.

use std::io::ErrorKind;

use oxcrypt_core::storage::{Method, Verdict};
use oxcrypt_fuse::{DirectIo, MountOptions};
use oxcrypt_io::mount::Unmount;

use crate::child::{CEILING, poll};
use crate::house::{House, content};

/// A house with an empty vault, in a folder of the host.
pub(crate) fn empty_house(direct_io: DirectIo) -> Option<House> {
    let mut options = MountOptions::default();
    options.direct_io = direct_io;
    House::of_folder(options)
}

#[test]
fn what_is_written_is_read_and_is_there_after_the_next_mount() {
    for direct_io in [DirectIo::Always, DirectIo::Never, DirectIo::WhereItMayBlock] {
        let Some(mut house) = empty_house(direct_io) else { return };
        let source = tempfile::tempdir().unwrap();
        for len in [0, 1, 32_768, 100_000, 5_000_000] {
            let from = source.path().join(len.to_string());
            std::fs::write(&from, content(len)).unwrap();
            let copy = format!(r#"cp "{}" "$1""#, from.display());
            house.sh(&copy, &len.to_string()).succeed();
            assert!(house.read(&len.to_string()) == content(len), "{len}, {direct_io:?}");
        }
        let tree = r#"
            cd "$1"; mkdir -p a/b/c; echo one > a/b/one; mv a/b a/d; ln -s d/one a/link
            echo two >> a/d/one; rm 1; mkdir gone; rmdir gone
            cat a/link; ls -R
        "#;
        let said = String::from_utf8(house.sh(tree, "").succeed().output).unwrap();
        house.unmount(Unmount::IfUnused).unwrap();
        house.mount_again();
        let again =
            String::from_utf8(house.sh(r#"cd "$1"; cat a/link; ls -R"#, "").succeed().output).unwrap();
        assert_eq!(said, again);
        assert!(said.starts_with("one\ntwo\n"), "{said}");
        assert!(house.read("5000000") == content(5_000_000));
    }
}

/// Pages of the kernel's cache, and none.
pub(crate) const BOTH: [DirectIo; 2] = [DirectIo::Never, DirectIo::Always];

#[test]
fn two_names_change_places_and_nothing_is_replaced_that_must_not_be() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
write_all("a", b"of a"); write_all("b", b"of b"); mkdir("dir"); mkdir("empty"); write_all("dir/in", b"")
assert refused(rename_with, NOREPLACE, "a", "b") == "EEXIST"
rename_with(NOREPLACE, "a", "c"); rename_with(NOREPLACE, "c", "a")
rename_with(EXCHANGE, "a", "b")
assert (read_all("a"), read_all("b")) == (b"of b", b"of a")
rename_with(EXCHANGE, "dir", "a")
assert listdir("a") == ["in"] and read_all("dir") == b"of b"
rename_with(EXCHANGE, "dir", "a")
assert refused(rename_with, EXCHANGE, "a", "nobody") == "ENOENT"
assert refused(rename_with, WHITEOUT, "a", "c") == "EINVAL"
assert refused(rename_with, EXCHANGE | NOREPLACE, "a", "b") == "EINVAL"
rename("dir", "empty")
assert listdir("empty") == ["in"]
mkdir("x"); assert refused(rename, "empty", "empty/in/x") == "ENOTDIR"
assert refused(rename, "x", "empty") == "ENOTEMPTY"
assert refused(rename, "x", "x/y") == "EINVAL"
assert refused(rename, "x", "a") == "ENOTDIR" and refused(rename, "a", "x") == "EISDIR"
assert refused(rmdir, "empty") == "ENOTEMPTY" and refused(unlink, "x") == "EISDIR" and refused(rmdir, "a") == "ENOTDIR"
"#;
    house.python(script).succeed();
}

#[test]
fn a_copy_within_the_mount_needs_no_program_and_is_the_same() {
    for direct_io in BOTH {
        let Some(house) = empty_house(direct_io) else { return };
        let script = r#"
whole = bytes(range(251)) * 80000
write_all("from", whole)
source, target = os.open("from", O_RDONLY), os.open("to", O_RDWR | O_CREAT)
os.write(target, b"old" * 100)
assert pread(target, 3, 0) == b"old"
done = 0
while some := copy_file_range(source, target, 50_000_000, done, done):
    assert some <= 2 << 20, some
    done += some
assert done == len(whole) and read_all("to") == whole
assert pread(target, 10, 32760) == whole[32760:32770]
# Within one file, but not over itself.
assert copy_file_range(target, target, 100_000, 0, 1_000_000) == 100_000
assert read_all("to")[1_000_000:1_100_000] == whole[:100_000]
assert refused(copy_file_range, target, target, 100_000, 0, 50_000) == "EINVAL"
"#;
        house.python(script).succeed();
    }
}

#[test]
fn what_was_never_written_is_a_hole_until_storage_has_it() {
    let mut options = MountOptions::default();
    options.direct_io = DirectIo::Never;
    let Some(house) = House::new(options, |_, _| ()) else { return };
    let gate = house.hold(|call| call.method == Method::WriteAt);
    let outside = tempfile::tempdir().unwrap();
    let seen = outside.path().join("seen");
    let script = format!(
        r#"
handle = os.open("sparse", O_RDWR | O_CREAT)
ftruncate(handle, 10_000_000)
pwrite(handle, b"data", 5_000_000)
assert (lseek(handle, 0, SEEK_DATA), lseek(handle, 0, SEEK_HOLE)) == (5_000_000 // 32768 * 32768, 0)
assert lseek(handle, 5_000_001, SEEK_DATA) == 5_000_001
assert refused(lseek, handle, 10_000_000, SEEK_DATA) == "ENXIO"
assert refused(lseek, handle, 10_000_000, SEEK_HOLE) == "ENXIO"
os.mkdir({:?})
fsync(handle)
assert (lseek(handle, 1, SEEK_DATA), lseek(handle, 1, SEEK_HOLE)) == (1, 10_000_000)
assert read_all("sparse") == bytes(5_000_000) + b"data" + bytes(4_999_996)
"#,
        seen.display().to_string()
    );
    let mut program = house.python(&script);
    poll(CEILING, || (seen.exists() || !program.is_running()).then_some(())).expect("what it sees");
    gate.open();
    program.succeed();
}

#[test]
fn a_file_is_made_as_long_as_was_asked_for_if_there_is_room() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
handle = os.open("file", O_RDWR | O_CREAT)
os.write(handle, b"begin")
def fallocate(mode, offset, length):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(handle, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")
fallocate(0, 0, 100_000)
assert fstat(handle).st_size == 100_000
os.utime("file", (1_000_000_000, 1_000_000_000))
fallocate(0, 10, 10)
assert os.stat("file").st_mtime > 1_500_000_000, "it counts as a change, as elsewhere"
assert fstat(handle).st_size == 100_000 and read_all("file") == b"begin" + bytes(99_995)
for mode in [1, 3, 16, 32]:
    assert refused(fallocate, mode, 0, 4096) == "ENOTSUP"
for length, reason in [(1 << 45, "ENOSPC"), (1 << 48, "EFBIG"), (1 << 60, "EFBIG")]:
    told = [refused(fallocate, 0, 0, length), refused(ftruncate, handle, length), refused(truncate, "file", length)]
    assert told + [refused(pwrite, handle, b"x", length)] == [reason] * 4, (length, told)
assert fstat(handle).st_size == 100_000
"#;
    house.python(script).succeed();
}

#[test]
fn an_entry_that_has_an_alias_is_moved_replaced_and_removed_by_it() {
    let long = |end: &str| format!("{} {end}.txt", "a long name".repeat(30));
    let Some(house) = House::new(MountOptions::default(), |builder, root| {
        for end in ["one", "two", "three"] {
            builder.file(root, &long(end), end.as_bytes()).unwrap();
        }
    }) else {
        return;
    };
    let script = r#"
aliases = {read_all(name): name for name in listdir()}
assert len(aliases) == 3
unlink(aliases[b"one"])
rename(aliases[b"two"], "short")
write_all("new", b"new"); rename("new", aliases[b"three"])
assert sorted(listdir()) == sorted(["short", aliases[b"three"]])
assert (read_all("short"), read_all(aliases[b"three"])) == (b"two", b"new")
assert refused(os.open, aliases[b"three"], O_CREAT | O_EXCL | O_WRONLY) == "EEXIST"
"#;
    house.python(script).succeed();
}

#[test]
fn an_entry_in_another_spelling_is_moved_and_removed_by_the_name_it_is_shown_by() {
    let Some(house) = House::new(MountOptions::default(), |builder, root| {
        for name in ["a\u{308} one", "a\u{308} two", "a\u{308} three"] {
            builder.file(root, name, name.as_bytes()).unwrap();
        }
    }) else {
        return;
    };
    let script = r#"
assert sorted(listdir()) == ["\u00e4 one", "\u00e4 three", "\u00e4 two"], listdir()
unlink("\u00e4 one"); rename("a\u0308 two", "two")
write_all("new", b"new"); rename("new", "\u00e4 three")
assert sorted(listdir()) == ["two", "\u00e4 three"] and read_all("\u00e4 three") == b"new", listdir()
assert refused(os.open, "a\u0308 three", O_CREAT | O_EXCL | O_WRONLY) == "EEXIST"
"#;
    house.python(script).succeed();
}

#[test]
fn a_name_whose_file_is_replaced_all_the_time_is_always_there() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
write_all("file", b"0" * 100)
if (child := fork()) == 0:
    for step in range(300):
        write_all("new", b"%d" % (step % 10) * 100)
        rename("new", "file")
    os._exit(0)
def whole():
    try:
        return read_all("file")
    except OSError as error:
        # Replaced twice between the kernel's looking and its opening.
        assert error.errno == errno.ESTALE, error
        return whole()
seen = 0
while waitpid(child, WNOHANG) == (0, 0):
    assert os.stat("file").st_size == 100 and len(whole()) == 100
    seen += 1
assert seen and read_all("file") == b"9" * 100
"#;
    house.python(script).succeed();
}

#[test]
fn a_full_storage_says_enospc_and_what_was_written_is_stored_when_there_is_room() {
    let Some(mut house) = House::new(MountOptions::default(), |_, _| ()) else { return };
    house.storage.on_call(|call| match call.method {
        Method::WriteAt => Verdict::Fail(ErrorKind::StorageFull),
        _ => Verdict::Pass,
    });
    // Programs tell each other by files outside.
    let signs = tempfile::tempdir().unwrap();
    let script = format!(
        r#"
signs = {:?}
handle = os.open("file", O_RDWR | O_CREAT)
os.write(handle, b"what was written")
assert refused(fsync, handle) == "ENOSPC"
assert refused(os.write, handle, b"more") == "ENOSPC"
assert pread(handle, 100, 0) == b"what was written"
write_all(signs + "/told", b""); wait_for(signs + "/room")
fsync(handle)
os.write(handle, b" and more"); os.close(handle)
"#,
        signs.path()
    );
    let writer = house.python(&script);
    let told = poll(CEILING, || signs.path().join("told").exists().then_some(()));
    assert!(told.is_some(), "{:?}", String::from_utf8_lossy(&writer.succeed().output));
    house.storage.on_call(|_| Verdict::Pass);
    std::fs::write(signs.path().join("room"), "").unwrap();
    writer.succeed();
    house.unmount(Unmount::IfUnused).unwrap();
    house.mount_again();
    assert_eq!(house.read("file"), b"what was written and more");
}
