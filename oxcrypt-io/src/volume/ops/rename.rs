//! Moving entries.

use std::sync::Arc;

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{ErrorKind, Name, Node, Probe};

use crate::sched::plan::Hold;
use crate::volume::turns::{MOVES, content, may_be_directory, of_victim, to_store};
use crate::volume::value::{Key, Value, outcome};
use crate::volume::{Question, Shared, Volume};

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
        let may_be_directory = |dir, name| may_be_directory(&self.shared.store, dir, name);
        let moves_directory =
            may_be_directory(from, name) || (replace == Replace::Exchange && may_be_directory(to, new_name));
        if from.dir_id() != to.dir_id() && moves_directory {
            turns.push((MOVES, Hold::Alone));
        }
        let stored = self.shared.store_before((from, name), (to, new_name), replace);
        let opened = if replace == Replace::Always { self.shared.open_before(to, new_name) } else { None };
        let looked = [(from, name), (to, new_name)].map(|(dir, name)| self.shared.look_before(dir, name));
        let (source, name) = (Arc::clone(from), name.clone());
        let (target, new_name) = (Arc::clone(to), new_name.clone());
        let renamed = self.shared.change(
            from,
            turns,
            move |store| {
                let renamed =
                    store.vault.rename((&source, &name), (&target, &new_name), replace, store.now());
                outcome(renamed.inspect(|()| store.look_at_changed(&[&source, &target])), |()| Value::Nothing)
            },
            |_| Some(()),
        );
        looked.into_iter().fold(renamed.after(stored).after(opened), Question::after)
    }
}

impl Shared {
    /// Has storage take what is unsaved of a file that takes the place of another: by an operation of its own, because one
    /// that hangs there would stop every change of the directory if it were part of the renaming.
    fn store_before(
        self: &Arc<Self>,
        (dir, name): (&Arc<Node>, &Name),
        (to, new_name): (&Arc<Node>, &Name),
        replace: Replace,
    ) -> Option<Question<()>> {
        let resident = self.store.vault.resident();
        let Probe::Ready(Ok(node)) = resident.lookup(dir, name, self.store.born) else { return None };
        let is_unsaved = matches!(resident.file(node.id()), Probe::Ready(file) if file.is_unsaved());
        let target = resident.lookup(to, new_name, self.store.now());
        let is_free = matches!(target, Probe::Ready(Err(error)) if error.kind() == ErrorKind::NotFound);
        if replace != Replace::Always || !is_unsaved || is_free {
            return None;
        }
        let about = node.id();
        Some(self.store_change(&node, Some(Key::Flush), to_store(&node), move |store| {
            let unsaved = store.vault.unsaved();
            let mut files = unsaved.into_iter().filter(|file| file.node().id() == about);
            let stored = files.try_for_each(|file| file.flush(store.now()).map(drop));
            outcome(stored, |()| Value::Nothing)
        }))
    }
}
