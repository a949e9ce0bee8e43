//! Changes: operations that nobody shares, and that are not given up once they have begun.

use std::sync::Arc;

use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{ErrorKind, Node};

use crate::clock::Deadline;
use crate::sched::plan::{Caller, Class, Outcome, Part};

use super::question::{Ask, Pending, object, take_one};
use super::value::Value;
use super::{Question, Shared, Store};

impl Shared {
    /// A change of the tree.
    pub(super) fn change<T: Send + 'static>(
        self: &Arc<Self>,
        about: &Arc<Node>,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let deadline = self.deadline(self.options.deadlines.change);
        self.mutation(about, Class::Namespace, deadline, work, take)
    }

    /// A change of what storage has of a file.
    pub(super) fn store_change<T: Send + 'static>(
        self: &Arc<Self>,
        about: &Arc<Node>,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let deadline = self.options.deadlines.write.map_or(Deadline::NEVER, |patience| self.deadline(patience));
        self.mutation(about, Class::WriteBack, deadline, work, take)
    }

    fn mutation<T: Send + 'static>(
        self: &Arc<Self>,
        about: &Arc<Node>,
        class: Class,
        deadline: Deadline,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let store = Arc::clone(&self.store);
        let ask = Ask {
            class,
            object: object(about),
            parts: vec![Part { key: None, job: Box::new(move || work(&store)), pages: 0..0 }],
            deadline,
            caller: Caller::NOBODY,
            stale: false,
            kernel: None,
        };
        Question::open(Pending { shared: Arc::clone(self), ask, finish: take_one(about, None, take) })
    }
}

impl Store {
    /// Gives a new entry the mode and owner that it is to have, as far as storage can hold them.
    pub(super) fn set_made(&self, node: &Arc<Node>, made: &Attributes) -> oxcrypt_core::Result<()> {
        if *made == Attributes::default() {
            return Ok(());
        }
        match self.vault.set_attributes(node, made, self.now()) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            set => set,
        }
    }
}
