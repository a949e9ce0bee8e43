//! New entries: files, directories, symbolic links.
//!
//! An entry is its type file, which therefore comes last: a process that is killed on the way leaves nothing that could
//! be taken for an entry, or one that is whole.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{Sighting, Subject, Tree, Waits, directory_id, made, missing_content_dir};
use crate::chunk::PAYLOAD_LEN;
use crate::ciphertext_path::{CiphertextPath, MAX_NAME_LEN, NAME_FILE};
use crate::content_dir::{self, DIR_ID_FILE};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{DirId, Name};
use crate::node::{LinkTarget, Node, Shape, Spelling, What};
use crate::probe::Probe;
use crate::small_file;
use crate::storage::{Attributes, BlockFile, EntryKind, Metadata};

/// A file that was just made: it is empty, in storage not even a header is written.
pub(crate) type Created = (Arc<Node>, Box<dyn BlockFile>, Metadata);

/// A directory that was just made, and what storage told of it where it was asked.
pub(crate) type MadeDir = (Arc<Node>, Option<Sighting>);

/// How an entry that does not exist yet is going to be stored.
pub(super) struct NewEntry {
    pub(super) stored: Spelling,
    /// What `name.c9s` is to say, where the name is shortened.
    long: Option<String>,
}

impl Tree {
    /// Creates an empty file, of the mode and owner of `made`.
    pub(crate) fn create(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        made: &Attributes,
        now: Instant,
    ) -> Result<Created> {
        let write = |path: &CiphertextPath| made::new_file(&*self.storage, path, made);
        let (node, (handle, metadata)) = self.create_entry(dir, name, &What::File, now, write)?;
        Ok((node, handle, metadata))
    }

    /// Creates an empty directory, of the mode and owner of `made`: its content directory first, so that no entry ever
    /// leads nowhere.
    pub(crate) fn make_dir(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        made: &Attributes,
        now: Instant,
    ) -> Result<MadeDir> {
        let id = DirId::generate();
        let what = What::Directory(id.clone());
        // Nobody knows this id, so nobody minds that it has a content directory before anything is decided.
        self.expect_free(dir, name, now, Waits::ForTurn)?;
        let path = content_dir::create(&*self.storage, &self.names, self.combo, &self.key, &id)?;
        let ticket = self.cache.look_at_directory(&id, now);
        let metadata = made::give_to_folder(&*self.storage, &path, made).map_err(|error| {
            self.unmake_content_dir(&path);
            Error::from(error).at(&path)
        })?;
        let write = |path: &CiphertextPath| self.storage.write_new(path, id.as_bytes());
        match self.create_entry(dir, name, &what, now, write) {
            Ok((node, ())) => Ok((node, metadata.map(|metadata| Sighting { metadata, ticket }))),
            Err(error) => {
                if !self.may_lead_to(dir, name, &id) {
                    self.unmake_content_dir(&path);
                }
                Err(error)
            }
        }
    }

    /// Removes a content directory that nothing leads to. If this fails, it is left empty.
    fn unmake_content_dir(&self, path: &CiphertextPath) {
        let _removed_or_left_behind = self.let_in(path, || {
            self.storage.remove(&path.push(DIR_ID_FILE), EntryKind::File)?;
            Ok(self.storage.remove(path, EntryKind::Directory)?)
        });
    }

