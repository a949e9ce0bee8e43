//! What goes into the plan and what comes out of it.

use std::hash::Hash;
use std::ops::Range;

use crate::clock::{Deadline, Time};

use super::class::Class;

/// The types of somebody's work. The plan only moves them about, so any will do.
pub trait Work {
    /// What an operation does within its object. Requests with the same object and key share one operation.
    type Key: Clone + Eq + Hash;
    /// All that an operation needs to run.
    type Job;
    /// Where an answer goes.
    type Reply;
    /// What an operation results in. Cloned for each of its waiters.
    type Value: Clone;
}

/// A file or a directory: what is slow or hangs as one. Never reused while the plan knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u64);

/// Something whose changes have an order. Never reused while the plan knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(pub u64);

/// What an operation takes of such a thing, from before it begins until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// Others who share may have it, too.
    Share,
    /// Nobody else has it.
    Alone,
}

/// The thread that asks, as the kernel calls it. 0 is nobody in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u32);

impl Caller {
    /// Nobody in particular: its failures are not remembered.
    pub const NOBODY: Self = Self(0);
}

/// A request under way. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub(super) u64);

/// An operation, waiting for its slot or running. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub(super) u64);

/// Something that storage has to be asked for, and somebody who waits for it.
pub struct Request<W: Work> {
    /// The kind of work.
    pub class: Class,
    /// The file or directory it is about.
    pub object: ObjectId,
    /// The operations whose values make up the answer, in order. A handful at most.
    pub parts: Vec<Part<W>>,
    /// What its operations take turns in, if they are changes. They begin in the order in which they came, but for those
    /// that wait for something stalled. One that is joined keeps the turns it has.
    pub turns: Vec<(TurnId, Hold)>,
    /// Before this its operations do not begin, and hold up nobody.
    pub not_before: Option<Time>,
    /// Where the answer goes.
    pub reply: W::Reply,
    /// When the answer goes, whatever storage does.
    pub deadline: Deadline,
    /// Who asks.
    pub caller: Caller,
    /// Whether there is an older answer, to be given where a fresh one takes too long.
    pub stale: bool,
    /// Bytes that this request holds in the kernel's background queue, if it is one of those.
    pub kernel: Option<u64>,
}

/// One operation of a request.
pub struct Part<W: Work> {
    /// What it does; `None` where nobody else may share the operation. A change is shared only before it begins.
    pub key: Option<W::Key>,
    /// What it takes to do it. Given back unused where the operation is under way already.
    pub job: W::Job,
    /// The pages it reads. Empty for all that is not a read: such failures are not remembered.
    pub pages: Range<u64>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<V> {
    /// With what was asked for.
    Done(V),
    /// With an error. Whoever waits for it is not made to wait for the other parts of the request.
    Failed(V),
    /// Storage itself gave up after some time.
    TimedOut,
    /// It panicked.
    Panicked,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All parts are there.
    Done,
    /// A part failed, and the answer holds its value alone.
    Failed,
    /// A part panicked.
    Panicked,
    /// No answer in time: the deadline came, or storage gave up, or the same caller was told so just before, or too
    /// much of the kernel's queue was held.
    TimedOut,
    /// No answer in time, but there is the older one.
    Stale,
    /// Too many wait already.
    Shed,
    /// Its caller took it back.
    Cancelled(Why),
    /// The plan takes no more.
    Drained,
}

/// Why a waiter leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its caller is dying, or was told to stop.
    Interrupted,
    /// Nobody wants the answer any more.
    Abandoned,
}

/// The answer to one request.
pub struct Answer<W: Work> {
    /// Whose it is.
    pub waiter: WaiterId,
    /// Where it goes.
    pub reply: W::Reply,
    /// How the request ended.
    pub verdict: Verdict,
    /// The values of all parts in order if it is done, that of the failed part if it failed, else none.
    pub values: Vec<W::Value>,
    /// Whether any of its operations has begun. What has not begun never will: it definitely did not happen.
    pub begun: bool,
}

/// What the plan wants done. It has no effect on the plan when, or in which order, that happens.
pub enum Action<W: Work> {
    /// Run this operation now, on a thread of its own, and report how it ended.
    Start(FlightId, Class, W::Job),
    /// Answer a request. Each gets one.
    Answer(Answer<W>),
    /// Drop a job that will not run. Left to the caller, because dropping may take time and the plan has none.
    DropJob(W::Job),
    /// Drop a value that nobody waits for.
    DropValue(W::Value),
}
