//! Looking at entries, one after the other; where an answer may take long, the next ones are asked about meanwhile, so
//! that many that give none cost little more time than one.

use std::collections::VecDeque;
use std::panic;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use oxcrypt_core::{Entry, LinkTarget, Listing, Node, NodeAttributes, NodeKind};

use crate::problem::Problem;
use crate::source::Source;

/// Entries that are asked about at a time.
const AHEAD: usize = 32;

/// What is to be known of each entry, besides what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) attributes: bool,
    /// Where a link leads.
    pub(crate) target: bool,
    /// What is in a directory.
    pub(crate) listing: bool,
}

/// An entry, and what is known of it. What is `None` was not wanted, or makes no sense for it.
pub(crate) struct Look {
    /// The directory it is in.
    pub(crate) dir: Arc<Node>,
    pub(crate) entry: Entry,
    pub(crate) node: Result<Arc<Node>, Problem>,
    pub(crate) attributes: Option<Result<NodeAttributes, Problem>>,
    pub(crate) target: Option<Result<LinkTarget, Problem>>,
    pub(crate) listing: Option<Result<Arc<Listing>, Problem>>,
}

/// Entries, in the order they were given in.
pub(crate) struct Looks {
    source: Source,
    wanted: Wanted,
    entries: Box<dyn Iterator<Item = Place> + Send>,
    ahead: VecDeque<Ahead>,
}

enum Ahead {
    UnderWay(JoinHandle<Look>),
    There(Box<Look>),
}

/// A directory, and an entry of it.
type Place = (Arc<Node>, Entry);

impl Looks {
    /// Looks at the entries of a directory.
    pub(crate) fn at(source: &Source, dir: &Arc<Node>, listing: &Arc<Listing>, wanted: Wanted) -> Self {
        let (dir, listing) = (Arc::clone(dir), Arc::clone(listing));
        let entry = move |at| Some((Arc::clone(&dir), listing.entries().get(at).cloned()?));
        Self::of(source, (0..).map_while(entry), wanted)
    }

    /// Looks at entries of any directories.
    pub(crate) fn of(
        source: &Source,
        entries: impl Iterator<Item = Place> + Send + 'static,
        wanted: Wanted,
    ) -> Self {
        Self { source: source.clone(), wanted, entries: Box::new(entries), ahead: VecDeque::new() }
    }
}

impl Iterator for Looks {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        while self.source.may_block() && self.ahead.len() < AHEAD {
            let Some(place) = self.entries.next() else { break };
            let (source, wanted, there) = (self.source.clone(), self.wanted, place.clone());
            let looking = thread::Builder::new().spawn(move || Look::new(&source, there, wanted));
            self.ahead.push_back(match looking {
                Ok(looking) => Ahead::UnderWay(looking),
                // The system has no thread to spare.
                Err(_) => Ahead::There(Box::new(Look::new(&self.source, place, self.wanted))),
            });
        }
        match self.ahead.pop_front() {
            Some(Ahead::UnderWay(looking)) => {
                Some(looking.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
            }
            Some(Ahead::There(look)) => Some(*look),
            None => Some(Look::new(&self.source, self.entries.next()?, self.wanted)),
        }
    }
}

impl Look {
    fn new(source: &Source, (dir, entry): Place, wanted: Wanted) -> Self {
        let node = source.node(&dir, &entry);
        let mut look = Self { dir, entry, node, attributes: None, target: None, listing: None };
        if let Ok(node) = &look.node {
            let kind = node.kind();
            look.attributes = wanted.attributes.then(|| source.attributes(node).map_err(Problem::from));
            let is_asked = wanted.target && kind == NodeKind::Symlink;
            look.target = is_asked.then(|| source.read_link(node).map_err(Problem::from));
            let is_asked = wanted.listing && kind == NodeKind::Directory;
            look.listing = is_asked.then(|| source.list(node).map_err(Problem::from));
        }
        look
    }

    /// Why it cannot be told what it is.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.node.as_ref().err().cloned()
    }

    /// Whether something of it gave no answer in time, its attributes apart.
    pub(crate) fn is_late(&self) -> bool {
        let problems = [
            self.node.as_ref().err(),
            self.target.as_ref().and_then(|told| told.as_ref().err()),
            self.listing.as_ref().and_then(|told| told.as_ref().err()),
        ];
        problems.into_iter().flatten().any(|problem| problem.is_timeout)
    }
}
