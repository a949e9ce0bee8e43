//! What the system has mounted, and how to be rid of it.
//!
//! The table is asked, never a mount: whoever looks into one that does not answer may wait for ever.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;

use crate::birthmark::Birthmark;
use crate::connection::Connection;

/// What the table calls our file systems.
pub(crate) const KIND: &str = "fuse.oxcrypt";
/// What mounts and unmounts for users who may not.
pub(crate) const HELPER: &str = "fusermount3";

/// A mounted vault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mounted {
    /// Where.
    pub mountpoint: PathBuf,
    /// What it was said to be of: the vault's folder.
    pub source: String,
    /// The number of its connection to the kernel.
    pub connection: u32,
    /// The user who mounted it.
    pub owner: Option<u32>,
    /// What it has and no other.
    birthmark: Option<Birthmark>,
}

/// A line of the table.
struct Line {
    /// The number of the mount, which the next one may get when this is gone.
    id: u64,
    kind: String,
    mounted: Mounted,
}

impl Mounted {
    /// Whether this is the same mount, wherever both are seen.
    fn is(&self, other: &Self) -> bool {
        (self.connection, self.birthmark) == (other.connection, other.birthmark)
    }
}

impl Line {
    fn of_a_vault(self) -> Option<Mounted> {
        (self.kind == KIND).then_some(self.mounted)
    }
}

/// All mounted vaults, the oldest first.
///
/// # Errors
///
/// If the table cannot be read.
pub fn mounts() -> io::Result<Vec<Mounted>> {
    Ok(all()?.into_iter().filter_map(Line::of_a_vault).collect())
}

/// The vault that is mounted at a folder, if it is one that one sees there. The path is taken as it is: absolute, and
/// without links.
///
/// # Errors
///
/// If the table cannot be read.
pub fn find(mountpoint: &Path) -> io::Result<Option<Mounted>> {
    // Others may lie above it.
    let seen = all()?.into_iter().rfind(|line| line.mounted.mountpoint == mountpoint);
    Ok(seen.and_then(Line::of_a_vault))
}

/// The mount with this birthmark, if it is there.
pub(crate) fn born_as(birthmark: Birthmark) -> io::Result<Option<Mounted>> {
    Ok(mounts()?.into_iter().find(|mounted| mounted.birthmark == Some(birthmark)))
}

/// Ends a mount, whoever uses it, and with or without a process that serves it: it is taken out of the tree, and those
/// who wait for it get an error.
///
/// # Errors
///
/// `NotFound` if it is not there any more; else what the system says.
pub fn unmount_by_force(mounted: &Mounted) -> io::Result<()> {
    // Held from before, so that it is surely this connection that is ended.
    let abort = Connection(mounted.connection).abort_handle();
    unmount(mounted, Laziness::Lazy)?;
    if let Ok(abort) = abort {
        abort.abort();
    }
    Ok(())
}

/// What becomes of a mount that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Laziness {
    /// It stays.
    Busy,
    /// It leaves the tree now, and ends with its last user.
    Lazy,
}

/// Takes a mount out of the tree, if it is still that which is seen there.
pub(crate) fn unmount(mounted: &Mounted, laziness: Laziness) -> io::Result<()> {
    let mountpoint = place_of(mounted)?.ok_or_else(gone)?;
    if rustix::process::geteuid().is_root() {
        let done = match laziness {
            Laziness::Busy => {
                rustix::mount::unmount(&mountpoint, UnmountFlags::NOFOLLOW).map_err(io::Error::from)
            }
            Laziness::Lazy => detach(mounted, &mountpoint),
        };
        match done {
            // Root of a container, which may not; the helper may still.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {}
            done => return done,
        }
    }
    let mut helper = Command::new(HELPER);
    helper.arg("-u").args((laziness == Laziness::Lazy).then_some("-z"));
    ran(helper.arg("--").arg(&mountpoint)).map(drop)
}

