//! Names, links, space.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use fuser::{Errno, FileAttr, Generation, INodeNo, ReplyData, ReplyEntry, ReplyStatfs};
use oxcrypt_core::{Entry, Name, Node, NodeAttributes, NodeKind};
use oxcrypt_io::volume::Seen;

use super::name::{self, find_shown};
use super::{Asker, Dispatch, is_gone};
use crate::inodes::{Inode, number};
use crate::shown_name::{MAX_LEN, may_be_alias};

/// What numbers of inodes are told apart by where they are used again, which ours never are.
pub(super) const GENERATION: Generation = Generation(0);
/// The size of the units in which space is told.
const UNIT: u32 = 4096;

/// How often a name is looked for again whose entry has gone before anything was known of it.
const TRIES: u32 = 8;

impl Dispatch {
    /// Which entry a name is.
    pub(crate) fn lookup(self: &Arc<Self>, asker: Asker, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let Some(node) = self.inodes.node(dir) else { return reply.error(Errno::ESTALE) };
        let name = match name::of_old(name) {
            Ok(name) => name,
            Err(errno) if errno.code() == Errno::ENOENT.code() => return self.reply_absent(reply),
            Err(errno) => return reply.error(errno),
        };
        self.find(asker, node, name, TRIES, reply);
    }

    /// What a name stands for that may change meanwhile: then it is looked for again.
    fn find(self: &Arc<Self>, asker: Asker, dir: Arc<Node>, name: Name, tries: u32, reply: ReplyEntry) {
        if may_be_alias(name.as_str()) {
            return self.lookup_listed(asker, dir, name, reply);
        }
        let question = self.volume.lookup(&dir, &name);
        self.ask("lookup", asker, &Arc::clone(&dir), question, move |dispatch, found| match found {
            Ok(found) => {
                let lifetime = dispatch.lifetime_of(&found);
                let question = dispatch.volume.attributes(&found);
                dispatch.ask(
                    "lookup",
                    asker,
                    &Arc::clone(&found),
                    question,
                    move |dispatch, told| match told {
                        Err(errno) if is_gone(&found, errno) && tries > 0 => {
                            dispatch.find(asker, dir, name, tries - 1, reply);
                        }
                        told => dispatch.reply_told(&found, lifetime, told, reply),
                    },
                );
            }
            Err(errno) if errno.code() == Errno::ENOENT.code() => {
                // The listing of a large directory that we change all the time is long to look through.
                if dispatch.volume.shows_only_names(&dir) {
                    return dispatch.reply_absent(reply);
                }
                dispatch.lookup_listed(asker, dir, name, reply);
            }
            Err(errno) => reply.error(errno),
        });
    }

    /// Which entry of the listing is shown by this name: one without a name of its own, or with too long a one.
    fn lookup_listed(self: &Arc<Self>, asker: Asker, dir: Arc<Node>, name: Name, reply: ReplyEntry) {
        let question = self.volume.list(&dir);
        self.ask("lookup", asker, &Arc::clone(&dir), question, move |dispatch, listing| {
            let listing = match listing {
                Ok(listing) => listing,
                Err(errno) => return reply.error(errno),
            };
            match find_shown(&listing, name.as_str()) {
                Some(Entry::Sound(found)) => {
                    let question = dispatch.volume.lookup(&dir, found.name());
                    dispatch.ask("lookup", asker, &dir, question, move |dispatch, found| match found {
                        Ok(found) => dispatch.reply_entry(asker, found, reply),
                        Err(errno) if errno.code() == Errno::ENOENT.code() => dispatch.reply_absent(reply),
                        Err(errno) => reply.error(errno),
                    });
                }
                Some(Entry::Damaged(_)) => {
                    let ino = dispatch.inodes.tell_nameless(number(&dir), name.as_str(), Inode::Damaged);
                    reply.entry(&dispatch.looks.lifetime, &dispatch.looks.damaged(ino), GENERATION);
                }
                None => dispatch.reply_absent(reply),
            }
        });
    }

