//! Changes: operations that nobody shares, and that are not given up once they have begun.

use std::sync::Arc;

use oxcrypt_core::{Name, Node, Probe};

use crate::clock::Deadline;
use crate::sched::Job;
use crate::sched::plan::{Class, Hold, Outcome, Part, TurnId};

use super::error::{Cause, Error};
use super::question::{Ask, Pending, object, take_one};
use super::turns::to_store;
use super::value::{Key, Value, outcome};
use super::{Question, Shared, Store};

impl Shared {
    /// A change of the tree, that takes these turns.
    pub(super) fn change<T: Send + 'static>(
        self: &Arc<Self>,
        about: &Arc<Node>,
        turns: Vec<(TurnId, Hold)>,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let (store, deadline) = (Arc::clone(&self.store), self.deadline(self.options.deadlines.change));
        let job: Job<Value> = Box::new(move || work(&store));
        let part = Part { key: None, job, pages: 0..0 };
        let mut ask = Ask::new(Class::Namespace, object(about), vec![part], deadline);
        ask.turns = turns;
        Question::open(Pending { shared: Arc::clone(self), ask, finish: take_one(about, || None, take) })
    }

    /// Has memory believe again what it knows of an entry that is to be removed, moved or replaced: by an operation of its
    /// own, because one that hangs there would stop every change of the directory if it were part of the change. Nothing
    /// where memory knows of no such entry, or has been told a moment ago.
    pub(super) fn look_before(self: &Arc<Self>, dir: &Arc<Node>, name: &Name) -> Option<Question<()>> {
        let (store, resident) = (Arc::clone(&self.store), self.store.vault.resident());
        let is_believed = matches!(resident.lookup(dir, name, store.now()), Probe::Ready(_));
        let is_known = matches!(resident.lookup(dir, name, store.born), Probe::Ready(Ok(_)));
        if is_believed || !is_known {
            return None;
        }
        let (within, looked) = (Arc::clone(dir), name.clone());
        let job = Box::new(move || outcome(store.vault.lookup(&within, &looked, store.now()), Value::Node));
        let ask = Ask::one(self, dir, Key::Lookup(name.clone()), self.options.deadlines.change, job);
        let finish = take_one(dir, || None, |_| Some(()));
        let looked = Question::open(Pending { shared: Arc::clone(self), ask, finish });
        // What vault or storage say, the change says as well, if it matters.
        Some(looked.or_else(|error| if error.kind().is_some() { Ok(()) } else { Err(error) }))
    }

    /// Has storage open a file that is to be removed or replaced, if memory alone has opened it: who has it open reads on then.
    /// By an operation of its own, as [`look_before`](Self::look_before).
    pub(super) fn open_before(self: &Arc<Self>, dir: &Arc<Node>, name: &Name) -> Option<Question<()>> {
        let (store, resident) = (Arc::clone(&self.store), self.store.vault.resident());
        let Probe::Ready(Ok(node)) = resident.lookup(dir, name, store.born) else { return None };
        if !matches!(resident.file(node.id()), Probe::Ready(file) if file.is_unopened()) {
            return None;
        }
        let about = Arc::clone(&node);
        let job: Job<Value> =
            Box::new(move || outcome(store.vault.open_in_storage(&about), |()| Value::Nothing));
        let part = Part { key: None, job, pages: 0..0 };
        let ask =
            Ask::new(Class::Meta, object(&node), vec![part], self.deadline(self.options.deadlines.change));
        let finish = take_one(&node, || None, |_| Some(()));
        let opened = Question::open(Pending { shared: Arc::clone(self), ask, finish });
        // Where it cannot be opened, who has it open keeps what memory has.
        Some(opened.or_else(|error| if error.kind().is_some() { Ok(()) } else { Err(error) }))
    }

    /// A change of what storage has of a file, or of what memory has that belongs to it. All who ask for the same by `key`
    /// before it begins share it.
    pub(super) fn store_change(
        self: &Arc<Self>,
        about: &Arc<Node>,
        key: Option<Key>,
        turns: Vec<(TurnId, Hold)>,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
    ) -> Question<()> {
        if self.admission.is_closed() {
            return Question::known(Err(Error::new(Cause::Stopped)));
        }
        let store = Arc::clone(&self.store);
        let mut ask = Ask::to_store(about, key, Box::new(move || work(&store)), self.write_deadline());
        ask.turns = turns;
        Question::open(Pending {
            shared: Arc::clone(self),
            ask,
            finish: take_one(about, || None, |_| Some(())),
        })
    }

    /// When whoever writes, or waits for what was written to be stored, is answered.
    pub(super) fn write_deadline(&self) -> Deadline {
        self.options.deadlines.write.map_or(Deadline::NEVER, |patience| self.deadline(patience))
    }
}

impl Ask {
    /// An operation that stores something of a file.
    pub(super) fn to_store(node: &Node, key: Option<Key>, job: Job<Value>, deadline: Deadline) -> Self {
        let mut ask =
            Self::new(Class::WriteBack, object(node), vec![Part { key, job, pages: 0..0 }], deadline);
        ask.turns = to_store(node);
        ask
    }
}

impl Store {
    /// Takes the attributes of what was just made in a directory to memory. Where that fails, they are asked for when they
    /// are needed.
    pub(super) fn look_at_made(&self, dir: &Arc<Node>, made: &Arc<Node>) {
        let _known_or_not = self.vault.attributes(made, self.now());
        self.look_at_changed(&[dir]);
    }

    /// Takes the attributes of directories in which something was just changed to memory: the kernel asks for them before
    /// it goes on, and an operation for that alone takes longer than most changes. Where storage may block they are asked
    /// for when they are needed.
    pub(super) fn look_at_changed(&self, dirs: &[&Arc<Node>]) {
        if self.vault.habits().may_block {
            return;
        }
        for dir in dirs {
            let _known_or_not = self.vault.attributes(dir, self.now());
        }
    }
}