/// Takes a mount out of the tree by its handle, so that no other can come to its place between the look and that. Where it
/// is to stay if it is in use this will not do: a handle is a use.
fn detach(mounted: &Mounted, mountpoint: &Path) -> io::Result<()> {
    // A handle of this kind asks the mount nothing.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::open(mountpoint, flags, Mode::empty())?;
    let id = mount_of(&held)?;
    if !all()?.iter().any(|line| Some(line.id) == id && line.mounted.is(mounted)) {
        return Err(gone());
    }
    let held = format!("/proc/self/fd/{}", held.as_raw_fd());
    Ok(rustix::mount::unmount(held, UnmountFlags::DETACH)?)
}

/// The number of the mount that a handle lies in, which no other gets as long as that is held.
fn mount_of(held: &OwnedFd) -> io::Result<Option<u64>> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", held.as_raw_fd()))?;
    Ok(about.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok()))
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it is not mounted any more")
}

/// Whether a mount can be seen anywhere.
pub(crate) fn is_seen(mounted: &Mounted) -> io::Result<bool> {
    Ok(place_of(mounted)?.is_some())
}

/// Where a mount is seen now: at its own place, or elsewhere if a folder on the way to it was renamed.
fn place_of(mounted: &Mounted) -> io::Result<Option<PathBuf>> {
    let is_there = |place: &Path| {
        let seen = find(place)?;
        io::Result::Ok(seen.is_some_and(|there| there.is(mounted)))
    };
    if is_there(&mounted.mountpoint)? {
        return Ok(Some(mounted.mountpoint.clone()));
    }
    for other in mounts()?.into_iter().filter(|other| other.is(mounted)) {
        if is_there(&other.mountpoint)? {
            return Ok(Some(other.mountpoint));
        }
    }
    Ok(None)
}

/// Runs the helper; what it says is the error.
#[expect(clippy::disallowed_methods, reason = "the janitor does this, and whoever has no vault open")]
pub(crate) fn ran(helper: &mut Command) -> io::Result<()> {
    let output =
        helper.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{HELPER} is missing; install the package fuse3 (on Debian: apt-get install fuse3)"),
            ),
            _ => error,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let kind =
        if said.contains("busy") { io::ErrorKind::ResourceBusy } else { io::ErrorKind::PermissionDenied };
    Err(io::Error::new(kind, said))
}

fn all() -> io::Result<Vec<Line>> {
    Ok(fs::read("/proc/self/mountinfo")?.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// A line of `/proc/self/mountinfo`.
fn parse(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = std::str::from_utf8(fields.nth(1)?).ok()?;
    let place = fields.nth(1)?;
    let mut behind = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = String::from_utf8(behind.next()?.to_vec()).ok()?;
    let source = String::from_utf8_lossy(&unescaped(behind.next()?)).into_owned();
    let connection = device.strip_prefix("0:").and_then(|minor| minor.parse().ok()).unwrap_or(0);
    let mountpoint = PathBuf::from(std::ffi::OsString::from_vec(unescaped(place)));
    let options = std::str::from_utf8(behind.next().unwrap_or_default()).unwrap_or_default();
    let owner = options.split(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok());
    let birthmark = options.split(',').find_map(Birthmark::of_word);
    Some(Line { id, kind, mounted: Mounted { mountpoint, source, connection, owner, birthmark } })
}

/// Blanks, tabs, line breaks and backslashes are written as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let digits = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped =
            digits.filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { more.get(3..).unwrap_or_default() } else { more };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read_with_its_escapes() {
        let line = br"36 35 0:98 / /mnt/my\040vault\134x rw,nosuid shared:1 master:2 - fuse.oxcrypt /v\040a ro,user_id=0,max_read=1234567890";
        let Line { id, kind, mounted } = parse(line).unwrap();
        assert_eq!((id, kind.as_str()), (36, KIND));
        assert_eq!(mounted.mountpoint, Path::new(r"/mnt/my vault\x"));
        assert_eq!((mounted.source.as_str(), mounted.connection, mounted.owner), ("/v a", 98, Some(0)));
        assert_eq!(mounted.birthmark, Birthmark::of_word("max_read=1234567890"));
        assert!(parse(b"").is_none() && parse(b"1 2 3").is_none());
    }

    #[test]
    fn what_is_mounted_here_is_no_vault() {
        assert_eq!(find(Path::new("/proc")).unwrap(), None);
        assert_eq!(find(Path::new("/no/such/folder")).unwrap(), None);
    }
}
