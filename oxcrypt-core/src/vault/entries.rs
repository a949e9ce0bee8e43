//! What the entries of a listing are.

use std::sync::Arc;
use std::time::Instant;

use super::Vault;
use crate::listing::Entry;
use crate::node::{Node, NodeAttributes};

/// What is known of one entry of a listing.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The entry; `None` where it has no name, does not say what it is, or is gone.
    pub node: Option<Arc<Node>>,
    /// Its length and times; `None` where nobody asked, or storage does not tell.
    pub attributes: Option<NodeAttributes>,
}

impl Vault {
    /// Tells what entries are that `dir` has listed, with their attributes: one answer for each, in order.
    ///
    /// As [`node`](Self::node) and [`attributes`](Self::attributes) of one after the other, but the store is asked
    /// together for all files whose name is not shortened. An entry that cannot be told about does not fail the others.
    pub fn entries(&self, dir: &Arc<Node>, entries: &[Entry], now: Instant) -> Vec<Seen> {
        let mut seen: Vec<_> = entries.iter().map(|entry| self.known(dir, entry, now)).collect();
        self.ask_together(dir, &mut seen, now);
        for seen in &mut seen {
            if let (Some(node), None) = (&seen.node, &seen.attributes) {
                seen.attributes = self.attributes(node, now).ok();
            }
        }
        seen
    }

    /// What an entry is, with its attributes if memory has them.
    fn known(&self, dir: &Arc<Node>, entry: &Entry, now: Instant) -> Seen {
        let Entry::Sound(found) = entry else { return Seen::default() };
        let node = self.resident.node(dir, found, now).ready().or_else(|| self.node(dir, found, now).ok());
        let attributes = node.as_ref().and_then(|node| self.resident.attributes(node, now).ready());
        Seen { node, attributes }
    }

    /// Adds the attributes that storage tells of many at once, and leaves the others to whoever asks one by one.
    fn ask_together(&self, dir: &Arc<Node>, seen: &mut [Seen], now: Instant) {
        let Some(id) = dir.dir_id() else { return };
        let mut lacking: Vec<_> = seen
            .iter_mut()
            .filter(|seen| seen.attributes.is_none())
            .filter_map(|seen| Some((seen.node.as_deref()?, &mut seen.attributes)))
            .collect();
        let nodes: Vec<_> = lacking.iter().map(|(node, _)| *node).collect();
        for ((node, place), told) in lacking.iter_mut().zip(self.tree.attributes_of_each(id, &nodes, now)) {
            if let Some((attributes, sighting)) = told
                && self.files.observe(node, &sighting, now)
            {
                **place = Some(self.resident.as_written(node, attributes));
            }
        }
    }
}