    /// Whether an entry that could not be made is there all the same, or nobody can tell.
    fn may_lead_to(&self, dir: &Arc<Node>, name: &Name, id: &DirId) -> bool {
        let what = What::Directory(id.clone());
        let new = directory_id(dir).and_then(|dir| self.new_entry(dir, name, &what));
        let Ok(new) = new else { return false };
        match self.storage.read(&new.stored.type_file(&what), DirId::MAX_LEN + 1) {
            Ok(content) => content == id.as_bytes(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// Creates a symbolic link, of the owner of `made`. The mode of a link means nothing.
    pub(crate) fn make_symlink(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        target: &str,
        made: &Attributes,
        now: Instant,
    ) -> Result<Arc<Node>> {
        if target.is_empty() || target.contains('\0') {
            return Err(Error::new(ErrorKind::InvalidArgument).because("no link can have this target"));
        }
        if target.len() as u64 >= PAYLOAD_LEN {
            return Err(Error::new(ErrorKind::NameTooLong).because("no link can have a target this long"));
        }
        let bytes = small_file::encrypt(target.as_bytes(), self.combo, &self.key);
        let write = |path: &CiphertextPath| made::new_small_file(&*self.storage, path, &bytes, made);
        let (node, ()) = self.create_entry(dir, name, &What::Symlink, now, write)?;
        self.cache.insert_target(&node, &LinkTarget::new(target), now);
        Ok(node)
    }

    fn create_entry<T>(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        what: &What,
        now: Instant,
        write: impl FnOnce(&CiphertextPath) -> io::Result<T>,
    ) -> Result<(Arc<Node>, T)> {
        let id = directory_id(dir)?;
        let new = self.new_entry(id, name, what)?;
        let _turn = self.turns.alone(Subject::Directory(id.clone()));
        self.expect_free(dir, name, now, Waits::ForNothing)?;
        let change = self.cache.begin_change(&[(dir, name)], now);
        self.make_folder(&new)?;
        let type_file = new.stored.type_file(what);
        let made = write(&type_file).map_err(|error| {
            self.unmake_folder(&new);
            not_created(error).at(type_file)
        })?;
        let node = change.created(dir, name, new.stored, what.clone());
        self.hold_unsynced(&node);
        Ok((node, made))
    }

    /// Refuses a name that is known to be taken, or cannot be one. Where nothing is known, storage tells when it is asked
    /// to make it; but a name that may be there in another normal form is looked for.
    fn expect_free(&self, dir: &Arc<Node>, name: &Name, now: Instant, waits: Waits) -> Result<()> {
        directory_id(dir)?;
        let known = match self.cache.lookup(dir, name, now) {
            Probe::Ready(known) => known,
            Probe::Absent if name.has_other_forms() => {
                self.look_up(dir, name, now, waits).map(|(node, _)| node)
            }
            Probe::Absent => return Ok(()),
        };
        match known {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How an entry of this name and kind is to be stored in `dir`.
    pub(super) fn new_entry(&self, dir: &DirId, name: &Name, what: &What) -> Result<NewEntry> {
        if name.as_str().len() > MAX_NAME_LEN {
            return Err(ErrorKind::NameTooLong.into());
        }
        let (mut stored, long) = self.spell_with_long_name(dir, name);
        if long.is_none() && *what != What::File {
            stored.shape = Shape::Folder;
        }
        Ok(NewEntry { stored, long })
    }

    /// Creates the folder that an entry has unless it is a plain file, with its long name in it.
    pub(super) fn make_folder(&self, new: &NewEntry) -> Result<()> {
        let path = &new.stored.path;
        if new.stored.shape == Shape::Plain {
            return Ok(());
        }
        self.storage.create_dir(path).map_err(|error| not_created(error).at(path))?;
        let Some(long) = &new.long else { return Ok(()) };
        let file = path.push(NAME_FILE);
        self.storage.write_new(&file, long.as_bytes()).map_err(|error| {
            let _removed_or_left_empty = self.storage.remove(path, EntryKind::Directory);
            Error::from(error).at(file)
        })
    }

    /// Removes what [`make_folder`](Self::make_folder) has made, where nothing came of it.
    ///
    /// A call that failed may have been made all the same, as where its answer came too late. What is in use is left as
    /// it is, above all its name.
    pub(super) fn unmake_folder(&self, new: &NewEntry) {
        let path = &new.stored.path;
        if new.stored.shape == Shape::Plain {
            return;
        }
        let is_unused =
            self.storage.list(path).is_ok_and(|listed| listed.iter().all(|entry| entry.name == NAME_FILE));
        // What cannot be removed is left as an entry that does not say what it is.
        if is_unused {
            if new.long.is_some() {
                let _ = self.storage.remove(&path.push(NAME_FILE), EntryKind::File);
            }
            let _ = self.storage.remove(path, EntryKind::Directory);
        }
    }
}

/// Why nothing could be made in a directory.
fn not_created(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => missing_content_dir(),
        _ => error.into(),
    }
}
