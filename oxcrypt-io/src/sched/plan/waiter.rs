//! A request that waits for its answer.

use std::ops::Range;

use crate::clock::{Deadline, Time};

use super::alarms::Alarm;
use super::held::Hold;
use super::request::{Caller, FlightId, ObjectId, WaiterId, Work};

/// One request, until it is answered.
pub(super) struct Waiter<W: Work> {
    pub(super) reply: W::Reply,
    pub(super) object: ObjectId,
    pub(super) caller: Caller,
    pub(super) pages: Range<u64>,
    pub(super) deadline: Deadline,
    pub(super) seats: Vec<Seat<W::Value>>,
    /// When an older answer is given.
    pub(super) stale_at: Option<Time>,
    /// When it counts as held in the kernel's queue, and with how many bytes.
    pub(super) held_at: Option<(Time, u64)>,
    pub(super) begun: bool,
}

/// A part of a request.
#[derive(Debug)]
pub(super) enum Seat<V> {
    Waiting(FlightId),
    Here(V),
}

impl<W: Work> Waiter<W> {
    /// Puts the value of `flight` where it belongs. True if nothing is missing any more.
    pub(super) fn seat(&mut self, flight: FlightId, value: W::Value) -> bool {
        let mut places =
            self.seats.iter_mut().filter(|seat| matches!(seat, Seat::Waiting(waited) if *waited == flight));
        let first = places.next();
        for other in places {
            *other = Seat::Here(value.clone());
        }
        if let Some(first) = first {
            *first = Seat::Here(value);
        }
        self.seats.iter().all(|seat| matches!(seat, Seat::Here(_)))
    }

    /// All alarms that may be set for it.
    pub(super) fn alarms(&self, id: WaiterId) -> impl Iterator<Item = (Time, Alarm)> + use<W> {
        let stale = self.stale_at.map(|time| (time, Alarm::Stale(id)));
        let held = self.held_at.map(|(time, _)| (time, Alarm::Held(id)));
        let deadline = self.deadline.time().map(|time| (time, Alarm::Deadline(id)));
        [stale, held, deadline].into_iter().flatten()
    }

    pub(super) fn hold(&self, waiter: WaiterId) -> Option<Hold> {
        let (_, bytes) = self.held_at?;
        Some(Hold { object: self.object, waiter, bytes, begun: self.begun })
    }
}

/// The smallest range that holds all of `ranges`, empty ones apart.
pub(super) fn hull<'a>(ranges: impl Iterator<Item = &'a Range<u64>>) -> Range<u64> {
    let hull = ranges.filter(|range| !range.is_empty()).cloned();
    hull.reduce(|all, range| all.start.min(range.start)..all.end.max(range.end)).unwrap_or(0..0)
}
