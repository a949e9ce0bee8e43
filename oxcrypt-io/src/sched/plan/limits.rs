//! Every number of the plan, in one place.

use std::time::Duration;

use super::class::Class;

/// How much of everything there may be. The default is what a mount uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Slots for [`Class::Hot`].
    pub hot: usize,
    /// Slots that meta, demand and background share.
    pub pool: usize,
    /// How many of the pool demand and background may hold, so that meta always has the rest.
    pub demand_and_background: usize,
    /// How many of the pool background may hold.
    pub background: usize,
    /// Slots for [`Class::Close`].
    pub close: usize,
    /// Slots for [`Class::Namespace`].
    pub namespace: usize,
    /// Slots for [`Class::WriteBack`].
    pub write_back: usize,
    /// Slots that stalled operations move to, so that those of their class are free again.
    pub reserve: usize,
    /// How many of the reserve only scouts get.
    pub scouts: usize,
    /// Operations of one class that may run on one object.
    pub per_object: usize,
    /// Stalled reads or lookups of one class at which no more of it begin on an object.
    pub stalled_reads: usize,
    /// The same for mutations.
    pub stalled_mutations: usize,
    /// How long a hot operation or a mutation may run before it is stalled.
    pub stalls_soon: Duration,
    /// The same for all others.
    pub stalls_late: Duration,
    /// Flights that may wait for a slot, background and close apart.
    pub queue: usize,
    /// Background flights that may wait; the oldest is dropped.
    pub background_queue: usize,
    /// The pause after the first scout that stalls. It doubles with each one after it.
    pub scout_pause: Duration,
    /// The longest pause between scouts.
    pub longest_scout_pause: Duration,
    /// For how long a failure by time is remembered.
    pub failure_memory: Duration,
    /// How many such failures are remembered; the oldest is forgotten.
    pub failures: usize,
    /// For how long an object on which something stalled is suspect, unless something of it returns in time.
    pub suspicion: Duration,
    /// How many suspicions are remembered; the oldest is forgotten.
    pub suspects: usize,
    /// How long a request waits before an older answer is given, or before it counts as held.
    pub patience: Duration,
    /// How many reads the storage's own queue takes before it starves those it could serve, where that is known.
    pub store_queue: Option<usize>,
    /// What the kernel's background queue towards us takes, where requests come from a kernel.
    pub kernel_queue: Option<KernelQueue>,
}

/// The kernel's queue of background requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelQueue {
    /// Its effective `max_background`. Three quarters of it may be held.
    pub requests: usize,
    /// How many bytes of such requests may be held.
    pub bytes: u64,
}

impl KernelQueue {
    /// A queue of `requests`, of which 256 MiB may be held.
    #[must_use]
    pub const fn new(requests: usize) -> Self {
        Self { requests, bytes: 256 << 20 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hot: 4,
            pool: 64,
            demand_and_background: 56,
            background: 16,
            close: 2,
            namespace: 4,
            write_back: 4,
            reserve: 128,
            scouts: 16,
            per_object: 8,
            stalled_reads: 2,
            stalled_mutations: 1,
            stalls_soon: Duration::from_millis(30),
            stalls_late: Duration::from_secs(1),
            queue: 16_384,
            background_queue: 512,
            scout_pause: Duration::from_millis(100),
            longest_scout_pause: Duration::from_secs(10),
            failure_memory: Duration::from_secs(2),
            failures: 16_384,
            suspicion: Duration::from_mins(10),
            suspects: 4_096,
            patience: Duration::from_millis(30),
            store_queue: None,
            kernel_queue: None,
        }
    }
}

impl Limits {
    /// How long an operation of `class` may run before it is stalled.
    #[must_use]
    pub fn stalls_after(&self, class: Class) -> Duration {
        match class {
            Class::Hot | Class::Namespace | Class::WriteBack => self.stalls_soon,
            Class::Meta | Class::Demand | Class::Background | Class::Close => self.stalls_late,
        }
    }

    /// How many operations of `class` may be stalled on an object before no more begin there.
    pub(super) fn stalled(&self, class: Class) -> usize {
        if class.mutates() { self.stalled_mutations } else { self.stalled_reads }
    }

    /// How many threads it takes to run all that may run at once.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.hot + self.pool + self.close + self.namespace + self.write_back + self.reserve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_besides_the_reserve_are_at_most_88() {
        let limits = Limits::default();
        assert!(limits.threads() - limits.reserve <= 88, "{}", limits.threads());
    }
}
