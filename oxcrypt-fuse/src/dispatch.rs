//! What becomes of a request: from decoded words to a reply, by way of the volume.
//!
//! Nothing here makes a system call on vault storage, and nothing waits. What memory has is answered on the thread that
//! brings the request. For the rest the reply is moved to the volume, and whoever has the answer there sends it; so the
//! number of threads that bring requests does not matter.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fuser::{Errno, INodeNo};
use oxcrypt_core::Node;
use oxcrypt_io::sched::plan::Caller;
use oxcrypt_io::volume::{Question, Result, Volume};
use rustix::process::{Resource, getrlimit};

use crate::attr::Looks;
use crate::callers::Callers;
use crate::damage::Damage;
use crate::errno;
use crate::figures::{Figures, Negotiated};
use crate::handles::Handles;
use crate::inodes::{Inode, Inodes};
use crate::options::{DirectIo, MountOptions};

mod attributes;
mod change;
mod copy;
mod create;
mod directory;
mod entry;
mod file;
mod name;
mod write;

pub(crate) use attributes::SetAttributes;
pub(crate) use copy::Range;
pub(crate) use directory::Page;

/// A mounted volume, as the kernel's requests see it.
pub(crate) struct Dispatch {
    volume: Arc<Volume>,
    callers: Arc<Callers>,
    inodes: Inodes,
    handles: Handles,
    looks: Looks,
    direct_io: DirectIo,
    may_block: bool,
    read_only: bool,
    damage: Damage,
    begun: Instant,
    /// When it was used last, in milliseconds since it began.
    used: AtomicU64,
    pub(crate) negotiated: OnceLock<Negotiated>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The thread, as the kernel calls it; 0 where that is not to be known.
    pub(crate) thread: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Dispatch {
    /// Serves a volume.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub(crate) fn new(volume: Arc<Volume>, options: &MountOptions) -> io::Result<Arc<Self>> {
        let may_block = volume.vault().habits().may_block;
        Ok(Arc::new(Self {
            callers: Callers::watch(&volume)?,
            inodes: Inodes::new(volume.vault().root()),
            handles: Handles::within(getrlimit(Resource::Nofile).current),
            looks: Looks::new(options, may_block),
            direct_io: options.direct_io,
            may_block,
            read_only: options.read_only,
            damage: Damage::default(),
            begun: Instant::now(),
            used: AtomicU64::new(0),
            negotiated: OnceLock::new(),
            volume,
        }))
    }

    /// Answers every request that waits, and refuses those to come that memory does not answer.
    pub(crate) fn stop(&self) {
        self.volume.drain();
        self.callers.end();
    }

    /// What there is, for people.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            negotiated: self.negotiated.get().copied(),
            inodes: self.inodes.len(),
            handles: self.handles.len(),
            held: self.callers.held(),
            unused_for: self.begun.elapsed().saturating_sub(Duration::from_millis(self.used.load(Relaxed))),
            damaged: self.damage.told(),
        }
    }

    /// Refuses to open one more file where that might take the last one from everything else.
    fn expect_room(&self) -> Result<(), Errno> {
        self.handles.expect_room(self.volume.descriptors())
    }

    /// Somebody uses it now.
    fn is_used(&self) {
        let age = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.fetch_max(age, Relaxed);
    }

    /// The node of a number, for whoever wants to change something.
    fn to_change(&self, ino: INodeNo) -> Result<Arc<Node>, Errno> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        match self.inodes.get(ino) {
            Some(Inode::Node(node)) => Ok(node),
            Some(Inode::Damaged) => Err(Errno::EIO),
            Some(Inode::Unanswered) | None => Err(Errno::ESTALE),
        }
    }

    /// Puts a question to the volume, and lets `then` have the answer, on whatever thread has it.
    fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        asker: Asker,
        node: &Node,
        question: Question<T>,
        then: impl FnOnce(&Arc<Self>, Result<T, Errno>) + Send + 'static,
    ) {
        self.is_used();
        let dispatch = Arc::clone(self);
        if question.is_known() {
            question.then(move |answer| then(&dispatch, dispatch.told(operation, answer)));
            return;
        }
        let id = self.callers.enter(operation, asker.thread, node.ciphertext_path());
        let waiter = question.by(Caller(asker.thread)).then(move |answer| {
            dispatch.callers.leave(id);
            then(&dispatch, dispatch.told(operation, answer));
        });
        if let Some(waiter) = waiter {
            self.callers.can_be_cancelled(id, waiter);
        }
    }

    /// Translates an answer, and takes note of damage.
    fn told<T>(&self, operation: &'static str, answer: Result<T>) -> Result<T, Errno> {
        answer.map_err(|error| {
            let errno = errno::of(&error);
            if errno.code() == Errno::EIO.code() {
                self.damage.take_note(operation, &error);
            }
            errno
        })
    }
}

/// Whether an error says that what the kernel knows has gone, or that another has taken its place.
fn is_gone(node: &Node, errno: Errno) -> bool {
    node.is_gone() && errno.code() == Errno::ENOENT.code()
}

/// What the kernel is told then: to look again what has the name now.
fn or_stale(node: &Node, errno: Errno) -> Errno {
    if is_gone(node, errno) { Errno::ESTALE } else { errno }
}

/// What who reads a file that is open is told: memory has opened it, and storage has another one there, or none.
fn of_open(errno: Errno) -> Errno {
    if errno.code() == Errno::ENOENT.code() { Errno::ESTALE } else { errno }
}
