//! What the kernel lets one see and do of a FUSE connection. The storm bench uses this file, too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// The kernel's controls of one FUSE connection.
///
/// They are looked at through a mount of fusectl that is attached nowhere, so that it needs none in `/sys`.
pub(crate) struct Controls {
    fusectl: OwnedFd,
    connection: u32,
}

impl Controls {
    /// The controls of the connection with this number. An error where this process may not have them, as root may.
    pub(crate) fn of(connection: u32) -> io::Result<Self> {
        let context = rustix::mount::fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::empty();
        let fusectl = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self { fusectl, connection })
    }

    /// How many requests the kernel has that are not answered, those it has not handed out included.
    pub(crate) fn waiting(&self) -> io::Result<u64> {
        self.read("waiting")
    }

    /// How many background requests the kernel hands out at once.
    pub(crate) fn max_background(&self) -> io::Result<u64> {
        self.read("max_background")
    }

    /// Has the kernel hand out so many from now on. Whoever waits already may have to be woken up by doing it again.
    pub(crate) fn set_max_background(&self, limit: u64) -> io::Result<()> {
        self.open("max_background", OFlags::WRONLY)?.write_all(limit.to_string().as_bytes())
    }

    /// Ends the connection: all that waits for it gets an error.
    pub(crate) fn abort(&self) -> io::Result<()> {
        self.open("abort", OFlags::WRONLY)?.write_all(b"1")
    }

    fn read(&self, name: &str) -> io::Result<u64> {
        let mut text = String::new();
        self.open(name, OFlags::RDONLY)?.read_to_string(&mut text)?;
        text.trim().parse().map_err(io::Error::other)
    }

    fn open(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let path = format!("{}/{name}", self.connection);
        Ok(rustix::fs::openat(&self.fusectl, path, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }
}
