//! Storing what was written.

use std::sync::Arc;

use oxcrypt_core::Node;

use crate::volume::value::{Value, outcome};
use crate::volume::{OpenFile, Question, Volume};

impl Volume {
    /// Has storage take all that was written to a file, as [`oxcrypt_core::File::flush`]. Memory answers where nothing is
    /// unsaved.
    pub fn flush(&self, file: &Arc<OpenFile>) -> Question<()> {
        if !file.resident().is_unsaved() {
            return Question::known(Ok(()));
        }
        let about = Arc::clone(file);
        self.shared.store_change(
            file.node(),
            move |store| outcome(about.with(|file| file.flush(store.now())), |_| Value::Nothing),
            |_| Some(()),
        )
    }

    /// Makes all that was written to a file durable, as [`oxcrypt_core::File::sync`], with the directories that lead to
    /// it.
    pub fn sync(&self, file: &Arc<OpenFile>) -> Question<()> {
        let about = Arc::clone(file);
        self.shared.store_change(
            file.node(),
            move |store| outcome(about.with(|file| file.sync(store.now())), |_| Value::Nothing),
            |_| Some(()),
        )
    }

    /// Makes durable what was made in a directory, moved into it or removed from it, as
    /// [`oxcrypt_core::Vault::sync_dir`].
    pub fn sync_dir(&self, dir: &Arc<Node>) -> Question<()> {
        let about = Arc::clone(dir);
        self.shared.store_change(
            dir,
            move |store| outcome(store.vault.sync_dir(&about), |()| Value::Nothing),
            |_| Some(()),
        )
    }
}
