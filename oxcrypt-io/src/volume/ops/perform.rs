//! Anything else that is done with a vault.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxcrypt_core::{ErrorKind, Node, Vault};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Outcome, Part, Verdict};
use crate::volume::question::{Ask, Pending, object, take_one};
use crate::volume::value::Value;
use crate::volume::{Error, Question, Result, Volume};

/// Where a result waits for whoever wants it.
enum Place<T> {
    Open,
    Filled(T),
    /// Nobody wants it any more.
    Closed,
}

/// Puts a result where somebody wants it, or returns it.
fn put<T>(place: &Mutex<Place<T>>, result: T) -> Option<T> {
    let mut place = lock(place);
    if matches!(*place, Place::Closed) {
        return Some(result);
    }
    *place = Place::Filled(result);
    None
}

fn lock<T>(place: &Mutex<Place<T>>) -> MutexGuard<'_, Place<T>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Volume {
    /// Does something with the vault, for whoever waits for it anyway, and for no longer than `patience`.
    ///
    /// On storage that does not block, the caller's thread does the work, and nothing limits the time. Elsewhere it is
    /// an operation of this class on `about` that nobody shares, and whose result is dropped, where it was done, if it
    /// comes too late.
    ///
    /// # Errors
    ///
    /// Those of `work`, and [`Cause::TimedOut`](super::super::Cause::TimedOut).
    pub fn perform<T: Send + 'static>(
        &self,
        about: &Arc<Node>,
        class: Class,
        patience: Duration,
        work: impl FnOnce(&Vault, Instant) -> oxcrypt_core::Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.shared.store);
        if !store.vault.habits().may_block {
            return work(&store.vault, store.now()).map_err(Error::from);
        }
        let place = Arc::new(Mutex::new(Place::Open));
        let there = Arc::clone(&place);
        let job = Box::new(move || match work(&store.vault, store.now()) {
            Ok(done) => {
                drop(put(&there, done));
                Outcome::Done(Value::Nothing)
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Outcome::TimedOut,
            Err(error) => Outcome::Failed(Value::Failed(Arc::new(error))),
        });
        let ask = Ask::new(
            class,
            object(about),
            vec![Part { key: None, job, pages: 0..0 }],
            Deadline::at(self.shared.store.clock.now() + patience),
        );
        let finish = take_one(about, || None, |_| Some(()));
        let answer = Question::open(Pending { shared: Arc::clone(&self.shared), ask, finish }).wait();
        let result = std::mem::replace(&mut *lock(&place), Place::Closed);
        match (answer, result) {
            (Ok(()), Place::Filled(done)) => Ok(done),
            (Ok(()), _) => Err(Error::of(Verdict::Panicked).at(about)),
            (Err(error), result) => {
                if let Place::Filled(late) = result {
                    self.drop_later(about, late);
                }
                Err(error)
            }
        }
    }

    /// Drops something that belongs to `about`, which may block, where nobody waits for it.
    pub fn drop_later<T: Send + 'static>(&self, about: &Node, thing: T) {
        self.shared.drop_later(about, thing);
    }
}
