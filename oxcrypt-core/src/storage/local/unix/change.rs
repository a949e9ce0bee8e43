//! Changes of attributes, of which all are made or none.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{self, Mode};
use rustix::io::Errno;

use super::super::super::{Attributes, Metadata};
use super::stat::{mode_of, times_of};

/// The permission bits, and no others.
pub(super) fn permissions(mode: u32) -> io::Result<Mode> {
    mode_of(mode).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "more than the permission bits"))
}

/// Makes a change of what was `before`, in several calls. Where one fails, those before it are put back as far as the
/// host lets us.
pub(super) fn all_or_none(
    change: &Attributes,
    before: &Metadata,
    make: impl Fn(&Attributes) -> Result<(), Errno>,
) -> io::Result<()> {
    change.mode.map(permissions).transpose()?;
    let result = make(change);
    let owner = change.uid.is_some() || change.gid.is_some();
    if result.is_err() && (owner || change.mode.is_some()) {
        let former = before.owner;
        let _as_far_as_it_goes = make(&Attributes {
            uid: former.filter(|_| owner).map(|former| former.uid),
            gid: former.filter(|_| owner).map(|former| former.gid),
            mode: former.map(|former| former.mode),
            ..Attributes::default()
        });
    }
    result.map_err(|errno| match errno {
        Errno::NOSYS | Errno::NOTSUP => io::ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

/// Changes what is open. An owner takes bits of the mode along, so it comes first.
pub(super) fn by_handle(handle: impl AsFd, change: &Attributes) -> Result<(), Errno> {
    if change.uid.is_some() || change.gid.is_some() {
        let (uid, gid) = (change.uid.map(fs::Uid::from_raw), change.gid.map(fs::Gid::from_raw));
        fs::fchown(&handle, uid, gid)?;
    }
    if let Some(mode) = change.mode.and_then(mode_of) {
        fs::fchmod(&handle, mode)?;
    }
    times_of(change).map_or(Ok(()), |times| fs::futimens(&handle, &times))
}
