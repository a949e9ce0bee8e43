//! What becomes of what could not be stored.

use std::sync::Arc;

use super::resident::{ResidentFile, State};
use super::{FileContext, Shared};
use crate::error::{Error, ErrorKind, Result};

impl ResidentFile {
    /// Why the last attempt to store failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<Error>> {
        self.state().unsaved.error.clone()
    }

    /// Takes note that somebody who has the file open was told of its failure: if there never will be room for what could
    /// not be stored, it may go with the last who has it open.
    pub fn failure_was_told(&self) {
        let mut state = self.state_mut();
        state.unsaved.is_told = state.unsaved.error.is_some();
    }

    /// How often what was unsaved was given up.
    pub(super) fn losses(&self) -> u64 {
        self.state().losses
    }

    /// Takes note of why storing failed, or that it works again.
    pub(super) fn remember_failure(&self, failure: Option<&Error>) {
        let error = failure.map(|failure| Arc::new(Error::new(failure.kind()).because(failure.to_string())));
        let mut state = self.state_mut();
        state.unsaved.is_told &= error.is_some();
        state.unsaved.error = error;
    }

    /// Refuses where the host has failed to make durable what was stored.
    pub(super) fn expect_durability(&self) -> Result<()> {
        match &self.state().lost_durability {
            Some(error) => {
                Err(Error::new(error.kind()).because(format!("an earlier sync has failed: {error}")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn lose_durability(&self, error: &Error) {
        let kept = Error::new(error.kind()).because(error.to_string());
        self.state_mut().lost_durability = Some(Arc::new(kept));
    }

    /// Whether what is unsaved never will be stored, and somebody who has the file open was told so.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        let unsaved = &self.state().unsaved;
        let kind = unsaved.error.as_ref().map(|error| error.kind());
        let is_final =
            matches!(kind, Some(ErrorKind::NoSpace | ErrorKind::QuotaExceeded | ErrorKind::TooLarge));
        unsaved.is_told && is_final
    }

    /// Gives up everything unsaved: the file is again what storage has of it. What is not whole there, because it was cut
    /// in the middle of a chunk, is still to be stored.
    fn give_up(&self) {
        let mut state = self.state_mut();
        let state: &mut State = &mut state;
        state.losses += 1;
        let mut unsaved = std::mem::take(&mut state.unsaved);
        match unsaved.before_cut.take() {
            Some(uncut) => state.content = *uncut,
            None => state.unsaved.take_cut_chunk(&mut unsaved, state.content.valid),
        }
        self.budget.give_back(unsaved.bytes());
        let content = &mut state.content;
        // What a failed write has left behind the end is cut off before anything else is stored.
        state.unsaved.needs_cut = content.stored_len > content.readable_len;
        content.id = self.chunks.new_content();
        if content.torn.is_none() {
            content.len = content.valid;
        }
        // What storage has is to be looked at again.
        content.modified = None;
        if content.readable_len == 0 {
            // No header is in storage, so nothing there was encrypted for it.
            content.cipher = None;
        }
    }
}

impl FileContext {
    /// Gives up what is unsaved of a file if storing that has failed; false if there is no such file, or it is being tried
    /// again at this moment.
    pub(super) fn discard(&self, is_it: impl Fn(&Shared) -> bool) -> bool {
        let failed: Vec<Arc<Shared>> = {
            let is_failed = |shared: &&Arc<Shared>| is_it(shared) && shared.resident.failure().is_some();
            self.lock().values().filter(is_failed).map(Arc::clone).collect()
        };
        let mut has_given_up = false;
        for shared in &failed {
            // What is being stored at this moment is not given up: nobody knows yet what becomes of it.
            let Some(_turn) = shared.try_turn() else { continue };
            // What storage told of it before, or tells just now, is not what the file is like after that.
            let _change = self.nodes.begin_content_change(&shared.node);
            self.nodes.forget_attributes(&shared.node);
            shared.resident.give_up();
            self.release(shared);
            has_given_up = true;
        }
        has_given_up
    }

    /// The last who had a file open has it no longer. What never will be stored of it, and was told, goes with him.
    pub(super) fn give_up_hopeless(&self, shared: &Shared) {
        if !shared.is_open() && shared.resident.is_hopeless() {
            self.discard(|held| held.number == shared.number);
        }
    }
}
