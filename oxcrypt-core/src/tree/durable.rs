//! Making entries survive a power loss: they themselves, and every directory that leads to them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use super::{Subject, Tree, directory_id};
use crate::ciphertext_path::{CiphertextPath, ENTRY_SUFFIX, NAME_FILE, SHORTENED_SUFFIX};
use crate::content_dir::DIR_ID_FILE;
use crate::error::{Error, ErrorKind, Result};
use crate::key_files::sync_dir;
use crate::name::DirId;
use crate::node::{Node, NodeId, Shape, Spelling, What};
use crate::storage::{EntryKind, OpenMode};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Nodes that we have made or moved and that may not survive a power loss. They are held so that nobody forgets that,
/// up to a number: of those beyond it, nodes are believed to be unsynced that are new to us.
#[derive(Default)]
pub(super) struct Unsynced(Mutex<State>);

#[derive(Default)]
struct State {
    held: HashMap<NodeId, Arc<Node>>,
    /// Directories in which something is that is not held.
    unheld: HashSet<DirId>,
    /// There were more of them than are told apart.
    is_unheld_anywhere: bool,
}

/// Some two megabytes, and of directories less.
const MAX_HELD: usize = 4_096;

impl Unsynced {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    /// Holds an entry that we have made or moved, so that nobody forgets that it is not durable.
    pub(super) fn hold_unsynced(&self, node: &Arc<Node>) {
        let parent = node.parent();
        let mut unsynced = self.unsynced.lock();
        if unsynced.held.len() < MAX_HELD {
            unsynced.held.insert(node.id(), Arc::clone(node));
        } else {
            self.cache.doubt_durability();
            if unsynced.unheld.len() >= MAX_HELD {
                unsynced.is_unheld_anywhere = true;
            } else if let Some(id) = parent.as_ref().and_then(|parent| parent.dir_id()) {
                unsynced.unheld.insert(id.clone());
            }
        }
        // Not under the lock: this may be the last that holds it.
        drop(unsynced);
        drop(parent);
    }

    /// Holds an entry no longer, if it is durable or gone.
    pub(super) fn let_go(&self, node: &Node) {
        let mut unsynced = self.unsynced.lock();
        let is_durable = node.entry.unsynced().is_none() && node.content_dir.unsynced().is_none();
        let let_go = if is_durable || node.is_gone() { unsynced.held.remove(&node.id()) } else { None };
        drop(unsynced);
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
        let id = directory_id(dir)?;
        // In this order: what is moved away in between has changed once more by then.
        let unsynced_inside = |node: &Arc<Node>| {
            let changes = node.entry.unsynced()?;
            let is_inside = node.parent().is_some_and(|parent| Arc::ptr_eq(&parent, dir));
            is_inside.then(|| (Arc::clone(node), changes))
        };
        let inside: Vec<_> = self.unsynced.lock().held.values().filter_map(unsynced_inside).collect();
        for (node, _) in &inside {
            self.sync_content_dir(node)?;
            self.sync_own_entry(node, Above::NotYet)?;
        }
        self.sync_unheld(id)?;
        self.in_content_dir(dir, id, |path| {
            sync_dir(&*self.storage, path).map_err(|error| Error::from(error).at(path))
        })?;
        for (node, changes) in &inside {
            node.entry.synced(*changes);
            self.let_go(node);
        }
        self.sync_entry(dir)
    }

    /// What makes the entry of `node`: its type file but that of a file, whose content is synced by whoever writes it.
    fn sync_own_entry(&self, node: &Node, above: Above) -> Result<()> {
        let at = {
            // Who syncs a directory wants what was there before: whoever moves an entry of it meanwhile does not wait.
            let turn = || self.turns.shared(Subject::Entry(node.id()));
            let _turn = (above == Above::Too).then(turn);
            let Some(at) = node.at() else { return Ok(()) };
            if at.stored.shape != Shape::Plain {
                self.sync_folder_of(&at.stored, &node.what)?;
            }
            at
        };
        // What is moved in between has changed once more by then.
        match (above, at.parent.dir_id()) {
            (Above::Too, Some(id)) => self.in_content_dir(&at.parent, id, |path| self.sync_folder(path)),
            _ => Ok(()),
        }
    }

