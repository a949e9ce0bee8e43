//! Finding entries: what storage has under a name, and what becomes of answers that our own changes overtake.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{Looked, Sighting, Subject, Tree, directory_id, not_ours};
use crate::cache::Ticket;
use crate::ciphertext_path::{CONTENTS_FILE, CiphertextPath, DIR_FILE, SYMLINK_FILE};
use crate::error::{Error, ErrorKind, Result};
use crate::listing::{Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{Node, Shape, Spelling, What};
use crate::storage::{EntryKind, Metadata};

/// Whether a question that our own changes overtake may wait for the directory's turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    ForTurn,
    /// The caller has it.
    ForNothing,
}

/// What storage, or memory, says of a name.
enum Answer {
    Known(Arc<Node>),
    There(Spelling, What, Option<Metadata>),
    /// Since then.
    Absent(Instant),
}

impl Tree {
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

    pub(super) fn look_up(&self, dir: &Arc<Node>, name: &Name, now: Instant, waits: Waits) -> Result<Looked> {
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
        let listing = match self.list_now(dir, now, waits) {
            // Where nobody is shown anything, nothing is shown under another spelling.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && self.is_unlisted(id) => {
                return Ok(Answer::Absent(now));
            }
            listing => listing?,
        };
        match listing.find(name) {
            // The directory shows it under another spelling, or it came into being a moment ago.
            Some(found) => self.ask_listed(dir, found, now),
            None => Ok(Answer::Absent(listing.since())),
        }
    }

    /// Whether the mode of a directory keeps its owner from listing it.
    fn is_unlisted(&self, dir: &DirId) -> bool {
        let owner = self.storage.metadata(&self.content_dir(dir)).ok().and_then(|there| there.owner);
        owner.is_some_and(|owner| owner.mode & 0o400 == 0)
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
    pub(super) fn is_named(&self, stored: &Spelling, dir: &DirId, name: &Name) -> bool {
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

    /// What the host has under a spelling, with the shape it has there; `None` if nothing. Corrects nothing and believes
    /// only what it sees.
    pub(super) fn inspect(&self, stored: &Spelling) -> Result<Option<(Spelling, What, Option<Metadata>)>> {
        let path = &stored.path;
        let result = match stored.shape {
            Shape::Plain => self.inspect_plain(path),
            shape @ (Shape::Folder | Shape::Shortened) => {
                self.inspect_folder(path).map(|what| (shape, what, None))
            }
        };
        match result {
            Ok((shape, what, metadata)) => Ok(Some((Spelling { path: path.clone(), shape }, what, metadata))),
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

    pub(super) fn read_dir_file(&self, path: &CiphertextPath) -> Result<DirId> {
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
