//! Where calls wait until a test lets them go.

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Holds calls until somebody opens it. Closed at first.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_open: bool,
    held: usize,
}

impl Gate {
    /// Lets all calls go, those to come as well.
    pub fn open(&self) {
        self.lock().is_open = true;
        self.changed.notify_all();
    }

    /// Waits until so many calls are held at once.
    pub fn wait_for(&self, calls: usize) {
        let state = self.lock();
        let _held = self
            .changed
            .wait_while(state, |state| state.held < calls)
            .unwrap_or_else(PoisonError::into_inner);
    }

    pub(super) fn pass(&self) {
        let mut state = self.lock();
        state.held += 1;
        self.changed.notify_all();
        let mut state =
            self.changed.wait_while(state, |state| !state.is_open).unwrap_or_else(PoisonError::into_inner);
        state.held -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
