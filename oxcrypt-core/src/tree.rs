//! Directory id and name to node: the storage half of the tree. Everything here blocks on storage.
//!
//! Nothing is ever renamed or repaired while looking: a conflict copy is shown beside its original, a half-synced entry
//! is an error of its own and may be whole the next time.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::cache::{ClockCache, NodeCache, Ticket};
use crate::ciphertext_path::{CiphertextPath, ENTRY_SUFFIX, shortened};
use crate::content_dir;
use crate::crypto::{CipherCombo, MasterKey, NameCipher};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{DirId, Name};
use crate::node::{At, LinkTarget, Node, NodeKind, Shape, Spelling, What};
use crate::small_file;
use crate::storage::{Attributes, BlockFile, BlockStorage, Metadata, OpenMode};

mod attributes;
mod conflict;
mod create;
mod durable;
mod list;
mod locked_out;
mod lookup;
mod made;
mod remove;
mod rename;
mod turns;

pub(crate) use create::Created;
use durable::Unsynced;
use lookup::Waits;
pub(crate) use turns::Subject;
use turns::Turns;

/// The storage half of a vault's tree. What it learns goes to the caches.
pub(crate) struct Tree {
    storage: Arc<dyn BlockStorage>,
    cache: Arc<NodeCache>,
    key: Arc<MasterKey>,
    names: NameCipher,
    combo: CipherCombo,
    shortening_threshold: usize,
    pub(crate) turns: Turns,
    unsynced: Unsynced,
    /// Where the entries of directories lie that were asked for lately: to find out takes ciphers.
    content_dirs: ClockCache<DirId, CiphertextPath>,
}

/// Some two hundred kilobytes.
const KEPT_CONTENT_DIRS: usize = 1_024;

/// What storage told of an entry's content, to be believed if we have not changed that since it was asked.
pub(crate) struct Sighting {
    pub(crate) metadata: Metadata,
    pub(crate) ticket: Ticket,
}

/// What a lookup finds: the entry, and what storage told of it where it was asked.
pub(crate) type Looked = (Arc<Node>, Option<Sighting>);

impl Tree {
    pub(crate) fn new(
        storage: Arc<dyn BlockStorage>,
        cache: Arc<NodeCache>,
        key: Arc<MasterKey>,
        combo: CipherCombo,
        shortening_threshold: usize,
    ) -> Self {
        let names = NameCipher::new(&key);
        Self {
            storage,
            cache,
            key,
            names,
            combo,
            shortening_threshold,
            turns: Turns::new(),
            unsynced: Unsynced::default(),
            content_dirs: ClockCache::new(KEPT_CONTENT_DIRS),
        }
    }

    /// Where the entries of a directory lie.
    pub(crate) fn content_dir(&self, dir: &DirId) -> CiphertextPath {
        if let Some(known) = self.content_dirs.get(dir) {
            return known;
        }
        let path = content_dir::path(&self.names, dir);
        self.content_dirs.insert(dir.clone(), path.clone(), 1);
        path
    }

