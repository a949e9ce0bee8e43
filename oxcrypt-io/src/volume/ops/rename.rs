//! Moving entries.

use std::sync::Arc;

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{Name, Node};

use crate::sched::plan::Hold;
use crate::volume::turns::{MOVES, content, of_victim};
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
        let mut turns = of_victim(&self.shared.store, from, name);
        turns.extend(of_victim(&self.shared.store, to, new_name));
        turns.extend([(content(from), Hold::Alone), (content(to), Hold::Alone)]);
        if from.dir_id() != to.dir_id() {
            turns.push((MOVES, Hold::Alone));
        }
        let (source, name) = (Arc::clone(from), name.clone());
        let (target, new_name) = (Arc::clone(to), new_name.clone());
        self.shared.change(
            from,
            turns,
            move |store| {
                let renamed =
                    store.vault.rename((&source, &name), (&target, &new_name), replace, store.now());
                outcome(renamed, |()| Value::Nothing)
            },
            |_| Some(()),
        )
    }
}
