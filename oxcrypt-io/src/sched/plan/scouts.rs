//! When the next scout may go out.
//!
//! With the reserve used up, one operation at a time is sent ahead, to find what storage does answer. Those that stall
//! are lost to the reserve, so the pauses between them grow.

use std::time::Duration;

use crate::clock::Time;

use super::request::FlightId;

/// The scout that is out, and the pause after it.
#[derive(Debug)]
pub(super) struct Scouts {
    shortest: Duration,
    longest: Duration,
    pause: Duration,
    not_before: Time,
    out: Option<FlightId>,
}

impl Scouts {
    pub(super) fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, pause: shortest, not_before: Time::ZERO, out: None }
    }

    /// The moment from which the next one may start; `None` while one is out.
    pub(super) fn ready_at(&self) -> Option<Time> {
        self.out.is_none().then_some(self.not_before)
    }

    pub(super) fn start(&mut self, flight: FlightId) {
        self.out = Some(flight);
    }

    /// Notes that `flight` stalled, whether it is a scout or not.
    pub(super) fn stalled(&mut self, flight: FlightId, now: Time) {
        if self.out == Some(flight) {
            self.out = None;
            self.not_before = now + self.pause;
            self.pause = (self.pause * 2).min(self.longest);
        }
    }

    /// Notes that `flight` returned, whether it is a scout or not. One that has not stalled is good news.
    pub(super) fn returned(&mut self, flight: FlightId, now: Time) {
        if self.out == Some(flight) {
            self.out = None;
            self.not_before = now;
            self.pause = self.shortest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_good_news_ends_them() {
        let ms = Duration::from_millis;
        let mut scouts = Scouts::new(ms(100), ms(10_000));
        let mut now = Time::ZERO;
        let mut pauses = Vec::new();
        for number in 0..9 {
            scouts.start(FlightId(number));
            assert_eq!(scouts.ready_at(), None);
            now = now + ms(1_000);
            scouts.stalled(FlightId(number), now);
            let next = scouts.ready_at().unwrap();
            pauses.push(next.since(now));
            // What returns after it stalled is no news.
            scouts.returned(FlightId(number), now);
            assert_eq!(scouts.ready_at(), Some(next));
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000].map(ms));
        scouts.start(FlightId(9));
        scouts.returned(FlightId(9), now);
        assert_eq!(scouts.ready_at(), Some(now));
        scouts.start(FlightId(10));
        scouts.stalled(FlightId(10), now);
        assert_eq!(scouts.ready_at(), Some(now + ms(100)));
    }
}
