//! What all handles of one ciphertext file have in common.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::resident::ResidentFile;
use crate::node::Node;
use crate::storage::BlockFile;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

/// One ciphertext file, however often it is open.
pub(crate) struct Shared {
    /// Tells it from every other one.
    pub(super) number: u64,
    pub(super) node: Arc<Node>,
    pub(super) resident: Arc<ResidentFile>,
    /// When the first who has it open opened it, as the caller's clock has it.
    pub(super) since: Instant,
    /// `None` as long as memory alone has answered all who have it open.
    handle: RwLock<Option<Handle>>,
    turn: Mutex<()>,
    /// How many have it open.
    users: AtomicUsize,
}

/// An open file of the storage. Never dropped under a lock: that closes it.
pub(super) struct Handle {
    pub(super) file: Arc<dyn BlockFile>,
    pub(super) writable: bool,
}

impl Shared {
    pub(super) fn new(
        number: u64,
        node: Arc<Node>,
        resident: Arc<ResidentFile>,
        since: Instant,
        handle: Option<Handle>,
    ) -> Self {
        Self {
            number,
            node,
            resident,
            since,
            handle: RwLock::new(handle),
            turn: Mutex::new(()),
            users: AtomicUsize::new(0),
        }
    }

    /// Somebody has opened it.
    pub(super) fn enter(&self) {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        if handle.is_none() {
            self.resident.unopened.fetch_add(1, Ordering::AcqRel);
        }
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody has it open no longer.
    pub(super) fn leave(&self) {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        if handle.is_none() {
            self.resident.unopened.fetch_sub(1, Ordering::AcqRel);
        }
        self.users.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_open(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// The storage's handle of now, if it has been opened. Another one may take its place while this is in use, with the
    /// same content.
    pub(super) fn handle(&self) -> Option<Arc<dyn BlockFile>> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        handle.as_ref().map(|handle| Arc::clone(&handle.file))
    }

    pub(crate) fn is_writable(&self) -> bool {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        handle.as_ref().is_some_and(|handle| handle.writable)
    }

    /// Takes another handle where that serves more, and returns the one that is not needed. Whoever writes has to read, too;
    /// so one handle serves all.
    pub(super) fn offer_handle(&self, offered: Handle) -> Option<Handle> {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        match &*handle {
            Some(there) if there.writable || !offered.writable => Some(offered),
            _ => self.put(&mut handle, offered),
        }
    }

    /// Takes another handle, and returns the one before.
    pub(super) fn replace_handle(&self, handle: Handle) -> Option<Handle> {
        self.put(&mut self.handle.write().unwrap_or_else(PoisonError::into_inner), handle)
    }

    /// Under the lock of the handle, where nobody enters or leaves.
    fn put(&self, place: &mut Option<Handle>, handle: Handle) -> Option<Handle> {
        if place.is_none() {
            self.resident.unopened.fetch_sub(self.users.load(Ordering::Acquire), Ordering::AcqRel);
        }
        place.replace(handle)
    }

    /// The [turn](Self::turn), if nobody has it.
    pub(super) fn try_turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The turn to change what storage has of the file. It is held across storage; nothing resident takes it.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.node, self.resident)
    }
}
