//! Opening files: in storage, or with what memory has of them, and then in storage when somebody needs more.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::read::Patience;
use super::resident::State;
use super::{File, FileContext, ResidentFile};
use crate::error::{Error, ErrorKind, Result};
use crate::node::{Node, NodeKind};
use crate::storage::{BlockFile, Metadata, OpenMode};
use crate::tree::Sighting;

impl FileContext {
    /// Opens a file in storage, for all who have it open.
    pub(crate) fn open(self: &Arc<Self>, node: &Arc<Node>, mode: OpenMode, now: Instant) -> Result<File> {
        if let Some(file) = self.open_gone(node, mode) {
            return Ok(file);
        }
        let (handle, seen) = match self.tree.open(node, mode, now) {
            Ok(opened) => opened,
            // It may have gone meanwhile.
            Err(error) => return self.open_gone(node, mode).ok_or(error),
        };
        let is_current = self.observe(node, &seen, now);
        let node = &self.node_of_opened(node, &seen.metadata, now);
        let writable = mode != OpenMode::Read;
        let is_written = writable || self.has_writer(node.id());
        let opened = |is_current| self.registry.opened(node.id(), &seen.metadata, is_current, is_written);
        let resident = is_current
            .then(|| self.nodes.unless_changed(seen.ticket, || opened(true)))
            .flatten()
            .unwrap_or_else(|| opened(false));
        let shared = self.join(node, &resident, handle, writable, now);
        Ok(File::new(shared, Arc::clone(self), writable))
    }

    /// Opens a file for reading with what memory has of it, which is `known`.
    pub(crate) fn open_resident(
        self: &Arc<Self>,
        node: &Arc<Node>,
        known: &Arc<ResidentFile>,
        now: Instant,
    ) -> Option<File> {
        let is_it = self.registry.get(node.id()).is_some_and(|file| Arc::ptr_eq(&file, known));
        if node.is_gone() || !is_it || !known.can_be_told() {
            return None;
        }
        let shared = self.share(node, known, &mut None, now);
        // Whoever lets go of what others have open closes it, so it goes into the file that is returned.
        let mut file = File::new(shared, Arc::clone(self), false);
        file.believed = Some(known.believe());
        Some(file)
    }

    /// Opens a file that somebody has open for what is wanted.
    pub(crate) fn open_held(self: &Arc<Self>, node: &Node, writable: bool) -> Option<File> {
        let shared = self.open_of(node.id()).filter(|shared| !writable || shared.is_writable())?;
        Some(File::new(shared, Arc::clone(self), writable))
    }

    /// A file that is gone can be opened as long as somebody has it open, if that is for what is wanted.
    fn open_gone(self: &Arc<Self>, node: &Node, mode: OpenMode) -> Option<File> {
        if node.is_gone() { self.open_held(node, mode != OpenMode::Read) } else { None }
    }

    /// Opens in storage what memory alone has opened.
    pub(crate) fn open_in_storage(self: &Arc<Self>, node: &Node) -> Result<()> {
        self.open_held(node, false).map_or(Ok(()), |file| file.handle(Patience::Waits).map(drop))
    }

    /// Takes what storage told of an entry, unless we have changed its content since it was asked.
    /// Returns whether it was.
    pub(crate) fn observe(&self, node: &Node, seen: &Sighting, now: Instant) -> bool {
        let taken = self.nodes.unless_changed(seen.ticket, || {
            self.nodes.insert_attributes(node, &self.tree.attributes_from(node, &seen.metadata), now);
            if node.kind() == NodeKind::File && self.registry.observe(node.id(), &seen.metadata) {
                self.nodes.replaced(node);
            }
        });
        taken.is_some()
    }

    /// The node of the file that was opened by `node`: another one, if that is still the node of the file which was there
    /// before.
    fn node_of_opened(&self, node: &Arc<Node>, metadata: &Metadata, now: Instant) -> Arc<Node> {
        match node.at().filter(|_| self.is_of_another(node.id(), metadata)) {
            Some(at) => {
                self.nodes.replaced(node);
                self.nodes.insert(&at.parent, &at.name, &at.stored, &node.what, now)
            }
            None => Arc::clone(node),
        }
    }
}

impl File {
    /// Says that the file was another one already when memory [opened](crate::Vault::open_resident) it, if storage has told so
    /// since: who has read of it as it was must not read on as it is. Never blocks on storage.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn expect_believed(&self) -> Result<()> {
        if self.believed.is_none_or(|refutations| self.resident().state().refutations == refutations) {
            return Ok(());
        }
        let changed = Error::new(ErrorKind::NotFound);
        Err(self.name(
            changed.because("others had changed the file before it was opened, and memory did not know"),
        ))
    }

    /// The storage's handle. Where memory alone has opened the file, storage is asked for it now, unless this is not to wait.
    pub(super) fn handle(&self, patience: Patience) -> Result<Arc<dyn BlockFile>> {
        match (self.shared.handle(), patience) {
            (Some(handle), _) => Ok(handle),
            (None, Patience::Waits) => self.open_late(),
            (None, Patience::None) => Err(Error::new(ErrorKind::TimedOut)),
        }
    }

    /// Opens the file where it is now, for all who have it open. What was changed meanwhile is noticed as by any opening.
    fn open_late(&self) -> Result<Arc<dyn BlockFile>> {
        let opened = self.context.open(self.node(), OpenMode::Read, self.shared.since)?;
        let handle = if Arc::ptr_eq(&opened.shared, &self.shared) { self.shared.handle() } else { None };
        handle.ok_or_else(|| {
            Error::new(ErrorKind::NotFound).because("the file that was opened is not there any more")
        })
    }
}

impl ResidentFile {
    /// Takes note that somebody reads what memory has, and storage has not been asked. Returns how often that was wrong so far.
    fn believe(&self) -> u64 {
        let mut state = self.state_mut();
        // Where memory has nothing of the content, nobody reads any of it.
        state.is_believed |= !state.content.is_unvouched();
        state.refutations
    }

    /// Whether storage could tell if another file took the place of this one.
    fn can_be_told(&self) -> bool {
        let content = self.content();
        content.identity.is_some() || content.modified.is_some()
    }
}

impl State {
    /// Whether the content is what storage tells now. Those who believed it learn that, or that it is not.
    pub(super) fn is_as_believed(&mut self, metadata: &Metadata) -> bool {
        let content = &self.content;
        let is_it = content.looks_like(metadata);
        let may_be_it = is_it || (content.is_ours && content.stored_len == metadata.len);
        self.refutations += u64::from(mem::take(&mut self.is_believed) && !may_be_it);
        is_it
    }
}
