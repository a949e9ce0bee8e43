//! How long things take, roughly.

use std::time::Duration;

/// Counts of durations by powers of two of a microsecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    counts: [u64; 32],
}

impl Latency {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration that `per_mille` of 1,000 keep to, rounded up to a power of two of a microsecond. `None` while
    /// nothing has been counted.
    #[must_use]
    pub fn quantile(&self, per_mille: u16) -> Option<Duration> {
        let wanted = (self.count() * u64::from(per_mille)).div_ceil(1_000).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().zip(0u32..).find(|(count, _)| {
            seen += *count;
            seen >= wanted
        });
        reached.map(|(_, power)| Duration::from_micros(1 << power))
    }

    pub(super) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
        let power = u64::BITS - (micros - 1).leading_zeros();
        let last = self.counts.len() - 1;
        if let Some(count) = self.counts.get_mut((power as usize).min(last)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_rounded_up_to_a_power_of_two() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(500), None);
        for _ in 0..99 {
            latency.record(Duration::from_micros(100));
        }
        latency.record(Duration::from_hours(24));
        assert_eq!(latency.count(), 100);
        assert_eq!(latency.quantile(500), Some(Duration::from_micros(128)));
        assert_eq!(latency.quantile(990), Some(Duration::from_micros(128)));
        assert_eq!(latency.quantile(1_000), Some(Duration::from_micros(1 << 31)));
        latency.record(Duration::ZERO);
        assert_eq!(latency.quantile(0), Some(Duration::from_micros(1)));
    }

    #[test]
    fn a_power_of_two_is_its_own_bound() {
        for power in 0..31 {
            let mut latency = Latency::default();
            latency.record(Duration::from_micros(1 << power));
            assert_eq!(latency.quantile(1_000), Some(Duration::from_micros(1 << power)));
        }
    }
}
