//! Copying from file to file, without the way through the program that asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{Errno, FileHandle, ReplyWrite};
use oxcrypt_core::Cleartext;
use oxcrypt_io::volume::OpenFile;

use super::{Asker, Dispatch, of_open};

/// As much as is copied for one request, in bytes. Whoever wants more asks again. Where memory has what is copied, each
/// piece goes on within the answer to the one before, and threads that answer have little room for that: a piece takes
/// five kilobytes of their stack where nothing is optimised.
const MOST: u64 = 2 << 20;
/// As much of that as memory holds at once.
const PIECE: u64 = 256 << 10;
const _: () = assert!(MOST / PIECE <= 8);
/// Whoever has waited for so long is told how far it went: storage is slow, and each piece has a deadline of its own.
const PATIENCE: Duration = Duration::from_secs(1);

/// A place in an open file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) handle: FileHandle,
    pub(crate) offset: u64,
}

/// A copy under way.
struct Copy {
    asker: Asker,
    from: (Arc<OpenFile>, u64),
    to: (Arc<OpenFile>, u64),
    left: u64,
    done: u64,
    since: Instant,
    reply: ReplyWrite,
}

impl Dispatch {
    /// Copies as much as there is, and tells how much that was.
    pub(crate) fn copy(self: &Arc<Self>, asker: Asker, from: Range, to: Range, len: u64, reply: ReplyWrite) {
        let files = self.handles.file(from.handle).and_then(|opened| {
            let target = self.handles.written(to.handle)?;
            Ok((opened.file, target))
        });
        let (source, target) = match files {
            Ok(files) => files,
            Err(errno) => return reply.error(errno),
        };
        let left = len.min(MOST);
        if source.node().id() == target.node().id() && from.offset.abs_diff(to.offset) < left {
            return reply.error(Errno::EINVAL);
        }
        let (from, to) = ((source, from.offset), (target, to.offset));
        self.copy_on(Copy { asker, from, to, left, done: 0, since: Instant::now(), reply });
    }

    fn copy_on(self: &Arc<Self>, copy: Copy) {
        if copy.left == 0 || (copy.done > 0 && copy.since.elapsed() > PATIENCE) {
            return copy.end();
        }
        let (file, offset) = &copy.from;
        let len = usize::try_from(copy.left.min(PIECE)).unwrap_or(usize::MAX);
        let question = self.volume.read(file, offset.saturating_add(copy.done), len);
        let about = Arc::clone(file.node());
        self.ask("copy", copy.asker, &about, question, move |dispatch, bytes| match bytes {
            Ok(bytes) if bytes.is_empty() => copy.end(),
            Ok(bytes) => dispatch.copy_piece(copy, &bytes),
            Err(errno) => copy.fail(of_open(errno)),
        });
    }

    fn copy_piece(self: &Arc<Self>, mut copy: Copy, bytes: &Cleartext) {
        let (file, offset) = &copy.to;
        let question = self.volume.write(file, offset.saturating_add(copy.done), bytes);
        let (about, wanted) = (Arc::clone(file.node()), bytes.len());
        self.ask("copy", copy.asker, &about, question, move |dispatch, written| match written {
            Ok(written) => {
                copy.done += written as u64;
                // What was not taken has a reason, which the next request is told.
                copy.left = if written == wanted { copy.left - written as u64 } else { 0 };
                dispatch.copy_on(copy);
            }
            Err(errno) => copy.fail(errno),
        });
    }
}

impl Copy {
    fn end(self) {
        self.reply.written(u32::try_from(self.done).unwrap_or(u32::MAX));
    }

    /// An error that comes after something was copied is told to the next request.
    fn fail(self, errno: Errno) {
        if self.done > 0 { self.end() } else { self.reply.error(errno) }
    }
}
