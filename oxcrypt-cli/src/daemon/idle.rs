//! When nobody has used a mount for so long that it ends by itself.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One timer, set by the last use that was known when it was set. So nothing wakes up while a mount lies idle but once,
/// at the end.
pub(super) struct Idle {
    after: Option<Duration>,
    at: Option<Instant>,
}

impl Idle {
    /// `None` is never.
    pub(super) fn begin(after: Option<Duration>) -> Self {
        let mut idle = Self { after, at: None };
        idle.set(Duration::ZERO);
        idle
    }

    /// Waits until it is time to look.
    pub(super) async fn wait(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }

    /// Whether the mount is to end: it was unused for so long, and is not needed now. Sets the timer again, also for the
    /// case that it cannot end.
    pub(super) fn is_over(&mut self, unused_for: Duration, is_needed: bool) -> bool {
        let is_over = !is_needed && self.after.is_some_and(|after| unused_for >= after);
        // What needs it now does so for an unknown time.
        self.set(if is_needed || is_over { Duration::ZERO } else { unused_for });
        is_over
    }

    /// A time that nobody lives to see is never.
    fn set(&mut self, unused_for: Duration) {
        self.at = self.after.and_then(|after| Instant::now().checked_add(after.saturating_sub(unused_for)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_mins(10);

    fn left(idle: &Idle) -> Duration {
        idle.at.unwrap().saturating_duration_since(Instant::now())
    }

    #[test]
    fn the_timer_is_set_by_the_last_use() {
        let mut idle = Idle::begin(Some(AFTER));
        assert!(!idle.is_over(Duration::from_mins(4), false));
        assert!(left(&idle) <= Duration::from_mins(6) && left(&idle) > Duration::from_mins(5));
        assert!(idle.is_over(AFTER, false));
        assert!(left(&idle) > Duration::from_mins(9), "where it is busy it is looked at a whole time later");
    }

    #[test]
    fn what_somebody_needs_does_not_end_however_long_nothing_was_asked_for() {
        let mut idle = Idle::begin(Some(AFTER));
        assert!(!idle.is_over(AFTER * 7, true));
        assert!(left(&idle) > Duration::from_mins(9));
    }

    #[test]
    fn without_a_time_and_with_one_beyond_all_clocks_it_stays() {
        assert!(Idle::begin(None).at.is_none());
        assert!(Idle::begin(Some(Duration::MAX)).at.is_none());
    }
}
