//! One scan of a content directory, made into a listing.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Instant;

use super::conflict::{Extracted, Search, shown_name};
use super::{Tree, missing_content_dir};
use crate::ciphertext_path::{
    CiphertextPath, ENTRY_SUFFIX, MAX_NAME_FILE_LEN, MIN_ENTRY_LEN, NAME_FILE, SHORTENED_SUFFIX, shortened,
};
use crate::crypto::UndecryptableName;
use crate::error::{Error, ErrorKind, Result};
use crate::listing::{Damage, DamagedEntry, Entry, Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{Shape, Spelling};
use crate::storage::{EntryKind, Listed};

/// A stored entry whose name decrypts, before it is known what it can be shown under.
struct Decrypted {
    /// The cleartext as stored: not always in NFC, not always legal.
    raw: String,
    stored: Spelling,
    /// What a sync client added to the host's name; `None` where the host's name is just as it should be.
    added: Option<String>,
    /// Its folder is named as that of another name would be.
    is_misnamed: bool,
}

/// What `name.c9s` says.
pub(super) struct LongName {
    /// The whole host name, `.c9r` included.
    long: String,
    /// What it decrypts to.
    pub(super) raw: String,
}

/// What is learnt of a directory while its entries come in one by one.
struct Scan<'t> {
    tree: &'t Tree,
    dir: &'t DirId,
    content_dir: CiphertextPath,
    now: Instant,
    search: Search,
    entries: Vec<Entry>,
    /// Entries that are not stored as they should be. They are named last.
    copies: Vec<Decrypted>,
    /// The host names of entries without a name that a lookup may yet meet, by the name they should have.
    nameless: HashSet<String>,
    is_exhaustive: bool,
}

impl Tree {
    /// Scans the content directory of `dir` and decrypts the names.
    pub(super) fn scan(&self, dir: &DirId, now: Instant) -> Result<Listing> {
        let content_dir = self.content_dir(dir);
        let mut listed = self.storage.list(&content_dir).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing_content_dir().at(&content_dir),
            _ => Error::of_structure(error).at(&content_dir),
        })?;
        // Which copy of a conflict gets which number must not depend on the host's order, and a host that tells of a
        // name twice has it once.
        listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listed.dedup_by(|a, b| a.name == b.name);
        let mut scan = Scan {
            tree: self,
            dir,
            content_dir,
            now,
            search: Search::new(),
            entries: Vec::with_capacity(listed.len()),
            copies: Vec::new(),
            nameless: HashSet::new(),
            is_exhaustive: true,
        };
        for entry in listed {
            scan.take(&entry);
        }
        scan.name_copies();
        Ok(Listing::new(scan.entries, scan.is_exhaustive, now))
    }

    /// Reads the name of a shortened entry.
    pub(super) fn read_long_name(&self, dir: &DirId, folder: &CiphertextPath) -> Result<LongName, Damage> {
        let bytes = self.storage.read(&folder.push(NAME_FILE), MAX_NAME_FILE_LEN).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => Damage::MissingLongName,
                io::ErrorKind::InvalidData => Damage::BadLongName,
                // A folder, a pipe or a link in its place holds no name.
                _ => match Error::of_structure(error).kind() {
                    ErrorKind::Damaged => Damage::BadLongName,
                    kind => Damage::Unreadable(kind),
                },
            }
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Damage::BadLongName)?;
        // Trailing bytes were once written by an official client.
        let (encoded, _) = text.rsplit_once(ENTRY_SUFFIX).ok_or(Damage::BadLongName)?;
        let raw = self.names.decrypt(encoded, dir).map_err(|why| match why {
            UndecryptableName::NotEncoded => Damage::BadLongName,
            _ => Damage::Name(why),
        })?;
        Ok(LongName { long: format!("{encoded}{ENTRY_SUFFIX}"), raw })
    }
}

