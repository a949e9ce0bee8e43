//! What the plan holds at a moment, and what it has seen so far.

use std::time::Duration;

use super::class::{Class, PerClass};
use super::latency::Latency;
use super::request::{FlightId, ObjectId};

/// What there is at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Requests without an answer.
    pub waiters: usize,
    /// Those of them that have held a place in the kernel's background queue for long.
    pub held: usize,
    /// Operations, waiting for a slot or running.
    pub flights: usize,
    /// Those of them whose time has not come yet. They are in no class.
    pub delayed: usize,
    /// The others by class.
    pub classes: PerClass<Count>,
    /// Files and directories that have any.
    pub objects: usize,
    /// Slots of the reserve that nobody holds.
    pub reserve_left: usize,
    /// Failures by time that are remembered.
    pub failures: usize,
    /// Objects on which something stalled lately.
    pub suspects: usize,
    /// Changes that have turns, or wait for some.
    pub turns: usize,
    /// Alarms that are set.
    pub alarms: usize,
    /// Whether stalled operations find no more room in the reserve. A word for people: it stops nothing.
    pub down: bool,
}

/// Operations of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that wait for a slot.
    pub waiting: usize,
    /// Those that run.
    pub running: usize,
    /// Those of them that have run for too long.
    pub stalled: usize,
}

/// An operation that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which one it is.
    pub flight: FlightId,
    /// What kind of work it is.
    pub class: Class,
    /// What it is about.
    pub object: ObjectId,
    /// For how long it has run.
    pub age: Duration,
    /// Whether that is too long.
    pub stalled: bool,
    /// How many wait for it. It goes on if nobody does.
    pub waiters: usize,
}

/// What has been, counted from the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests taken.
    pub submitted: u64,
    /// Operations begun.
    pub begun: u64,
    /// Those of them that were scouts.
    pub scouts: u64,
    /// Operations that stalled.
    pub stalled: u64,
    /// Parts of requests that found their operation under way.
    pub joined: u64,
    /// Operations that brought their value after somebody had given up on it.
    pub adopted: u64,
    /// Requests answered without a value in time.
    pub timed_out: u64,
    /// Requests answered at once because the same caller had just been told so.
    pub recalled: u64,
    /// Requests answered with what was known before.
    pub stale: u64,
    /// Requests refused because too many waited.
    pub shed: u64,
    /// Operations that panicked.
    pub panicked: u64,
    /// How long operations took until storage returned them, by class.
    pub latency: PerClass<Latency>,
}