    /// Does something where the content of `node` lies. If that fails, and the node has been moved meanwhile, it is done
    /// again where it lies then.
    fn where_it_is<T>(
        &self,
        node: &Node,
        now: Instant,
        ask: impl Fn(&CiphertextPath) -> Result<T>,
    ) -> Result<(T, Ticket)> {
        loop {
            // First: what is moved before its path is asked for is told of by nobody then, and asked again.
            let ticket = self.look_at_content(node, now);
            let path = self.content_path(node)?;
            match ask(&path) {
                Ok(answer) => return Ok((answer, ticket)),
                Err(error) if self.content_path(node)? == path => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn look_at_content(&self, node: &Node, now: Instant) -> Ticket {
        if let What::Directory(id) = &node.what {
            return self.cache.look_at_directory(id, now);
        }
        match node.at() {
            Some(At { parent, name, .. }) => {
                self.cache.look_at_content(parent.dir_id().unwrap_or(&DirId::root()), &name, now)
            }
            None => self.cache.look_at_directory(&DirId::root(), now),
        }
    }

    /// The ciphertext file of a file or link, the content directory of a directory; `NotFound` for what is gone.
    pub(crate) fn content_path(&self, node: &Node) -> Result<CiphertextPath> {
        match &node.what {
            What::Directory(_) => Ok(self.content_dir(directory_id(node)?)),
            What::File | What::Symlink => node.ciphertext_file().ok_or_else(|| ErrorKind::NotFound.into()),
        }
    }

    /// Opens the ciphertext of a file. Nothing else takes its place meanwhile, as far as we have to do with it.
    pub(crate) fn open(
        &self,
        node: &Node,
        mode: OpenMode,
        now: Instant,
    ) -> Result<(Box<dyn BlockFile>, Sighting)> {
        match node.kind() {
            NodeKind::File => {}
            NodeKind::Symlink => return Err(ErrorKind::InvalidArgument.into()),
            NodeKind::Directory => return Err(ErrorKind::IsADirectory.into()),
        }
        let open = || -> Result<_> {
            let path = self.content_path(node)?;
            let ticket = self.look_at_content(node, now);
            let (handle, metadata) =
                self.storage.open(&path, mode).map_err(|error| self.failed(node, &path, error))?;
            Ok((handle, Sighting { metadata, ticket }))
        };
        {
            let _turn = self.turns.shared(Subject::Entry(node.id()));
            match open() {
                Err(error) if error.kind() == ErrorKind::PermissionDenied && mode != OpenMode::Read => {}
                opened => return opened,
            }
        }
        let _turn = self.turns.alone(Subject::Entry(node.id()));
        let _change = self.cache.begin_content_change(node);
        self.let_write(&self.content_path(node)?, open)
    }

    /// Sets attributes of what storage has of an entry. Returns what they are then.
    pub(crate) fn set_attributes(&self, node: &Node, change: &Attributes) -> Result<Metadata> {
        let _turn = self.turns.shared(Subject::Entry(node.id()));
        let _change = self.cache.begin_content_change(node);
        let path = self.content_path(node)?;
        self.storage.set_attributes(&path, change).map_err(|error| self.failed(node, &path, error))
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
        if node.kind() != NodeKind::Symlink {
            return Err(ErrorKind::NotASymlink.into());
        }
        let (target, _) = self.where_it_is(node, now, |path| {
            self.decrypt_target(path).map_err(|error| {
                if error.kind() == ErrorKind::NotFound {
                    self.cache.forget(node);
                }
                error.at(path)
            })
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

    /// How this crate would store `name` in `dir`: where it is a folder and where a file is for the host to tell.
    fn spell(&self, dir: &DirId, name: &Name) -> Spelling {
        self.spell_with_long_name(dir, name).0
    }

    /// As [`spell`](Self::spell), with what `name.c9s` says where the name is shortened.
    fn spell_with_long_name(&self, dir: &DirId, name: &Name) -> (Spelling, Option<String>) {
        let content_dir = self.content_dir(dir);
        let long = self.names.encrypt(name.as_str(), dir) + ENTRY_SUFFIX;
        if long.len() > self.shortening_threshold {
            let path = content_dir.push(&shortened(&long));
            (Spelling { path, shape: Shape::Shortened }, Some(long))
        } else {
            (Spelling { path: content_dir.push(&long), shape: Shape::Plain }, None)
        }
    }
}

/// The id of a directory that is still there.
fn directory_id(node: &Node) -> Result<&DirId> {
    match node.dir_id() {
        Some(_) if node.is_gone() => Err(ErrorKind::NotFound.into()),
        Some(id) => Ok(id),
        None => Err(ErrorKind::NotADirectory.into()),
    }
}

fn missing_content_dir() -> Error {
    Error::new(ErrorKind::Incomplete).because("the content directory is missing, perhaps not synced yet")
}

fn not_ours() -> Error {
    Error::damaged("neither a file nor a folder on the storage")
}
