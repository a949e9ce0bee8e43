//! What a history should come to: three directories of entries, and contents that outlive their names.

use std::collections::BTreeMap;

use oxcrypt_core::ErrorKind;
use oxcrypt_core::storage::Replace;

use super::{LONG, Place};

/// A content, by a number that it keeps.
pub(super) type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Always empty: what lies deeper is for the tests of the tree.
    Directory,
    Link(String),
    File(Id),
}

/// What everybody should see.
#[derive(Clone, Debug, Default)]
pub(super) struct Plain {
    pub(super) entries: BTreeMap<Place, Item>,
    pub(super) contents: Vec<Content>,
}

/// The bytes of a file, with all that it has been since it was last known to be stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) now: Vec<u8>,
    before: Vec<Vec<u8>>,
}

type Made = Result<(), Vec<ErrorKind>>;

impl Plain {
    pub(super) fn file(&self, place: Place) -> Option<Id> {
        match self.entries.get(&place) {
            Some(Item::File(id)) => Some(*id),
            _ => None,
        }
    }

    pub(super) fn create(&mut self, place: Place) -> Made {
        self.contents.push(Content::default());
        let made = self.make(place, Item::File(self.contents.len() - 1));
        if made.is_err() {
            self.contents.pop();
        }
        made
    }

    pub(super) fn make(&mut self, place: Place, item: Item) -> Made {
        if self.entries.contains_key(&place) {
            return Err(vec![ErrorKind::AlreadyExists]);
        }
        self.entries.insert(place, item);
        Ok(())
    }

    pub(super) fn remove(&mut self, place: Place, is_directory: bool) -> Made {
        match self.entries.get(&place) {
            None => Err(vec![ErrorKind::NotFound]),
            Some(Item::Directory) if !is_directory => Err(vec![ErrorKind::IsADirectory]),
            Some(Item::File(_) | Item::Link(_)) if is_directory => Err(vec![ErrorKind::NotADirectory]),
            Some(_) => {
                self.entries.remove(&place);
                Ok(())
            }
        }
    }

    pub(super) fn rename(&mut self, from: Place, to: Place, replace: Replace) -> Made {
        let Some(source) = self.entries.get(&from).cloned() else { return Err(vec![ErrorKind::NotFound]) };
        let target = self.entries.get(&to).cloned();
        let is_directory = |item: &Item| *item == Item::Directory;
        let refused = match (replace, &target) {
            (Replace::Never, Some(_)) => Some(ErrorKind::AlreadyExists),
            (Replace::Exchange, None) => Some(ErrorKind::NotFound),
            (Replace::Exchange, Some(target)) => {
                let is_same_kind = std::mem::discriminant(target) == std::mem::discriminant(&source);
                let is_shortened = from.1 == LONG || to.1 == LONG;
                (!is_same_kind && is_shortened).then_some(ErrorKind::InvalidArgument)
            }
            (Replace::Always, Some(target)) if from != to => {
                match (is_directory(&source), is_directory(target)) {
                    (true, false) => Some(ErrorKind::NotADirectory),
                    (false, true) => Some(ErrorKind::IsADirectory),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(kind) = refused {
            return Err(vec![kind]);
        }
        self.entries.remove(&from);
        self.entries.insert(to, source);
        if let (Replace::Exchange, Some(target)) = (replace, target.filter(|_| from != to)) {
            self.entries.insert(from, target);
        }
        Ok(())
    }
}

impl Content {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(|now| {
            let end = offset + bytes.len();
            now.resize(now.len().max(end), 0);
            now[offset..end].copy_from_slice(bytes);
        });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.change(|now| now.resize(len, 0));
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.before.push(self.now.clone());
        change(&mut self.now);
    }

    pub(super) fn read(&self, offset: usize, len: usize) -> &[u8] {
        let end = (offset + len).min(self.now.len());
        &self.now[offset.min(end)..end]
    }

    /// All of it is in storage.
    pub(super) fn stored(&mut self) {
        self.before.clear();
    }

    /// Storage has `found`, and memory knows nothing any more: each byte has to be one that it has been since it was last
    /// stored.
    pub(super) fn lose(&mut self, found: Vec<u8>) {
        let has_been = |at: usize, byte: u8| {
            self.now.get(at) == Some(&byte) || self.before.iter().any(|before| before.get(at) == Some(&byte))
        };
        let wrong = found.iter().enumerate().find(|(at, byte)| !has_been(*at, **byte));
        assert_eq!(wrong, None, "a byte that was never there");
        let shortest = self.before.iter().map(Vec::len).fold(self.now.len(), usize::min);
        assert!(found.len() >= shortest, "{} bytes are left of {shortest} at least", found.len());
        self.now = found;
        self.stored();
    }
}
