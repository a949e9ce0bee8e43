//! Moving entries.

use std::sync::Arc;

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{Name, Node};

use crate::volume::value::{Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Moves an entry to another name or directory, as [`oxcrypt_core::Vault::rename`]. A file that takes the place of
    /// another is all in storage before.
    pub fn rename(
        &self,
        (from, name): (&Arc<Node>, &Name),
        (to, new_name): (&Arc<Node>, &Name),
        replace: Replace,
    ) -> Question<()> {
        let (source, name) = (Arc::clone(from), name.clone());
        let (target, new_name) = (Arc::clone(to), new_name.clone());
        self.shared.change(
            from,
            move |store| {
                let renamed =
                    store.vault.rename((&source, &name), (&target, &new_name), replace, store.now());
                outcome(renamed, |()| Value::Nothing)
            },
            |_| Some(()),
        )
    }
}
