//! Opening a file.

use std::sync::{Arc, Weak};
use std::time::Instant;

use oxcrypt_core::{File, Node, Vault};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Part, Verdict};
use crate::sched::{Job, Settled};
use crate::volume::question::{Ask, Pending, Step, object, take_one};
use crate::volume::value::{Key, Value, outcome};
use crate::volume::{OpenFile, Question, Shared, Volume};

/// How storage opens a file.
type Open = fn(&Vault, &Arc<Node>, Instant) -> oxcrypt_core::Result<File>;

/// How memory does, if it still can.
type Older = Box<dyn FnOnce() -> Option<Arc<OpenFile>> + Send>;

impl Volume {
    /// Opens a file for reading and writing, as [`oxcrypt_core::Vault::open_for_writing`], and else as [`open`](Self::open).
    pub fn open_for_writing(&self, node: &Arc<Node>) -> Question<Arc<OpenFile>> {
        self.open_by(node, Key::OpenForWriting, Vault::open_for_writing)
    }

    /// Opens a file for reading, as [`oxcrypt_core::Vault::open`]: its header is not read yet.
    ///
    /// Memory answers this at once only of what is not all stored, because of the rest only storage knows whether the file is
    /// still there. Where storage takes long, what memory has of the file is opened, as
    /// [`oxcrypt_core::Vault::open_resident`]: who first reads more has it opened, or gets `NotFound` where it is
    /// another one, or was changed before.
    ///
    /// Those who ask while it is being opened get the same one. One that comes too late for all of them serves who has opened
    /// it from memory, or is closed again.
    pub fn open(&self, node: &Arc<Node>) -> Question<Arc<OpenFile>> {
        self.open_by(node, Key::Open, Vault::open)
    }

    fn open_by(&self, node: &Arc<Node>, key: Key, open: Open) -> Question<Arc<OpenFile>> {
        let writable = key == Key::OpenForWriting;
        if let Some(file) = self.vault().open_unsaved(node, writable) {
            return Question::known(Ok(Arc::new(OpenFile::new(file, Arc::clone(&self.shared)))));
        }
        let older = if key == Key::Open { self.shared.known_file(node) } else { None };
        let deadline = self.shared.deadline(self.shared.options.deadlines.open);
        Question::open(self.shared.open_in_storage(node, key, open, older, deadline))
    }
}

impl Shared {
    /// Has storage open a file. Where that takes long, `older` is asked.
    fn open_in_storage(
        self: &Arc<Self>,
        node: &Arc<Node>,
        key: Key,
        open: Open,
        older: Option<Older>,
        deadline: Deadline,
    ) -> Pending<Arc<OpenFile>> {
        let (about, shared): (_, Weak<_>) = (Arc::clone(node), Arc::downgrade(self));
        let store = Arc::clone(&self.store);
        let job: Job<Value> = Box::new(move || {
            outcome(open(&store.vault, &about, store.now()), |file| match shared.upgrade() {
                Some(shared) => Value::File(Arc::new(OpenFile::new(file, shared))),
                // The volume is gone, so nobody waits; this thread may close it as well as any.
                None => Value::Nothing,
            })
        });
        let part = Part { key: Some(key.clone()), job, pages: 0..0 };
        let mut ask = Ask::new(Class::Meta, object(node), vec![part], deadline);
        ask.stale = older.is_some();
        let take =
            take_one(node, || None, |value| if let Value::File(file) = value { Some(file) } else { None });
        let (shared, node) = (Arc::clone(self), Arc::clone(node));
        let finish = move |settled: Settled<Value>| match (settled.verdict, older) {
            (Verdict::Stale, Some(older)) => match older() {
                Some(file) => Step::Done(Ok(file)),
                // Memory has learnt that it is another one, or none. Storage is to say which.
                None => Step::Again(Box::new(shared.open_in_storage(&node, key, open, None, deadline))),
            },
            _ => take(settled),
        };
        Pending { shared: Arc::clone(self), ask, finish: Box::new(finish) }
    }

    /// What opens a file by what memory has of it, if it has anything. That is held until then.
    fn known_file(self: &Arc<Self>, node: &Arc<Node>) -> Option<Older> {
        let known = self.store.vault.resident().file(node.id()).ready()?;
        let (node, shared) = (Arc::clone(node), Arc::downgrade(self));
        Some(Box::new(move || {
            let shared = shared.upgrade()?;
            let file = shared.store.vault.open_resident(&node, &known, shared.store.now())?;
            Some(Arc::new(OpenFile::new(file, shared)))
        }))
    }
}
