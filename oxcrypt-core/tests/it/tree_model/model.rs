//! A tree of maps, and what POSIX says of each step.

use std::collections::BTreeMap;

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{ErrorKind, NodeKind};

use super::{Place, Step, names};
use crate::checker::{Report, Seen};
use crate::lab::{Lab, bytes};

/// An entry, by a number that it keeps.
pub(super) type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Directory(BTreeMap<String, Id>),
    Link(String),
    File(Vec<u8>),
}

impl Item {
    pub(super) fn kind(&self) -> NodeKind {
        match self {
            Self::Directory(_) => NodeKind::Directory,
            Self::Link(_) => NodeKind::Symlink,
            Self::File(_) => NodeKind::File,
        }
    }
}

/// The tree of maps. What was removed stays in `items`, for those who hold it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) lab: Lab,
    pub(super) items: Vec<Item>,
    /// Whether the store can exchange entries.
    pub(super) exchanges: bool,
}

impl Model {
    pub(super) fn new(lab: Lab) -> Self {
        Self { lab, items: vec![Item::Directory(BTreeMap::new())], exchanges: true }
    }

    pub(super) fn children(&self, id: Id) -> &BTreeMap<String, Id> {
        match &self.items[id] {
            Item::Directory(children) => children,
            other => panic!("not a directory: {other:?}"),
        }
    }

    pub(super) fn children_mut(&mut self, id: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.items[id] {
            Item::Directory(children) => children,
            other => panic!("not a directory: {other:?}"),
        }
    }

