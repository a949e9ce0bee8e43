//! A directory of the vault that is being filled.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use oxcrypt_core::{ErrorKind, Listing, Name, Node, NodeKind};
use oxcrypt_io::volume::Error;

use super::stopped::Stopped;
use crate::drafts::Drafts;
use crate::lock::lock;
use crate::source::Source;

/// What all directories share that a run fills.
pub(crate) struct Filling {
    pub(crate) source: Source,
    pub(crate) drafts: Arc<Drafts>,
    /// The same vault with empty memory, where what storage has is to be read back.
    pub(crate) fresh: Option<Source>,
    /// Each file and directory is made durable on its own, because nothing does so for all of them at the end.
    pub(crate) syncs_each: bool,
    /// Directories that could not be made durable, and why.
    unsynced: Mutex<Vec<(String, Error)>>,
}

/// A directory of the vault. When the last one who works in it is done, it gets its time.
pub(crate) struct Directory {
    node: Arc<Node>,
    parent: Option<Arc<Self>>,
    modified: Option<SystemTime>,
    /// What was in it before; `None` if it was made by this run.
    there: Option<Arc<Listing>>,
    /// The same one in the vault with empty memory.
    fresh: OnceLock<Arc<Node>>,
    filling: Arc<Filling>,
}

impl Filling {
    pub(crate) fn new(source: &Source, drafts: Arc<Drafts>, fresh: Option<Source>) -> Arc<Self> {
        let syncs_each = !cfg!(target_os = "linux") || source.may_block();
        Arc::new(Self { source: source.clone(), drafts, fresh, syncs_each, unsynced: Mutex::default() })
    }

    /// The directories that could not be made durable so far, and why.
    pub(crate) fn take_unsynced(&self) -> Vec<(String, Error)> {
        std::mem::take(&mut *lock(&self.unsynced))
    }
}

impl Directory {
    /// Opens a directory that is there, and removes what runs that were killed have left over in it.
    pub(crate) fn open(filling: &Arc<Filling>, node: Arc<Node>) -> Result<Arc<Self>, Error> {
        Self::there(filling, node, None, None)
    }

    fn there(
        filling: &Arc<Filling>,
        node: Arc<Node>,
        parent: Option<Arc<Self>>,
        modified: Option<SystemTime>,
    ) -> Result<Arc<Self>, Error> {
        let listing = filling.source.list(&node)?;
        filling.drafts.clear(&node, &listing);
        let (filling, fresh) = (Arc::clone(filling), OnceLock::new());
        Ok(Arc::new(Self { node, parent, modified, there: Some(listing), fresh, filling }))
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The same directory in the vault with empty memory.
    pub(crate) fn afresh(&self, fresh: &Source) -> Result<Arc<Node>, Error> {
        if let Some(known) = self.fresh.get() {
            return Ok(Arc::clone(known));
        }
        let found = fresh.resolve(&self.node.path(), oxcrypt_core::Follow::NotLast)?;
        Ok(Arc::clone(self.fresh.get_or_init(|| found)))
    }

    /// What had this name before this run.
    pub(crate) fn existing(&self, name: &Name) -> Result<Option<Arc<Node>>, Error> {
        let Some(found) = self.there.as_ref().and_then(|listing| listing.find(name)) else {
            return Ok(None);
        };
        match self.filling.source.found(&self.node, found) {
            Ok(node) => Ok(Some(node)),
            // Somebody has removed it meanwhile.
            Err(error) if error.kind() == Some(ErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory in this one, or enters it if it is there already. A link to a directory is none.
    pub(crate) fn enter(
        self: &Arc<Self>,
        name: &Name,
        modified: Option<SystemTime>,
    ) -> Result<Arc<Self>, Stopped> {
        let source = &self.filling.source;
        let node = match self.existing(name)? {
            Some(node) => node,
            None => match source.make_dir((&self.node, name)) {
                Ok(node) => {
                    let (parent, filling) = (Some(Arc::clone(self)), Arc::clone(&self.filling));
                    let (there, fresh) = (None, OnceLock::new());
                    return Ok(Arc::new(Self { node, parent, modified, there, fresh, filling }));
                }
                Err(error) if error.kind() == Some(ErrorKind::AlreadyExists) => {
                    source.lookup((&self.node, name))?
                }
                Err(error) => return Err(error.into()),
            },
        };
        if node.kind() != NodeKind::Directory {
            return Err(Stopped::Refused("the vault has something of this name that is no directory"));
        }
        Ok(Self::there(&self.filling, node, Some(Arc::clone(self)), modified)?)
    }

    fn close(&mut self) {
        if let Some(modified) = self.modified.take() {
            // A directory without its time is no loss that anybody should hear of.
            drop(self.filling.source.set_modified(&self.node, modified));
        }
        if self.filling.syncs_each
            && let Err(error) = self.filling.source.sync_dir(&self.node)
        {
            lock(&self.filling.unsynced).push((self.node.path().to_string(), error));
        }
    }
}

impl Drop for Directory {
    /// From the innermost directory outwards. A loop, because directories can be nested deeper than a stack.
    fn drop(&mut self) {
        self.close();
        let mut parent = self.parent.take();
        while let Some(mut outer) = parent.and_then(Arc::into_inner) {
            parent = outer.parent.take();
        }
    }
}
