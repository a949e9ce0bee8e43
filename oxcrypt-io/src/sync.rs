//! Threads and locks: those of std, or those of shuttle where tests try how threads may interleave.
//!
//! The latter is no feature of the crate, which would change how it behaves for whoever else depends on it:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p oxcrypt-io --test it`.

#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, atomic},
    thread, thread_local,
};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, atomic},
    thread, thread_local,
};
