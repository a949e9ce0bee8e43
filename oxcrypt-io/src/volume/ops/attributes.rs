//! Length and times.

use std::sync::Arc;

use oxcrypt_core::{Node, NodeAttributes, Probe};

use crate::volume::value::{Key, Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Tells length and times, as [`oxcrypt_core::Vault::attributes`].
    ///
    /// Where storage takes long, what it told before is the answer.
    pub fn attributes(&self, node: &Arc<Node>) -> Question<NodeAttributes> {
        let store = &self.shared.store;
        let resident = store.vault.resident();
        if let Probe::Ready(known) = resident.attributes(node, store.now()) {
            return Question::known(Ok(known));
        }
        let (stale, about) = (Arc::clone(node), Arc::clone(node));
        self.shared.question(
            node,
            Key::Attributes,
            self.shared.options.deadlines.attributes,
            move |store| store.vault.resident().attributes(&stale, store.born).ready(),
            move |store| {
                outcome(store.vault.attributes(&about, store.now()), |told| Value::Attributes(Box::new(told)))
            },
            |value| if let Value::Attributes(attributes) = value { Some(*attributes) } else { None },
        )
    }

    /// What memory has of the same, however old, at once.
    #[must_use]
    pub fn resident_attributes(&self, node: &Node) -> Option<NodeAttributes> {
        let store = &self.shared.store;
        store.vault.resident().attributes(node, store.born).ready()
    }
}
