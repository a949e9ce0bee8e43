//! The one thread that wakes the plan when something is due.

use crate::clock::{Bell, Clock, Time};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When the plan wants to be woken. Nothing happens before then, and nothing at all while it wants nothing.
pub(super) struct Timer {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

struct State {
    wake: Option<Time>,
    stopped: bool,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { wake: None, stopped: false }), bell: Arc::default() }
    }

    /// Asks to be woken at `wake`. Of several wishes the earliest counts, so it does not matter in which order threads
    /// come here with what they have seen; one that is out of date costs a look at the plan.
    pub(super) fn wake_at(&self, wake: Option<Time>) {
        let Some(wake) = wake else { return };
        let mut state = self.lock();
        if state.wake.is_none_or(|set| wake < set) {
            state.wake = Some(wake);
            drop(state);
            self.bell.ring();
        }
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.bell.ring();
    }

    /// Calls `tick` whenever it is time, until it is stopped.
    pub(super) fn run(&self, clock: &dyn Clock, tick: impl Fn()) {
        loop {
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            let wake = state.wake;
            if wake.is_some_and(|wake| wake <= clock.now()) {
                // Wishes from now on count anew, among them what the tick itself finds to be due next.
                state.wake = None;
                drop(state);
                tick();
            } else {
                drop(state);
                clock.wait(&self.bell, wake);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
