//! Time as the scheduler sees it: a number that somebody hands in, so that a test can make an hour pass in no time.

use std::fmt;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moment, told as the time since its clock began. Moments of different clocks have nothing to do with each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The moment a clock begins.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment `since_start` after the clock began.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long ago `earlier` was; nothing, where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The moment at which a request is answered, whatever storage does.
///
/// It bounds the answer and not the work: an operation that has begun goes on past it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline(Option<Time>);

impl Deadline {
    /// No deadline: the request waits as long as it takes.
    pub const NEVER: Self = Self(None);

    /// The deadline at `time`.
    #[must_use]
    pub const fn at(time: Time) -> Self {
        Self(Some(time))
    }

    /// The moment, if there is one.
    #[must_use]
    pub const fn time(self) -> Option<Time> {
        self.0
    }

    /// Whether an answer given at `now` keeps to it only just, or no more.
    #[must_use]
    pub fn is_due(self, now: Time) -> bool {
        self.0.is_some_and(|time| time <= now)
    }
}

/// Tells the time. Never blocks, never goes backwards.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The moment it is.
    fn now(&self) -> Time;
}

/// The system's monotonic clock, from when this value was made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(self.start.elapsed())
    }
}

/// A clock for tests: it stands still until somebody turns it.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// Turns the clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(Duration::from_nanos(self.nanos.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::default();
        assert_eq!(clock.now(), Time::ZERO);
        clock.advance(Duration::from_hours(1));
        assert_eq!(clock.now().since(Time::ZERO), Duration::from_hours(1));
        assert_eq!(clock.now(), clock.now());
    }

    #[test]
    fn a_deadline_is_due_from_its_moment_on_and_never_is_never() {
        let second = Time::ZERO + Duration::from_secs(1);
        assert!(!Deadline::at(second).is_due(Time::ZERO));
        assert!(Deadline::at(second).is_due(second));
        assert!(!Deadline::NEVER.is_due(Time::ZERO + Duration::MAX));
    }
}