    /// Every entry by its path, the root's empty, in an order that depends on names alone.
    pub(super) fn paths(&self) -> BTreeMap<String, Id> {
        let mut paths = BTreeMap::from([(String::new(), 0)]);
        let mut rest = vec![(String::new(), 0)];
        while let Some((path, id)) = rest.pop() {
            for (name, child) in self.children(id) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                paths.insert(path.clone(), *child);
                if self.items[*child].kind() == NodeKind::Directory {
                    rest.push((path, *child));
                }
            }
        }
        paths
    }

    /// The directory of this number, with its path.
    pub(super) fn directory(&self, number: usize) -> (String, Id) {
        let paths = self.paths();
        let mut directories: Vec<_> =
            paths.into_iter().filter(|(_, id)| self.items[*id].kind() == NodeKind::Directory).collect();
        let number = number % directories.len();
        directories.swap_remove(number)
    }

    pub(super) fn resolve(&self, (dir, name): Place) -> (String, Id, String) {
        let (path, id) = self.directory(dir);
        (path, id, names(self.lab)[name].clone())
    }

    pub(super) fn add(&mut self, dir: Id, name: String, item: Item) -> Result<(), Vec<ErrorKind>> {
        if self.children(dir).contains_key(&name) {
            return Err(vec![ErrorKind::AlreadyExists]);
        }
        self.items.push(item);
        let id = self.items.len() - 1;
        self.children_mut(dir).insert(name, id);
        Ok(())
    }

    pub(super) fn lies_within(&self, dir: Id, ancestor: Id) -> bool {
        dir == ancestor
            || match &self.items[ancestor] {
                Item::Directory(children) => children.values().any(|child| self.lies_within(dir, *child)),
                _ => false,
            }
    }

    pub(super) fn is_shortened(&self, name: &str) -> bool {
        name.len() > self.lab.longest_plain_name()
    }

    /// Makes a step, or says with which errors it may be refused.
    pub(super) fn step(&mut self, step: Step) -> Result<(), Vec<ErrorKind>> {
        let next = self.items.len();
        match step {
            Step::Create(place) => {
                let (_, dir, name) = self.resolve(place);
                self.add(dir, name, Item::File(bytes(next * 10, next)))
            }
            Step::MakeDir(place) => {
                let (_, dir, name) = self.resolve(place);
                self.add(dir, name, Item::Directory(BTreeMap::new()))
            }
            Step::MakeSymlink(place) => {
                let (_, dir, name) = self.resolve(place);
                self.add(dir, name, Item::Link(format!("target {next}")))
            }
            Step::Remove(place) => {
                let (_, dir, name) = self.resolve(place);
                match self.children(dir).get(&name).map(|id| self.items[*id].kind()) {
                    None => Err(vec![ErrorKind::NotFound]),
                    Some(NodeKind::Directory) => Err(vec![ErrorKind::IsADirectory]),
                    Some(_) => {
                        self.children_mut(dir).remove(&name);
                        Ok(())
                    }
                }
            }
            Step::RemoveDir(place) => {
                let (_, dir, name) = self.resolve(place);
                match self.children(dir).get(&name).map(|id| &self.items[*id]) {
                    None => Err(vec![ErrorKind::NotFound]),
                    Some(Item::Directory(children)) if !children.is_empty() => Err(vec![ErrorKind::NotEmpty]),
                    Some(Item::Directory(_)) => {
                        self.children_mut(dir).remove(&name);
                        Ok(())
                    }
                    Some(_) => Err(vec![ErrorKind::NotADirectory]),
                }
            }
            Step::Rename(from, to, replace) => self.rename(from, to, replace),
            Step::Forget => Ok(()),
        }
    }

    pub(super) fn rename(&mut self, from: Place, to: Place, replace: Replace) -> Result<(), Vec<ErrorKind>> {
        let (_, from_dir, from) = self.resolve(from);
        let (_, to_dir, to) = self.resolve(to);
        let Some(source) = self.children(from_dir).get(&from).copied() else {
            return Err(vec![ErrorKind::NotFound]);
        };
        let target = self.children(to_dir).get(&to).copied();
        // Where several things are wrong, any of them may be said.
        let mut refused = Vec::new();
        if self.lies_within(to_dir, source) {
            refused.push(ErrorKind::InvalidArgument);
        }
        if replace == Replace::Never && target.is_some() {
            refused.push(ErrorKind::AlreadyExists);
        }
        if replace == Replace::Exchange {
            match target {
                None => refused.push(ErrorKind::NotFound),
                Some(target) if self.lies_within(from_dir, target) => {
                    refused.push(ErrorKind::InvalidArgument);
                }
                Some(target) if target != source && !self.exchanges => {
                    refused.push(ErrorKind::InvalidArgument);
                }
                Some(target) => {
                    let is_same_kind = self.items[source].kind() == self.items[target].kind();
                    if !is_same_kind && (self.is_shortened(&from) || self.is_shortened(&to)) {
                        refused.push(ErrorKind::InvalidArgument);
                    }
                }
            }
        }
        if let (Replace::Always, Some(target)) = (replace, target.filter(|target| *target != source)) {
            match (&self.items[source], &self.items[target]) {
                (Item::Directory(_), Item::Directory(children)) if !children.is_empty() => {
                    refused.push(ErrorKind::NotEmpty);
                }
                (Item::Directory(_), Item::Directory(_)) => {}
                (Item::Directory(_), _) => refused.push(ErrorKind::NotADirectory),
                (_, Item::Directory(children)) => {
                    refused.push(ErrorKind::IsADirectory);
                    if !children.is_empty() {
                        refused.push(ErrorKind::NotEmpty);
                    }
                }
                _ => {}
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        self.children_mut(from_dir).remove(&from);
        let replaced = self.children_mut(to_dir).insert(to, source);
        if let (Replace::Exchange, Some(replaced)) = (replace, replaced) {
            self.children_mut(from_dir).insert(from, replaced);
        }
        Ok(())
    }

    /// Whether this is what storage has. Files are compared by their content.
    pub(super) fn is(&self, report: &Report) -> bool {
        let mut paths = self.paths();
        paths.remove("");
        paths.keys().eq(report.tree.keys())
            && paths.values().zip(report.tree.values()).all(|(id, seen)| match (&self.items[*id], seen) {
                (Item::Directory(_), Seen::Directory) => true,
                (Item::Link(target), Seen::Link(seen)) => target == seen,
                (Item::File(content), Seen::File(seen)) => seen.bytes().as_ref() == Some(content),
                _ => false,
            })
    }
}
