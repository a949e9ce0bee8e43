//! One request: answered by memory already, or to be handed to the scheduler.

use std::sync::Arc;
use std::time::Duration;

use oxcrypt_core::Node;

use crate::clock::{Deadline, Time};
use crate::sched::plan::{Caller, Class, Hold, ObjectId, Part, Request, TurnId, Verdict, WaiterId};
use crate::sched::{Calls, Job, Reply, Settled};

use super::error::{Error, Result};
use super::value::{Key, Value};
use super::{Answer, Shared};

/// A request to a [`Volume`](super::Volume).
///
/// Memory has been asked when there is one, and its deadline counts from then. Storage is asked, by another thread, once
/// somebody says where the answer is to go.
#[must_use = "storage is asked when somebody says where the answer is to go"]
pub struct Question<T>(State<T>);

enum State<T> {
    Known(Result<T>),
    Open(Box<Pending<T>>),
}

/// What storage is to be asked, and what to make of it.
pub(super) struct Pending<T> {
    pub(super) shared: Arc<Shared>,
    pub(super) ask: Ask,
    pub(super) finish: Finish<T>,
}

/// A request but for its reply.
pub(super) struct Ask {
    pub(super) class: Class,
    pub(super) object: ObjectId,
    pub(super) parts: Vec<Part<Calls<Key, Value>>>,
    pub(super) deadline: Deadline,
    pub(super) caller: Caller,
    pub(super) stale: bool,
    pub(super) turns: Vec<(TurnId, Hold)>,
    pub(super) not_before: Option<Time>,
    pub(super) kernel: Option<u64>,
}

pub(super) type Finish<T> = Box<dyn FnOnce(Settled<Value>) -> Step<T> + Send>;

/// What comes of an answer of the scheduler.
pub(super) enum Step<T> {
    Done(Result<T>),
    /// It has to be asked otherwise.
    Again(Box<Pending<T>>),
}

impl<T: Send + 'static> Question<T> {
    pub(super) fn known(answer: Result<T>) -> Self {
        Self(State::Known(answer))
    }

    pub(super) fn open(pending: Pending<T>) -> Self {
        Self(State::Open(Box::new(pending)))
    }

    /// Says who asks, as the kernel calls the thread: it is not kept waiting again for what just took too long.
    pub fn by(mut self, caller: Caller) -> Self {
        if let State::Open(pending) = &mut self.0 {
            pending.ask.caller = caller;
        }
        self
    }

    /// Says how many bytes of the kernel's background queue it holds while it is not answered.
    pub fn holding(mut self, bytes: u64) -> Self {
        if let State::Open(pending) = &mut self.0 {
            pending.ask.kernel = Some(bytes);
        }
        self
    }

    /// Has `change` look at the error, if there is one.
    pub(super) fn map_err(self, change: impl FnOnce(Error) -> Error + Send + 'static) -> Self {
        self.or_else(|error| Err(change(error)))
    }

    /// Has `change` say what the answer is in place of an error.
    pub(super) fn or_else(self, change: impl FnOnce(Error) -> Result<T> + Send + 'static) -> Self {
        match self.0 {
            State::Known(answer) => Self::known(answer.or_else(change)),
            State::Open(pending) => {
                let Pending { shared, ask, finish } = *pending;
                let finish = Box::new(move |settled| match finish(settled) {
                    Step::Done(answer) => Step::Done(answer.or_else(change)),
                    again @ Step::Again(_) => again,
                });
                Self::open(Pending { shared, ask, finish })
            }
        }
    }

    /// Has `first`, if there is anything, answered before this is asked, and only if that went well: by the deadline of this.
    pub(super) fn after(self, first: Option<Question<()>>) -> Self {
        let Some(first) = first else { return self };
        match (first.0, self.0) {
            (State::Known(Err(error)), _) => Self::known(Err(error)),
            (State::Open(mut first), State::Open(then)) => {
                first.ask.deadline = then.ask.deadline;
                Self(State::Open(Box::new(first.before(then))))
            }
            (_, itself) => Self(itself),
        }
    }

    /// Whether memory has answered.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self.0, State::Known(_))
    }

    /// Calls `reply` with the answer: before this returns if memory has it, else from whatever thread has it later, so
    /// `reply` must not block. Returns what to cancel it by, if it was not known. Never blocks on storage.
    pub fn then(self, reply: impl FnOnce(Result<T>) + Send + 'static) -> Option<WaiterId> {
        match self.0 {
            State::Known(answer) => {
                reply(answer);
                None
            }
            State::Open(pending) => Some(pending.submit(Box::new(reply))),
        }
    }

    /// Asks, and promises the answer. Never blocks on storage.
    #[must_use = "dropping it takes the request back"]
    pub fn ask(self) -> Answer<T> {
        match self.0 {
            State::Known(answer) => Answer::known(answer),
            State::Open(pending) => pending.ask(),
        }
    }

    /// Asks, and blocks until there is an answer: until the deadline, whatever storage does.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    pub fn wait(self) -> Result<T> {
        self.ask().wait()
    }
}

