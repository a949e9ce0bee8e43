//! Times, mode and owner.

use std::sync::Arc;

use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{Node, NodeAttributes};

use crate::sched::plan::Hold;
use crate::volume::turns::entry;
use crate::volume::value::{Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Sets times, mode and owner, as [`oxcrypt_core::Vault::set_attributes`], and tells what they are then.
    pub fn set_attributes(&self, node: &Arc<Node>, change: Attributes) -> Question<NodeAttributes> {
        let about = Arc::clone(node);
        self.shared.change(
            node,
            vec![(entry(node), Hold::Share)],
            move |store| {
                let now = store.now();
                let set = store.vault.set_attributes(&about, &change, now);
                outcome(set.and_then(|()| store.vault.attributes(&about, now)), |told| {
                    Value::Attributes(Box::new(told))
                })
            },
            |value| if let Value::Attributes(attributes) = value { Some(*attributes) } else { None },
        )
    }
}
