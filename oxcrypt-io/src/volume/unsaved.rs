//! What storage has not taken yet, and the end of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oxcrypt_core::{CiphertextPath, File, Node, NodeId};

use crate::clock::Deadline;

use super::question::{Ask, Pending, take_one};
use super::value::{Value, outcome};
use super::{Answer, Shared, Volume};

/// A file of which something is not in storage yet. Its `Debug` names no cleartext.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unsaved {
    /// The entry.
    pub node: Arc<Node>,
    /// Where it lies in the storage, or would.
    pub path: CiphertextPath,
    /// Bytes that memory holds of it; 0 where only zeros, or the end of the work, are left.
    pub bytes: usize,
    /// When it was last written to.
    pub written: Option<SystemTime>,
    /// Why the last attempt to store it failed, if it did.
    pub error: Option<String>,
}

impl Volume {
    /// The files of which something is not in storage yet. Never blocks.
    #[must_use]
    pub fn unsaved(&self) -> Vec<Unsaved> {
        let unsaved = self.vault().unsaved_in_memory().into_iter().map(|(node, resident)| Unsaved {
            path: node.ciphertext_path(),
            bytes: resident.unsaved_bytes(),
            written: resident.written(),
            error: resident.failure().map(|error| error.to_string()),
            node,
        });
        unsaved.collect()
    }

    /// Gives up what is unsaved of a file, if storing that has failed, as [`oxcrypt_core::Vault::discard`]. Never blocks.
    #[must_use]
    pub fn discard(&self, node: NodeId) -> bool {
        self.vault().discard(node)
    }

    /// Has storage take what is unsaved now, for no longer than `patience`, while all goes on. Returns the files that storage
    /// has not taken by then. Blocks.
    #[must_use = "what is left is not in storage"]
    pub fn save(&self, patience: Duration) -> Vec<Unsaved> {
        let deadline = self.shared.deadline(patience);
        let files = self.vault().unsaved();
        let answers: Vec<_> = files.into_iter().map(|file| self.shared.store_last(file, deadline)).collect();
        for answer in answers {
            // What failed or came too late is still unsaved.
            let _told_below = answer.wait();
        }
        self.unsaved()
    }

    /// Ends the volume: [drains](Self::drain) it, and has storage take what is unsaved, for no longer than `patience`.
    /// Returns the files that storage has not taken by then. Blocks.
    #[must_use = "what is left is lost with the process"]
    pub fn finish(&self, patience: Duration) -> Vec<Unsaved> {
        self.drain();
        self.save(patience)
    }
}

impl Shared {
    fn store_last(self: &Arc<Self>, file: File, deadline: Deadline) -> Answer<()> {
        let (node, store) = (Arc::clone(file.node()), Arc::clone(&self.store));
        let job = Box::new(move || outcome(file.flush(store.now()), |_| Value::Nothing));
        let ask = Ask::to_store(&node, None, job, deadline);
        Pending { shared: Arc::clone(self), ask, finish: take_one(&node, || None, |_| Some(())) }.ask()
    }
}
