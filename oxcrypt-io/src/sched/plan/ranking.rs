//! Who holds most.

use std::collections::BTreeSet;

use super::request::ObjectId;

/// Objects by how much they hold of something.
#[derive(Debug, Default)]
pub(super) struct Ranking(BTreeSet<(u64, ObjectId)>);

impl Ranking {
    /// Notes that `object` holds `after` and no longer `before`. What holds nothing is not in the ranking.
    pub(super) fn update(&mut self, object: ObjectId, before: u64, after: u64) {
        if before == after {
            return;
        }
        self.0.remove(&(before, object));
        if after > 0 {
            self.0.insert((after, object));
        }
    }

    pub(super) fn first(&self) -> Option<ObjectId> {
        self.0.last().map(|(_, object)| *object)
    }
}
