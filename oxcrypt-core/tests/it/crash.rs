//! What is left when everything stops: after each call of the storage, within each, and with what was not synced lost.
//!
//! What lay in the vault before is durable in all of these; what is done to it then is not, but where a test syncs it.

use std::sync::Arc;

use oxcrypt_core::Vault;
use oxcrypt_core::storage::{Crash, FaultyStorage, MemoryStorage};

use crate::checker::{Report, Seen};
use crate::lab::{self, Lab};

mod content;
mod durable;
mod history;
mod tree;

/// Losses of power tried at each call.
const SEEDS: u64 = 12;
/// As many pages as a chunk has, with the two that its ends lie in.
const PAGES: u64 = 10;

/// A crash, and what it has left.
struct Remains {
    storage: Arc<MemoryStorage>,
    report: Report,
    /// Where it happened, for who reads a failed test.
    place: String,
    is_kill: bool,
}

/// Does `act` in a vault that `fill` has made, and looks at what is left wherever it is interrupted.
fn interrupt(lab: Lab, fill: impl FnOnce(&Vault), act: impl FnOnce(&Vault), mut look: impl FnMut(&Remains)) {
    let storage = lab.filled(fill);
    let vault = lab::open(&storage);
    let first = storage.mutations();
    act(&vault);
    assert!(storage.mutations() > first, "a change changes something");
    for at in first..=storage.mutations() {
        remains_at(lab, &storage, at, &mut look);
    }
}

fn remains_at(lab: Lab, storage: &FaultyStorage, at: usize, look: &mut impl FnMut(&Remains)) {
    let kills = (0..PAGES).map(|pages| Crash::Kill { pages });
    let losses = (0..SEEDS).map(|seed| Crash::PowerLoss { seed });
    let mut last = None;
    for crash in kills.chain(losses) {
        let image = storage.crash_image(at, crash);
        let report = lab.check(&image);
        let is_kill = matches!(crash, Crash::Kill { .. });
        // Most calls are torn nowhere, and most losses are alike.
        if last.as_ref().is_some_and(|last| *last == (is_kill, format!("{report:?}"))) {
            continue;
        }
        last = Some((is_kill, format!("{report:?}")));
        look(&Remains {
            storage: Arc::new(image),
            report,
            place: format!("{crash:?} at call {at}"),
            is_kill,
        });
    }
}

impl Remains {
    /// Opens the vault that is left, which always works.
    fn open(&self) -> Vault {
        lab::open(&self.storage)
    }
}

/// What an entry should be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    Directory,
    Link(&'static str),
    File(&'static [u8]),
}

/// What should be there, by path.
type Tree<'t> = &'t [(&'t str, Want)];

/// Whether this and nothing else is there.
fn is(report: &Report, tree: Tree<'_>) -> bool {
    report.tree.len() == tree.len()
        && tree.iter().all(|(path, want)| match (want, report.tree.get(*path)) {
            (Want::Directory, Some(Seen::Directory)) => true,
            (Want::Link(target), Some(Seen::Link(seen))) => target == seen,
            (Want::File(bytes), Some(Seen::File(seen))) => seen.bytes().as_deref() == Some(*bytes),
            _ => false,
        })
}
