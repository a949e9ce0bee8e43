//! Removing entries, and never anything that is not known to be of no use without them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::made::give_to_folder;
use super::{Subject, Tree, Waits, directory_id};
use crate::ciphertext_path::{
    CiphertextPath, ENTRY_SUFFIX, IN_USE_SUFFIX, MIN_ENTRY_LEN, NAME_FILE, SHORTENED_SUFFIX, is_junk,
};
use crate::content_dir::{self, DIR_ID_FILE};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{DirId, Name};
use crate::node::{Node, NodeKind, Shape, Spelling, What};
use crate::probe::Probe;
use crate::storage::{Attributes, EntryKind, Listed, Owner};

impl Tree {
    /// Removes a file or symbolic link. Returns what is gone then, and whether nothing is left of its folder.
    pub(crate) fn remove(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        now: Instant,
    ) -> Result<(Arc<Node>, Result<()>)> {
        let _turn = self.turns.alone(Subject::Directory(directory_id(dir)?.clone()));
        let node = self.find_in_turn(dir, name, now)?;
        if node.kind() == NodeKind::Directory {
            return Err(ErrorKind::IsADirectory.into());
        }
        let _entry = self.turns.alone(Subject::Entry(node.id()));
        let stored = stored_of(&node)?;
        let change = self.cache.begin_change(&[(dir, name)], now);
        self.remove_type_file(&stored, &node.what)?;
        change.removed(&node);
        self.let_go(&node);
        let cleared = self.remove_folder(&stored);
        Ok((node, cleared))
    }

    /// Removes an empty directory: the content directory first, so that nothing that comes into it meanwhile is lost.
    pub(crate) fn remove_dir(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<()> {
        let _turn = self.turns.alone(Subject::Directory(directory_id(dir)?.clone()));
        let node = self.find_in_turn(dir, name, now)?;
        let id = directory_id(&node)?;
        if lies_within(dir, id) {
            return Err(Error::damaged("the directory lies within itself").at(node.ciphertext_path()));
        }
        let _victim = self.turns.alone(Subject::Directory(id.clone()));
        let _entry = self.turns.alone(Subject::Entry(node.id()));
        let stored = stored_of(&node)?;
        let change = self.cache.begin_change(&[(dir, name)], now);
        self.remove_dir_content(&node, id)?;
        self.remove_type_file(&stored, &node.what).inspect_err(|error| {
            // Where somebody else was quicker nothing leads there any more.
            if error.kind() != ErrorKind::NotFound {
                self.put_dir_content_back(&node, id);
            }
        })?;
        change.removed(&node);
        self.let_go(&node);
        self.cache.forget_gone(&node);
        self.cache.forget_listing(id);
        self.remove_folder(&stored)
    }

    /// The entry of this name, asked for by somebody who has the directory's turn.
    pub(super) fn find_in_turn(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<Arc<Node>> {
        // It may have been removed before the turn came.
        directory_id(dir)?;
        match self.cache.lookup(dir, name, now) {
            Probe::Ready(known) => known,
            Probe::Absent => self.look_up(dir, name, now, Waits::ForNothing).map(|(node, _)| node),
        }
    }

    /// Removes what is left of the content of an empty directory. Where there is nothing, others may have removed the
    /// directory, and have made another one of that name: then its entry leads to that.
    pub(super) fn remove_dir_content(&self, node: &Node, id: &DirId) -> Result<()> {
        if self.remove_content_dir(id)? {
            return Ok(());
        }
        let path = stored_of(node)?.type_file(&node.what);
        if self.read_dir_file(&path)? == *id {
            return Ok(());
        }
        self.cache.forget(node);
        Err(Error::new(ErrorKind::Incomplete).because("the entry leads to another directory by now").at(path))
    }

    /// Puts back the content of an empty directory that stays after all, of the mode and owner that memory knows.
    pub(super) fn put_dir_content_back(&self, node: &Node, id: &DirId) {
        let made = content_dir::create(&*self.storage, &self.names, self.combo, &self.key, id);
        let owner = self.cache.last_attributes(node).and_then(|known| known.owner);
        if let (Ok(path), Some(Owner { mode, uid, gid })) = (made, owner) {
            let given =
                Attributes { mode: Some(mode), uid: Some(uid), gid: Some(gid), ..Attributes::default() };
            let _given_or_as_new = give_to_folder(&*self.storage, &path, &given);
        }
    }

    /// Removes the content directory of an empty directory; false where there is none.
    ///
    /// It looks before it touches anything. Whether the directory is empty is then for storage to decide: where
    /// something has come in meanwhile, what was removed of our own is put back.
    fn remove_content_dir(&self, dir: &DirId) -> Result<bool> {
        let path = self.content_dir(dir);
        self.let_in(&path, || self.remove_content_dir_at(&path, dir))
    }

    fn remove_content_dir_at(&self, path: &CiphertextPath, dir: &DirId) -> Result<bool> {
        let listed = match self.storage.list(path) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::of_structure(error).at(path)),
        };
        if let Some(kept) = listed.iter().find(|listed| !is_ours_to_remove(listed, &[DIR_ID_FILE])) {
            return Err(not_empty(kept).at(path));
        }
        self.remove_listed(path, &listed)?;
        self.storage.remove(path, EntryKind::Directory).map_err(|error| {
            if listed.iter().any(|listed| listed.name == DIR_ID_FILE) {
                let _put_back_or_missing =
                    content_dir::write_dir_id(&*self.storage, path, self.combo, &self.key, dir);
            }
            Error::from(error).at(path)
        })?;
        Ok(true)
    }

