//! Where a symbolic link leads.

use std::sync::Arc;

use oxcrypt_core::{LinkTarget, Node, Probe};

use crate::volume::value::{Key, Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Reads the target of a symbolic link, as [`oxcrypt_core::Vault::read_link`].
    ///
    /// Where storage takes long, the target that was read before is the answer.
    pub fn readlink(&self, link: &Arc<Node>) -> Question<LinkTarget> {
        let store = &self.shared.store;
        let resident = store.vault.resident();
        if let Probe::Ready(known) = resident.read_link(link, store.now()) {
            return Question::known(Ok(known));
        }
        let (stale, about) = (Arc::clone(link), Arc::clone(link));
        self.shared.question(
            link,
            Key::Target,
            self.shared.options.deadlines.lookup,
            move |store| store.vault.resident().read_link(&stale, store.born).ready(),
            move |store| outcome(store.vault.read_link(&about, store.now()), Value::Target),
            |value| if let Value::Target(target) = value { Some(target) } else { None },
        )
    }
}
