//! Making entries.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use fuser::{Errno, INodeNo, ReplyCreate, ReplyEntry};
use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{Name, Node, NodeKind};
use oxcrypt_io::volume::{OpenFile, Question, Volume};
use rustix::fs::{FileType, OFlags};

use super::entry::GENERATION;
use super::{Asker, Dispatch, name};

/// An entry that is to be made.
struct New<'n> {
    dir: INodeNo,
    name: &'n OsStr,
    kind: NodeKind,
    mode: u32,
}

impl Dispatch {
    /// Makes a file that is there and empty. Nothing else can be made by `mknod`: a vault holds no pipes, sockets and devices.
    pub(crate) fn make_node(
        self: &Arc<Self>,
        asker: Asker,
        dir: INodeNo,
        name: &OsStr,
        mode: u32,
        reply: ReplyEntry,
    ) {
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            // What the kernel says of such a file system.
            return reply.error(Errno::EPERM);
        }
        if let Err(errno) = self.expect_room() {
            return reply.error(errno);
        }
        let new = New { dir, name, kind: NodeKind::File, mode };
        self.make(asker, &new, Volume::create, move |dispatch, file| {
            dispatch.reply_made(asker, file.map(|file| Arc::clone(file.node())), reply);
        });
    }

    pub(crate) fn make_dir(
        self: &Arc<Self>,
        asker: Asker,
        dir: INodeNo,
        name: &OsStr,
        mode: u32,
        reply: ReplyEntry,
    ) {
        let new = New { dir, name, kind: NodeKind::Directory, mode };
        self.make(asker, &new, Volume::make_dir, move |dispatch, node| {
            dispatch.reply_made(asker, node, reply);
        });
    }

    pub(crate) fn make_symlink(
        self: &Arc<Self>,
        asker: Asker,
        dir: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        // A vault holds text.
        let Some(target) = target.to_str().map(str::to_owned) else { return reply.error(Errno::EILSEQ) };
        let new = New { dir, name, kind: NodeKind::Symlink, mode: 0 };
        let question = move |volume: &Volume, dir: &Arc<Node>, name: &Name, fresh: Attributes| {
            volume.make_symlink(dir, name, &target, fresh)
        };
        self.make(asker, &new, question, move |dispatch, node| dispatch.reply_made(asker, node, reply));
    }

    /// Makes a file and opens it.
    pub(crate) fn create(
        self: &Arc<Self>,
        asker: Asker,
        dir: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        if let Err(errno) = self.expect_room() {
            return reply.error(errno);
        }
        let exclusive = OFlags::from_bits_retain(flags.cast_unsigned()).contains(OFlags::EXCL);
        let new = New { dir, name, kind: NodeKind::File, mode };
        self.make(asker, &new, Volume::create, move |dispatch, file| match file {
            Ok(file) => dispatch.reply_created(asker, file, reply),
            // Somebody else has made it since the kernel looked. Only the kernel knows whether this caller may open it,
            // so it is to look again.
            Err(errno) if errno.code() == Errno::EEXIST.code() && !exclusive => reply.error(Errno::ESTALE),
            Err(errno) => reply.error(errno),
        });
    }

    fn reply_made(self: &Arc<Self>, asker: Asker, node: Result<Arc<Node>, Errno>, reply: ReplyEntry) {
        match node {
            Ok(node) => self.reply_entry(asker, node, reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn reply_created(self: &Arc<Self>, asker: Asker, file: Arc<OpenFile>, reply: ReplyCreate) {
        let node = Arc::clone(file.node());
        let lifetime = self.lifetime_of(&node);
        let question = self.volume.attributes(&node);
        self.ask("create", asker, &Arc::clone(&node), question, move |dispatch, told| match told {
            Ok(told) => {
                let ino = dispatch.inodes.tell(&node);
                let (handle, flags) = dispatch.opened(ino, file, true);
                let looks = dispatch.looks.of(ino, &node, &told);
                reply.created(&lifetime, &looks, GENERATION, handle, flags);
            }
            Err(errno) => reply.error(errno),
        });
    }

    /// Makes an entry by `question`, which gets its directory, the name it gets there, and what else it is to have.
    fn make<T: Send + 'static>(
        self: &Arc<Self>,
        asker: Asker,
        new: &New<'_>,
        question: impl FnOnce(&Volume, &Arc<Node>, &Name, Attributes) -> Question<T> + Send + 'static,
        then: impl FnOnce(&Arc<Self>, Result<T, Errno>) + Send + 'static,
    ) {
        let (kind, mode) = (new.kind, new.mode);
        let operation = match kind {
            NodeKind::File => "create",
            NodeKind::Directory => "mkdir",
            NodeKind::Symlink => "symlink",
        };
        let (dir, name) = match self.to_change(new.dir).and_then(|dir| Ok((dir, name::of_new(new.name)?))) {
            Ok(found) => found,
            Err(errno) => return then(self, Err(errno)),
        };
        self.with_name(operation, asker, &Arc::clone(&dir), name, move |dispatch, name| {
            let name = match name {
                Ok(name) => name,
                Err(errno) => return then(dispatch, Err(errno)),
            };
            // It may be that the directory gives its group to what comes into it.
            let above = dispatch.volume.attributes(&dir);
            dispatch.ask(operation, asker, &Arc::clone(&dir), above, move |dispatch, above| {
                let owner = match above {
                    Ok(above) => above.owner,
                    Err(errno) => return then(dispatch, Err(errno)),
                };
                let fresh = dispatch.looks.of_new(owner, kind, mode, (asker.uid, asker.gid));
                let question = question(&dispatch.volume, &dir, &name, fresh);
                dispatch.ask(operation, asker, &dir, question, then);
            });
        });
    }
}
