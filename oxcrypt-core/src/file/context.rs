//! What all open files of a vault have in common, and which of them have something unsaved.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::resident::ResidentFile;
use super::shared::{Handle, Shared};
use super::{Budget, File, Registry, ScratchPool};
use crate::cache::{NodeCache, WeakTable};
use crate::crypto::{CipherCombo, MasterKey};
use crate::name::Name;
use crate::node::{Node, NodeId};
use crate::storage::{BlockFile, BlockStorage, Metadata};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::tree::Tree;

/// What all open files of a vault share.
pub(crate) struct FileContext {
    pub(super) storage: Arc<dyn BlockStorage>,
    pub(super) key: Arc<MasterKey>,
    pub(super) combo: CipherCombo,
    pub(super) scratch: ScratchPool,
    pub(super) tree: Arc<Tree>,
    pub(super) nodes: Arc<NodeCache>,
    pub(super) registry: Arc<Registry>,
    pub(super) budget: Arc<Budget>,
    pub(super) limits: Limits,
    open: WeakTable<NodeId, Shared>,
    last_number: AtomicU64,
    /// Held until what was written to them is in storage, whether anybody has them open or not.
    unsaved: Mutex<HashMap<u64, Arc<Shared>>>,
}

/// How many bytes of changed chunks memory takes before whoever writes has to store some.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) per_file: usize,
    pub(crate) per_vault: usize,
    /// Nothing is ever changed.
    pub(crate) read_only: bool,
}

impl FileContext {
    pub(crate) fn new(
        storage: Arc<dyn BlockStorage>,
        key: Arc<MasterKey>,
        combo: CipherCombo,
        tree: Arc<Tree>,
        nodes: Arc<NodeCache>,
        registry: Arc<Registry>,
        limits: Limits,
    ) -> Self {
        Self {
            storage,
            key,
            combo,
            scratch: ScratchPool::new(),
            tree,
            nodes,
            budget: Arc::clone(&registry.budget),
            registry,
            limits,
            open: WeakTable::new(),
            last_number: AtomicU64::new(0),
            unsaved: Mutex::new(HashMap::new()),
        }
    }

    /// The file that was just opened, with all who have it open already. Where they have a handle that serves as well,
    /// the new one is closed.
    pub(crate) fn join(
        &self,
        node: &Arc<Node>,
        resident: &Arc<ResidentFile>,
        handle: Box<dyn BlockFile>,
        writable: bool,
        now: Instant,
    ) -> Arc<Shared> {
        let mut handle = Some(Handle { file: handle.into(), writable });
        let shared = self.share(node, resident, &mut handle, now);
        drop(handle.and_then(|handle| shared.offer_handle(handle)));
        shared
    }

    /// The file with all who have it open already. If nobody has, it takes the handle.
    pub(super) fn share(
        &self,
        node: &Arc<Node>,
        resident: &Arc<ResidentFile>,
        handle: &mut Option<Handle>,
        now: Instant,
    ) -> Arc<Shared> {
        let is_it = |shared: &Shared| Arc::ptr_eq(&shared.resident, resident);
        self.open.get_or_insert(node.id(), is_it, || {
            let number = self.last_number.fetch_add(1, Ordering::Relaxed);
            Shared::new(number, Arc::clone(node), Arc::clone(resident), now, handle.take())
        })
    }

    /// The file of a node, if anybody has it open, or it is not all stored.
    pub(crate) fn open_of(&self, node: NodeId) -> Option<Arc<Shared>> {
        self.open.get(&node)
    }

    /// Whether anybody has the file of a node open for writing.
    pub(crate) fn has_writer(&self, node: NodeId) -> bool {
        self.open.get(&node).is_some_and(|shared| shared.is_writable())
    }

    /// Whether a node is still that of another file than storage describes: somebody has it open, or it is not all
    /// stored.
    pub(crate) fn is_of_another(&self, node: NodeId, metadata: &Metadata) -> bool {
        self.open.get(&node).is_some_and(|shared| shared.resident.is_another_file(metadata))
    }

    /// The files of this name of which anything is unsaved: more than one where others have replaced one.
    pub(crate) fn unsaved_at(&self, dir: &Node, name: &Name) -> Vec<Arc<Shared>> {
        let is_there = |shared: &&Arc<Shared>| {
            shared.node.at().is_some_and(|at| at.parent.dir_id() == dir.dir_id() && at.name == *name)
        };
        self.lock().values().filter(is_there).map(Arc::clone).collect()
    }

    /// Holds a file until all of it is in storage.
    pub(super) fn hold(&self, shared: &Arc<Shared>) {
        self.lock().entry(shared.number).or_insert_with(|| Arc::clone(shared));
        if !shared.resident.is_unsaved() {
            self.release(shared);
        }
    }

    /// Holds a file no longer, if all of it is in storage.
    pub(super) fn release(&self, shared: &Shared) {
        let mut unsaved = self.lock();
        let released = if shared.resident.is_unsaved() { None } else { unsaved.remove(&shared.number) };
        drop(unsaved);
        drop(released);
    }

    /// One who had a file open has it no longer. What is unsaved of a file that is gone, nobody will ever read.
    pub(super) fn let_go(&self, shared: &Shared) {
        shared.leave();
        self.give_up_hopeless(shared);
        if !shared.is_open() {
            self.registry.closed(&shared.node, &shared.resident);
        }
        if shared.node.is_gone() {
            self.forget_gone(|held| held.number == shared.number && !held.is_open());
        }
    }

    /// A node is gone: what is unsaved of it is of no use unless somebody has it open.
    pub(crate) fn removed(&self, node: &Node) {
        self.forget_gone(|held| held.node.id() == node.id() && !held.is_open());
    }

    fn forget_gone(&self, is_forgotten: impl Fn(&Arc<Shared>) -> bool) {
        let forgotten: Vec<_> = self.lock().extract_if(|_, held| is_forgotten(held)).collect();
        drop(forgotten);
    }

    /// Gives up what is unsaved of the file of a node, if storing that has failed; false if there is no such file.
    pub(crate) fn discard_of(&self, node: NodeId) -> bool {
        self.discard(|held| held.node.id() == node)
    }

    /// Bytes of changed chunks that storage does not have yet, of all files together.
    pub(crate) fn unsaved_bytes(&self) -> usize {
        self.budget.bytes()
    }

    /// What memory has of the files of which something is not in storage yet.
    pub(crate) fn unsaved_in_memory(&self) -> Vec<(Arc<Node>, Arc<ResidentFile>)> {
        let held = self.lock();
        held.values().map(|shared| (Arc::clone(&shared.node), Arc::clone(&shared.resident))).collect()
    }

    /// The files of which something is not in storage yet.
    pub(crate) fn unsaved(self: &Arc<Self>) -> Vec<File> {
        let unsaved = self.lock();
        unsaved.values().map(|shared| File::new(Arc::clone(shared), Arc::clone(self), true)).collect()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Shared>>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FileContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileContext({})", self.combo)
    }
}
