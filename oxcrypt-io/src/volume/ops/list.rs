//! What a directory holds.

use std::sync::Arc;

use oxcrypt_core::{Listing, Node, Probe};

use crate::volume::value::{Key, Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Lists a directory, as [`oxcrypt_core::Vault::list`].
    ///
    /// Where storage takes long, the listing that there was before is the answer.
    pub fn list(&self, dir: &Arc<Node>) -> Question<Arc<Listing>> {
        let store = &self.shared.store;
        let resident = store.vault.resident();
        if let Probe::Ready(known) = resident.list(dir, store.now()) {
            return Question::known(Ok(known));
        }
        let (stale, about) = (Arc::clone(dir), Arc::clone(dir));
        self.shared.question(
            dir,
            Key::List,
            self.shared.options.deadlines.list,
            move |store| store.vault.resident().list(&stale, store.born).ready(),
            move |store| outcome(store.list(&about), Value::List),
            |value| if let Value::List(listing) = value { Some(listing) } else { None },
        )
    }
}
