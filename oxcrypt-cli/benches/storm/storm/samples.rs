//! What was measured, and what that comes to.

use std::time::Duration;

/// The results of one probe in one phase, or in several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// How long it took, where an answer came.
    times: Vec<Duration>,
    /// How often none came in time.
    pub(crate) blocked: usize,
    /// How often the answer was an error.
    pub(crate) errors: usize,
    /// The first of those.
    pub(crate) first_error: Option<String>,
}

impl Samples {
    /// Adds an answer.
    pub(crate) fn push(&mut self, time: Duration) {
        self.times.push(time);
    }

    /// Adds an answer that was an error.
    pub(crate) fn push_error(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Adds the samples of another phase.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.times.extend_from_slice(&other.times);
        self.blocked += other.blocked;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.times.len() + self.blocked + self.errors
    }

    /// The time within which this many of a thousand were answered; `None` if they were not. Those that blocked count
    /// as the longest.
    pub(crate) fn quantile(&self, per_mille: usize) -> Option<Duration> {
        let mut times = self.times.clone();
        times.sort_unstable();
        let all = times.len() + self.blocked;
        times.get((all * per_mille).div_ceil(1000).checked_sub(1)?).copied()
    }

    /// The median, by that of another phase; infinite where this one blocked.
    pub(crate) fn ratio(&self, idle: &Self) -> Option<f64> {
        let idle = idle.quantile(500)?.as_secs_f64();
        Some(self.quantile(500).map_or(f64::INFINITY, |own| own.as_secs_f64() / idle))
    }
}

/// The median of some numbers.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
