//! Writing files, and having storage take what was written.

use std::sync::Arc;

use fuser::{Errno, FileHandle, ReplyEmpty, ReplyWrite, WriteFlags};
use oxcrypt_core::Node;
use oxcrypt_core::storage::Attributes;

use super::change::answer;
use super::{Asker, Dispatch};
use crate::attr::SET_IDS;
use crate::handles::Handle;

impl Dispatch {
    pub(crate) fn write(
        self: &Arc<Self>,
        asker: Asker,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        flags: WriteFlags,
        reply: ReplyWrite,
    ) {
        let file = match self.handles.written(handle) {
            Ok(file) => file,
            Err(errno) => return reply.error(errno),
        };
        let mut question = self.volume.write(&file, offset, bytes);
        let from_pages = flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        if from_pages {
            question = question.holding(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        // Pages that were mapped are written by a thread of the kernel, which nobody kills.
        let asker = Asker { thread: if from_pages { 0 } else { asker.thread }, ..asker };
        let drops_rights = flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        self.ask(
            "write",
            asker,
            &Arc::clone(file.node()),
            question,
            move |dispatch, written| match written {
                Ok(len) if drops_rights => {
                    let node = Arc::clone(file.node());
                    dispatch.drop_rights(asker, &node, move || reply.written(len_of(len)));
                }
                Ok(len) => reply.written(len_of(len)),
                Err(errno) => reply.error(errno),
            },
        );
    }

    /// Nobody gets somebody's rights by a file that another has written. Only direct writes ask for that: before others
    /// the kernel sets the mode itself.
    fn drop_rights(self: &Arc<Self>, asker: Asker, node: &Arc<Node>, then: impl FnOnce() + Send + 'static) {
        let question = self.volume.attributes(node);
        let about = Arc::clone(node);
        self.ask("write", asker, node, question, move |dispatch, told| {
            let bits = told.ok().and_then(|told| told.owner).map_or(0, |owner| owner.mode);
            if bits & SET_IDS == 0 {
                return then();
            }
            let change = Attributes { mode: Some(bits & !SET_IDS), ..Attributes::default() };
            let question = dispatch.volume.set_attributes(&about, change);
            dispatch.ask("write", asker, &about, question, move |_, _| then());
        });
    }

    /// Makes a file as long as this part of it wants, if storage has the room. Room is kept for nobody: what is written
    /// there is encrypted anew each time.
    pub(crate) fn allocate(
        self: &Arc<Self>,
        asker: Asker,
        handle: FileHandle,
        offset: u64,
        len: u64,
        how: i32,
        reply: ReplyEmpty,
    ) {
        if how != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let file = match self.handles.written(handle) {
            Ok(file) => file,
            Err(errno) => return reply.error(errno),
        };
        let Some(end) = offset.checked_add(len) else { return reply.error(Errno::EFBIG) };
        let more = end.saturating_sub(file.resident().len());
        if more == 0 {
            return reply.ok();
        }
        if self.volume.statfs().is_some_and(|space| space.available < more) {
            return reply.error(Errno::ENOSPC);
        }
        let question = self.volume.set_len(&file, end);
        self.ask("fallocate", asker, file.node(), question, |_, done| answer(done, reply));
    }

    /// Somebody closes a file: storage is to have taken what was written.
    pub(crate) fn flush(self: &Arc<Self>, asker: Asker, handle: FileHandle, reply: ReplyEmpty) {
        let file = match self.handles.file(handle) {
            Ok(opened) => opened.file,
            Err(errno) => return reply.error(errno),
        };
        let question = self.volume.flush(&file);
        self.ask("flush", asker, file.node(), question, |_, done| answer(done, reply));
    }

    /// Makes durable what was written, and the directories that lead there.
    pub(crate) fn sync(self: &Arc<Self>, asker: Asker, handle: FileHandle, reply: ReplyEmpty) {
        let (node, question) = match self.handles.get(handle) {
            Some(Handle::File(opened)) => (Arc::clone(opened.file.node()), self.volume.sync(&opened.file)),
            Some(Handle::Dir(dir)) => (Arc::clone(&dir.node), self.volume.sync_dir(&dir.node)),
            None => return reply.error(Errno::EBADF),
        };
        self.ask("fsync", asker, &node, question, |_, done| answer(done, reply));
    }
}

fn len_of(written: usize) -> u32 {
    u32::try_from(written).unwrap_or(u32::MAX)
}
