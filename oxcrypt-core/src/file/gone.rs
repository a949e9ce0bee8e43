//! Files that have no name any more and are open: what they are like is for memory to say.
//!
//! Nobody but those who have such a file open will ever see it, so storage is not asked, and is not told.

use super::resident::{ResidentFile, State};
use crate::error::{ErrorKind, Result};
use crate::node::{NodeAttributes, NodeKind};
use crate::storage::{Attributes, Owner};

impl ResidentFile {
    /// Takes note that the file is gone. `known` is what storage told of it last.
    pub(crate) fn went(&self, known: Option<NodeAttributes>) {
        let mut state = self.state_mut();
        let known = state.when_gone(known);
        state.gone = Some(Box::new(known));
    }

    /// What a file that is gone is like. `known` serves where nobody has taken note of that yet.
    pub(crate) fn attributes_when_gone(&self, known: Option<NodeAttributes>) -> NodeAttributes {
        let state = self.state();
        let known = state.when_gone(known);
        let content = &state.content;
        let told = NodeAttributes { len: content.len, torn: content.torn, ..known };
        state.as_written(told)
    }

    /// Sets attributes of a file that is gone.
    pub(crate) fn set_when_gone(&self, change: &Attributes, known: Option<NodeAttributes>) -> Result<()> {
        let mut state = self.state_mut();
        let mut gone = state.as_written(state.when_gone(known));
        if change.mode.is_some() || change.uid.is_some() || change.gid.is_some() {
            let was = gone.owner.ok_or(ErrorKind::Unsupported)?;
            gone.owner = Some(Owner {
                mode: change.mode.unwrap_or(was.mode),
                uid: change.uid.unwrap_or(was.uid),
                gid: change.gid.unwrap_or(was.gid),
            });
        }
        gone.modified = change.modified.or(gone.modified);
        gone.accessed = change.accessed.or(gone.accessed);
        // What was set before, or written, is part of that now.
        (state.unsaved.later, state.unsaved.written) = (None, None);
        state.gone = Some(Box::new(gone));
        Ok(())
    }

    /// Everything is stored, in a file that has no entry any more.
    pub(super) fn settle_unseen(&self) {
        let mut state = self.state_mut();
        let gone = state.as_written(state.when_gone(None));
        state.gone = Some(Box::new(gone));
        (state.unsaved.is_unasked, state.unsaved.later) = (false, None);
        // Somebody may have written on meanwhile.
        if !state.is_unsaved() {
            state.unsaved.written = None;
        }
    }
}

impl State {
    /// What was known of the file when it went; without that, what follows from its content.
    fn when_gone(&self, known: Option<NodeAttributes>) -> NodeAttributes {
        let from_content = NodeAttributes {
            kind: NodeKind::File,
            len: self.content.len,
            modified: self.content.modified,
            changed: None,
            accessed: None,
            owner: None,
            torn: self.content.torn,
        };
        self.gone.as_deref().cloned().or(known).unwrap_or(from_content)
    }
}