impl Pending<()> {
    fn before<T: Send + 'static>(self, then: Box<Pending<T>>) -> Pending<T> {
        let Self { shared, ask, finish } = self;
        let finish = Box::new(move |settled| match finish(settled) {
            Step::Done(Ok(())) => Step::Again(then),
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Again(again) => Step::Again(Box::new(again.before(then))),
        });
        Pending { shared, ask, finish }
    }
}

impl<T: Send + 'static> Pending<T> {
    fn submit(self, reply: Box<dyn FnOnce(Result<T>) + Send>) -> WaiterId {
        let Self { shared, ask, finish } = self;
        shared.scheduler.submit(ask.request(finish_or_go_on(finish, reply)))
    }

    /// Asks for somebody whose last answer was not the end of it, and who is known by that id.
    fn submit_again(self, waiter: WaiterId, reply: Box<dyn FnOnce(Result<T>) + Send>) {
        let Self { shared, ask, finish } = self;
        shared.scheduler.submit_again(waiter, ask.request(finish_or_go_on(finish, reply)));
    }

    pub(super) fn ask(self) -> Answer<T> {
        let Self { shared, ask, finish } = self;
        let ticket = shared.scheduler.ask(|reply| ask.request(reply));
        Answer::asked(ticket, finish)
    }
}

impl Ask {
    /// A request of nobody in particular, that waits for nothing but storage.
    pub(super) fn new(
        class: Class,
        object: ObjectId,
        parts: Vec<Part<Calls<Key, Value>>>,
        deadline: Deadline,
    ) -> Self {
        Self {
            class,
            object,
            parts,
            deadline,
            caller: Caller::NOBODY,
            stale: false,
            turns: Vec::new(),
            not_before: None,
            kernel: None,
        }
    }

    /// A question about `node` to one operation, that others may share.
    pub(super) fn one(shared: &Shared, node: &Node, key: Key, patience: Duration, job: Job<Value>) -> Self {
        let part = Part { key: Some(key), job, pages: 0..0 };
        Self::new(Class::Meta, object(node), vec![part], shared.deadline(patience))
    }

    pub(super) fn request(self, reply: Reply<Value>) -> Request<Calls<Key, Value>> {
        let Self { class, object, parts, turns, not_before, deadline, caller, stale, kernel } = self;
        Request { class, object, parts, turns, not_before, reply, deadline, caller, stale, kernel }
    }
}

fn finish_or_go_on<T: Send + 'static>(
    finish: Finish<T>,
    reply: Box<dyn FnOnce(Result<T>) + Send>,
) -> Reply<Value> {
    Box::new(move |settled| {
        let waiter = settled.waiter;
        match finish(settled) {
            Step::Done(answer) => reply(answer),
            Step::Again(pending) => pending.submit_again(waiter, reply),
        }
    })
}

/// What the scheduler calls a file or directory.
pub(super) fn object(node: &Node) -> ObjectId {
    ObjectId(node.id().get())
}

/// What becomes of a question to one operation: `take` gets its value, and `older` is what there was before.
pub(super) fn take_one<T: Send + 'static>(
    node: &Arc<Node>,
    older: impl FnOnce() -> Option<T> + Send + 'static,
    take: impl FnOnce(Value) -> Option<T> + Send + 'static,
) -> Finish<T> {
    let node = Arc::clone(node);
    Box::new(move |mut settled| {
        Step::Done(match (settled.verdict, settled.values.pop()) {
            (_, Some(Value::Failed(error))) => Err(error.into()),
            (Verdict::Done, Some(value)) => take(value).ok_or_else(|| Error::of(Verdict::Panicked).at(&node)),
            (Verdict::Stale, _) => older().ok_or_else(|| Error::of(Verdict::Stale).at(&node)),
            (verdict, _) => Err(Error::of(verdict).at(&node)),
        })
    })
}
