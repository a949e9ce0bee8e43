//! A connection to the kernel, as it lets its owner and root see it, and what it says of all of them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::options::MountOptions;

/// Where the kernel shows connections, if somebody has mounted that.
const SHOWN: &str = "/sys/fs/fuse/connections";

/// How far the kernel is to read ahead, in KiB.
const READAHEAD_KIB: u32 = 1024;

/// The connection with this number, which is also the minor number of the mount's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection(pub(crate) u32);

/// What ends a connection. It is that of no other, whatever becomes of the number.
#[derive(Debug)]
pub(crate) struct AbortHandle(File);

impl Connection {
    /// How many requests the kernel has no answer to.
    pub(crate) fn waiting(self) -> io::Result<u64> {
        self.number("waiting")
    }

    /// How many background requests the kernel hands out at once.
    pub(crate) fn max_background(self) -> io::Result<u64> {
        self.number("max_background")
    }

    /// Lets the kernel read further ahead than it offers when it begins. Only root may, and it is a matter of speed alone.
    pub(crate) fn read_far_ahead(self) {
        let setting = format!("/sys/class/bdi/0:{}/read_ahead_kb", self.0);
        let _as_it_was = fs::write(setting, READAHEAD_KIB.to_string());
    }

    /// What ends it.
    pub(crate) fn abort_handle(self) -> io::Result<AbortHandle> {
        self.open("abort", OFlags::WRONLY).map(AbortHandle)
    }

    fn number(self, name: &str) -> io::Result<u64> {
        let mut text = String::new();
        self.open(name, OFlags::RDONLY)?.read_to_string(&mut text)?;
        text.trim().parse().map_err(io::Error::other)
    }

    fn open(self, name: &str, flags: OFlags) -> io::Result<File> {
        let path = format!("{}/{name}", self.0);
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::open(Path::new(SHOWN).join(&path), flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(rustix::io::Errno::NOENT) => {
                // Nobody has mounted that; one that is attached nowhere does as well, for root.
                let context = rustix::mount::fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
                rustix::mount::fsconfig_create(&context)?;
                let shown =
                    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
                Ok(rustix::fs::openat(&shown, path, flags, Mode::empty())?.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl AbortHandle {
    /// Ends the connection: whoever waits for it gets an error. An error here says that it has ended.
    pub(crate) fn abort(mut self) {
        let _ended_before = self.0.write_all(b"1");
    }
}

/// How many background requests the kernel will grant a mount of this user. Whoever is not root gets no more than what
/// the machine allows to users.
#[must_use]
pub fn expected_background(options: &MountOptions) -> u16 {
    if rustix::process::geteuid().is_root() {
        return options.max_background;
    }
    let allowed = fs::read_to_string("/sys/module/fuse/parameters/max_user_bgreq").ok();
    // The kernel shows 0 until it first needs the number.
    let allowed =
        allowed.and_then(|text| text.trim().parse().ok()).filter(|limit| *limit > 0).unwrap_or(u16::MAX);
    options.max_background.min(allowed)
}

/// For how long this machine lets a request of a FUSE mount go unanswered, before it ends the mount; `None` for ever,
/// which is usual.
#[must_use]
pub fn request_timeout() -> Option<Duration> {
    let limit = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/fs/fuse/{name}")).ok()?;
        text.trim().parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
    };
    [limit("default_request_timeout"), limit("max_request_timeout")].into_iter().flatten().min()
}
