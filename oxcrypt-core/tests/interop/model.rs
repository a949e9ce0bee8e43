//! What a vault should hold.

use std::collections::BTreeMap;
use std::mem::discriminant;

use oxcrypt_core::storage::Replace;

use crate::manifest::{Item, Manifest, sha256};
use crate::operation::{Operation, Outcome};
use crate::suite::Suite;

/// A tree by full paths. The root is the empty path.
#[derive(Clone, Debug)]
pub(crate) struct Model(BTreeMap<String, Thing>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Directory,
    File(Vec<u8>),
    Symlink(String),
}

impl Model {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::from([(String::new(), Thing::Directory)]))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Thing> {
        self.0.get(path)
    }

    /// Parents before what is in them.
    pub(crate) fn things(&self) -> impl Iterator<Item = (&str, &Thing)> {
        self.0.iter().map(|(path, thing)| (path.as_str(), thing))
    }

    pub(crate) fn is_empty_dir(&self, path: &str) -> bool {
        self.get(path) == Some(&Thing::Directory) && !self.0.keys().any(|other| is_below(other, path))
    }

    /// What anybody who lists the vault should see.
    pub(crate) fn manifest(&self) -> Manifest {
        let item = |thing: &Thing| match thing {
            Thing::Directory => Item::Directory,
            Thing::File(content) => Item::File { len: content.len() as u64, sha256: sha256(content) },
            Thing::Symlink(target) => Item::Symlink(target.clone()),
        };
        let path = |path: &str| if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        self.things().map(|(at, thing)| (path(at), item(thing))).collect()
    }

    /// Whether it is known what is to become of an operation.
    pub(crate) fn knows(&self, operation: &Operation, suite: Suite) -> bool {
        let Operation::Rename { from, to, replace } = operation else { return true };
        let is_dir = |path: &str| self.get(path) == Some(&Thing::Directory);
        let leads_to_itself = is_below(to, from) || is_below(from, to);
        match replace {
            _ if from == to => false,
            Replace::Always => is_dir(from) || !is_below(from, to),
            Replace::Never => !leads_to_itself || self.get(to).is_none(),
            // What has no type file of its own cannot change places with what has.
            Replace::Exchange => {
                !suite.is_shortened(from) && !suite.is_shortened(to) || self.are_alike(from, to)
            }
        }
    }

    /// As POSIX has it.
    pub(crate) fn apply(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::MakeDir { path } => self.make(path, Thing::Directory),
            Operation::MakeSymlink { path, target } => self.make(path, Thing::Symlink(target.clone())),
            Operation::Write { path, offset, content } => {
                let at = usize::try_from(*offset).unwrap();
                let file = self.0.entry(path.clone()).or_insert(Thing::File(Vec::new()));
                let Thing::File(bytes) = file else { panic!("nobody writes to {path}") };
                if content.len > 0 {
                    let end = at + content.len;
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[at..end].copy_from_slice(&content.bytes());
                }
                Outcome::Done
            }
            Operation::Truncate { path, len } => {
                let Some(Thing::File(bytes)) = self.0.get_mut(path) else { panic!("nobody cuts {path}") };
                bytes.resize(usize::try_from(*len).unwrap(), 0);
                Outcome::Done
            }
            Operation::Remove { path } => match self.get(path) {
                None => Outcome::Absent,
                Some(Thing::Directory) => Outcome::IsADirectory,
                Some(Thing::File(_) | Thing::Symlink(_)) => self.forget(path),
            },
            Operation::RemoveDir { path } if self.is_empty_dir(path) => self.forget(path),
            Operation::RemoveDir { .. } => Outcome::NotEmpty,
            Operation::Rename { from, to, replace: Replace::Exchange } => self.exchange(from, to),
            Operation::Rename { from, to, replace } => self.rename(from, to, *replace),
        }
    }

    fn make(&mut self, path: &str, thing: Thing) -> Outcome {
        if self.get(path).is_some() {
            return Outcome::Exists;
        }
        self.0.insert(path.to_owned(), thing);
        Outcome::Done
    }

    fn forget(&mut self, path: &str) -> Outcome {
        self.0.remove(path);
        Outcome::Done
    }

    fn rename(&mut self, from: &str, to: &str, replace: Replace) -> Outcome {
        let is_dir = self.get(from) == Some(&Thing::Directory);
        match self.get(to) {
            Some(_) if replace == Replace::Never => return Outcome::Exists,
            _ if is_below(to, from) => return Outcome::Invalid,
            Some(Thing::Directory) if !is_dir => return Outcome::IsADirectory,
            Some(Thing::File(_) | Thing::Symlink(_)) if is_dir => return Outcome::NotADirectory,
            Some(Thing::Directory) if !self.is_empty_dir(to) => return Outcome::NotEmpty,
            _ => {}
        }
        self.0.remove(to);
        let moved = self.take(from);
        self.put(to, moved);
        Outcome::Done
    }

    fn exchange(&mut self, one: &str, other: &str) -> Outcome {
        if is_below(one, other) || is_below(other, one) {
            return Outcome::Invalid;
        }
        let (moved, back) = (self.take(one), self.take(other));
        self.put(other, moved);
        self.put(one, back);
        Outcome::Done
    }

    fn are_alike(&self, one: &str, other: &str) -> bool {
        match (self.get(one), self.get(other)) {
            (Some(one), Some(other)) => discriminant(one) == discriminant(other),
            _ => false,
        }
    }

    /// Takes an entry out, with all that is below it.
    fn take(&mut self, path: &str) -> Vec<(String, Thing)> {
        let is_meant = |other: &String| other == path || is_below(other, path);
        let all: Vec<String> = self.0.keys().filter(|other| is_meant(other)).cloned().collect();
        all.iter().map(|other| (other[path.len()..].to_owned(), self.0.remove(other).unwrap())).collect()
    }

    fn put(&mut self, path: &str, things: Vec<(String, Thing)>) {
        self.0.extend(things.into_iter().map(|(below, thing)| (format!("{path}{below}"), thing)));
    }
}

/// Whether a path lies in a directory, at any depth.
pub(crate) fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}
