//! Locks: those of std, or those of shuttle where tests try how threads may interleave.
//!
//! The latter is no feature of the crate, which would change how it behaves for whoever else depends on it:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p oxcrypt-core --features testing --test interleavings`.

#[cfg(not(shuttle))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, atomic,
};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, atomic,
};
