//! Which entry a name is.

use std::sync::Arc;

use oxcrypt_core::{Name, Node, Probe};

use crate::volume::error::Error;
use crate::volume::value::{Key, Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Finds the entry `name` of the directory `dir`, as [`oxcrypt_core::Vault::lookup`].
    ///
    /// Where storage takes long, the node that was found there before is the answer. That there was none is never given
    /// as an older answer.
    pub fn lookup(&self, dir: &Arc<Node>, name: &Name) -> Question<Arc<Node>> {
        let store = &self.shared.store;
        let resident = store.vault.resident();
        if let Probe::Ready(known) = resident.lookup(dir, name, store.now()) {
            return Question::known(known.map_err(Error::from));
        }
        self.shared.look_ahead(dir);
        let (within, name) = (Arc::clone(dir), name.clone());
        let stale = (Arc::clone(dir), name.clone());
        self.shared.question(
            dir,
            Key::Lookup(name.clone()),
            self.shared.options.deadlines.lookup,
            move |store| {
                let known = store.vault.resident().lookup(&stale.0, &stale.1, store.born);
                known.ready().and_then(Result::ok)
            },
            move |store| outcome(store.vault.lookup(&within, &name, store.now()), Value::Node),
            |value| if let Value::Node(node) = value { Some(node) } else { None },
        )
    }

    /// Whether every entry of a directory is shown by its name, as far as memory knows: then a name that no lookup finds is
    /// not there.
    #[must_use]
    pub fn shows_only_names(&self, dir: &Node) -> bool {
        let store = &self.shared.store;
        matches!(store.vault.resident().shows_only_names(dir, store.now()), Probe::Ready(true))
    }
}