    /// Removes what makes the entry what it is: there is none from then on. Looks first whether its folder holds what is
    /// not ours, but for that of a directory, in which nothing else ever was.
    pub(super) fn remove_type_file(&self, stored: &Spelling, what: &What) -> Result<()> {
        let type_file = stored.type_file(what);
        if stored.shape == Shape::Shortened
            || (stored.shape == Shape::Folder && !matches!(what, What::Directory(_)))
        {
            let listed =
                self.storage.list(&stored.path).map_err(|error| Error::from(error).at(&stored.path))?;
            let own = [NAME_FILE, type_file.file_name().unwrap_or_default()];
            if let Some(kept) = listed.iter().find(|listed| !is_ours_to_remove(listed, &own)) {
                return Err(not_empty(kept).at(&stored.path));
            }
        }
        self.storage.remove(&type_file, EntryKind::File).map_err(|error| Error::from(error).at(type_file))
    }

    /// Removes the folder of an entry that is none any more, as far as nothing else is in it. What is left of it is an
    /// entry that does not say what it is.
    pub(super) fn remove_folder(&self, stored: &Spelling) -> Result<()> {
        let path = &stored.path;
        if stored.shape == Shape::Plain {
            return Ok(());
        }
        if stored.shape == Shape::Shortened {
            match self.storage.remove(&path.push(NAME_FILE), EntryKind::File) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::from(error).at(path));
                }
                _ => {}
            }
        }
        match self.storage.remove(path, EntryKind::Directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            result => return result.map_err(|error| Error::from(error).at(path)),
        }
        let listed = self.storage.list(path).map_err(|error| Error::from(error).at(path))?;
        if let Some(kept) = listed.iter().find(|listed| !is_ours_to_remove(listed, &[])) {
            return Err(not_empty(kept).at(path));
        }
        self.remove_listed(path, &listed)?;
        self.storage.remove(path, EntryKind::Directory).map_err(|error| Error::from(error).at(path))
    }

    /// Removes an entry whole.
    pub(super) fn remove_entry(&self, stored: &Spelling, what: &What) -> Result<()> {
        self.remove_type_file(stored, what)?;
        self.remove_folder(stored)
    }

    fn remove_listed(&self, folder: &CiphertextPath, listed: &[Listed]) -> Result<()> {
        for name in listed.iter().filter_map(|listed| listed.name.to_str()) {
            let Some(path) = folder.join(name) else { continue };
            match self.storage.remove(&path, EntryKind::File) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::from(error).at(path));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the directory `id` is `dir`, or one that `dir` lies in. Damaged vaults have entries that lead back up.
pub(super) fn lies_within(dir: &Arc<Node>, id: &DirId) -> bool {
    std::iter::once(Arc::clone(dir)).chain(dir.ancestors()).any(|node| node.dir_id() == Some(id))
}

pub(super) fn stored_of(node: &Node) -> Result<Spelling> {
    node.at().map(|at| at.stored).ok_or_else(|| ErrorKind::InvalidArgument.into())
}

/// Whether a file has no meaning without what is being removed: `own` is what the vault itself keeps there. Nothing is
/// taken for that which might hold data of anybody: no half-downloaded file, and no placeholder of one.
fn is_ours_to_remove(listed: &Listed, own: &[&str]) -> bool {
    let Some(name) = listed.name.to_str() else { return false };
    // That tells other clients which file is in use; the file itself is not here any more.
    let is_mark = name.ends_with(IN_USE_SUFFIX);
    listed.kind == EntryKind::File && (is_mark || is_junk(name) || own.contains(&name))
}

/// What keeps a directory: an entry of the vault, or something else, whose name is then no secret.
fn not_empty(kept: &Listed) -> Error {
    let name = kept.name.to_string_lossy();
    let is_entry =
        name.len() >= MIN_ENTRY_LEN && (name.ends_with(ENTRY_SUFFIX) || name.ends_with(SHORTENED_SUFFIX));
    let error = Error::new(ErrorKind::NotEmpty);
    if is_entry {
        error
    } else {
        let shown: String = name.chars().filter(|character| !character.is_control()).take(80).collect();
        error.because(format!("directory not empty: the vault's storage holds \"{shown}\" in it, which is not oxcrypt's to delete"))
    }
}
