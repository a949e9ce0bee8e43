//! The answer to one request, for a thread to wait for.

use crate::sched::Ticket;

use super::error::Result;
use super::question::{Finish, Step};
use super::value::{Key, Value};

/// The promise of an answer. Dropping it takes the request back, and never the operation.
pub struct Answer<T>(State<T>);

enum State<T> {
    Known(Result<T>),
    Asked(Ticket<Key, Value>, Finish<T>),
}

impl<T: Send + 'static> Answer<T> {
    pub(super) fn known(answer: Result<T>) -> Self {
        Self(State::Known(answer))
    }

    pub(super) fn asked(ticket: Ticket<Key, Value>, finish: Finish<T>) -> Self {
        Self(State::Asked(ticket, finish))
    }

    /// Blocks until there is an answer: until the deadline of the request, whatever storage does.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    pub fn wait(mut self) -> Result<T> {
        loop {
            match self.0 {
                State::Known(answer) => return answer,
                State::Asked(ticket, finish) => match finish(ticket.wait()) {
                    Step::Done(answer) => return answer,
                    Step::Again(pending) => self = pending.ask(),
                },
            }
        }
    }
}
