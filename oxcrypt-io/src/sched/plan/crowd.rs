//! Those who wait for one operation: mostly one, who takes no memory of his own here, and at times thousands.

use std::collections::BTreeSet;

use super::request::WaiterId;

/// Waiters, each once, in the order in which they came.
#[derive(Clone, Debug)]
pub(super) enum Crowd {
    One(WaiterId),
    /// Any number.
    Many(BTreeSet<WaiterId>),
}

impl Crowd {
    pub(super) fn insert(&mut self, waiter: WaiterId) {
        match self {
            Self::One(first) => *self = Self::Many(BTreeSet::from([*first, waiter])),
            Self::Many(all) => drop(all.insert(waiter)),
        }
    }

    pub(super) fn remove(&mut self, waiter: WaiterId) {
        match self {
            Self::One(one) if *one == waiter => *self = Self::Many(BTreeSet::new()),
            Self::One(_) => {}
            Self::Many(all) => drop(all.remove(&waiter)),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = WaiterId> + '_ {
        let (one, many) = match self {
            Self::One(one) => (Some(*one), None),
            Self::Many(all) => (None, Some(all.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_what_a_set_is() {
        let (mut crowd, mut set) = (Crowd::One(WaiterId(5)), BTreeSet::from([WaiterId(5)]));
        for number in [5, 7, 3, 7] {
            crowd.insert(WaiterId(number));
            set.insert(WaiterId(number));
            assert!(crowd.iter().eq(set.iter().copied()) && crowd.len() == set.len());
        }
        for number in [4, 3, 7, 5, 5] {
            crowd.remove(WaiterId(number));
            set.remove(&WaiterId(number));
            assert!(crowd.iter().eq(set.iter().copied()) && crowd.is_empty() == set.is_empty());
        }
    }

    #[test]
    fn who_waits_alone_leaves_nobody_behind() {
        let mut crowd = Crowd::One(WaiterId(5));
        crowd.remove(WaiterId(4));
        assert_eq!(crowd.len(), 1);
        crowd.remove(WaiterId(5));
        assert!(crowd.is_empty());
        crowd.insert(WaiterId(6));
        assert!(crowd.iter().eq([WaiterId(6)]));
    }
}
