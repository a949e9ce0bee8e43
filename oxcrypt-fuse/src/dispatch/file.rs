//! Opening and reading files.

use std::sync::Arc;

use fuser::{
    Errno, FileHandle, FopenFlags, INodeNo, OpenAccMode, OpenFlags, ReplyData, ReplyEmpty, ReplyLseek,
    ReplyOpen,
};
use oxcrypt_io::volume::OpenFile;

use super::{Asker, Dispatch, of_open, or_stale};
use crate::handles::{Handle, OpenedFile};
use crate::inodes::{Inode, number};
use crate::options::DirectIo;

/// Find the next data, and the next hole, from an offset.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

impl Dispatch {
    pub(crate) fn open(self: &Arc<Self>, asker: Asker, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        if writes && self.read_only {
            return reply.error(Errno::EROFS);
        }
        if let Err(errno) = self.expect_room() {
            return reply.error(errno);
        }
        let node = match self.inodes.get(ino) {
            Some(Inode::Node(node)) => node,
            Some(Inode::Damaged) => return reply.error(Errno::EIO),
            Some(Inode::Unanswered) | None => return reply.error(Errno::ESTALE),
        };
        let question = if writes { self.volume.open_for_writing(&node) } else { self.volume.open(&node) };
        self.ask("open", asker, &Arc::clone(&node), question, move |dispatch, file| match file {
            // Somebody has put another file in its place: the kernel is to look again.
            Ok(file) if number(file.node()) != ino => reply.error(Errno::ESTALE),
            Ok(file) => {
                let (handle, flags) = dispatch.opened(ino, file, writes);
                reply.opened(handle, flags);
            }
            Err(errno) => reply.error(or_stale(&node, errno)),
        });
    }

    /// A new handle of a file, and what the kernel has to know of it.
    pub(super) fn opened(&self, ino: INodeNo, file: Arc<OpenFile>, writes: bool) -> (FileHandle, FopenFlags) {
        let direct = self.is_direct(&file);
        let mut flags = if direct {
            FopenFlags::FOPEN_DIRECT_IO
        } else if self.inodes.keeps_pages(ino, file.resident().content_id()) {
            FopenFlags::FOPEN_KEEP_CACHE
        } else {
            FopenFlags::empty()
        };
        if !writes {
            // Nothing is left to be stored when it is closed.
            flags |= FopenFlags::FOPEN_NOFLUSH;
        }
        (self.handles.insert(Handle::File(OpenedFile { file, direct, writes })), flags)
    }

    /// Whether reads of a file bypass the kernel's page cache, and with that its queue for background requests: one that
    /// hangs would hold a place there.
    fn is_direct(&self, file: &OpenFile) -> bool {
        match self.direct_io {
            DirectIo::Always => true,
            DirectIo::Never => false,
            DirectIo::WhereItMayBlock => self.may_block && !file.resident().is_whole(),
        }
    }

    pub(crate) fn read(
        self: &Arc<Self>,
        asker: Asker,
        handle: FileHandle,
        offset: u64,
        len: u32,
        reply: ReplyData,
    ) {
        let OpenedFile { file, direct, .. } = match self.handles.file(handle) {
            Ok(opened) => opened,
            Err(errno) => return reply.error(errno),
        };
        let mut question = self.volume.read(&file, offset, usize::try_from(len).unwrap_or(usize::MAX));
        if !direct {
            question = question.holding(u64::from(len));
        }
        self.ask("read", asker, file.node(), question, move |_, bytes| match bytes {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(of_open(errno)),
        });
    }

    /// Finds data and holes, as far as memory knows of any: what storage has is data.
    pub(crate) fn seek(
        self: &Arc<Self>,
        asker: Asker,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let file = match self.handles.file(handle) {
            Ok(opened) => opened.file,
            Err(errno) => return reply.error(errno),
        };
        // So that the end is where it is now.
        let question = self.volume.attributes(file.node());
        self.ask("lseek", asker, &Arc::clone(file.node()), question, move |_, attributes| {
            let (resident, from) = (file.resident(), u64::try_from(offset).ok());
            let found = match (attributes, whence) {
                (Err(errno), _) => Err(errno),
                (_, SEEK_DATA) => from.and_then(|from| resident.data_from(from)).ok_or(Errno::ENXIO),
                (_, SEEK_HOLE) => from.and_then(|from| resident.hole_from(from)).ok_or(Errno::ENXIO),
                _ => Err(Errno::EINVAL),
            };
            match found {
                Ok(found) => reply.offset(i64::try_from(found).unwrap_or(i64::MAX)),
                Err(errno) => reply.error(errno),
            }
        });
    }

    /// Lets go of an open file or directory. The backing file is closed by others, later.
    pub(crate) fn release(&self, handle: FileHandle, reply: ReplyEmpty) {
        self.is_used();
        drop(self.handles.remove(handle));
        reply.ok();
    }
}