impl Scan<'_> {
    /// Takes one line of the host's listing.
    fn take(&mut self, listed: &Listed) {
        let host = listed.name.to_string_lossy();
        let is_entry = host.len() >= MIN_ENTRY_LEN && !host.starts_with('.');
        let is_shortened = host.ends_with(SHORTENED_SUFFIX);
        let stem = host.strip_suffix(if is_shortened { SHORTENED_SUFFIX } else { ENTRY_SUFFIX });
        let (true, Some(stem)) = (is_entry, stem) else { return };
        let joined = self.content_dir.join(&host).filter(|_| listed.name.to_str().is_some());
        let result = match (&joined, listed.kind) {
            (None, _) => Err(Damage::HostName),
            (Some(path), EntryKind::File) if !is_shortened => self.read_plain(stem, path, Shape::Plain),
            (Some(path), EntryKind::Directory) if !is_shortened => self.read_plain(stem, path, Shape::Folder),
            (Some(path), EntryKind::Directory) => self.read_shortened(stem, path),
            _ => Err(Damage::NotOurs),
        };
        match result {
            Ok(decrypted) => self.take_sound(decrypted),
            Err(damage) => {
                // A lookup meets these where their names would be, and finds them, or says what is wrong there.
                if joined.is_some() && (is_shortened || damage == Damage::NotOurs) {
                    self.is_exhaustive = false;
                    self.nameless.insert(host.clone().into_owned());
                }
                let path = joined.unwrap_or_else(|| self.content_dir.clone());
                self.entries.push(Entry::Damaged(DamagedEntry { path, shown: host.into_owned(), damage }));
            }
        }
    }

    fn take_sound(&mut self, decrypted: Decrypted) {
        self.is_exhaustive &= !decrypted.is_misnamed;
        match Name::new(&decrypted.raw) {
            Err(_) => self.forbidden(decrypted.stored),
            // No two host names are the right one for the same name.
            Ok(name) if decrypted.added.is_none() && name.as_str() == decrypted.raw => {
                self.found(name, decrypted.stored, true);
            }
            Ok(_) => self.copies.push(decrypted),
        }
    }

    fn found(&mut self, name: Name, stored: Spelling, canonical: bool) {
        self.entries.push(Entry::Sound(Found { name, stored, canonical, since: self.now }));
    }

    fn forbidden(&mut self, stored: Spelling) {
        let shown = stored.path.file_name().unwrap_or_default().to_owned();
        self.entries.push(Entry::Damaged(DamagedEntry {
            path: stored.path,
            shown,
            damage: Damage::ForbiddenName,
        }));
    }

    fn read_plain(&mut self, stem: &str, path: &CiphertextPath, shape: Shape) -> Result<Decrypted, Damage> {
        let (names, dir) = (&self.tree.names, self.dir);
        let decrypted = |raw, added| {
            let stored = Spelling { path: path.clone(), shape };
            Ok(Decrypted { raw, stored, added, is_misnamed: false })
        };
        let why = match names.decrypt(stem, dir) {
            Ok(raw) => {
                let is_too_long = stem.len() + ENTRY_SUFFIX.len() > self.tree.shortening_threshold;
                return decrypted(raw, is_too_long.then(String::new));
            }
            Err(why) => why,
        };
        match self.search.extract(stem, |candidate| names.decrypt(candidate, dir).ok()) {
            Some(Extracted { decrypted: raw, suffix }) => decrypted(raw, Some(suffix.to_owned())),
            None => Err(Damage::Name(why)),
        }
    }

    /// Only `name.c9s` is believed for the name. Where its hash is not the folder's name, a sync client made a copy.
    fn read_shortened(&self, stem: &str, path: &CiphertextPath) -> Result<Decrypted, Damage> {
        let LongName { long, raw } = self.tree.read_long_name(self.dir, path)?;
        let hash = shortened(&long);
        let hash = hash.strip_suffix(SHORTENED_SUFFIX).unwrap_or(&hash);
        let (added, is_misnamed) = match stem.strip_prefix(hash) {
            Some("") if long.len() > self.tree.shortening_threshold => (None, false),
            Some(suffix) => (Some(suffix.to_owned()), false),
            None => (Some(String::new()), stem.len() == hash.len()),
        };
        let stored = Spelling { path: path.clone(), shape: Shape::Shortened };
        Ok(Decrypted { raw, stored, added, is_misnamed })
    }

    /// Gives the copies what names are left, in the order they came in.
    fn name_copies(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        let sound = self.entries.iter().filter_map(|entry| match entry {
            Entry::Sound(found) => Some(found.name.clone()),
            Entry::Damaged(_) => None,
        });
        let mut taken: HashSet<Name> = sound.collect();
        let mut last_numbers = HashMap::new();
        for Decrypted { raw, stored, added, .. } in std::mem::take(&mut self.copies) {
            let is_taken = |name: &Name| taken.contains(name) || self.is_of_a_nameless(name);
            match free_name(&raw, added.as_deref().unwrap_or_default(), is_taken, &mut last_numbers) {
                Some(name) => {
                    taken.insert(name.clone());
                    self.found(name, stored, false);
                }
                None => self.forbidden(stored),
            }
        }
    }

    /// Whether a lookup of `name` meets an entry whose name cannot be told, so that no other may be shown under it.
    fn is_of_a_nameless(&self, name: &Name) -> bool {
        let is_met = |host: &str| self.nameless.contains(host);
        !self.nameless.is_empty() && self.tree.spell(self.dir, name).path.file_name().is_some_and(is_met)
    }
}

/// The first name for a copy that nobody has: its own, then with what the sync client added, then numbered from behind
/// the last number such a copy got.
///
/// `None` where the host's text makes a name that no entry can have.
fn free_name(
    raw: &str,
    added: &str,
    is_taken: impl Fn(&Name) -> bool,
    last_numbers: &mut HashMap<Name, u32>,
) -> Option<Name> {
    let own = Name::new(raw).ok()?;
    if !is_taken(&own) {
        return Some(own);
    }
    let with_added = Name::new(&shown_name(raw, added)).ok()?;
    if !is_taken(&with_added) {
        return Some(with_added);
    }
    // By the name and not by the texts: those that differ in normal form alone come to the same names, one by one.
    let last_number = last_numbers.entry(with_added).or_insert(0);
    loop {
        *last_number += 1;
        let numbered = Name::new(&shown_name(raw, &format!("{added} ({last_number})"))).ok()?;
        if !is_taken(&numbered) {
            return Some(numbered);
        }
    }
}
