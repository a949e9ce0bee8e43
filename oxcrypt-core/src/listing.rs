//! What a directory holds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::ciphertext_path::CiphertextPath;
use crate::crypto::UndecryptableName;
use crate::error::ErrorKind;
use crate::name::Name;
use crate::node::{NodeKind, Shape, Spelling};

/// The entries of a directory at one moment, in the order of the names shown.
#[derive(Debug)]
pub struct Listing {
    entries: Vec<Entry>,
    /// A name that is not here does not exist.
    exhaustive: bool,
    /// Whether any entry has no name.
    nameless: bool,
    /// When the storage was asked.
    since: Instant,
}

/// One entry of a listing: each stored entry is in it, sound or not.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An entry with a name.
    Sound(Found),
    /// An entry that has no name that could be shown.
    Damaged(DamagedEntry),
}

/// An entry with a name. What it is may not be known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub(crate) name: Name,
    pub(crate) stored: Spelling,
    pub(crate) canonical: bool,
    /// When the storage was asked.
    pub(crate) since: Instant,
}

/// An entry without a name.
#[derive(Clone, Debug)]
pub struct DamagedEntry {
    pub(crate) path: CiphertextPath,
    pub(crate) shown: String,
    pub(crate) damage: Damage,
}

/// Why an entry has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The stored name cannot be decrypted, nor any part of it.
    Name(UndecryptableName),
    /// It decrypts to a name that no entry can have, such as `..` or one with a slash.
    ForbiddenName,
    /// The host's name is not UTF-8.
    HostName,
    /// A shortened entry without its `name.c9s`, perhaps not synced yet.
    MissingLongName,
    /// A `name.c9s` that holds no name.
    BadLongName,
    /// The host has something there that no vault has, such as a symbolic link, or a file for a folder.
    NotOurs,
    /// The storage did not tell the name.
    Unreadable(ErrorKind),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => write!(f, "its name {why}"),
            Self::ForbiddenName => f.write_str("its name is one that no entry can have"),
            Self::HostName => f.write_str("its name on the storage is not UTF-8"),
            Self::MissingLongName => f.write_str("its name.c9s is missing, perhaps not synced yet"),
            Self::BadLongName => f.write_str("its name.c9s holds no name"),
            Self::NotOurs => f.write_str("it is nothing on the storage that a vault has there"),
            Self::Unreadable(kind) => write!(f, "its name could not be read: {kind}"),
        }
    }
}

/// What a text on the heap takes besides its bytes, roughly.
const ALLOCATION: usize = 32;

impl Listing {
    pub(crate) fn new(mut entries: Vec<Entry>, exhaustive: bool, since: Instant) -> Self {
        entries.sort_unstable_by(|a, b| a.shown().cmp(b.shown()));
        let nameless = entries.iter().any(|entry| matches!(entry, Entry::Damaged(_)));
        Self { entries, exhaustive, nameless, since }
    }

    /// The entries, in the order of the names shown.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that is shown under `name`.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<&Found> {
        let first = self.entries.partition_point(|entry| entry.shown() < name.as_str());
        let same = self.entries.get(first..)?.iter().take_while(|entry| entry.shown() == name.as_str());
        same.into_iter().find_map(|entry| match entry {
            Entry::Sound(found) => Some(found),
            Entry::Damaged(_) => None,
        })
    }

    /// Whether a name that is not in it does not exist.
    ///
    /// Not so where a shortened entry has no name that could be read, or that of another: it is found by the hash of
    /// its name nevertheless, or must be asked. Nor where the host has something else in an entry's place.
    pub(crate) fn is_exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// Whether any entry has no name, and is shown by another text.
    pub(crate) fn has_nameless(&self) -> bool {
        self.nameless
    }

    /// When the storage was asked.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// A copy in which these names are what they were changed to: found elsewhere, or not at all.
    pub(crate) fn changed(&self, changed: BTreeMap<Name, Option<Found>>) -> Self {
        let is_same = |entry: &&Entry| match entry {
            Entry::Sound(found) => !changed.contains_key(&found.name),
            Entry::Damaged(_) => true,
        };
        let mut entries: Vec<Entry> = self.entries.iter().filter(is_same).cloned().collect();
        entries.extend(changed.into_values().flatten().map(Entry::Sound));
        Self::new(entries, self.exhaustive, self.since)
    }

    /// What it takes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        let texts: usize = self
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Sound(found) => found.name.as_str().len() + found.stored.path.as_str().len(),
                Entry::Damaged(damaged) => damaged.shown.len() + damaged.path.as_str().len(),
            })
            .sum();
        texts + self.entries.len() * (size_of::<Entry>() + 2 * ALLOCATION) + ALLOCATION
    }
}

impl Entry {
    /// The name, or what stands for it where there is none.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Sound(found) => found.name.as_str(),
            Self::Damaged(damaged) => &damaged.shown,
        }
    }
}

impl Found {
    /// The name it is shown under: unique in its listing.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What it is, where the listing tells that for nothing: for files whose name is not shortened.
    #[must_use]
    pub fn kind(&self) -> Option<NodeKind> {
        (self.stored.shape == Shape::Plain).then_some(NodeKind::File)
    }

    /// Whether the host spells it otherwise than this crate would: a conflict copy of a sync client, a name that is
    /// not in NFC, a shortened name that need not be.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        !self.canonical
    }

    /// The entry in the storage.
    #[must_use]
    pub fn path(&self) -> &CiphertextPath {
        &self.stored.path
    }
}

impl DamagedEntry {
    /// The host's name of the entry: no cleartext is known.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The entry in the storage. Where the host's name is not UTF-8, this is only near it.
    #[must_use]
    pub fn path(&self) -> &CiphertextPath {
        &self.path
    }

    /// What is wrong.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.damage
    }
}
