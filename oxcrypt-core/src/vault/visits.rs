//! Walks that end.

use std::collections::HashMap;

use crate::name::DirId;
use crate::node::Node;

/// The directories that a walk has entered, so that it ends: nothing in a vault vouches for which entry refers to which
/// directory id, so a damaged or hostile one can hold circles, or copies of copies without end.
#[derive(Debug, Default)]
pub struct Visits {
    times: HashMap<DirId, u32>,
}

/// What [`Visits::enter`] says of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Nobody has been there.
    First,
    /// Another entry led to the same directory before. Its content is the same.
    Again,
    /// It lies within itself, or too many entries lead to it: do not enter.
    Refused,
    /// It lies in more directories than any program makes: do not enter.
    TooDeep,
}

/// Entries that refer to one directory and are all walked. A sync client that makes copies makes few.
const MAX_COPIES: u32 = 8;
/// Directories within each other that are walked. No host lets anybody name anything so deep.
const MAX_DEPTH: usize = 4_096;

impl Visits {
    /// Takes note that a walk is about to enter `dir`.
    ///
    /// A walk that did not begin at the root may enter the directories above its beginning once, where a damaged vault
    /// leads back to them.
    pub fn enter(&mut self, dir: &Node) -> Visit {
        let Some(id) = dir.dir_id() else { return Visit::Refused };
        if dir.ancestors().nth(MAX_DEPTH).is_some() {
            return Visit::TooDeep;
        }
        let times = self.times.entry(id.clone()).or_default();
        // The walk came through all ancestors, so only a directory that it knows can be one of them.
        if *times >= MAX_COPIES || (*times > 0 && is_within(dir, id)) {
            return Visit::Refused;
        }
        *times += 1;
        if *times == 1 { Visit::First } else { Visit::Again }
    }
}

/// Whether an ancestor of `dir` has this id.
fn is_within(dir: &Node, id: &DirId) -> bool {
    dir.ancestors().any(|ancestor| ancestor.dir_id() == Some(id))
}
