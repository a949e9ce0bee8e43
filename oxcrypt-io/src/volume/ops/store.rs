//! Storing what was written.

use std::sync::Arc;

use oxcrypt_core::{File, Node};

use crate::sched::plan::Hold;
use crate::volume::error::{Error, Result};
use crate::volume::turns::{durability, entry, to_store};
use crate::volume::value::{Key, Value, outcome};
use crate::volume::write_back::was_stored;
use crate::volume::{OpenFile, Question, Volume};

use super::write::told;

/// More zeros than this are not waited for when a file is closed. What was written behind them is stored after them, so it
/// is not waited for either; what lies before them is.
const MANY_ZEROS: u64 = 64 << 20;

impl Volume {
    /// Has storage take all that was written to a file, as [`oxcrypt_core::File::flush`]. Memory answers where nothing is
    /// unsaved.
    ///
    /// What a file was made longer by is not waited for where that is more than 64 MiB of zeros, and neither is what was
    /// written behind these, as long as storing it does not fail: [`sync`](Self::sync) waits.
    /// At the deadline the data is kept, and is stored when storage takes it. Whoever has a file open of which something was
    /// [given up](Volume::discard) is told so, once.
    pub fn flush(&self, file: &Arc<OpenFile>) -> Question<()> {
        let resident = file.resident();
        if let Err(error) = expect_kept(file) {
            return Question::known(Err(error));
        }
        if !file.is_writable() || !resident.is_unsaved() {
            return Question::known(Ok(()));
        }
        if has_many_zeros(file) && !resident.is_unsaved_before(MANY_ZEROS) {
            self.shared.store_by_and_by(file);
            return Question::known(Ok(()));
        }
        let about = Arc::clone(file);
        let question =
            self.shared.store_change(file.node(), Some(Key::Flush), to_store(file.node()), move |store| {
                let stored = store_before_zeros(&about).and_then(|()| {
                    if has_many_zeros(&about) {
                        return Ok(None);
                    }
                    about.with(|file| file.flush(store.now())).map(Some)
                });
                if let Ok(stored) = stored {
                    was_stored(&about, stored);
                }
                outcome(stored, |_| Value::Nothing)
            });
        tell_failures(file, question)
    }

    /// Makes all that was written to a file durable, as [`oxcrypt_core::File::sync`], with the directories that lead to
    /// it, whatever it was opened for.
    ///
    /// At the deadline as [`flush`](Self::flush).
    pub fn sync(&self, file: &Arc<OpenFile>) -> Question<()> {
        // Who shares the operation of another would not be told.
        if let Err(error) = expect_kept(file) {
            return Question::known(Err(error));
        }
        let about = Arc::clone(file);
        let question =
            self.shared.store_change(file.node(), Some(Key::Sync), to_store(file.node()), move |store| {
                let synced = about.with(|file| file.sync(store.now()));
                if let Ok(stored) = &synced {
                    was_stored(&about, Some(*stored));
                }
                outcome(synced, |_| Value::Nothing)
            });
        tell_failures(file, question)
    }

    /// Makes durable what was made in a directory, moved into it or removed from it, as
    /// [`oxcrypt_core::Vault::sync_dir`]. It is changed meanwhile, also where that hangs: what is done after this has begun
    /// may be durable then, or not.
    pub fn sync_dir(&self, dir: &Arc<Node>) -> Question<()> {
        let about = Arc::clone(dir);
        let turns = vec![(durability(dir), Hold::Alone), (entry(dir), Hold::Share)];
        self.shared.store_change(dir, Some(Key::Sync), turns, move |store| {
            outcome(store.vault.sync_dir(&about), |()| Value::Nothing)
        })
    }
}

/// Whether a file ends in so many zeros that nobody waits for them, as long as they can be stored.
fn has_many_zeros(file: &OpenFile) -> bool {
    let resident = file.resident();
    resident.unsaved_zeros() > MANY_ZEROS && resident.failure().is_none()
}

/// Stores what lies before many zeros, if there are any.
fn store_before_zeros(file: &OpenFile) -> oxcrypt_core::Result<()> {
    while has_many_zeros(file) && file.resident().is_unsaved_before(MANY_ZEROS) {
        file.with(File::store_some)?;
    }
    Ok(())
}

/// Says once to whoever may write that something of the file was given up.
fn expect_kept(file: &OpenFile) -> Result<()> {
    if file.is_writable() { Ok(file.with(File::expect_kept)?) } else { Ok(()) }
}

/// Takes note where whoever has a file open is told that it could not be stored.
fn tell_failures(file: &Arc<OpenFile>, question: Question<()>) -> Question<()> {
    let file = Arc::clone(file);
    question.map_err(move |error: Error| told(&file, error))
}
