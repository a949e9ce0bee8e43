//! Length, times, mode and owner: of one entry, or of many files of one directory together.

use std::time::Instant;

use super::{Sighting, Tree};
use crate::error::{Error, Result};
use crate::name::DirId;
use crate::node::{At, Node, NodeAttributes, NodeKind, Shape, What};
use crate::storage::{EntryKind, Metadata};

impl Tree {
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

    /// Asks for the same of many files that are in `dir`, together: as many answers in order. `None` stands for whatever
    /// is no file that the host has as one itself, or is not there any more, and has to be asked for alone.
    pub(crate) fn attributes_of_each(
        &self,
        dir: &DirId,
        nodes: &[&Node],
        now: Instant,
    ) -> Vec<Option<(NodeAttributes, Sighting)>> {
        // What is moved after this is somebody else's place, and no such answer is taken.
        let places = nodes.iter().map(|node| {
            let ticket = self.look_at_content(node, now);
            let At { parent, stored, .. } = node.at()?;
            let is_plain = node.what == What::File && stored.shape == Shape::Plain;
            (is_plain && parent.dir_id() == Some(dir)).then_some((stored.path, ticket))
        });
        let places: Vec<_> = places.collect();
        let paths: Vec<_> = places.iter().flatten().map(|(path, _)| path.clone()).collect();
        let mut told = self.storage.metadata_of_each(&paths).into_iter();
        let tell = |(place, node): (Option<(_, _)>, &&Node)| {
            let (_, ticket) = place?;
            let metadata = told.next()?.ok().filter(|metadata| metadata.kind == EntryKind::File)?;
            Some((self.attributes_from(node, &metadata), Sighting { metadata, ticket }))
        };
        places.into_iter().zip(nodes).map(tell).collect()
    }

    pub(crate) fn attributes_from(&self, node: &Node, metadata: &Metadata) -> NodeAttributes {
        let (len, torn) = match (node.kind(), self.combo.layout().cleartext_len(metadata.len)) {
            (NodeKind::Directory, _) => (0, None),
            (_, Ok(len)) => (len, None),
            (_, Err(torn)) => (torn.shown_len(), Some(torn)),
        };
        NodeAttributes {
            kind: node.kind(),
            len,
            modified: metadata.modified,
            changed: metadata.changed,
            accessed: metadata.accessed,
            owner: metadata.owner,
            torn,
        }
    }
}
