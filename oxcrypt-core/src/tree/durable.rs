//! Making entries survive a power loss: they themselves, and every directory that leads to them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use super::{Subject, Tree, directory_id};
use crate::ciphertext_path::{CiphertextPath, NAME_FILE};
use crate::content_dir::DIR_ID_FILE;
use crate::error::{Error, Result};
use crate::key_files::sync_dir;
use crate::node::{Node, NodeId, NodeKind, Shape};
use crate::storage::OpenMode;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Nodes that we have made or moved and that may not survive a power loss. They are held so that nobody forgets that,
/// up to a number: of those beyond it, nodes are believed to be unsynced that are new to us.
#[derive(Default)]
pub(super) struct Unsynced(Mutex<HashMap<NodeId, Arc<Node>>>);

/// Some two megabytes.
const MAX_HELD: usize = 4_096;

impl Unsynced {
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Node>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    /// Holds an entry that we have made or moved, so that nobody forgets that it is not durable.
    pub(super) fn hold_unsynced(&self, node: &Arc<Node>) {
        let mut held = self.unsynced.lock();
        if held.len() < MAX_HELD {
            held.insert(node.id(), Arc::clone(node));
        } else {
            self.cache.doubt_durability();
        }
    }

    /// Holds an entry no longer, if it is durable or gone.
    pub(super) fn let_go(&self, node: &Node) {
        let mut held = self.unsynced.lock();
        let is_durable = node.entry.unsynced().is_none() && node.content_dir.unsynced().is_none();
        let let_go = if is_durable || node.is_gone() { held.remove(&node.id()) } else { None };
        drop(held);
        drop(let_go);
    }

    /// Makes an entry durable, and all directories that lead to it. Not the content of a file.
    ///
    /// By their places of now: a list of paths would be of no use after a rename.
    pub(crate) fn sync_entry(&self, node: &Arc<Node>) -> Result<()> {
        let (mut next, mut met) = (Some(Arc::clone(node)), HashSet::new());
        while let Some(node) = next.filter(|node| met.insert(node.id())) {
            self.sync_content_dir(&node)?;
            node.entry.sync(|| self.sync_own_entry(&node, Above::Too))?;
            self.let_go(&node);
            next = node.parent();
        }
        Ok(())
    }

    /// Makes the entries of a directory durable: all that were made in it, moved into it or removed from it.
    pub(crate) fn sync_directory(&self, dir: &Arc<Node>) -> Result<()> {
        let path = self.content_dir(directory_id(dir)?);
        // In this order: what is moved away in between has changed once more by then.
        let unsynced_inside = |node: &Arc<Node>| {
            let changes = node.entry.unsynced()?;
            let is_inside = node.parent().is_some_and(|parent| Arc::ptr_eq(&parent, dir));
            is_inside.then(|| (Arc::clone(node), changes))
        };
        let inside: Vec<_> = self.unsynced.lock().values().filter_map(unsynced_inside).collect();
        for (node, _) in &inside {
            self.sync_content_dir(node)?;
            self.sync_own_entry(node, Above::NotYet)?;
        }
        sync_dir(&*self.storage, &path).map_err(|error| Error::from(error).at(&path))?;
        for (node, changes) in &inside {
            node.entry.synced(*changes);
            self.let_go(node);
        }
        self.sync_entry(dir)
    }

    /// What makes the entry of `node`: its type file but that of a file, whose content is synced by whoever writes it.
    fn sync_own_entry(&self, node: &Node, above: Above) -> Result<()> {
        let _turn = self.turns.shared(Subject::Entry(node.id()));
        let Some(at) = node.at() else { return Ok(()) };
        if at.stored.shape != Shape::Plain {
            if node.kind() != NodeKind::File {
                self.sync_file(&at.stored.type_file(&node.what))?;
            }
            if at.stored.shape == Shape::Shortened {
                self.sync_file(&at.stored.path.push(NAME_FILE))?;
            }
            self.sync_folder(&at.stored.path)?;
        }
        match (above, at.stored.path.parent()) {
            (Above::Too, Some(content_dir)) => self.sync_folder(&content_dir),
            _ => Ok(()),
        }
    }

    /// The content directory that we have made for a directory.
    fn sync_content_dir(&self, node: &Node) -> Result<()> {
        node.content_dir.sync(|| {
            let Some(id) = node.dir_id() else { return Ok(()) };
            let path = self.content_dir(id);
            self.sync_file(&path.push(DIR_ID_FILE))?;
            // The directory itself, `d/XX` and `d`: the vault's own folder has had `d` since it was made.
            let folders = std::iter::successors(Some(path), CiphertextPath::parent);
            folders.take(3).try_for_each(|folder| self.sync_folder(&folder))
        })
    }

    fn sync_file(&self, path: &CiphertextPath) -> Result<()> {
        match self.storage.open(path, OpenMode::ReadWrite).and_then(|(file, _)| file.sync()) {
            // It is another client's to remove; what is not there need not be made durable.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| Error::from(error).at(path)),
        }
    }

    fn sync_folder(&self, path: &CiphertextPath) -> Result<()> {
        match sync_dir(&*self.storage, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| Error::from(error).at(path)),
        }
    }
}

/// Whether the directory that an entry lies in is synced with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Too,
    NotYet,
}
