//! Writing files, and having storage take what was written.

use std::sync::Arc;
use std::time::SystemTime;

use fuser::{Errno, FileHandle, ReplyEmpty, ReplyWrite, WriteFlags};
use oxcrypt_core::chunk::MAX_FILE_LEN;
use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{Cleartext, Node, NodeAttributes};
use oxcrypt_io::volume::OpenFile;

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
        let from_pages = flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        // Pages that were mapped are written by a thread of the kernel, which nobody kills.
        let asker = Asker { thread: if from_pages { 0 } else { asker.thread }, ..asker };
        let known = || self.volume.resident_attributes(file.node());
        if !flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID)
            || known().is_some_and(|told| !gives_rights(&told))
        {
            return self.write_now(asker, &file, offset, bytes, from_pages, reply);
        }
        let mut copy = Cleartext::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        self.drop_rights(asker, &Arc::clone(file.node()), move |dispatch, dropped| match dropped {
            Ok(()) => dispatch.write_now(asker, &file, offset, &copy, from_pages, reply),
            Err(errno) => reply.error(errno),
        });
    }

    fn write_now(
        self: &Arc<Self>,
        asker: Asker,
        file: &Arc<OpenFile>,
        offset: u64,
        bytes: &[u8],
        from_pages: bool,
        reply: ReplyWrite,
    ) {
        let mut question = self.volume.write(file, offset, bytes);
        if from_pages {
            question = question.holding(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        self.ask("write", asker, file.node(), question, move |_, written| match written {
            Ok(len) => reply.written(len_of(len)),
            Err(errno) => reply.error(errno),
        });
    }

    /// Nobody gets somebody's rights by a file that another has written: they are gone before anything is written, or
    /// nothing is. Only direct writes ask for that: before others the kernel sets the mode itself.
    fn drop_rights(
        self: &Arc<Self>,
        asker: Asker,
        node: &Arc<Node>,
        then: impl FnOnce(&Arc<Self>, Result<(), Errno>) + Send + 'static,
    ) {
        let question = self.volume.attributes(node);
        let about = Arc::clone(node);
        self.ask("write", asker, node, question, move |dispatch, told| {
            let owner = match told {
                Ok(told) if gives_rights(&told) => told.owner,
                told => return then(dispatch, told.map(drop)),
            };
            let mode = owner.map(|owner| owner.mode & !SET_IDS);
            let question =
                dispatch.volume.set_attributes(&about, Attributes { mode, ..Attributes::default() });
            dispatch
                .ask("write", asker, &about, question, move |dispatch, set| then(dispatch, set.map(drop)));
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
            // Nothing is changed, and yet it counts as a change: so it does on other file systems.
            let modified = Attributes { modified: Some(SystemTime::now()), ..Attributes::default() };
            let question = self.volume.set_attributes(file.node(), modified);
            return self.ask("fallocate", asker, file.node(), question, |_, set| match set {
                // Who may write to a file of another may not set its time.
                Err(errno) if errno.code() == Errno::EACCES.code() => reply.ok(),
                set => answer(set.map(drop), reply),
            });
        }
        if end <= MAX_FILE_LEN && self.volume.statfs().is_some_and(|space| space.available < more) {
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

/// Whether who runs a file gets the rights of its owner or group.
fn gives_rights(told: &NodeAttributes) -> bool {
    told.owner.is_some_and(|owner| owner.mode & SET_IDS != 0)
}
