//! The kinds of work, each with slots of its own.

use std::ops::{Index, IndexMut};

/// What kind of work an operation is: which slots it may hold and how soon it counts as stalled.
///
/// What memory can answer is not here: such a request never reaches the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Reads that storage is expected to answer without blocking. A hint: one that is wrong costs 30 ms of a slot.
    Hot,
    /// Lookups, attributes, listings, opening, link targets.
    Meta,
    /// Reads that somebody waits for.
    Demand,
    /// Read-ahead and refreshing: nobody waits, and what does not fit is dropped.
    Background,
    /// Closing handles of the storage. Never dropped, not even by a drain.
    Close,
    /// Creating, renaming, removing, setting attributes.
    Namespace,
    /// Storing dirty chunks, and syncing them.
    WriteBack,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hot,
        Self::Meta,
        Self::Demand,
        Self::Background,
        Self::Close,
        Self::Namespace,
        Self::WriteBack,
    ];

    /// Whether its operations change what is stored.
    #[must_use]
    pub const fn mutates(self) -> bool {
        matches!(self, Self::Namespace | Self::WriteBack)
    }

    /// Whether a waiter of this class makes a flight of class `other` more urgent. Only reads are compared.
    pub(super) fn outranks(self, other: Self) -> bool {
        self < other && other <= Self::Background
    }

    /// Whether its flights count towards the bound on flights not begun.
    pub(super) const fn is_bounded(self) -> bool {
        !matches!(self, Self::Background | Self::Close)
    }
}

/// One value for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerClass<T>([T; Class::ALL.len()]);

impl<T> PerClass<T> {
    /// The values, in the order of [`Class::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[expect(clippy::indexing_slicing, reason = "there is one value for each class")]
impl<T> Index<Class> for PerClass<T> {
    type Output = T;

    fn index(&self, class: Class) -> &T {
        &self.0[class as usize]
    }
}

#[expect(clippy::indexing_slicing, reason = "there is one value for each class")]
impl<T> IndexMut<Class> for PerClass<T> {
    fn index_mut(&mut self, class: Class) -> &mut T {
        &mut self.0[class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_are_lifted_and_only_upwards() {
        assert!(Class::Demand.outranks(Class::Background) && Class::Meta.outranks(Class::Demand));
        assert!(!Class::Background.outranks(Class::Demand) && !Class::Demand.outranks(Class::Demand));
        assert!(!Class::Demand.outranks(Class::Close) && !Class::Close.outranks(Class::WriteBack));
    }
}
