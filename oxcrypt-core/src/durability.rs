//! Whether a change of our own would survive a power loss.

use crate::error::Result;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Counts changes, and those of them that are durable. Nobody who asks takes a sync that is still running for one that
/// is done.
#[derive(Default)]
pub(crate) struct Durability {
    changes: AtomicU64,
    synced: AtomicU64,
}

impl Durability {
    /// Takes note of a change that was made in storage.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The changes so far, if not all of them are durable: what a sync that begins now makes so.
    pub(crate) fn unsynced(&self) -> Option<u64> {
        let synced = self.synced.load(Ordering::Acquire);
        Some(self.changes.load(Ordering::Acquire)).filter(|changes| *changes > synced)
    }

    /// Takes note that so many changes are durable.
    pub(crate) fn synced(&self, changes: u64) {
        self.synced.fetch_max(changes, Ordering::AcqRel);
    }

    /// Does `sync` if there is something to make durable, also where somebody else is about to.
    pub(crate) fn sync(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(changes) = self.unsynced() else { return Ok(()) };
        sync()?;
        self.synced(changes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_change_is_durable_when_a_sync_that_began_after_it_is_done() {
        let durability = Durability::default();
        assert_eq!(durability.unsynced(), None);
        durability.changed();
        let sync = |durability: &Durability| {
            assert!(durability.unsynced().is_some(), "not while it is running");
            durability.changed();
            Ok(())
        };
        durability.sync(|| sync(&durability)).unwrap();
        assert!(durability.unsynced().is_some(), "the second change came too late");
        assert!(durability.sync(|| Err(ErrorKind::Storage.into())).is_err());
        assert!(durability.unsynced().is_some(), "that one failed");
        durability.sync(|| Ok(())).unwrap();
        assert_eq!(durability.unsynced(), None);
    }
}
