//! Whether memory still takes what is to be stored later.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::error::{Cause, Error, Result};

/// Open until the volume ends. Who changes what memory has stays within until that is done, so that nothing is taken
/// after somebody has looked for the last time what is left to be stored.
#[derive(Default)]
pub(super) struct Admission(RwLock<bool>);

impl Admission {
    /// Enters, if the volume still takes changes. Never blocks for longer than another is within.
    pub(super) fn enter(&self) -> Result<RwLockReadGuard<'_, bool>> {
        let closed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if *closed { Err(Error::new(Cause::Stopped)) } else { Ok(closed) }
    }

    /// Lets nobody in any more, and waits until those within have left.
    pub(super) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
