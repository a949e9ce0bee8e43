//! Changes: operations that nobody shares, and that are not given up once they have begun.

use std::sync::Arc;

use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{ErrorKind, Node};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Hold, Outcome, Part, TurnId};

use super::question::{Ask, Pending, object, take_one};
use super::turns::{content, entry};
use super::value::Value;
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
        let deadline = self.deadline(self.options.deadlines.change);
        self.mutation(about, Class::Namespace, turns, deadline, work, take)
    }

    /// A change of what storage has of a file. One at a time; its entry stays where it is meanwhile.
    pub(super) fn store_change<T: Send + 'static>(
        self: &Arc<Self>,
        about: &Arc<Node>,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let deadline =
            self.options.deadlines.write.map_or(Deadline::NEVER, |patience| self.deadline(patience));
        let turns = vec![(content(about), Hold::Alone), (entry(about), Hold::Share)];
        self.mutation(about, Class::WriteBack, turns, deadline, work, take)
    }

    fn mutation<T: Send + 'static>(
        self: &Arc<Self>,
        about: &Arc<Node>,
        class: Class,
        turns: Vec<(TurnId, Hold)>,
        deadline: Deadline,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let store = Arc::clone(&self.store);
        let mut ask = Ask::new(
            class,
            object(about),
            vec![Part { key: None, job: Box::new(move || work(&store)), pages: 0..0 }],
            deadline,
        );
        ask.turns = turns;
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
