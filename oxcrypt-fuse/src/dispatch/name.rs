//! Names as programs spell them, and those that the vault has for them.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::Errno;
use oxcrypt_core::{Entry, Listing, Name, Node};

use super::{Asker, Dispatch};
use crate::shown_name::{MAX_LEN, may_be_alias, shown};

/// A name that an entry may have: what no entry can be called is not there.
pub(super) fn of_old(name: &OsStr) -> Result<Name, Errno> {
    if name.len() > MAX_LEN {
        return Err(Errno::ENAMETOOLONG);
    }
    let name = name.to_str().and_then(|text| Name::new(text).ok());
    name.ok_or(Errno::ENOENT)
}

/// A name that an entry is to get.
pub(super) fn of_new(name: &OsStr) -> Result<Name, Errno> {
    if name.len() > MAX_LEN {
        return Err(Errno::ENAMETOOLONG);
    }
    let name = Name::new(name.to_str().ok_or(Errno::EILSEQ)?).map_err(|_| Errno::EINVAL)?;
    // A few letters are longer in the form in which the vault keeps them.
    if name.as_str().len() > MAX_LEN { Err(Errno::ENAMETOOLONG) } else { Ok(name) }
}

/// The entry that is shown by a name.
pub(super) fn find_shown<'l>(listing: &'l Listing, name: &str) -> Option<&'l Entry> {
    let entries = listing.entries();
    let first = entries.partition_point(|entry| entry.shown() < name);
    let itself = entries.get(first).filter(|entry| entry.shown() == name);
    itself.or_else(|| {
        let aliased = |entry: &&Entry| entry.shown().len() > name.len() && shown(entry.shown()) == name;
        if may_be_alias(name) { entries.iter().find(aliased) } else { None }
    })
}

impl Dispatch {
    /// Goes on with the name that the vault has for what is shown by `name`: another one if that is an alias.
    pub(super) fn with_name(
        self: &Arc<Self>,
        operation: &'static str,
        asker: Asker,
        dir: &Arc<Node>,
        name: Name,
        then: impl FnOnce(&Arc<Self>, Result<Name, Errno>) + Send + 'static,
    ) {
        if !may_be_alias(name.as_str()) {
            return then(self, Ok(name));
        }
        let question = self.volume.list(dir);
        self.ask(operation, asker, dir, question, move |dispatch, listing| {
            let found = listing.and_then(|listing| match find_shown(&listing, name.as_str()) {
                Some(Entry::Sound(entry)) => Ok(entry.name().clone()),
                Some(Entry::Damaged(_)) => Err(Errno::EIO),
                None => Ok(name),
            });
            then(dispatch, found);
        });
    }
}
