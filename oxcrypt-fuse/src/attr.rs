//! What the kernel is told of an entry.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};
use oxcrypt_core::storage::{Attributes, Owner};
use oxcrypt_core::{Node, NodeAttributes, NodeKind};

use crate::options::MountOptions;

/// How long the kernel may believe what it was told, on storage that nobody but this machine changes. Sync clients do,
/// so this is not long.
const LOCAL_LIFETIME: Duration = Duration::from_secs(5);
/// The same on storage that others may change at any time.
const SHARED_LIFETIME: Duration = Duration::from_secs(1);

/// Permission bits that others do not get on a private mount.
const PRIVATE_UMASK: u32 = 0o077;
/// All permission bits there are.
pub(crate) const PERMISSIONS: u32 = 0o7777;
/// Who runs a file gets the rights of its owner or group where one of these is set.
pub(crate) const SET_IDS: u32 = 0o6000;
/// New entries get their directory's group where this is set.
const SET_GID: u32 = 0o2000;

/// How all entries of a mount look.
#[derive(Clone, Debug)]
pub(crate) struct Looks {
    /// The user who mounts, and the group: theirs is what is nobody else's.
    user: u32,
    group: u32,
    /// The others that whoever mounts belongs to.
    groups: Vec<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    umask: Option<u32>,
    /// How long the kernel may believe it.
    pub(crate) lifetime: Duration,
}

impl Looks {
    /// Those that the options ask for; `may_block` is how the storage is.
    pub(crate) fn new(options: &MountOptions, may_block: bool) -> Self {
        let usual = if may_block { SHARED_LIFETIME } else { LOCAL_LIFETIME };
        Self {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            // Who cannot be told those has none.
            groups: rustix::process::getgroups()
                .unwrap_or_default()
                .iter()
                .map(|group| group.as_raw())
                .collect(),
            uid: options.uid,
            gid: options.gid,
            umask: options.umask,
            lifetime: options.attribute_lifetime.unwrap_or(usual),
        }
    }

    /// An entry that storage has told about.
    pub(crate) fn of(&self, ino: INodeNo, node: &Node, attributes: &NodeAttributes) -> FileAttr {
        let looks = self.made(ino, attributes.kind, attributes.len, attributes.owner);
        // Storage that knows no times has the same for ever, which is better than another at every look.
        let mtime = attributes.modified.unwrap_or(SystemTime::UNIX_EPOCH);
        FileAttr {
            atime: attributes.accessed.unwrap_or(mtime),
            mtime,
            ctime: attributes.changed.unwrap_or(mtime),
            crtime: mtime,
            nlink: if node.is_gone() { 0 } else { looks.nlink },
            ..looks
        }
    }

    /// An entry of which nothing but its kind is known. The kernel is not to believe more for any time.
    pub(crate) fn unknown(&self, ino: INodeNo, kind: NodeKind) -> FileAttr {
        self.made(ino, kind, 0, None)
    }

    /// An entry that nobody can do anything with. It may be read, so that whoever tries learns why he cannot.
    pub(crate) fn damaged(&self, ino: INodeNo) -> FileAttr {
        self.unknown(ino, NodeKind::File)
    }

    /// What a new entry of a directory is to have: of the mode that was asked for, and of the user and group who ask.
    pub(crate) fn of_new(
        &self,
        above: Option<Owner>,
        kind: NodeKind,
        mode: u32,
        asker: (u32, u32),
    ) -> Attributes {
        let inherited = above.filter(|owner| owner.mode & SET_GID != 0).map(|owner| owner.gid);
        let mode = mode & PERMISSIONS;
        let mode = match (kind, inherited) {
            (NodeKind::Symlink, _) => None,
            (NodeKind::Directory, Some(_)) => Some(mode | SET_GID),
            _ => Some(mode),
        };
        // Only root can give away what it makes, and others only to groups of their own.
        let is_root = self.user == 0;
        let uid = Some(asker.0).filter(|uid| is_root && self.uid.is_none() && *uid != self.user);
        let gid = inherited.or(Some(asker.1).filter(|_| is_root));
        let gid = gid.filter(|gid| self.gid.is_none() && *gid != self.group);
        let gid = gid.filter(|gid| is_root || self.groups.contains(gid));
        Attributes { mode, uid, gid, ..Attributes::default() }
    }

    /// Whether an entry is to belong to somebody else than it is shown to belong to, which cannot be.
    pub(crate) fn hides(&self, uid: Option<u32>, gid: Option<u32>) -> bool {
        let differs = |shown: Option<u32>, wanted: Option<u32>| {
            shown.is_some_and(|shown| wanted.is_some_and(|wanted| wanted != shown))
        };
        differs(self.uid, uid) || differs(self.gid, gid)
    }

    /// What of a change of owner is for storage to make: not where all is only shown to belong to somebody.
    pub(crate) fn given(&self, uid: Option<u32>, gid: Option<u32>) -> (Option<u32>, Option<u32>) {
        (uid.filter(|_| self.uid.is_none()), gid.filter(|_| self.gid.is_none()))
    }

    fn made(&self, ino: INodeNo, kind: NodeKind, size: u64, owner: Option<Owner>) -> FileAttr {
        // Where storage has no permissions, they are those of a private mount.
        let umask = self.umask.unwrap_or(if owner.is_some() { 0 } else { PRIVATE_UMASK });
        let perm = match (kind, owner) {
            (NodeKind::Symlink, _) => 0o777,
            (_, Some(owner)) => owner.mode & PERMISSIONS & !umask,
            (NodeKind::File, None) => 0o666 & !umask,
            (NodeKind::Directory, None) => 0o777 & !umask,
        };
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: file_type(kind),
            #[expect(clippy::cast_possible_truncation, reason = "twelve bits")]
            perm: perm as u16,
            // How many directories a directory has is not known without a look at each, and 1 is how to say so.
            nlink: 1,
            uid: self.uid.or(owner.map(|owner| owner.uid)).unwrap_or(self.user),
            gid: self.gid.or(owner.map(|owner| owner.gid)).unwrap_or(self.group),
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
    fn what_is_made_belongs_to_who_makes_it_as_far_as_it_can_be_given_away() {
        let looks = |user, groups: &[u32]| Looks {
            user,
            group: user,
            groups: groups.to_vec(),
            ..Looks::new(&MountOptions::default(), true)
        };
        let made = |looks: &Looks, mode| {
            let above = Owner { mode, uid: 7, gid: 77 };
            let made = looks.of_new(Some(above), NodeKind::Directory, 0o755, (1234, 4321));
            (made.uid, made.gid, made.mode)
        };
        assert_eq!(made(&looks(0, &[]), 0o755), (Some(1234), Some(4321), Some(0o755)));
        assert_eq!(made(&looks(0, &[]), 0o2755), (Some(1234), Some(77), Some(0o2755)));
        assert_eq!(made(&looks(50, &[77]), 0o755), (None, None, Some(0o755)));
        assert_eq!(made(&looks(50, &[77]), 0o2755), (None, Some(77), Some(0o2755)));
        assert_eq!(made(&looks(50, &[]), 0o2755), (None, None, Some(0o2755)));
    }

    #[test]
    fn the_umask_takes_permissions_from_files_and_directories_and_not_from_links() {
        let options = MountOptions { umask: Some(0o027), ..MountOptions::default() };
        let looks = Looks::new(&options, true);
        let perm = |kind| looks.unknown(INodeNo(2), kind).perm;
        assert_eq!([NodeKind::File, NodeKind::Directory, NodeKind::Symlink].map(perm), [0o640, 0o750, 0o777]);
    }
}