    /// The folder of an entry, with what makes it that.
    fn sync_folder_of(&self, stored: &Spelling, what: &What) -> Result<()> {
        if *what != What::File {
            self.sync_file(&stored.type_file(what))?;
        }
        if stored.shape == Shape::Shortened {
            self.sync_file(&stored.path.push(NAME_FILE))?;
        }
        self.sync_folder(&stored.path)
    }

    /// The content directory that we have made for a directory.
    fn sync_content_dir(&self, node: &Node) -> Result<()> {
        node.content_dir.sync(|| {
            let Some(id) = node.dir_id() else { return Ok(()) };
            self.in_content_dir(node, id, |path| self.sync_new_content_dir(path))
        })
    }

    fn sync_new_content_dir(&self, path: &CiphertextPath) -> Result<()> {
        self.sync_file(&path.push(DIR_ID_FILE))?;
        // The directory itself, `d/XX` and `d`: the vault's own folder has had `d` since it was made.
        let folders = std::iter::successors(Some(path.clone()), CiphertextPath::parent);
        folders.take(3).try_for_each(|folder| self.sync_folder(&folder))
    }

    /// Syncs a content directory, or what is in it, whatever its mode.
    fn in_content_dir(
        &self,
        dir: &Node,
        id: &DirId,
        sync: impl Fn(&CiphertextPath) -> Result<()>,
    ) -> Result<()> {
        let path = self.content_dir(id);
        match sync(&path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            done => return done,
        }
        let _turn = self.turns.alone(Subject::Directory(id.clone()));
        let _entry = self.turns.alone(Subject::Entry(dir.id()));
        let _change = self.cache.begin_content_change(dir);
        self.let_in(&path, || sync(&path))
    }

    /// Syncs all that is in a directory, but for plain files, if anything in it is not held.
    fn sync_unheld(&self, dir: &DirId) -> Result<()> {
        let (is_unheld, everywhere) = {
            let mut unsynced = self.unsynced.lock();
            (unsynced.unheld.remove(dir), unsynced.is_unheld_anywhere)
        };
        if !is_unheld && !everywhere {
            return Ok(());
        }
        self.sync_all_inside(dir).inspect_err(|_| {
            self.unsynced.lock().unheld.insert(dir.clone());
        })
    }

    fn sync_all_inside(&self, dir: &DirId) -> Result<()> {
        let content_dir = self.content_dir(dir);
        let listed = self.storage.list(&content_dir).map_err(|error| Error::from(error).at(&content_dir))?;
        for name in listed.iter().filter(|listed| listed.kind == EntryKind::Directory) {
            let name = name.name.to_str().unwrap_or_default();
            let shape = if name.ends_with(SHORTENED_SUFFIX) { Shape::Shortened } else { Shape::Folder };
            let is_entry = name.ends_with(SHORTENED_SUFFIX) || name.ends_with(ENTRY_SUFFIX);
            let Some(path) = content_dir.join(name).filter(|_| is_entry) else { continue };
            match self.inspect(&Spelling { path, shape }) {
                Ok(Some((stored, what, _))) => {
                    if let What::Directory(id) = &what {
                        self.sync_new_content_dir(&self.content_dir(id))?;
                    }
                    self.sync_folder_of(&stored, &what)?;
                }
                // It has gone meanwhile, or was never ours.
                Ok(None) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Incomplete) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync_file(&self, path: &CiphertextPath) -> Result<()> {
        match self.storage.open(path, OpenMode::ReadWrite).and_then(|(file, _)| file.sync()) {
            // It is another client's to remove; what is not there need not be made durable.
            Err(error) if is_not_there(&error) => Ok(()),
            result => result.map_err(|error| Error::from(error).at(path)),
        }
    }

    fn sync_folder(&self, path: &CiphertextPath) -> Result<()> {
        match sync_dir(&*self.storage, path) {
            Err(error) if is_not_there(&error) => Ok(()),
            result => result.map_err(|error| Error::from(error).at(path)),
        }
    }
}

/// Whether there is nothing under a path, or a file in the place of a folder that was there.
fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the directory that an entry lies in is synced with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Too,
    NotYet,
}
