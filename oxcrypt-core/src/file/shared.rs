//! What all handles of one ciphertext file have in common.

use std::fmt;
use std::sync::Arc;

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
    handle: RwLock<Handle>,
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
    pub(super) fn new(number: u64, node: Arc<Node>, resident: Arc<ResidentFile>, handle: Handle) -> Self {
        Self {
            number,
            node,
            resident,
            handle: RwLock::new(handle),
            turn: Mutex::new(()),
            users: AtomicUsize::new(0),
        }
    }

    /// Somebody has opened it.
    pub(super) fn enter(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody has it open no longer.
    pub(super) fn leave(&self) {
        self.users.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_open(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// The storage's handle of now. Another one may take its place while this is in use, with the same content.
    pub(super) fn handle(&self) -> Arc<dyn BlockFile> {
        Arc::clone(&self.handle.read().unwrap_or_else(PoisonError::into_inner).file)
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.handle.read().unwrap_or_else(PoisonError::into_inner).writable
    }

    /// Takes another handle, and returns the one before.
    pub(super) fn replace_handle(&self, handle: Handle) -> Handle {
        std::mem::replace(&mut *self.handle.write().unwrap_or_else(PoisonError::into_inner), handle)
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
