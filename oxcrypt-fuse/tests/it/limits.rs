//! What no vault can hold is refused, and with which number.

use oxcrypt_fuse::DirectIo;

use crate::writing::empty_house;

#[test]
fn names_that_no_vault_can_hold_are_refused() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
mkdir("dir"); write_all("file", b"")
longest = "n" * 255
write_all(longest, b"longest"); assert read_all(longest) == b"longest"
rename(longest, "\u00e9" * 127); mkdir(longest); rmdir(longest)
for name in ["n" * 256, "n" * 1000, "\u00e9" * 128]:
    assert refused(os.stat, name) == "ENAMETOOLONG"
    assert refused(os.open, name, O_CREAT | O_WRONLY) == "ENAMETOOLONG"
    assert refused(mkdir, name) == "ENAMETOOLONG" and refused(symlink, "x", name) == "ENAMETOOLONG"
    assert refused(rename, "file", name) == "ENAMETOOLONG" and refused(rename, name, "x") == "ENAMETOOLONG"
    assert refused(unlink, name) == "ENAMETOOLONG" and refused(rmdir, name) == "ENAMETOOLONG"
strange = b"\xff\xfe"
assert refused(os.stat, strange) == "ENOENT" and refused(unlink, strange) == "ENOENT"
assert refused(os.open, strange, O_CREAT | O_WRONLY) == "EILSEQ" and refused(mkdir, strange) == "EILSEQ"
assert refused(rename, b"file", strange) == "EILSEQ" and refused(symlink, b"x", strange) == "EILSEQ"
assert refused(symlink, strange, b"link") == "EILSEQ"
assert sorted(listdir()) == ["dir", "file", "\u00e9" * 127]
"#;
    house.python(script).succeed();
}

#[test]
fn links_pipes_devices_and_sockets_are_refused() {
    let Some(house) = empty_house(DirectIo::Never) else { return };
    let script = r#"
import socket
write_all("file", b"")
assert refused(link, "file", "second") == "EPERM"
assert refused(mkfifo, "pipe") == "EPERM"
assert refused(mknod, "null", stat.S_IFCHR | 0o666, makedev(1, 3)) == "EPERM"
assert refused(socket.socket(socket.AF_UNIX).bind, "socket") == "EPERM"
mknod("plain", stat.S_IFREG | 0o640)
assert stat.filemode(os.stat("plain").st_mode) == "-rw-r-----", os.stat("plain")
assert refused(setxattr, "file", "user.any", b"x") == "ENOTSUP" and refused(listxattr, "file") == "ENOTSUP"
assert sorted(listdir()) == ["file", "plain"]
"#;
    house.python(script).succeed();
}
