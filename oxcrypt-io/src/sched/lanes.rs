//! The threads that run operations. All are started beforehand: making one may fail just when it is needed.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};

use super::plan::{FlightId, Outcome};

/// Bytes of stack for each thread. Nothing that runs there recurses, and most never do anything but park.
const STACK_LEN: usize = 256 * 1024;

/// An operation that is to run now.
pub(super) struct Started<J> {
    pub(super) flight: FlightId,
    pub(super) job: J,
}

/// Operations on their way to a thread. There are never more than threads, so none waits here for long.
pub(super) struct Lanes<J> {
    queue: Mutex<Queue<J>>,
    filled: Condvar,
}

struct Queue<J> {
    started: VecDeque<Started<J>>,
    stopped: bool,
}

impl<J> Lanes<J> {
    pub(super) fn new() -> Self {
        let queue = Queue { started: VecDeque::new(), stopped: false };
        Self { queue: Mutex::new(queue), filled: Condvar::new() }
    }

    pub(super) fn push(&self, started: Started<J>) {
        self.lock().started.push_back(started);
        self.filled.notify_one();
    }

    /// Waits for an operation. `None` when there are none any more and never will be.
    pub(super) fn take(&self) -> Option<Started<J>> {
        let idle = |queue: &mut Queue<J>| queue.started.is_empty() && !queue.stopped;
        let queue = self.filled.wait_while(self.lock(), idle);
        queue.unwrap_or_else(PoisonError::into_inner).started.pop_front()
    }

    /// Lets threads end that have nothing to do. What is under way goes on, and so does what follows from it.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue<J>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread that nobody waits for: while storage hangs it could not end.
pub(super) fn spawn(name: &str, main: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_LEN).spawn(main).map(drop)
}

/// Runs an operation, a panic of which is an outcome like others.
pub(super) fn run<V>(job: impl FnOnce() -> Outcome<V>) -> Outcome<V> {
    caught(job).unwrap_or(Outcome::Panicked)
}

/// Calls `f`, and lives on if it panics. What it owned is gone then, so nothing broken is left behind.
pub(super) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(f))
}
