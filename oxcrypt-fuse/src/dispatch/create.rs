//! Making entries.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use fuser::{Errno, INodeNo, ReplyCreate, ReplyEntry};
use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{Name, Node, NodeKind};
use oxcrypt_io::volume::OpenFile;
use rustix::fs::{FileType, OFlags};

use super::entry::GENERATION;
use super::{Asker, Dispatch, name};

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
        self.make(asker, dir, name, (NodeKind::File, mode), move |dispatch, fresh| {
            let (dir, name, fresh) = match fresh {
                Ok(fresh) => fresh,
                Err(errno) => return reply.error(errno),
            };
            let question = dispatch.volume.create(&dir, &name, fresh);
            dispatch.ask("create", asker, &dir, question, move |dispatch, file| match file {
                Ok(file) => dispatch.reply_entry(asker, Arc::clone(file.node()), reply),
                Err(errno) => reply.error(errno),
            });
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
        self.make(asker, dir, name, (NodeKind::Directory, mode), move |dispatch, fresh| {
            let (dir, name, fresh) = match fresh {
                Ok(fresh) => fresh,
                Err(errno) => return reply.error(errno),
            };
            let question = dispatch.volume.make_dir(&dir, &name, fresh);
            dispatch.ask("mkdir", asker, &dir, question, move |dispatch, node| match node {
                Ok(node) => dispatch.reply_entry(asker, node, reply),
                Err(errno) => reply.error(errno),
            });
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
        self.make(asker, dir, name, (NodeKind::Symlink, 0), move |dispatch, fresh| {
            let (dir, name, fresh) = match fresh {
                Ok(fresh) => fresh,
                Err(errno) => return reply.error(errno),
            };
            let question = dispatch.volume.make_symlink(&dir, &name, &target, fresh);
            dispatch.ask("symlink", asker, &dir, question, move |dispatch, node| match node {
                Ok(node) => dispatch.reply_entry(asker, node, reply),
                Err(errno) => reply.error(errno),
            });
        });
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
        let exclusive = OFlags::from_bits_retain(flags.cast_unsigned()).contains(OFlags::EXCL);
        self.make(asker, dir, name, (NodeKind::File, mode), move |dispatch, fresh| {
            let (dir, name, fresh) = match fresh {
                Ok(fresh) => fresh,
                Err(errno) => return reply.error(errno),
            };
            let question = dispatch.volume.create(&dir, &name, fresh);
            dispatch.ask("create", asker, &dir, question, move |dispatch, file| match file {
                Ok(file) => dispatch.reply_created(asker, file, reply),
                // Somebody else has made it since the kernel looked. Only the kernel knows whether this caller may open
                // it, so it is to look again.
                Err(errno) if errno.code() == Errno::EEXIST.code() && !exclusive => {
                    reply.error(Errno::ESTALE);
                }
                Err(errno) => reply.error(errno),
            });
        });
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

    /// Goes on with a new entry's directory, the name it gets, and what else it is to have.
    fn make(
        self: &Arc<Self>,
        asker: Asker,
        dir: INodeNo,
        name: &OsStr,
        (kind, mode): (NodeKind, u32),
        then: impl FnOnce(&Arc<Self>, Result<(Arc<Node>, Name, Attributes), Errno>) + Send + 'static,
    ) {
        let (dir, name) = match self.to_change(dir).and_then(|dir| Ok((dir, name::of_new(name)?))) {
            Ok(found) => found,
            Err(errno) => return then(self, Err(errno)),
        };
        self.with_name("create", asker, &Arc::clone(&dir), name, move |dispatch, name| {
            let name = match name {
                Ok(name) => name,
                Err(errno) => return then(dispatch, Err(errno)),
            };
            // It may be that the directory gives its group to what comes into it.
            let question = dispatch.volume.attributes(&dir);
            dispatch.ask("create", asker, &Arc::clone(&dir), question, move |dispatch, above| {
                let fresh =
                    above.map(|above| dispatch.looks.of_new(above.owner, kind, mode, (asker.uid, asker.gid)));
                then(dispatch, fresh.map(|fresh| (dir, name, fresh)));
            });
        });
    }
}
