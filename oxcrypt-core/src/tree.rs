//! Directory id and name to node: the storage half of the tree. Everything here blocks on storage.
//!
//! Nothing is ever renamed or repaired while looking: a conflict copy is shown beside its original, a half-synced entry
//! is an error of its own and may be whole the next time.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::cache::{NodeCache, Ticket};
use crate::ciphertext_path::{
    CONTENTS_FILE, CiphertextPath, DIR_FILE, ENTRY_SUFFIX, SYMLINK_FILE, shortened,
};
use crate::content_dir;
use crate::crypto::{CipherCombo, MasterKey, NameCipher};
use crate::error::{Error, ErrorKind, Result};
use crate::listing::{Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{At, LinkTarget, Node, NodeAttributes, NodeKind, Shape, Stored, What};
use crate::small_file;
use crate::storage::{Attributes, BlockFile, BlockStorage, EntryKind, Metadata, OpenMode};

mod conflict;
mod create;
mod durable;
mod list;
mod remove;
mod rename;
mod turns;

pub(crate) use create::Created;
use durable::Unsynced;
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
}

/// Whether a question that our own changes overtake may wait for the directory's turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    ForTurn,
    /// The caller has it.
    ForNothing,
}

/// What storage, or memory, says of a name.
enum Answer {
    Known(Arc<Node>),
    There(Stored, What, Option<Metadata>),
    /// Since then.
    Absent(Instant),
}

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
        }
    }

    /// Where the entries of a directory lie.
    pub(crate) fn content_dir(&self, dir: &DirId) -> CiphertextPath {
        content_dir::path(&self.names, dir)
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
        self.look_up(dir, name, now, Waits::ForTurn)
    }

    fn look_up(&self, dir: &Arc<Node>, name: &Name, now: Instant, waits: Waits) -> Result<Looked> {
        self.unovertaken(dir, name, now, waits, |id, waits| self.ask_for(dir, id, name, now, waits))
    }

    /// The node of a listed entry. Costs nothing for plain files, and for what memory knows.
    pub(crate) fn node(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Result<Arc<Node>> {
        let ask = |_: &DirId, _| self.ask_listed(dir, found, now);
        self.unovertaken(dir, &found.name, now, Waits::ForTurn, ask).map(|(node, _)| node)
    }

    /// Asks, and takes the answer if no change of our own has overtaken it. If one has, it asks once more behind the
    /// directory's turn, when nothing can.
    fn unovertaken(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        now: Instant,
        waits: Waits,
        ask: impl Fn(&DirId, Waits) -> Result<Answer>,
    ) -> Result<Looked> {
        let id = directory_id(dir)?;
        if waits == Waits::ForTurn {
            let ticket = self.cache.look_at_name(id, name, now);
            let content = self.cache.look_at_content(id, name, now);
            let answer = ask(id, waits);
            let take = || answer.and_then(|answer| self.take(dir, id, name, answer, content, now));
            if let Some(looked) = self.cache.unless_changed(ticket, take) {
                return looked;
            }
        }
        let _turn = (waits == Waits::ForTurn).then(|| self.turns.shared(Subject::Directory(id.clone())));
        let content = self.cache.look_at_content(id, name, now);
        ask(id, Waits::ForNothing).and_then(|answer| self.take(dir, id, name, answer, content, now))
    }

    /// Takes an answer into the caches.
    fn take(
        &self,
        dir: &Arc<Node>,
        id: &DirId,
        name: &Name,
        answer: Answer,
        content: Ticket,
        now: Instant,
    ) -> Result<Looked> {
        match answer {
            Answer::Known(node) => Ok((node, None)),
            Answer::There(stored, what, metadata) => {
                let node = self.cache.insert(dir, name, &stored, &what, now);
                let seen = metadata.filter(|_| what == What::File);
                Ok((node, seen.map(|metadata| Sighting { metadata, ticket: content })))
            }
            Answer::Absent(since) => {
                self.cache.insert_absence(id, name, since);
                Err(ErrorKind::NotFound.into())
            }
        }
    }

    fn ask_for(
        &self,
        dir: &Arc<Node>,
        id: &DirId,
        name: &Name,
        now: Instant,
        waits: Waits,
    ) -> Result<Answer> {
        let mut known = self.cache.find_listed(id, name, now);
        if let Some((Some(found), _)) = &known {
            match self.ask_listed(dir, found, now) {
                // It may be there under another spelling by now.
                Err(error) if error.kind() == ErrorKind::NotFound => self.cache.forget_listing(id),
                answer => return answer,
            }
            known = None;
        }
        let spelled = self.spell(id, name);
        if let Some((stored, what, metadata)) = self.inspect(&spelled)?
            && self.is_named(&stored, id, name)
        {
            return Ok(Answer::There(stored, what, metadata));
        }
        if let Some((None, since)) = known {
            return Ok(Answer::Absent(since));
        }
        let listing = self.list_now(dir, now, waits)?;
        match listing.find(name) {
            // The directory shows it under another spelling, or it came into being a moment ago.
            Some(found) => self.ask_listed(dir, found, now),
            None => Ok(Answer::Absent(listing.since())),
        }
    }

    fn ask_listed(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Result<Answer> {
        if let Some(node) = self.cache.node_of(dir, found, now) {
            return Ok(Answer::Known(node));
        }
        let (stored, what, _) = self.inspect(&found.stored)?.ok_or(ErrorKind::NotFound)?;
        Ok(Answer::There(stored, what, None))
    }

    /// Whether a shortened entry that was met under the hash of `name` is that entry. One that says it is another is
    /// shown under what it says, and no entry has two names; one that says nothing is believed to be what its hash says.
    fn is_named(&self, stored: &Stored, dir: &DirId, name: &Name) -> bool {
        stored.shape != Shape::Shortened
            || self.read_long_name(dir, &stored.path).map_or(true, |long| long.raw == name.as_str())
    }

    /// Lists `dir`: one scan, and one read for each shortened name.
    pub(crate) fn list(&self, dir: &Arc<Node>, now: Instant) -> Result<Arc<Listing>> {
        self.list_now(dir, now, Waits::ForTurn)
    }

    fn list_now(&self, dir: &Arc<Node>, now: Instant, waits: Waits) -> Result<Arc<Listing>> {
        let id = directory_id(dir)?;
        let scan = || self.scan(id, now).map(Arc::new);
        let keep = |listing: &Arc<Listing>| self.cache.insert_listing(id, listing);
        if waits == Waits::ForTurn {
            let ticket = self.cache.look_at_directory(id, now);
            let scanned = scan();
            if let Some(listing) = self.cache.unless_changed(ticket, || scanned.inspect(keep)) {
                return listing;
            }
        }
        // As in `unovertaken`.
        let _turn = (waits == Waits::ForTurn).then(|| self.turns.shared(Subject::Directory(id.clone())));
        scan().inspect(keep)
    }

    /// Asks for length and times, without opening anything.
    pub(crate) fn attributes(&self, node: &Node, now: Instant) -> Result<(NodeAttributes, Sighting)> {
        let expected =
            if node.kind() == NodeKind::Directory { EntryKind::Directory } else { EntryKind::File };
        let (metadata, sighting) = self.where_it_is(node, now, |path| match self.storage.metadata(path) {
            Ok(metadata) if metadata.kind == expected => Ok(metadata),
            // What was a file is a directory or a link by now.
            Ok(metadata) if metadata.kind == EntryKind::Directory && node.is_plain_file() => {
                Err(self.gone(node, path))
            }
            Ok(_) => {
                self.cache.forget(node);
                Err(Error::damaged("not what a vault has in this place").at(path))
            }
            Err(error) => Err(self.failed(node, path, error)),
        })?;
        Ok((self.attributes_from(node, &metadata), Sighting { metadata, ticket: sighting }))
    }

    /// Does something where the content of `node` lies. If that fails, and the node has been moved meanwhile, it is done
    /// again where it lies then.
    fn where_it_is<T>(
        &self,
        node: &Node,
        now: Instant,
        ask: impl Fn(&CiphertextPath) -> Result<T>,
    ) -> Result<(T, Ticket)> {
        let mut path = self.content_path(node)?;
        loop {
            let ticket = self.look_at_content(node, now);
            match ask(&path) {
                Ok(answer) => return Ok((answer, ticket)),
                Err(error) => {
                    let was = std::mem::replace(&mut path, self.content_path(node)?);
                    if was == path {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn look_at_content(&self, node: &Node, now: Instant) -> Ticket {
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

    pub(crate) fn attributes_from(&self, node: &Node, metadata: &Metadata) -> NodeAttributes {
        let (len, torn) = match (node.kind(), self.combo.layout().cleartext_len(metadata.len)) {
            (NodeKind::Directory, _) => (0, None),
            (_, Ok(len)) => (len, None),
            (_, Err(torn)) => (torn.shown_len(), Some(torn)),
        };
        NodeAttributes { kind: node.kind(), len, modified: metadata.modified, owner: metadata.owner, torn }
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
        let _turn = self.turns.shared(Subject::Entry(node.id()));
        let path = self.content_path(node)?;
        let ticket = self.look_at_content(node, now);
        let (handle, metadata) =
            self.storage.open(&path, mode).map_err(|error| self.failed(node, &path, error))?;
        Ok((handle, Sighting { metadata, ticket }))
    }

    /// Sets attributes of what storage has of an entry, and asks what they are then.
    pub(crate) fn set_attributes(&self, node: &Node, change: &Attributes) -> Result<Metadata> {
        let _turn = self.turns.shared(Subject::Entry(node.id()));
        let _change = self.cache.begin_content_change(node);
        let path = self.content_path(node)?;
        self.storage.set_attributes(&path, change).map_err(|error| self.failed(node, &path, error))?;
        self.storage.metadata(&path).map_err(|error| self.failed(node, &path, error))
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
    fn spell(&self, dir: &DirId, name: &Name) -> Stored {
        self.spell_with_long_name(dir, name).0
    }

    /// As [`spell`](Self::spell), with what `name.c9s` says where the name is shortened.
    fn spell_with_long_name(&self, dir: &DirId, name: &Name) -> (Stored, Option<String>) {
        let content_dir = self.content_dir(dir);
        let long = self.names.encrypt(name.as_str(), dir) + ENTRY_SUFFIX;
        if long.len() > self.shortening_threshold {
            let path = content_dir.push(&shortened(&long));
            (Stored { path, shape: Shape::Shortened }, Some(long))
        } else {
            (Stored { path: content_dir.push(&long), shape: Shape::Plain }, None)
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
