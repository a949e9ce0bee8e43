//! The threads that run operations. All are started beforehand: making one may fail just when it is needed.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, thread};

use super::plan::{FlightId, Outcome};

/// Bytes of stack for each thread. Nothing that runs there recurses, and most never do anything but park.
const STACK_LEN: usize = 256 * 1024;

/// An operation that is to run now.
pub(super) struct Started<J> {
    pub(super) flight: FlightId,
    pub(super) job: J,
}

/// Operations on their way to a thread. There are never more than threads, so none waits here for long.
pub(super) struct Lanes<J>(Mutex<Queue<J>>);

/// Where one thread waits.
#[derive(Default)]
pub(super) struct Seat(Arc<Condvar>);

struct Queue<J> {
    started: VecDeque<Started<J>>,
    /// Those who wait. Whoever came last is called first: the processor still knows his stack, and the allocator his
    /// memory, while most of the others are never needed.
    waiting: Vec<Arc<Condvar>>,
    /// How many of those who were called are not here yet.
    coming: usize,
    stopped: bool,
}

impl<J> Lanes<J> {
    pub(super) fn new() -> Self {
        let queue = Queue { started: VecDeque::new(), waiting: Vec::new(), coming: 0, stopped: false };
        Self(Mutex::new(queue))
    }

    pub(super) fn push(&self, started: Started<J>) {
        let mut queue = self.lock();
        queue.started.push_back(started);
        let called = queue.call();
        drop(queue);
        ring(called);
    }

    /// Waits for an operation. `None` when there are none any more and never will be.
    pub(super) fn take(&self, seat: &Seat) -> Option<Started<J>> {
        let mut queue = self.lock();
        while queue.started.is_empty() && !queue.stopped {
            queue.waiting.push(Arc::clone(&seat.0));
            queue = seat.0.wait(queue).unwrap_or_else(PoisonError::into_inner);
            // Still there where nobody has called.
            match queue.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, &seat.0)) {
                Some(place) => drop(queue.waiting.remove(place)),
                None => queue.coming = queue.coming.saturating_sub(1),
            }
        }
        let taken = queue.started.pop_front();
        let called = queue.call();
        drop(queue);
        ring(called);
        taken
    }

    /// Lets threads end that have nothing to do. What is under way goes on, and so does what follows from it.
    pub(super) fn stop(&self) {
        let mut queue = self.lock();
        queue.stopped = true;
        let waiting = mem::take(&mut queue.waiting);
        queue.coming += waiting.len();
        drop(queue);
        for seat in waiting {
            seat.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<J>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Queue<J> {
    /// Whom to call, if there is something to do and nobody is on the way. One at a time: who comes calls the next before he
    /// does anything, and those who are awake may have done it all by then, for less than it takes to wake another.
    fn call(&mut self) -> Option<Arc<Condvar>> {
        if self.started.is_empty() || self.coming > 0 {
            return None;
        }
        let called = self.waiting.pop()?;
        self.coming += 1;
        Some(called)
    }
}

fn ring(called: Option<Arc<Condvar>>) {
    if let Some(called) = called {
        called.notify_one();
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
