//! From a ciphertext path to the entry it belongs to.

use std::sync::Arc;
use std::time::Instant;

use super::{Vault, Visit, Visits};
use crate::ciphertext_path::{CiphertextPath, DATA_DIR};
use crate::error::{Error, ErrorKind, Result};
use crate::listing::Entry;
use crate::node::{Node, NodeKind, Shape};

/// The entry that a ciphertext path belongs to.
#[derive(Clone, Debug)]
pub enum Located {
    /// A file, link or directory; also where the path is one of the files that make it up.
    Entry(Arc<Node>),
    /// An entry of this directory whose name cannot be told.
    Damaged(Arc<Node>),
    /// The caller ended the search before it was found.
    Stopped,
}

impl Vault {
    /// Finds the entry that `path` belongs to: its host file or folder, a file in that, or its content directory.
    ///
    /// A ciphertext path does not tell where its directory is, so this may list the whole vault. `visited` is called
    /// for each directory that is listed, and ends the search by `false`.
    ///
    /// # Errors
    ///
    /// `NotFound`, also if the path is not of the vault's contents at all. A directory that cannot be read is passed
    /// over, and the first error of that kind is given instead of a `NotFound` that nobody can be sure of.
    pub fn locate(
        &self,
        path: &CiphertextPath,
        now: Instant,
        mut visited: impl FnMut(&Arc<Node>) -> bool,
    ) -> Result<Located> {
        let target = Target::of(path).ok_or(ErrorKind::NotFound)?;
        let mut visits = Visits::default();
        let mut open = vec![self.root()];
        let mut first_error = None;
        while let Some(dir) = open.pop() {
            match visits.enter(&dir) {
                Visit::First => {}
                Visit::Again | Visit::Refused => continue,
                Visit::TooDeep => {
                    first_error.get_or_insert_with(|| {
                        Error::damaged("too many directories within each other").at(dir.ciphertext_path())
                    });
                    continue;
                }
            }
            let is_it = dir.dir_id().is_some_and(|id| self.tree.content_dir(id) == target.content_dir);
            if let (true, None) = (is_it, &target.entry) {
                return Ok(Located::Entry(dir));
            }
            let listing = match self.list(&dir, now) {
                Ok(listing) => listing,
                Err(error) => {
                    first_error.get_or_insert(error);
                    continue;
                }
            };
            if let (true, Some(entry)) = (is_it, &target.entry) {
                return self.locate_in(&dir, entry, listing.entries(), now);
            }
            if !visited(&dir) {
                return Ok(Located::Stopped);
            }
            for entry in listing.entries() {
                let Entry::Sound(found) = entry else { continue };
                if found.stored.shape == Shape::Plain {
                    continue;
                }
                match self.node(&dir, found, now) {
                    Ok(node) if node.kind() == NodeKind::Directory => open.push(node),
                    Ok(_) => {}
                    Err(error) => {
                        first_error.get_or_insert(error);
                    }
                }
            }
        }
        Err(first_error.unwrap_or_else(|| ErrorKind::NotFound.into()))
    }

    fn locate_in(
        &self,
        dir: &Arc<Node>,
        path: &CiphertextPath,
        entries: &[Entry],
        now: Instant,
    ) -> Result<Located> {
        for entry in entries {
            match entry {
                Entry::Sound(found) if found.path() == path => {
                    return self.node(dir, found, now).map(Located::Entry);
                }
                Entry::Damaged(damaged) if damaged.path() == path => {
                    return Ok(Located::Damaged(Arc::clone(dir)));
                }
                _ => {}
            }
        }
        Err(ErrorKind::NotFound.into())
    }
}

/// What a ciphertext path names: a content directory, or an entry in one.
struct Target {
    content_dir: CiphertextPath,
    entry: Option<CiphertextPath>,
}

impl Target {
    fn of(path: &CiphertextPath) -> Option<Self> {
        let mut components = path.components();
        let (d, first, rest) = (components.next()?, components.next()?, components.next()?);
        if d != DATA_DIR {
            return None;
        }
        let content_dir = CiphertextPath::root().push(d).push(first).push(rest);
        let entry = components.next().map(|name| content_dir.push(name));
        Some(Self { content_dir, entry })
    }
}
