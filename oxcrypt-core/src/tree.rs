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
use crate::node::{Node, NodeAttributes, NodeKind, Shape, Stored, What};
use crate::small_file;
use crate::storage::{BlockStorage, EntryKind, Metadata};

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

    /// Looks for `name` in `dir`: under its own spelling first, then among what the directory lists, where conflict
    /// copies and names in another normal form are found.
    pub(crate) fn lookup(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<Arc<Node>> {
        let id = directory_id(dir)?;
        let stored = self.spell(id, name);
        if let Some(what) = self.inspect(&stored)? {
            return Ok(self.cache.insert(dir, name.clone(), &stored, &what, now));
        }
        match self.list(dir, now)?.find(name) {
            // The directory lists it under another spelling, or it came into being a moment ago.
            Some(found) => self.node(dir, found, now),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// The node of a listed entry. Costs nothing for plain files.
    pub(crate) fn node(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Result<Arc<Node>> {
        if let Some(node) = self.cache.node_of(dir, found, now) {
            return Ok(node);
        }
        let what = self.inspect(&found.stored)?.ok_or(ErrorKind::NotFound)?;
        Ok(self.cache.insert(dir, found.name.clone(), &found.stored, &what, now))
    }

    /// Lists `dir`: one scan, and one read for each shortened name.
    pub(crate) fn list(&self, dir: &Arc<Node>, now: Instant) -> Result<Arc<Listing>> {
        let id = directory_id(dir)?;
        let listing = Arc::new(self.scan(id)?);
        if listing.is_complete() {
            self.cache.insert_listing(id, &listing, now);
        }
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
            Ok(_) => return Err(self.gone(node, &path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.gone(node, &path)),
            Err(error) => return Err(Error::from(error).at(path)),
        };
        let attributes = self.attributes_from(node, &metadata);
        self.cache.insert_attributes(node, &attributes, now);
        Ok((attributes, metadata))
    }

    pub(crate) fn attributes_from(&self, node: &Node, metadata: &Metadata) -> NodeAttributes {
        let (len, torn) = match (node.kind(), self.combo.layout().cleartext_len(metadata.len)) {
            (NodeKind::Directory, _) => (0, None),
            (_, Ok(len)) => (len, None),
            (_, Err(torn)) => (torn.shown_len(), Some(torn)),
        };
        NodeAttributes { kind: node.kind(), len, modified: metadata.modified, owner: metadata.owner, torn }
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
    pub(crate) fn read_link(&self, node: &Node, now: Instant) -> Result<Arc<str>> {
        let (NodeKind::Symlink, Some(path)) = (node.kind(), node.ciphertext_file()) else {
            return Err(ErrorKind::NotASymlink.into());
        };
        let target = self.decrypt_target(&path).map_err(|error| error.at(&path))?;
        self.cache.insert_target(node, &target, now);
        Ok(target)
    }

    fn decrypt_target(&self, path: &CiphertextPath) -> Result<Arc<str>> {
        let bytes =
            self.storage.read(path, small_file::max_len(self.combo.layout())).map_err(|error| match error
                .kind()
            {
                io::ErrorKind::InvalidData => Error::damaged("longer than any link target may be"),
                _ => error.into(),
            })?;
        let clear = small_file::decrypt(bytes, self.combo, &self.key)?;
        let target =
            std::str::from_utf8(&clear).map_err(|_| Error::damaged("the link target is not UTF-8"))?;
        Ok(target.into())
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

    /// What the host has under a spelling; `None` if nothing. Corrects nothing and believes only what it sees.
    fn inspect(&self, stored: &Stored) -> Result<Option<What>> {
        let result = match stored.shape {
            Shape::Plain => match self.storage.metadata(&stored.path) {
                Ok(metadata) => match metadata.kind {
                    EntryKind::File => return Ok(Some(What::File)),
                    EntryKind::Directory => self.inspect_folder(&stored.path),
                    EntryKind::Symlink | EntryKind::Other => Err(not_ours()),
                },
                Err(error) => Err(error.into()),
            },
            Shape::Folder | Shape::Shortened => self.inspect_folder(&stored.path),
        };
        match result {
            Ok(what) => Ok(Some(what)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.at(&stored.path)),
        }
    }

    /// What an entry's folder stands for, by the first of the type files that is in it.
    fn inspect_folder(&self, folder: &CiphertextPath) -> Result<What> {
        let listed = self.storage.list(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => Error::damaged("a file where an entry's folder should be"),
            _ => error.into(),
        })?;
        let holds = |file: &str| listed.iter().any(|listed| listed.name == file);
        if holds(DIR_FILE) {
            self.read_dir_file(&folder.push(DIR_FILE)).map(What::Directory)
        } else if holds(SYMLINK_FILE) {
            Ok(What::Symlink)
        } else if holds(CONTENTS_FILE) {
            Ok(What::File)
        } else {
            Err(Error::new(ErrorKind::Incomplete).because("the entry's folder does not say what it is"))
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
            _ => error.into(),
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
