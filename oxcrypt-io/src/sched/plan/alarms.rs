//! What is due when.

use std::collections::BTreeSet;

use crate::clock::Time;

use super::request::{FlightId, WaiterId};

/// Something that happens by itself. At the same moment, what is declared first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// An operation has run for so long that it counts as stalled.
    Stall(FlightId),
    /// An operation that was to wait for a while may begin.
    Ripe(FlightId),
    /// A request has waited long enough for its older answer to be given.
    Stale(WaiterId),
    /// A request has waited so long that it counts as held.
    Held(WaiterId),
    /// A request is to be answered now.
    Deadline(WaiterId),
}

/// All alarms. Whoever sets one takes it back when it has lost its meaning, so there are never any for nobody.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeSet<(Time, Alarm)>);

impl Alarms {
    pub(super) fn set(&mut self, time: Time, alarm: Alarm) {
        self.0.insert((time, alarm));
    }

    pub(super) fn unset(&mut self, time: Time, alarm: Alarm) {
        self.0.remove(&(time, alarm));
    }

    /// Takes the first alarm that is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Alarm> {
        self.0.first().filter(|(time, _)| *time <= now)?;
        self.0.pop_first().map(|(_, alarm)| alarm)
    }

    pub(super) fn first(&self) -> Option<Time> {
        self.0.first().map(|(time, _)| *time)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