    /// What is known of an entry that was found or made.
    pub(super) fn reply_entry(self: &Arc<Self>, asker: Asker, node: Arc<Node>, reply: ReplyEntry) {
        let lifetime = self.lifetime_of(&node);
        let question = self.volume.attributes(&node);
        self.ask("lookup", asker, &Arc::clone(&node), question, move |dispatch, told| {
            dispatch.reply_told(&node, lifetime, told, reply);
        });
    }

    fn reply_told(
        &self,
        node: &Arc<Node>,
        lifetime: Duration,
        told: Result<NodeAttributes, Errno>,
        reply: ReplyEntry,
    ) {
        match told {
            Ok(told) => {
                let ino = self.inodes.tell(node);
                reply.entry(&lifetime, &self.looks.of(ino, node, &told), GENERATION);
            }
            Err(errno) => reply.error(errno),
        }
    }

    /// There is none, and the kernel may believe that for a while.
    fn reply_absent(&self, reply: ReplyEntry) {
        let nothing = self.looks.unknown(INodeNo(0), NodeKind::File);
        reply.entry(&self.looks.lifetime, &nothing, GENERATION);
    }

    /// The kernel forgets an entry that it was told of so many times.
    pub(crate) fn forget(&self, ino: INodeNo, times: u64) {
        self.inodes.forget(ino, times);
    }

    /// Where a symbolic link leads.
    pub(crate) fn read_link(self: &Arc<Self>, asker: Asker, ino: INodeNo, reply: ReplyData) {
        let Some(node) = self.inodes.node(ino) else { return reply.error(Errno::EINVAL) };
        let question = self.volume.readlink(&node);
        self.ask("readlink", asker, &node, question, move |_, target| match target {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(errno),
        });
    }

    /// How much room the storage had when it last said so.
    pub(crate) fn space(&self, reply: ReplyStatfs) {
        let space = self.volume.statfs();
        let units = |bytes: fn(&oxcrypt_core::storage::Space) -> u64| {
            space.as_ref().map_or(0, |space| bytes(space) / u64::from(UNIT))
        };
        // Nobody knows how many files there are; a number with none left would look like a file system that is full.
        let (files, files_left) = (0, 0);
        reply.statfs(
            units(|space| space.total),
            units(|space| space.free),
            units(|space| space.available),
            files,
            files_left,
            UNIT,
            u32::try_from(MAX_LEN).unwrap_or(u32::MAX),
            UNIT,
        );
    }

    /// An entry that a listing shows, as the kernel is told of it: the lookup counts.
    pub(super) fn tell(&self, dir: INodeNo, entry: &Entry, shown: &str, seen: &Seen) -> Told {
        let (lifetime, unbelieved) = (self.looks.lifetime, Duration::ZERO);
        match (entry, &seen.node, &seen.attributes) {
            (Entry::Damaged(_), ..) => {
                let ino = self.inodes.tell_nameless(dir, shown, Inode::Damaged);
                Told { attr: self.looks.damaged(ino), lifetime }
            }
            (_, Some(node), Some(attributes)) => {
                let ino = self.inodes.tell(node);
                Told { attr: self.looks.of(ino, node, attributes), lifetime: self.lifetime_of(node) }
            }
            (_, Some(node), None) if node.kind() == NodeKind::Directory => {
                let ino = self.inodes.tell(node);
                Told { attr: self.looks.unknown(ino, node.kind()), lifetime: unbelieved }
            }
            (_, node, _) => {
                // Not under the number of its node: the kernel believes a length even for no time, and would cut off
                // what it has of an open file.
                let ino = self.inodes.tell_nameless(dir, shown, Inode::Unanswered);
                // Whoever takes it for a directory asks again; whoever took a directory for a file would not.
                let kind = node.as_ref().map_or(NodeKind::Directory, |node| node.kind());
                Told { attr: self.looks.unknown(ino, kind), lifetime: unbelieved }
            }
        }
    }
}

/// What the kernel is told of an entry.
pub(super) struct Told {
    pub(super) attr: FileAttr,
    pub(super) lifetime: Duration,
}
