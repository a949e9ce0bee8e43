//! What the entries of a listing are.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use oxcrypt_core::Seen;
use oxcrypt_core::{Entry, Listing, Node, Probe};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Outcome, Part};
use crate::sched::{Job, Settled};
use crate::volume::question::{Ask, Pending, Step, object};
use crate::volume::value::Value;
use crate::volume::{Error, Question, Shared, Store, Volume};

/// Entries that one operation asks about, one after the other. Operations of one request run beside each other.
const PER_OPERATION: usize = 16;
/// The same where storage does not block: it takes longer to wake a thread than to ask about a few.
const PER_QUICK_OPERATION: usize = 64;

/// For so long storage is asked about entries all of which memory has an older answer for. Longer than about one entry,
/// because a store that is only slow takes longer to tell of many.
const PATIENCE: Duration = Duration::from_millis(300);

/// How much is to be known of each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What it is.
    Kinds,
    /// Its length and times as well.
    Attributes,
}

impl Volume {
    /// Tells what the entries `range` of a listing of `dir` are, one for each, in order.
    ///
    /// What memory knows costs nothing, as kinds of files do whose names are not shortened; for the rest storage is
    /// asked by a few operations, whatever the number of entries. An entry that cannot be told about does not fail the
    /// others: it is empty here. Where storage gives no answer in time, [`resident_entries`](Self::resident_entries) has
    /// what there was before; it is not waited for as long where that is all there is to know.
    pub fn entries(
        &self,
        dir: &Arc<Node>,
        listing: &Arc<Listing>,
        range: Range<usize>,
        wanted: Wanted,
    ) -> Question<Vec<Seen>> {
        let asked = Asked { dir: Arc::clone(dir), listing: Arc::clone(listing), wanted };
        let range = within(listing, &range);
        let now = self.shared.store.now();
        let known = asked.known(&self.shared.store, range.clone(), now);
        if known.iter().all(Result::is_ok) {
            return Question::known(Ok(known.into_iter().flatten().collect()));
        }
        Question::open(self.shared.ask_about(&asked, range, known))
    }

    /// What memory has of the same, however old, at once: empty where that is nothing.
    #[must_use]
    pub fn resident_entries(
        &self,
        dir: &Arc<Node>,
        listing: &Arc<Listing>,
        range: Range<usize>,
        wanted: Wanted,
    ) -> Vec<Seen> {
        let asked = Asked { dir: Arc::clone(dir), listing: Arc::clone(listing), wanted };
        let store = &self.shared.store;
        asked
            .known(store, within(listing, &range), store.born)
            .into_iter()
            .map(|seen| seen.unwrap_or_else(|part| part))
            .collect()
    }
}

/// The part of a range that a listing has. A slice has nothing of one that reaches beyond its end, and a listing that
/// loses its last entries would look like a whole one.
fn within(listing: &Listing, range: &Range<usize>) -> Range<usize> {
    let len = listing.entries().len();
    range.start.min(len)..range.end.min(len)
}

/// Whose entries, and what of them.
#[derive(Clone)]
struct Asked {
    dir: Arc<Node>,
    listing: Arc<Listing>,
    wanted: Wanted,
}

impl Asked {
    /// What memory has: `Err` with a part of it where storage has to be asked.
    fn known(&self, store: &Store, range: Range<usize>, now: Instant) -> Vec<Result<Seen, Seen>> {
        let resident = store.vault.resident();
        let entries = self.listing.entries().get(range).unwrap_or_default();
        let one = |entry: &Entry| {
            // Nothing more can be known of what has no name.
            let Entry::Sound(found) = entry else { return Ok(Seen::default()) };
            let Probe::Ready(node) = resident.node(&self.dir, found, now) else {
                return Err(Seen::default());
            };
            let attributes = match self.wanted {
                Wanted::Kinds => None,
                Wanted::Attributes => resident.attributes(&node, now).ready(),
            };
            let seen = Seen { node: Some(node), attributes };
            if self.wanted == Wanted::Attributes && seen.attributes.is_none() { Err(seen) } else { Ok(seen) }
        };
        entries.iter().map(one).collect()
    }

    /// Asks storage. Blocks.
    fn ask(&self, store: &Store, range: Range<usize>) -> Arc<[Seen]> {
        let entries = self.listing.entries().get(range).unwrap_or_default();
        let (vault, now) = (&store.vault, store.now());
        if self.wanted == Wanted::Attributes {
            return vault.entries(&self.dir, entries, now).into();
        }
        let one = |entry: &Entry| {
            let Entry::Sound(found) = entry else { return Seen::default() };
            Seen { node: vault.node(&self.dir, found, now).ok(), attributes: None }
        };
        entries.iter().map(one).collect()
    }
}

impl Shared {
    fn ask_about(
        self: &Arc<Self>,
        asked: &Asked,
        range: Range<usize>,
        known: Vec<Result<Seen, Seen>>,
    ) -> Pending<Vec<Seen>> {
        let may_block = self.store.vault.habits().may_block;
        let size = if may_block { PER_OPERATION } else { PER_QUICK_OPERATION };
        let patience = self.options.deadlines.entries;
        let has_older = || asked.known(&self.store, range.clone(), self.store.born).iter().all(Result::is_ok);
        let patience = if may_block && has_older() { patience.min(PATIENCE) } else { patience };
        let parts = known.chunks(size).zip(0..).filter(|(seen, _)| seen.iter().any(Result::is_err));
        let parts: Vec<_> = parts.map(|(seen, number)| (seen.len(), range.start + number * size)).collect();
        let jobs = parts.iter().map(|&(len, start)| {
            let (asked, store) = (asked.clone(), Arc::clone(&self.store));
            let job: Job<Value> =
                Box::new(move || Outcome::Done(Value::Entries(asked.ask(&store, start..start + len))));
            Part { key: None, job, pages: 0..0 }
        });
        let ask = Ask::new(
            Class::Meta,
            object(&asked.dir),
            jobs.collect(),
            Deadline::at(self.store.clock.now() + patience),
        );
        let dir = Arc::clone(&asked.dir);
        let finish = move |settled: Settled<Value>| {
            let mut values = settled.values.into_iter();
            let mut seen: Vec<_> = known.into_iter().map(|seen| seen.unwrap_or_else(|part| part)).collect();
            for (len, start) in parts {
                let Some(Value::Entries(told)) = values.next() else {
                    return Step::Done(Err(Error::of(settled.verdict).at(&dir)));
                };
                let start = start - range.start;
                for (seen, told) in seen.iter_mut().skip(start).take(len).zip(told.iter()) {
                    *seen = told.clone();
                }
            }
            Step::Done(Ok(seen))
        };
        Pending { shared: Arc::clone(self), ask, finish: Box::new(finish) }
    }
}
