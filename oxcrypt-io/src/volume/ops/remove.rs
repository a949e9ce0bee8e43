//! Removing entries.

use std::sync::Arc;

use oxcrypt_core::{Name, Node};

use crate::sched::plan::{Hold, TurnId};
use crate::volume::turns::{content, of_victim};
use crate::volume::value::{Value, outcome};
use crate::volume::{Question, Volume};

impl Volume {
    /// Removes a file or symbolic link, as [`oxcrypt_core::Vault::remove`]. Whoever has the file open reads and writes on.
    pub fn remove(&self, dir: &Arc<Node>, name: &Name) -> Question<()> {
        let (looked, opened) = (self.shared.look_before(dir, name), self.shared.open_before(dir, name));
        let (within, name) = (Arc::clone(dir), name.clone());
        let removed = self.shared.change(
            dir,
            self.turns_to_remove(dir, &name),
            move |store| {
                let removed = store.vault.remove(&within, &name, store.now());
                outcome(removed.inspect(|()| store.look_at_changed(&[&within])), |()| Value::Nothing)
            },
            |_| Some(()),
        );
        removed.after(opened).after(looked)
    }

    /// Removes an empty directory, as [`oxcrypt_core::Vault::remove_dir`].
    pub fn remove_dir(&self, dir: &Arc<Node>, name: &Name) -> Question<()> {
        let looked = self.shared.look_before(dir, name);
        let (within, name) = (Arc::clone(dir), name.clone());
        let removed = self.shared.change(
            dir,
            self.turns_to_remove(dir, &name),
            move |store| {
                let removed = store.vault.remove_dir(&within, &name, store.now());
                outcome(removed.inspect(|()| store.look_at_changed(&[&within])), |()| Value::Nothing)
            },
            |_| Some(()),
        );
        removed.after(looked)
    }

    fn turns_to_remove(&self, dir: &Arc<Node>, name: &Name) -> Vec<(TurnId, Hold)> {
        let mut turns = of_victim(&self.shared.store, dir, name);
        turns.push((content(dir), Hold::Alone));
        turns
    }
}
