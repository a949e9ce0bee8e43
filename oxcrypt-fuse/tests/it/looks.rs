//! Mode, owner and times of entries.

use std::io::ErrorKind;

use oxcrypt_core::storage::{Method, Verdict};
use oxcrypt_fuse::MountOptions;
use oxcrypt_io::mount::Unmount;

use crate::house::House;
use crate::writing::BOTH;

#[test]
fn mode_owner_and_times_are_kept_where_storage_keeps_them() {
    let Some(mut house) = House::of_folder(MountOptions::default()) else { return };
    let set = r#"
umask(0o027)
write_all("file", b"x"); mkdir("dir"); symlink("file", "link")
assert stat.filemode(os.stat("file").st_mode) == "-rw-r-----" and stat.filemode(os.stat("dir").st_mode) == "drwxr-x---"
chmod("file", 0o4751); chmod("dir", 0o1770)
utime("file", ns=(1_111_111_111_222_222_222, 1_333_333_333_444_444_444))
write_all("old", b"x"); utime("old", ns=(-3_700_000_000, -1_300_000_000))
utime("dir", ns=(1, 2_000_000_003)); utime("link", ns=(5, 7_000_000_009), follow_symlinks=False)
before = os.stat("file").st_mtime_ns
utime("file"); assert os.stat("file").st_mtime_ns > before
# A write takes setuid away from who is not root.
handle = os.open("file", O_WRONLY); os.write(handle, b"y"); fchmod(handle, 0o4751)
utime(handle, ns=(1_111_111_111_222_222_222, 1_333_333_333_444_444_444)); os.close(handle)
"#;
    house.python(set).succeed();
    let seen = r#"
file, folder, here = os.stat("file"), os.stat("dir"), os.lstat("link")
assert (file.st_mode & 0o7777, folder.st_mode & 0o7777, here.st_mode & 0o7777) == (0o4751, 0o1770, 0o777)
assert (file.st_mtime_ns, folder.st_mtime_ns) == (1_333_333_333_444_444_444, 2_000_000_003), file
assert os.stat("old").st_mtime_ns == -1_300_000_000
assert here.st_mtime_ns == 7_000_000_009
"#;
    house.python(seen).succeed();
    house.unmount(Unmount::IfUnused).unwrap();
    house.mount_again();
    house.python(seen).succeed();
}

#[test]
fn new_entries_belong_to_who_makes_them_and_may_be_given_away() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut options = MountOptions::default();
    options.allow_other = true;
    let Some(house) = House::new(options, |_, _| ()) else { return };
    let script = r#"
chmod(".", 0o777)
if (child := fork()) == 0:
    setgroups([]); setresgid(4321, 4321, 4321); setresuid(1234, 1234, 1234)
    write_all("file", b"x"); mkdir("dir"); symlink("x", "link")
    assert refused(chown, "file", 99, 99) == "EPERM"
    os._exit(0)
assert waitpid(child, 0)[1] == 0
for name in ["file", "dir", "link"]:
    assert (lstat(name).st_uid, lstat(name).st_gid) == (1234, 4321), (name, lstat(name))
chown("file", 7, 8); chown("dir", -1, 9); lchown("link", 10, -1)
assert [(lstat(name).st_uid, lstat(name).st_gid) for name in ["file", "dir", "link"]] == [(7, 8), (1234, 9), (10, 4321)]
# A directory may give its group to what comes into it.
mkdir("shared"); chown("shared", 0, 77); chmod("shared", 0o2777)
write_all("shared/file", b""); mkdir("shared/dir")
assert (os.stat("shared/file").st_gid, os.stat("shared/dir").st_gid) == (77, 77)
assert os.stat("shared/dir").st_mode & stat.S_ISGID
"#;
    house.python(script).succeed();
}

