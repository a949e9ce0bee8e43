//! Time as the scheduler sees it: a number that somebody hands in, so that a test can make an hour pass in no time.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

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

/// Tells the time, and when it has come.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The moment it is. Never blocks, never goes backwards.
    fn now(&self) -> Time;

    /// Blocks until `bell` is rung or it is `until`; perhaps for less, never for longer.
    fn wait(&self, bell: &Arc<Bell>, until: Option<Time>);
}

/// Wakes the one thread that waits for it. A ring that nobody hears is kept for who waits next.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    /// Wakes whoever waits, or will.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rings.notify_one();
    }

    fn wait(&self, at_most: Option<Duration>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = match at_most {
            None => self.rings.wait_while(rung, |rung| !*rung).unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let waited = self.rings.wait_timeout_while(rung, at_most, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *rung = false;
    }
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

    fn wait(&self, bell: &Arc<Bell>, until: Option<Time>) {
        bell.wait(until.map(|until| until.since(self.now())));
    }
}

/// A clock for tests: it stands still until somebody turns it.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
    bells: Mutex<Vec<Weak<Bell>>>,
}

impl ManualClock {
    /// Turns the clock forward by `duration`, and wakes those who wait for it.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
        for bell in bells.drain(..).filter_map(|bell| bell.upgrade()) {
            bell.ring();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(Duration::from_nanos(self.nanos.load(Ordering::SeqCst)))
    }

    fn wait(&self, bell: &Arc<Bell>, until: Option<Time>) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| until <= self.now()) {
            return;
        }
        bells.push(Arc::downgrade(bell));
        drop(bells);
        bell.wait(None);
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
    fn turning_the_clock_wakes_who_waits_for_it() {
        let clock = Arc::new(ManualClock::default());
        let (waiting, bell) = (Arc::clone(&clock), Arc::new(Bell::default()));
        let second = Time::ZERO + Duration::from_secs(1);
        let thread = std::thread::spawn(move || {
            while waiting.now() < second {
                waiting.wait(&bell, Some(second));
            }
        });
        clock.advance(Duration::from_millis(500));
        clock.advance(Duration::from_millis(500));
        thread.join().unwrap();
    }

    #[test]
    fn a_ring_that_nobody_hears_is_kept() {
        let (clock, bell) = (SystemClock::new(), Arc::new(Bell::default()));
        bell.ring();
        clock.wait(&bell, None);
        clock.wait(&bell, Some(Time::ZERO));
    }

    #[test]
    fn a_deadline_is_due_from_its_moment_on_and_never_is_never() {
        let second = Time::ZERO + Duration::from_secs(1);
        assert!(!Deadline::at(second).is_due(Time::ZERO));
        assert!(Deadline::at(second).is_due(second));
        assert!(!Deadline::NEVER.is_due(Time::ZERO + Duration::MAX));
    }
}
