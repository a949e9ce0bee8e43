//! Where things are to go in a vault, as somebody typed it.

use std::sync::Arc;

use oxcrypt_core::{ErrorKind, Follow, Name, Node, NodeKind, VaultPath};

use crate::exit::{Failure, Result};
use crate::open;
use crate::printable::printable;
use crate::source::Source;

/// A directory, and the name to have in it; `None` where each keeps its own.
pub(crate) struct Dest {
    pub(crate) dir: Arc<Node>,
    pub(crate) name: Option<Name>,
}

impl Dest {
    /// Finds the directory that takes everything in; or for one thing alone the name that it is to have, whatever may be
    /// there.
    ///
    /// # Errors
    ///
    /// If there are several things and no such directory, if there is none to have the name in, and if a slash says that
    /// there is a directory where there is none.
    pub(crate) fn find(source: &Source, text: &str, count: usize) -> Result<Self> {
        let path = open::parse_path(text)?;
        let is_there = match source.resolve(&path, Follow::Always) {
            Ok(dir) if dir.kind() == NodeKind::Directory => return Ok(Self { dir, name: None }),
            Ok(_) => true,
            Err(error) if error.kind() == Some(ErrorKind::NotFound) => false,
            Err(error) => return Err(Failure::entry(&path, &error)),
        };
        if count > 1 || text.ends_with('/') {
            let what = if is_there { "this is no directory" } else { "there is no such directory" };
            return Err(Failure::not_there(format_args!("{}: {what}", printable(&path.to_string()))));
        }
        Self::exactly(source, &path)
    }

    /// The place of an entry that may be there or not.
    pub(crate) fn exactly(source: &Source, path: &VaultPath) -> Result<Self> {
        let Some((name, names)) = path.names().split_last() else {
            return Err(Failure::usage("this cannot be done with the vault's root"));
        };
        let parent: VaultPath = names.iter().cloned().collect();
        let dir = source.resolve(&parent, Follow::Always).map_err(|error| Failure::entry(&parent, &error))?;
        if dir.kind() != NodeKind::Directory {
            let parent = parent.to_string();
            return Err(Failure::not_there(format_args!("{}: this is no directory", printable(&parent))));
        }
        Ok(Self { dir, name: Some(name.clone()) })
    }
}