/// Mounts for all users to write to, with either kind of I/O; none where this user cannot become another.
fn shared_houses() -> impl Iterator<Item = House> {
    let kinds = if rustix::process::geteuid().is_root() { &BOTH[..] } else { &[] };
    kinds.iter().map_while(|&direct_io| {
        let mut options = MountOptions::default();
        (options.allow_other, options.direct_io) = (true, direct_io);
        let house = House::new(options, |_, _| ())?;
        house.python(r#"chmod(".", 0o777)"#).succeed();
        Some(house)
    })
}

#[test]
fn nobody_keeps_the_rights_of_an_owner_by_a_file_that_another_has_written() {
    for house in shared_houses() {
        let script = r#"
for change in ["write", "truncate", "trunc", "chown"]:
    write_all("program", b"code"); chmod("program", 0o6777)
    assert os.stat("program").st_mode & 0o7777 == 0o6777
    if change == "chown":
        chown("program", 12, 13)
    elif (child := fork()) == 0:
        setgroups([]); setresgid(4321, 4321, 4321); setresuid(1234, 1234, 1234)
        if change == "write":
            handle = os.open("program", O_WRONLY); os.write(handle, b"other")
        elif change == "truncate":
            truncate("program", 1)
        else:
            os.open("program", O_WRONLY | O_TRUNC)
        os._exit(0)
    else:
        assert waitpid(child, 0)[1] == 0
    assert os.stat("program").st_mode & 0o7777 == 0o777, (change, oct(os.stat("program").st_mode))
    unlink("program")
"#;
        house.python(script).succeed();
    }
}

#[test]
fn regression_nothing_is_written_where_the_rights_of_an_owner_cannot_be_taken() {
    for house in shared_houses() {
        let make = r#"write_all("program", b"code"); chmod("program", 0o6777)"#;
        house.python(make).succeed();
        house.storage.on_call(|call| match call.method {
            Method::SetAttributes => Verdict::Fail(ErrorKind::PermissionDenied),
            _ => Verdict::Pass,
        });
        let become_other = r#"
setgroups([]); setresgid(4321, 4321, 4321); setresuid(1234, 1234, 1234)
handle = os.open("program", O_RDWR)
"#;
        let refused = r#"
assert refused(os.write, handle, b"other") == "EACCES"
assert fstat(handle).st_mode & 0o7777 == 0o6777 and pread(handle, 9, 0) == b"code"
"#;
        house.python(&format!("{become_other}{refused}")).succeed();
        house.storage.on_call(|_| Verdict::Pass);
        let done = r#"
assert os.write(handle, b"other") == 5
assert fstat(handle).st_mode & 0o7777 == 0o777 and pread(handle, 9, 0) == b"other"
"#;
        house.python(&format!("{become_other}{done}")).succeed();
    }
}

#[test]
fn what_is_shown_to_belong_to_one_cannot_be_given_to_another() {
    let mut options = MountOptions::default();
    (options.uid, options.gid) = (Some(0), Some(4321));
    let Some(house) = House::new(options, |_, _| ()) else { return };
    let script = r#"
write_all("file", b"")
assert (os.stat("file").st_uid, os.stat("file").st_gid) == (0, 4321)
assert refused(chown, "file", 99, -1) == "EPERM" and refused(chown, "file", -1, 99) == "EPERM"
chown("file", 0, 4321); chmod("file", 0o600)
"#;
    house.python(script).succeed();
}

#[test]
fn regression_what_is_only_shown_to_belong_to_one_is_not_given_to_him() {
    let mut options = MountOptions::default();
    (options.uid, options.gid) = (Some(0), Some(4321));
    let Some(house) = House::new(options, |_, _| ()) else { return };
    house.python(r#"write_all("file", b"")"#).succeed();
    // As storage says to an ordinary user who would give away what is his.
    house.storage.on_call(|call| match call.method {
        Method::SetAttributes => Verdict::Fail(ErrorKind::PermissionDenied),
        _ => Verdict::Pass,
    });
    house.python(r#"chown("file", 0, 4321); chown("file", -1, 4321)"#).succeed();
}

#[test]
fn times_are_what_they_stay_once_a_file_is_closed() {
    let Some(house) = House::of_folder(MountOptions::default()) else { return };
    let script = r#"
for step in range(20):
    handle = os.open(f"file {step}", O_WRONLY | O_CREAT)
    fstat(handle)
    if step % 2:
        os.write(handle, b"x" * 1000)
        fstat(handle)
    os.close(handle)
    closed = os.stat(f"file {step}")
    chmod(f"file {step}", 0o600)
    later = os.stat(f"file {step}")
    assert later.st_mtime_ns == closed.st_mtime_ns, (step, closed, later)
"#;
    house.python(script).succeed();
}
