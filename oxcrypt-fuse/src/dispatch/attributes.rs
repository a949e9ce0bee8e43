//! Attributes: telling and setting them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileHandle, INodeNo, ReplyAttr, TimeOrNow};
use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{Node, NodeAttributes, NodeKind, Probe};
use oxcrypt_io::volume::Question;

use super::{Asker, Dispatch, is_gone, or_stale};
use crate::attr::PERMISSIONS;
use crate::inodes::{Inode, number};

/// What is to be set; `None` leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetAttributes {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) len: Option<u64>,
    pub(crate) accessed: Option<TimeOrNow>,
    pub(crate) modified: Option<TimeOrNow>,
    /// The handle by which the length is set, if it is by one.
    pub(crate) handle: Option<FileHandle>,
}

impl Dispatch {
    /// What is known of an entry.
    pub(crate) fn attributes(self: &Arc<Self>, asker: Asker, ino: INodeNo, reply: ReplyAttr) {
        match self.inodes.get(ino) {
            Some(Inode::Node(node)) => {
                let question = self.volume.attributes(&node);
                self.reply_attributes(asker, node, question, reply);
            }
            Some(Inode::Damaged) => reply.attr(&self.looks.lifetime, &self.looks.damaged(ino)),
            Some(Inode::Unanswered) | None => reply.error(Errno::ESTALE),
        }
    }

    /// Sets what is given, the length first, and tells what there is then.
    pub(crate) fn set_attributes(
        self: &Arc<Self>,
        asker: Asker,
        ino: INodeNo,
        set: SetAttributes,
        reply: ReplyAttr,
    ) {
        let node = match self.to_change(ino) {
            Ok(node) => node,
            Err(errno) => return reply.error(errno),
        };
        if self.looks.hides(set.uid, set.gid) {
            return reply.error(Errno::EPERM);
        }
        let Some(len) = set.len else { return self.set_others(asker, node, set, reply) };
        let question = match self.question_of_len(&node, set.handle, len) {
            Ok(question) => question,
            Err(errno) => return reply.error(errno),
        };
        self.ask("truncate", asker, &Arc::clone(&node), question, move |dispatch, done| match done {
            Ok(()) => dispatch.set_others(asker, node, set, reply),
            Err(errno) => reply.error(or_stale(&node, errno)),
        });
    }

    /// How a length is set: by whoever has the file open for writing, so that it is by the file that he has.
    fn question_of_len(
        &self,
        node: &Arc<Node>,
        handle: Option<FileHandle>,
        len: u64,
    ) -> Result<Question<()>, Errno> {
        if let Some(handle) = handle {
            return Ok(self.volume.set_len(&self.handles.written(handle)?, len));
        }
        if let Some(file) = self.handles.writer_of(node.id()) {
            return Ok(self.volume.set_len(&file, len));
        }
        self.expect_room()?;
        Ok(self.volume.truncate(node, len))
    }

    fn set_others(self: &Arc<Self>, asker: Asker, node: Arc<Node>, set: SetAttributes, reply: ReplyAttr) {
        let (uid, gid) = self.looks.given(set.uid, set.gid);
        let change = Attributes {
            modified: set.modified.map(moment),
            accessed: set.accessed.map(moment),
            mode: set.mode.map(|mode| mode & PERMISSIONS),
            uid,
            gid,
        };
        if change == Attributes::default() {
            let question = self.volume.attributes(&node);
            return self.reply_attributes(asker, node, question, reply);
        }
        let question = self.volume.set_attributes(&node, change);
        self.reply_attributes(asker, node, question, reply);
    }

    /// How long the kernel may believe what it is told of an entry, asked before that is known. Not at all while anything of
    /// a file is unsaved: its times are those of the storage once that has it, and the kernel is to ask for them.
    pub(super) fn lifetime_of(&self, node: &Node) -> Duration {
        match self.volume.vault().resident().file(node.id()) {
            Probe::Ready(file) if file.is_unsaved() => Duration::ZERO,
            _ => self.looks.lifetime,
        }
    }

    fn reply_attributes(
        self: &Arc<Self>,
        asker: Asker,
        node: Arc<Node>,
        question: Question<NodeAttributes>,
        reply: ReplyAttr,
    ) {
        let lifetime = self.lifetime_of(&node);
        self.ask("attributes", asker, &Arc::clone(&node), question, move |dispatch, told| match told {
            Ok(told) => reply.attr(&lifetime, &dispatch.looks.of(number(&node), &node, &told)),
            // Who is in a directory that was removed may ask what that is.
            Err(errno) if node.kind() == NodeKind::Directory && is_gone(&node, errno) => {
                let looks = dispatch.looks.unknown(number(&node), node.kind());
                reply.attr(&dispatch.looks.lifetime, &FileAttr { nlink: 0, ..looks });
            }
            Err(errno) => reply.error(or_stale(&node, errno)),
        });
    }
}

/// The library takes the nanoseconds of a time before 1970 off its seconds, where they are to be added.
fn moment(time: TimeOrNow) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => {
            let before = UNIX_EPOCH.duration_since(time).unwrap_or_default();
            time + Duration::from_nanos(before.subsec_nanos().into()) * 2
        }
        TimeOrNow::Now => SystemTime::now(),
    }
}
