//! Removing and moving entries.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::{Errno, INodeNo, RenameFlags, ReplyEmpty};
use oxcrypt_core::storage::Replace;
use oxcrypt_core::{Name, Node};
use oxcrypt_io::volume::{Question, Volume};

use super::{Asker, Dispatch, name};

impl Dispatch {
    /// Removes a file or link. Whoever has it open reads and writes on.
    pub(crate) fn unlink(self: &Arc<Self>, asker: Asker, dir: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove("unlink", asker, dir, name, Volume::remove, reply);
    }

    /// Removes an empty directory.
    pub(crate) fn remove_dir(self: &Arc<Self>, asker: Asker, dir: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove("rmdir", asker, dir, name, Volume::remove_dir, reply);
    }

    fn remove(
        self: &Arc<Self>,
        operation: &'static str,
        asker: Asker,
        dir: INodeNo,
        name: &OsStr,
        remove: fn(&Volume, &Arc<Node>, &Name) -> Question<()>,
        reply: ReplyEmpty,
    ) {
        let (dir, name) = match self.to_change(dir).and_then(|dir| Ok((dir, name::of_old(name)?))) {
            Ok(found) => found,
            Err(errno) => return reply.error(errno),
        };
        self.with_name(operation, asker, &Arc::clone(&dir), name, move |dispatch, name| {
            let name = match name {
                Ok(name) => name,
                Err(errno) => return reply.error(errno),
            };
            let question = remove(&dispatch.volume, &dir, &name);
            dispatch.ask(operation, asker, &dir, question, |_, done| answer(done, reply));
        });
    }

    /// Moves an entry, or lets two change places.
    pub(crate) fn rename(
        self: &Arc<Self>,
        asker: Asker,
        (dir, name): (INodeNo, &OsStr),
        (new_dir, new_name): (INodeNo, &OsStr),
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let parsed = || {
            let replace = replace(flags)?;
            let from = (self.to_change(dir)?, name::of_old(name)?);
            Ok((from, (self.to_change(new_dir)?, name::of_new(new_name)?), replace))
        };
        let ((from, name), (to, new_name), replace) = match parsed() {
            Ok(parsed) => parsed,
            Err(errno) => return reply.error(errno),
        };
        self.with_name("rename", asker, &Arc::clone(&from), name, move |dispatch, name| {
            dispatch.with_name("rename", asker, &Arc::clone(&to), new_name, move |dispatch, new_name| {
                let (name, new_name) = match name.and_then(|name| Ok((name, new_name?))) {
                    Ok(names) => names,
                    Err(errno) => return reply.error(errno),
                };
                let question = dispatch.volume.rename((&from, &name), (&to, &new_name), replace);
                dispatch.ask("rename", asker, &from, question, |_, done| answer(done, reply));
            });
        });
    }
}

/// What becomes of an entry that has the new name.
fn replace(flags: RenameFlags) -> Result<Replace, Errno> {
    const NO_REPLACE: RenameFlags = RenameFlags::RENAME_NOREPLACE;
    const EXCHANGE: RenameFlags = RenameFlags::RENAME_EXCHANGE;
    match flags {
        _ if flags.is_empty() => Ok(Replace::Always),
        NO_REPLACE => Ok(Replace::Never),
        EXCHANGE => Ok(Replace::Exchange),
        _ => Err(Errno::EINVAL),
    }
}

/// Answers a request that has no other answer than whether it was done.
pub(super) fn answer(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}
