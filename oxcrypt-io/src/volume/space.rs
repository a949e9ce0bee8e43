//! How much room there is, as storage last told.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use oxcrypt_core::storage::Space;

use crate::clock::{Deadline, Time};
use crate::sched::Settled;
use crate::sched::plan::{Class, ObjectId, Part};

use super::Shared;
use super::question::Ask;
use super::value::{Key, Value, outcome};

/// What no node is called: node ids count up from 0.
const STORAGE: ObjectId = ObjectId(u64::MAX);

/// With less room left than this, and what is still to be stored, storage is asked before anything grows.
const TIGHT: u64 = 4 << 20;

/// The last answer, and whether there will be another.
#[derive(Debug, Default)]
pub(super) struct KnownSpace {
    told: Option<Space>,
    /// When storage last answered anything.
    since: Option<Time>,
    asking: bool,
}

impl Shared {
    pub(super) fn space(&self) -> Option<Space> {
        self.lock_space().told
    }

    /// Has storage asked, unless that was done a short while ago or is being done. Never blocks on storage.
    pub(super) fn refresh_space(self: &Arc<Self>) {
        let mut known = self.lock_space();
        let now = self.store.clock.now();
        if known.asking || known.since.is_some_and(|since| now.since(since) < self.options.space_age) {
            return;
        }
        known.asking = true;
        drop(known);
        let (store, shared) = (Arc::clone(&self.store), Arc::downgrade(self));
        let job = Box::new(move || outcome(store.vault.space(), Value::Space));
        let ask = Ask::new(
            Class::Background,
            STORAGE,
            vec![Part { key: Some(Key::Space), job, pages: 0..0 }],
            Deadline::NEVER,
        );
        self.scheduler.submit(ask.request(Box::new(move |settled| told(&shared, settled))));
    }

    /// Takes note of what storage has told.
    pub(super) fn space_was_told(&self, space: Space) {
        let mut known = self.lock_space();
        known.since = Some(self.store.clock.now());
        known.told = Some(space);
    }

    /// Whether there might be no room for so many bytes more, as far as is known: what memory has yet to store needs room
    /// as well.
    pub(super) fn is_tight(&self, more: u64) -> bool {
        let unsaved = self.store.vault.unsaved_bytes() as u64;
        let is_less = |space: Space| space.available < more.saturating_add(unsaved).saturating_add(TIGHT);
        more > 0 && self.space().is_some_and(is_less)
    }

    fn lock_space(&self) -> MutexGuard<'_, KnownSpace> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what storage told. An error changes nothing: what was told before is still the best that is known.
fn told(shared: &Weak<Shared>, mut settled: Settled<Value>) {
    let Some(shared) = shared.upgrade() else { return };
    let mut known = shared.lock_space();
    known.asking = false;
    known.since = Some(shared.store.clock.now());
    if let Some(Value::Space(space)) = settled.values.pop() {
        known.told = Some(space);
    }
}
