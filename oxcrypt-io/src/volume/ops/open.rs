//! Opening a file.

use std::sync::{Arc, Weak};
use std::time::Instant;

use oxcrypt_core::{File, Node, Vault};

use crate::volume::value::{Key, Value, outcome};
use crate::volume::{OpenFile, Question, Volume};

impl Volume {
    /// Opens a file for reading and writing, as [`oxcrypt_core::Vault::open_for_writing`], and else as [`open`](Self::open).
    pub fn open_for_writing(&self, node: &Arc<Node>) -> Question<Arc<OpenFile>> {
        self.open_by(node, Key::OpenForWriting, Vault::open_for_writing)
    }

    /// Opens a file for reading, as [`oxcrypt_core::Vault::open`]: its header is not read yet.
    ///
    /// Memory answers this only of what is not all stored, because of the rest only storage knows whether the file is still
    /// there. Those who ask while it is being opened get the same one. One that comes too late for all of them is closed again.
    pub fn open(&self, node: &Arc<Node>) -> Question<Arc<OpenFile>> {
        self.open_by(node, Key::Open, Vault::open)
    }

    fn open_by(
        &self,
        node: &Arc<Node>,
        key: Key,
        open: fn(&Vault, &Arc<Node>, Instant) -> oxcrypt_core::Result<File>,
    ) -> Question<Arc<OpenFile>> {
        let writable = key == Key::OpenForWriting;
        if let Some(file) = self.vault().open_unsaved(node, writable) {
            return Question::known(Ok(Arc::new(OpenFile::new(file, Arc::clone(&self.shared)))));
        }
        let (about, shared): (_, Weak<_>) = (Arc::clone(node), Arc::downgrade(&self.shared));
        self.shared.question(
            node,
            key,
            self.shared.options.deadlines.open,
            |_| None,
            move |store| {
                outcome(open(&store.vault, &about, store.now()), |file| match shared.upgrade() {
                    Some(shared) => Value::File(Arc::new(OpenFile::new(file, shared))),
                    // The volume is gone, so nobody waits; this thread may close it as well as any.
                    None => Value::Nothing,
                })
            },
            |value| if let Value::File(file) = value { Some(file) } else { None },
        )
    }
}
