//! What the kernel is told of an entry.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};
use oxcrypt_core::{NodeAttributes, NodeKind};

use crate::options::MountOptions;

/// How long the kernel may believe what it was told, on storage that nobody but this machine changes. Sync clients do,
/// so this is not long.
const LOCAL_LIFETIME: Duration = Duration::from_secs(5);
/// The same on storage that others may change at any time.
const SHARED_LIFETIME: Duration = Duration::from_secs(1);

/// How all entries of a mount look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    uid: u32,
    gid: u32,
    umask: u32,
    /// How long the kernel may believe it.
    pub(crate) lifetime: Duration,
}

impl Looks {
    /// Those that the options ask for; `may_block` is how the storage is.
    pub(crate) fn new(options: &MountOptions, may_block: bool) -> Self {
        let usual = if may_block { SHARED_LIFETIME } else { LOCAL_LIFETIME };
        Self {
            uid: options.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw()),
            gid: options.gid.unwrap_or_else(|| rustix::process::getegid().as_raw()),
            umask: options.umask,
            lifetime: options.attribute_lifetime.unwrap_or(usual),
        }
    }

    /// An entry that storage has told about.
    pub(crate) fn of(&self, ino: INodeNo, attributes: &NodeAttributes) -> FileAttr {
        // Storage that knows no times has the same for ever, which is better than another at every look.
        let modified = attributes.modified.unwrap_or(SystemTime::UNIX_EPOCH);
        self.made(ino, attributes.kind, attributes.len, modified)
    }

    /// An entry of which nothing but its kind is known. The kernel is not to believe more for any time.
    pub(crate) fn unknown(&self, ino: INodeNo, kind: NodeKind) -> FileAttr {
        self.made(ino, kind, 0, SystemTime::UNIX_EPOCH)
    }

    /// An entry that nobody can do anything with. It may be read, so that whoever tries learns why he cannot.
    pub(crate) fn damaged(&self, ino: INodeNo) -> FileAttr {
        self.unknown(ino, NodeKind::File)
    }

    fn made(&self, ino: INodeNo, kind: NodeKind, size: u64, modified: SystemTime) -> FileAttr {
        let perm = match kind {
            NodeKind::File => 0o666 & !self.umask,
            NodeKind::Directory => 0o777 & !self.umask,
            NodeKind::Symlink => 0o777,
        };
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: modified,
            mtime: modified,
            ctime: modified,
            crtime: modified,
            kind: file_type(kind),
            #[expect(clippy::cast_possible_truncation, reason = "nine bits")]
            perm: perm as u16,
            // How many directories a directory has is not known without a look at each, and 1 is how to say so.
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 32 << 10,
            flags: 0,
        }
    }
}

/// What the kernel calls a kind.
pub(crate) fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::File => FileType::RegularFile,
        NodeKind::Directory => FileType::Directory,
        NodeKind::Symlink => FileType::Symlink,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_umask_takes_permissions_from_files_and_directories_and_not_from_links() {
        let options = MountOptions { umask: 0o027, ..MountOptions::default() };
        let looks = Looks::new(&options, true);
        let perm = |kind| looks.unknown(INodeNo(2), kind).perm;
        assert_eq!([NodeKind::File, NodeKind::Directory, NodeKind::Symlink].map(perm), [0o640, 0o750, 0o777]);
    }
}
