//! Directory id and name to node: the storage half of the tree. Everything here blocks on storage.
//!
//! Nothing is ever renamed or repaired while looking: a conflict copy is shown beside its original, a half-synced entry
//! is an error of its own and may be whole the next time.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::cache::NodeCache;
use crate::ciphertext_path::{
    CONTENTS_FILE, CiphertextPath, DIR_FILE, ENTRY_SUFFIX, SYMLINK_FILE, shortened,
};
use crate::crypto::{CipherCombo, MasterKey, NameCipher};
use crate::error::{Error, ErrorKind, Result};
use crate::listing::{Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{LinkTarget, Node, NodeAttributes, NodeKind, Shape, Stored, What};
use crate::small_file;
use crate::storage::{BlockFile, BlockStorage, EntryKind, Metadata, OpenMode};

mod conflict;
mod list;

/// The storage half of a vault's tree. What it learns goes to the caches.
pub(crate) struct Tree {
    storage: Arc<dyn BlockStorage>,
    cache: Arc<NodeCache>,
    key: Arc<MasterKey>,
    names: NameCipher,
    combo: CipherCombo,
    shortening_threshold: usize,
}

/// What a lookup finds: the entry, and what storage told of it where it was asked.
pub(crate) type Looked = (Arc<Node>, Option<Metadata>);

impl Tree {
    pub(crate) fn new(
        storage: Arc<dyn BlockStorage>,
        cache: Arc<NodeCache>,
        key: Arc<MasterKey>,
        combo: CipherCombo,
        shortening_threshold: usize,
    ) -> Self {
        let names = NameCipher::new(&key);
        Self { storage, cache, key, names, combo, shortening_threshold }
    }

    /// Where the entries of a directory lie.
    pub(crate) fn content_dir(&self, dir: &DirId) -> CiphertextPath {
        CiphertextPath::content_dir(&self.names.hash_dir_id(dir))
    }

    /// Looks for `name` in `dir`: as a fresh listing has it, else under its own spelling, then among what the directory
    /// lists now, where conflict copies and names in another normal form are found.
    ///
    /// That a name is not there costs one question, and a scan where no fresh listing is in memory: what a directory
    /// shows under a name of its own need not be stored under it, and only a scan tells. So the first miss in a
    /// directory pays for those that follow.
    ///
    /// What storage told of a file on the way comes with it.
    pub(crate) fn lookup(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<Looked> {
        let id = directory_id(dir)?;
        let mut known = self.cache.listing(id, now);
        if let Some(found) = known.as_ref().and_then(|listing| listing.find(name)) {
            match self.node(dir, found, now) {
                // It may be there under another spelling by now.
                Err(error) if error.kind() == ErrorKind::NotFound => self.cache.forget_listing(id),
                result => return Ok((result?, None)),
            }
            known = None;
        }
        let spelled = self.spell(id, name);
        if let Some((stored, what, metadata)) = self.inspect(&spelled)?
            && self.is_named(&stored, id, name)
        {
            let node = self.cache.insert(dir, name, &stored, &what, now);
            let metadata = metadata.filter(|_| node.kind() == NodeKind::File);
            if let Some(metadata) = &metadata {
                self.cache.insert_attributes(&node, &self.attributes_from(&node, metadata), now);
            }
            return Ok((node, metadata));
        }
        let listing = match known {
            Some(known) => known,
            None => self.list(dir, now)?,
        };
        if let Some(found) = listing.find(name) {
            // The directory shows it under another spelling, or it came into being a moment ago.
            return Ok((self.node(dir, found, now)?, None));
        }
        self.cache.insert_absence(id, name, listing.since());
        Err(ErrorKind::NotFound.into())
    }

    /// Whether a shortened entry that was met under the hash of `name` is that entry. One that says it is another is
    /// shown under what it says, and no entry has two names; one that says nothing is believed to be what its hash says.
    fn is_named(&self, stored: &Stored, dir: &DirId, name: &Name) -> bool {
        stored.shape != Shape::Shortened
            || self.read_long_name(dir, &stored.path).map_or(true, |long| long.raw == name.as_str())
    }

    /// The node of a listed entry. Costs nothing for plain files, and for what memory knows.
    pub(crate) fn node(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Result<Arc<Node>> {
        if let Some(node) = self.cache.node_of(dir, found, now) {
            return Ok(node);
        }
        let (stored, what, _) = self.inspect(&found.stored)?.ok_or(ErrorKind::NotFound)?;
        Ok(self.cache.insert(dir, &found.name, &stored, &what, now))
    }

    /// Lists `dir`: one scan, and one read for each shortened name.
    pub(crate) fn list(&self, dir: &Arc<Node>, now: Instant) -> Result<Arc<Listing>> {
        let id = directory_id(dir)?;
        let listing = Arc::new(self.scan(id, now)?);
        self.cache.insert_listing(id, &listing);
        Ok(listing)
    }

    /// Asks for length and times, without opening anything.
    pub(crate) fn attributes(&self, node: &Node, now: Instant) -> Result<(NodeAttributes, Metadata)> {
        let (path, expected) = match node.ciphertext_file() {
            Some(file) => (file, EntryKind::File),
            None => (self.content_dir(directory_id(node)?), EntryKind::Directory),
        };
        let metadata = match self.storage.metadata(&path) {
            Ok(metadata) if metadata.kind == expected => metadata,
            // What was a file is a directory or a link by now.
            Ok(metadata) if metadata.kind == EntryKind::Directory && node.is_plain_file() => {
                return Err(self.gone(node, &path));
            }
            Ok(_) => {
                self.cache.forget(node);
                return Err(Error::damaged("not what a vault has in this place").at(path));
            }
            Err(error) => return Err(self.failed(node, &path, error)),
        };
        let attributes = self.attributes_from(node, &metadata);
        self.cache.insert_attributes(node, &attributes, now);
        Ok((attributes, metadata))
    }

    fn attributes_from(&self, node: &Node, metadata: &Metadata) -> NodeAttributes {
        let (len, torn) = match (node.kind(), self.combo.layout().cleartext_len(metadata.len)) {
            (NodeKind::Directory, _) => (0, None),
            (_, Ok(len)) => (len, None),
            (_, Err(torn)) => (torn.shown_len(), Some(torn)),
        };
        NodeAttributes { kind: node.kind(), len, modified: metadata.modified, owner: metadata.owner, torn }
    }

    /// Opens the ciphertext of a file for reading.
    pub(crate) fn open(&self, node: &Node, now: Instant) -> Result<(Box<dyn BlockFile>, Metadata)> {
        let path = match (node.kind(), node.ciphertext_file()) {
            (NodeKind::File, Some(path)) => path,
            (NodeKind::Symlink, _) => return Err(ErrorKind::InvalidArgument.into()),
            _ => return Err(ErrorKind::IsADirectory.into()),
        };
        let (handle, metadata) =
            self.storage.open(&path, OpenMode::Read).map_err(|error| self.failed(node, &path, error))?;
        self.cache.insert_attributes(node, &self.attributes_from(node, &metadata), now);
        Ok((handle, metadata))
    }

    /// What it means that storage has failed at what a node is made of.
    fn failed(&self, node: &Node, path: &CiphertextPath, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => self.gone(node, path),
            io::ErrorKind::IsADirectory if node.is_plain_file() => self.gone(node, path),
            _ => Error::of_structure(error).at(path),
        }
    }

    /// A node that storage no longer has where it was. For a directory that is a state in which sync clients leave a
    /// vault, as is for anything but a removed entry; so only a file or link is definitely not there.
    fn gone(&self, node: &Node, path: &CiphertextPath) -> Error {
        self.cache.forget(node);
        match node.kind() {
            NodeKind::Directory => missing_content_dir().at(path),
            NodeKind::File | NodeKind::Symlink => Error::new(ErrorKind::NotFound).at(path),
        }
    }

    /// Reads the target of a symbolic link: as it was stored, never resolved.
    pub(crate) fn read_link(&self, node: &Node, now: Instant) -> Result<LinkTarget> {
        let (NodeKind::Symlink, Some(path)) = (node.kind(), node.ciphertext_file()) else {
            return Err(ErrorKind::NotASymlink.into());
        };
        let target = self.decrypt_target(&path).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                self.cache.forget(node);
            }
            error.at(&path)
        })?;
        self.cache.insert_target(node, &target, now);
        Ok(target)
    }

    fn decrypt_target(&self, path: &CiphertextPath) -> Result<LinkTarget> {
        let max_len = small_file::max_len(self.combo.layout());
        let bytes = self.storage.read(path, max_len).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Error::damaged("longer than any link target may be"),
            _ => Error::of_structure(error),
        })?;
        let clear = small_file::decrypt(bytes, self.combo, &self.key)?;
        let target =
            std::str::from_utf8(&clear).map_err(|_| Error::damaged("the link target is not UTF-8"))?;
        Ok(LinkTarget::new(target))
    }

    /// How this crate would store `name` in `dir`.
    fn spell(&self, dir: &DirId, name: &Name) -> Stored {
        let content_dir = self.content_dir(dir);
        let long = self.names.encrypt(name.as_str(), dir) + ENTRY_SUFFIX;
        if long.len() > self.shortening_threshold {
            Stored { path: content_dir.push(&shortened(&long)), shape: Shape::Shortened }
        } else {
            // Whether it is a file or a folder is for the host to tell.
            Stored { path: content_dir.push(&long), shape: Shape::Plain }
        }
    }

    /// What the host has under a spelling, with the shape it has there; `None` if nothing. Corrects nothing and believes
    /// only what it sees.
    fn inspect(&self, stored: &Stored) -> Result<Option<(Stored, What, Option<Metadata>)>> {
        let path = &stored.path;
        let result = match stored.shape {
            Shape::Plain => self.inspect_plain(path),
            shape @ (Shape::Folder | Shape::Shortened) => {
                self.inspect_folder(path).map(|what| (shape, what, None))
            }
        };
        match result {
            Ok((shape, what, metadata)) => Ok(Some((Stored { path: path.clone(), shape }, what, metadata))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.at(path)),
        }
    }

    fn inspect_plain(&self, path: &CiphertextPath) -> Result<(Shape, What, Option<Metadata>)> {
        let metadata = self.storage.metadata(path).map_err(Error::of_structure)?;
        match metadata.kind {
            EntryKind::File => Ok((Shape::Plain, What::File, Some(metadata))),
            EntryKind::Directory => self.inspect_folder(path).map(|what| (Shape::Folder, what, None)),
            EntryKind::Symlink | EntryKind::Other => Err(not_ours()),
        }
    }

    /// What an entry's folder stands for, by the first of the type files that is in it.
    fn inspect_folder(&self, folder: &CiphertextPath) -> Result<What> {
        let listed = self.storage.list(folder).map_err(Error::of_structure)?;
        let found = [DIR_FILE, SYMLINK_FILE, CONTENTS_FILE].into_iter().find_map(|file| {
            listed.iter().find(|listed| listed.name == file).map(|listed| (file, listed.kind))
        });
        match found {
            Some((DIR_FILE, EntryKind::File)) => {
                self.read_dir_file(&folder.push(DIR_FILE)).map(What::Directory)
            }
            Some((SYMLINK_FILE, EntryKind::File)) => Ok(What::Symlink),
            Some((_, EntryKind::File)) => Ok(What::File),
            Some((file, _)) => Err(Error::damaged(format!("{file} is not a file")).at(folder.push(file))),
            None => {
                Err(Error::new(ErrorKind::Incomplete).because("the entry's folder does not say what it is"))
            }
        }
    }

    fn read_dir_file(&self, path: &CiphertextPath) -> Result<DirId> {
        let content = self.storage.read(path, DirId::MAX_LEN + 1).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                Error::damaged("the directory file is too long to hold a directory id")
            }
            // The folder listed it a moment ago, so this says nothing about the entry itself.
            io::ErrorKind::NotFound => {
                Error::new(ErrorKind::Incomplete).because("the directory file is gone")
            }
            _ => Error::of_structure(error),
        })?;
        DirId::from_dir_file(&content).map_err(|invalid| {
            let kind = if content.is_empty() { ErrorKind::Incomplete } else { ErrorKind::Damaged };
            Error::new(kind).because(invalid.to_string()).at(path)
        })
    }
}

fn directory_id(node: &Node) -> Result<&DirId> {
    node.dir_id().ok_or_else(|| ErrorKind::NotADirectory.into())
}

fn missing_content_dir() -> Error {
    Error::new(ErrorKind::Incomplete).because("the content directory is missing, perhaps not synced yet")
}

fn not_ours() -> Error {
    Error::damaged("neither a file nor a folder on the storage")
}
