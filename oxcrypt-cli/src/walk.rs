//! Everything below a directory, depth first, one entry at a time: memory is bounded by depth and by what the largest
//! directories on the way hold, not by the vault.

use std::sync::Arc;

use oxcrypt_core::{Entry, Listing, Node, NodeKind, Visit, Visits};
use oxcrypt_io::volume::Error;

use crate::source::Source;

/// One entry of a walk.
pub(crate) struct Item {
    /// How far below the start; 0 for its own entries.
    pub(crate) depth: usize,
    /// Nothing follows in the same directory.
    pub(crate) is_last: bool,
    /// The directory it is in.
    pub(crate) dir: Arc<Node>,
    /// The name it is shown under; the host's name where the entry has none.
    pub(crate) name: String,
    /// Stored otherwise than it should be, as sync clients do with copies.
    pub(crate) is_conflict: bool,
    /// What it is, if that can be told.
    pub(crate) node: Option<Arc<Node>>,
    /// Why that cannot be told, or why a directory's entries cannot. Holds ciphertext paths only.
    pub(crate) problem: Option<String>,
}

impl Item {
    /// Whether what is in it comes next.
    pub(crate) fn is_entered(&self) -> bool {
        self.problem.is_none() && self.node.as_ref().is_some_and(|node| node.kind() == NodeKind::Directory)
    }

    /// Where it is in the vault.
    pub(crate) fn path(&self) -> String {
        join(&self.dir.path().to_string(), &self.name)
    }
}

/// `name` in the directory `dir`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir == "/" { format!("/{name}") } else { format!("{dir}/{name}") }
}

/// Walks below a directory. Ends also where a damaged vault leads in circles.
pub(crate) struct Walk<'v> {
    source: &'v Source,
    levels: Vec<Level>,
    visits: Visits,
}

struct Level {
    dir: Arc<Node>,
    listing: Arc<Listing>,
    next: usize,
}

impl<'v> Walk<'v> {
    /// Begins with the entries of `dir`, which is listed now.
    pub(crate) fn below(source: &'v Source, dir: &Arc<Node>) -> Result<Self, Error> {
        let mut visits = Visits::default();
        visits.enter(dir);
        let listing = source.list(dir)?;
        Ok(Self { source, levels: vec![Level { dir: Arc::clone(dir), listing, next: 0 }], visits })
    }

    /// Leaves out what is below the directory that was given last.
    pub(crate) fn leave_out(&mut self) {
        self.levels.pop();
    }

    fn enter(&mut self, dir: &Arc<Node>) -> Option<String> {
        let refusal = match self.visits.enter(dir) {
            Visit::First | Visit::Again => None,
            Visit::Refused => {
                Some("it leads to a directory that it lies in, or that too many entries lead to")
            }
            Visit::TooDeep => Some("it lies in more directories than are followed"),
        };
        if let Some(refusal) = refusal {
            return Some(refusal.to_owned());
        }
        match self.source.list(dir) {
            Ok(listing) => {
                self.levels.push(Level { dir: Arc::clone(dir), listing, next: 0 });
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let (depth, level) = loop {
            let depth = self.levels.len().checked_sub(1)?;
            let level = self.levels.last_mut()?;
            if level.next < level.listing.entries().len() {
                break (depth, level);
            }
            self.levels.pop();
        };
        let (dir, listing, at) = (Arc::clone(&level.dir), Arc::clone(&level.listing), level.next);
        level.next += 1;
        let entry = listing.entries().get(at)?;
        let (node, mut problem) = match self.source.node(&dir, entry) {
            Ok(node) => (Some(node), None),
            Err(problem) => (None, Some(problem)),
        };
        if let Some(directory) = node.as_ref().filter(|node| node.kind() == NodeKind::Directory) {
            problem = self.enter(directory);
        }
        Some(Item {
            depth,
            is_last: at + 1 == listing.entries().len(),
            dir,
            name: entry.shown().to_owned(),
            is_conflict: is_conflict(entry),
            node,
            problem,
        })
    }
}

/// What an entry is, for programs.
pub(crate) fn kind_name(kind: Option<NodeKind>) -> &'static str {
    match kind {
        Some(NodeKind::File) => "file",
        Some(NodeKind::Directory) => "directory",
        Some(NodeKind::Symlink) => "symlink",
        None => "damaged",
    }
}

/// Whether an entry is stored otherwise than it should be.
pub(crate) fn is_conflict(entry: &Entry) -> bool {
    matches!(entry, Entry::Sound(found) if found.is_conflict())
}
