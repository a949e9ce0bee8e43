//! The length of a file.

use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::Node;

use crate::volume::value::{Value, outcome};
use crate::volume::{OpenFile, Question, Volume};

impl Volume {
    /// Cuts a file, or makes it longer by zeros, which take no memory until they are stored: as
    /// [`oxcrypt_core::File::set_len`].
    pub fn set_len(&self, file: &Arc<OpenFile>, len: u64) -> Question<()> {
        let about = Arc::clone(file);
        self.shared.store_change(
            file.node(),
            move |_| {
                let set = about.with(|file| file.set_len(len, SystemTime::now()));
                outcome(set, |()| Value::Nothing)
            },
            |_| Some(()),
        )
    }

    /// The same for a file that nobody needs to have open.
    pub fn truncate(&self, node: &Arc<Node>, len: u64) -> Question<()> {
        let about = Arc::clone(node);
        self.shared.store_change(
            node,
            move |store| {
                let now = store.now();
                let set = store.vault.open_for_writing(&about, now);
                let set = set.and_then(|file| {
                    file.set_len(len, SystemTime::now())?;
                    file.flush(now)
                });
                outcome(set, |_| Value::Nothing)
            },
            |_| Some(()),
        )
    }
}
