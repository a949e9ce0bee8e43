//! The length of a file.

use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::Node;
use oxcrypt_core::chunk::MAX_FILE_LEN;

use crate::volume::error::Result;
use crate::volume::turns::to_store;
use crate::volume::value::{Value, outcome};
use crate::volume::{OpenFile, Question, Shared, Volume};

use super::write::told;

impl Volume {
    /// Cuts a file, or makes it longer by zeros, which take no memory until they are stored: as
    /// [`oxcrypt_core::File::set_len`].
    ///
    /// Memory answers in the usual case: not where a chunk has to be read that is cut in two, or the file is being stored
    /// while it is cut, or storage might have no room for what the file is made longer by.
    pub fn set_len(&self, file: &Arc<OpenFile>, len: u64) -> Question<()> {
        match self.shared.try_set_len(file, len) {
            Ok(true) => return Question::known(Ok(())),
            Err(error) => return Question::known(Err(error)),
            Ok(false) => {}
        }
        let (about, shared) = (Arc::clone(file), Arc::downgrade(&self.shared));
        self.shared.store_change(file.node(), None, to_store(file.node()), move |_| {
            let set = about.with(|file| file.set_len(len, SystemTime::now()));
            if let (Ok(()), Some(shared)) = (&set, shared.upgrade()) {
                shared.store_by_and_by(&about);
            }
            outcome(set, |()| Value::Nothing)
        })
    }

    /// The same for a file that nobody needs to have open.
    pub fn truncate(&self, node: &Arc<Node>, len: u64) -> Question<()> {
        let (about, shared) = (Arc::clone(node), Arc::downgrade(&self.shared));
        self.shared.store_change(node, None, to_store(node), move |store| {
            let set = store.vault.open_for_writing(&about, store.now()).and_then(|file| {
                file.set_len(len, SystemTime::now())?;
                Ok(file)
            });
            outcome(set, |file| {
                // Whoever lets go of it sees to it that it is stored.
                if let Some(shared) = shared.upgrade() {
                    drop(OpenFile::new(file, shared));
                }
                Value::Nothing
            })
        })
    }
}

impl Shared {
    /// Sets the length in memory; false if that takes more.
    fn try_set_len(self: &Arc<Self>, file: &Arc<OpenFile>, len: u64) -> Result<bool> {
        let within = self.admission.enter()?;
        let more = len.saturating_sub(file.resident().len());
        // What no file may be as long as is refused without a look at the room for it.
        if len <= MAX_FILE_LEN && self.is_tight(more) {
            return Ok(false);
        }
        let set = file.file()?.try_set_len(len, SystemTime::now());
        drop(within);
        let set = set.map_err(|error| told(file, error.into()))?;
        if set {
            self.store_by_and_by(file);
        }
        Ok(set)
    }
}
