//! The mount itself: made, found again in the mount table, and undone without fuser's help, which in 0.18 may unmount
//! what somebody else has mounted there since.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

/// A mounted FUSE file system of this process.
#[derive(Debug)]
pub(crate) struct Mount {
    path: PathBuf,
    /// What the mount table calls this kind of file system.
    kind: String,
    /// Its device number, which is also the number of its connection in fusectl.
    connection: u32,
}

impl Mount {
    /// Mounts on a folder and returns the device through which the kernel asks. Until somebody answers there, whoever
    /// looks at the folder waits.
    pub(crate) fn new(path: &Path, kind: &str, allow_other: bool) -> io::Result<(Self, OwnedFd)> {
        let path = path.canonicalize()?;
        let device = File::options().read(true).write(true).open("/dev/fuse")?;
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let fd = device.as_raw_fd();
        let mut data = format!("fd={fd},rootmode=40000,user_id={uid},group_id={gid},default_permissions");
        if allow_other {
            data.push_str(",allow_other");
        }
        let kind = format!("fuse.{kind}");
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        rustix::mount::mount("slow_store", &path, &kind, flags, CString::new(data)?.as_c_str())?;
        match top_of(&path, &kind) {
            Ok(Some(connection)) => Ok((Self { path, kind, connection }, device.into())),
            other => {
                rustix::mount::unmount(&path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?;
                Err(other
                    .err()
                    .unwrap_or_else(|| io::Error::other("the new mount is not in the mount table")))
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of its connection in fusectl.
    pub(crate) fn connection(&self) -> u32 {
        self.connection
    }

    /// Unmounts, lazily if somebody is still there. What is mounted there instead by now is left alone, as far as
    /// the kernel lets one see that.
    pub(crate) fn unmount(&self) -> io::Result<()> {
        if top_of(&self.path, &self.kind)? != Some(self.connection) {
            return Ok(());
        }
        match rustix::mount::unmount(&self.path, UnmountFlags::NOFOLLOW) {
            Err(rustix::io::Errno::BUSY) => {
                rustix::mount::unmount(&self.path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?;
            }
            done => done?,
        }
        Ok(())
    }
}

/// The connection of the topmost mount on a path, if that is of this kind.
fn top_of(path: &Path, kind: &str) -> io::Result<Option<u32>> {
    Ok(top_in(&std::fs::read("/proc/self/mountinfo")?, path, kind))
}

/// The same, in a mount table: later lines are on top of earlier ones.
fn top_in(table: &[u8], path: &Path, kind: &str) -> Option<u32> {
    let mut mounts = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let (device, at) = (fields.nth(2)?, fields.nth(1)?);
        let of_kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (unescape(at) == path).then_some((device, of_kind))
    });
    let (device, of_kind) = mounts.next_back()?;
    let minor = std::str::from_utf8(device).ok()?.strip_prefix("0:")?.parse().ok()?;
    (of_kind == kind.as_bytes()).then_some(minor)
}

/// Undoes the table's spelling of blanks and backslashes, `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                Some((((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'), tail))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "fuse.slow_store";

    const TABLE: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        60 22 0:51 / /tmp/a\\040b rw,nosuid,nodev - fuse.slow_store slow_store rw,user_id=0\n\
        61 22 0:52 / /tmp/over rw shared:3 master:4 - fuse.slow_store slow_store rw\n\
        62 61 0:53 / /tmp/over rw - tmpfs tmpfs rw\n";

    #[test]
    fn a_mount_is_found_under_its_path() {
        assert_eq!(top_in(TABLE, Path::new("/tmp/a b"), KIND), Some(51));
        assert_eq!(top_in(TABLE, Path::new("/tmp/a"), KIND), None);
        assert_eq!(top_in(b"", Path::new("/"), KIND), None);
    }

    #[test]
    fn what_somebody_else_mounted_there_is_not_ours() {
        assert_eq!(top_in(TABLE, Path::new("/tmp/over"), KIND), None);
        assert_eq!(top_in(TABLE, Path::new("/"), KIND), None);
    }

    #[test]
    fn blanks_are_spelled_in_octal() {
        assert_eq!(unescape(b"a\\040b\\134"), Path::new("a b\\"));
        assert_eq!(unescape(b"\\04"), Path::new("\\04"));
    }
}
