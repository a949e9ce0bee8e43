//! Everything below a directory, depth first, one entry at a time: memory is bounded by depth and by what the largest
//! directories on the way hold, not by the vault. Where storage may hang, the next directories are listed meanwhile.

use std::sync::Arc;

use oxcrypt_core::{Entry, Listing, Node, NodeKind, Visit, Visits};
use oxcrypt_io::volume::Error;

use crate::looks::{Look, Looks, Wanted};
use crate::problem::Problem;
use crate::source::Source;

/// One entry of a walk.
pub(crate) struct Item {
    /// How far below the start; 0 for its own entries.
    pub(crate) depth: usize,
    /// Nothing follows in the same directory.
    pub(crate) is_last: bool,
    /// What it is, and what else was wanted of it.
    pub(crate) look: Look,
    /// Something of it gave no answer in time.
    pub(crate) is_late: bool,
    /// Why it cannot be told what it is, or why a directory's entries cannot.
    pub(crate) problem: Option<Problem>,
}

impl Item {
    /// An entry that no walk led to.
    pub(crate) fn alone(mut look: Look) -> Self {
        let is_late = look.is_late();
        let problem = look.problem().or_else(|| look.listing.take()?.err());
        Self { depth: 0, is_last: true, look, is_late, problem }
    }

    /// What it is, if that can be told.
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.look.node.as_ref().ok()
    }

    /// The name it is shown under; the host's name where the entry has none.
    pub(crate) fn name(&self) -> &str {
        self.look.entry.shown()
    }

    /// Stored otherwise than it should be, as sync clients do with copies.
    pub(crate) fn is_conflict(&self) -> bool {
        is_conflict(&self.look.entry)
    }

    /// Whether what is in it comes next.
    pub(crate) fn is_entered(&self) -> bool {
        self.problem.is_none() && self.node().is_some_and(|node| node.kind() == NodeKind::Directory)
    }

    /// Where it is in the vault.
    pub(crate) fn path(&self) -> String {
        join(&self.look.dir.path().to_string(), self.name())
    }
}

/// `name` in the directory `dir`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir == "/" { format!("/{name}") } else { format!("{dir}/{name}") }
}

/// Walks below a directory. Ends also where a damaged vault leads in circles.
pub(crate) struct Walk<'v> {
    source: &'v Source,
    wanted: Wanted,
    levels: Vec<Level>,
    visits: Visits,
}

struct Level {
    looks: Looks,
    /// Entries that are still to come.
    left: usize,
}

impl<'v> Walk<'v> {
    /// Begins with the entries of `dir`, which is listed now. Of all others it wants a listing, and what `wanted` says.
    pub(crate) fn below(source: &'v Source, dir: &Arc<Node>, wanted: Wanted) -> Result<Self, Error> {
        let mut visits = Visits::default();
        visits.enter(dir);
        let listing = source.list(dir)?;
        let wanted = Wanted { listing: true, ..wanted };
        let levels = vec![Level::new(source, dir, &listing, wanted)];
        Ok(Self { source, wanted, levels, visits })
    }

    /// Leaves out what is below the directory that was given last.
    pub(crate) fn leave_out(&mut self) {
        self.levels.pop();
    }

    /// Goes on with what is in a directory, if that can be.
    fn enter(&mut self, dir: &Arc<Node>, listing: Result<Arc<Listing>, Problem>) -> Option<Problem> {
        let refusal = match self.visits.enter(dir) {
            Visit::First | Visit::Again => None,
            Visit::Refused => {
                Some("it leads to a directory that it lies in, or that too many entries lead to")
            }
            Visit::TooDeep => Some("it lies in more directories than are followed"),
        };
        if let Some(refusal) = refusal {
            return Some(Problem::new(refusal));
        }
        match listing {
            Ok(listing) => {
                self.levels.push(Level::new(self.source, dir, &listing, self.wanted));
                None
            }
            Err(problem) => Some(problem),
        }
    }
}

impl Level {
    fn new(source: &Source, dir: &Arc<Node>, listing: &Arc<Listing>, wanted: Wanted) -> Self {
        Self { looks: Looks::at(source, dir, listing, wanted), left: listing.entries().len() }
    }
}

impl Iterator for Walk<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let (depth, is_last, mut look) = loop {
            let depth = self.levels.len().checked_sub(1)?;
            let level = self.levels.last_mut()?;
            if let Some(look) = level.looks.next() {
                level.left -= 1;
                break (depth, level.left == 0, look);
            }
            self.levels.pop();
        };
        let is_late = look.is_late();
        let problem = match (&look.node, look.listing.take()) {
            (Ok(node), Some(listing)) => self.enter(&Arc::clone(node), listing),
            _ => look.problem(),
        };
        Some(Item { depth, is_last, look, is_late, problem })
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
