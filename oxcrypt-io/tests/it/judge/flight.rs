//! An operation as the judge sees it.

use std::collections::BTreeSet;

use oxcrypt_io::clock::Time;
use oxcrypt_io::sched::plan::{Class, Hold};

use crate::sim::Job;

use super::{Line, Reply};

pub(super) struct Flight {
    pub(super) job: Job,
    pub(super) class: Class,
    pub(super) shared: bool,
    pub(super) turns: Vec<(u64, Hold)>,
    pub(super) waiters: BTreeSet<Reply>,
    /// What came later has a larger number. Its time comes first.
    pub(super) place: u64,
    pub(super) arrived: Time,
    /// When it began.
    pub(super) since: Time,
    /// Whether it has been seen to run for too long.
    pub(super) has_stalled: bool,
    /// When it was last seen to wait for something that has stalled.
    pub(super) stuck_at: Option<u64>,
    /// Whether there was a moment at which it might have been given its turns.
    pub(super) has_led: bool,
}

impl Flight {
    pub(super) fn line(&self) -> Line {
        (self.class, self.job.object)
    }

    /// Whether both want the same thing, alone or not.
    pub(super) fn touches(&self, other: &Self) -> bool {
        self.in_common(other).next().is_some()
    }

    /// Whether the two must not run at once.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.in_common(other).any(|holds| holds.contains(&Hold::Alone))
    }

    fn in_common(&self, other: &Self) -> impl Iterator<Item = [Hold; 2]> {
        let pairs = self.turns.iter().flat_map(|one| other.turns.iter().map(move |two| (one, two)));
        pairs.filter(|(one, two)| one.0 == two.0).map(|(one, two)| [one.1, two.1])
    }
}
