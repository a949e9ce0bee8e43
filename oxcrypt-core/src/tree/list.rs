//! One scan of a content directory, made into a listing.

use std::collections::{HashMap, HashSet};
use std::io;

use super::conflict::{Extracted, extract, shown_name};
use super::{Tree, missing_content_dir};
use crate::ciphertext_path::{
    CiphertextPath, ENTRY_SUFFIX, MAX_NAME_FILE_LEN, MIN_ENTRY_LEN, NAME_FILE, SHORTENED_SUFFIX, shortened,
};
use crate::crypto::UndecryptableName;
use crate::error::{Error, Result};
use crate::listing::{Damage, DamagedEntry, Entry, Found, Listing};
use crate::name::{DirId, Name};
use crate::node::{Shape, Stored};
use crate::storage::{EntryKind, Listed};

/// A stored entry whose name decrypts, before it is known what it can be shown under.
struct Decrypted {
    /// The cleartext as stored: not always in NFC, not always legal.
    raw: String,
    stored: Stored,
    /// What a sync client added to the host's name; `None` where the host's name is just as it should be.
    added: Option<String>,
}

impl Tree {
    /// Scans the content directory of `dir` and decrypts the names.
    pub(super) fn scan(&self, dir: &DirId) -> Result<Listing> {
        let path = self.content_dir(dir);
        let mut listed = self.storage.list(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing_content_dir().at(&path),
            _ => Error::from(error).at(&path),
        })?;
        // Which copy of a conflict gets which number must not depend on the host's order.
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut sound, mut damaged) = (Vec::new(), Vec::new());
        for entry in &listed {
            match self.read_entry(dir, &path, entry) {
                None => {}
                Some(Ok(decrypted)) => sound.push(decrypted),
                Some(Err(entry)) => damaged.push(entry),
            }
        }
        let entries = name_all(sound, &mut damaged);
        Ok(Listing::new(entries.into_iter().chain(damaged.into_iter().map(Entry::Damaged)).collect()))
    }

    /// What one line of the scan stands for: `None` if it is no entry of the vault.
    fn read_entry(
        &self,
        dir: &DirId,
        content_dir: &CiphertextPath,
        listed: &Listed,
    ) -> Option<Result<Decrypted, DamagedEntry>> {
        let host = listed.name.to_string_lossy();
        let is_entry = host.len() >= MIN_ENTRY_LEN && !host.starts_with('.');
        let stem = host.strip_suffix(ENTRY_SUFFIX).or_else(|| host.strip_suffix(SHORTENED_SUFFIX));
        let (true, Some(stem)) = (is_entry, stem) else { return None };
        let joined = content_dir.join(&host);
        let damaged = |damage| {
            let path = joined.clone().unwrap_or_else(|| content_dir.clone());
            Some(Err(DamagedEntry { path, shown: host.clone().into_owned(), damage }))
        };
        let (Some(_), Some(path)) = (listed.name.to_str(), joined.clone()) else {
            return damaged(Damage::HostName);
        };
        let decrypted = match (listed.kind, host.ends_with(ENTRY_SUFFIX)) {
            (EntryKind::File, true) => self.read_plain(dir, stem, Stored { path, shape: Shape::Plain }),
            (EntryKind::Directory, true) => self.read_plain(dir, stem, Stored { path, shape: Shape::Folder }),
            (EntryKind::Directory, false) => {
                self.read_shortened(dir, stem, Stored { path, shape: Shape::Shortened })
            }
            _ => Err(Damage::NotOurs),
        };
        decrypted.map_or_else(damaged, |decrypted| Some(Ok(decrypted)))
    }

    fn read_plain(&self, dir: &DirId, stem: &str, stored: Stored) -> Result<Decrypted, Damage> {
        let why = match self.names.decrypt(stem, dir) {
            Ok(raw) => {
                let added = (stem.len() + ENTRY_SUFFIX.len() > self.shortening_threshold).then(String::new);
                return Ok(Decrypted { raw, stored, added });
            }
            Err(why) => why,
        };
        match extract(stem, |candidate| self.names.decrypt(candidate, dir).ok()) {
            Some(Extracted { decrypted, suffix }) => {
                Ok(Decrypted { raw: decrypted, stored, added: Some(suffix.to_owned()) })
            }
            None => Err(Damage::Name(why)),
        }
    }

    /// Only `name.c9s` is believed for the name. Where its hash is not the folder's name, a sync client made a copy.
    fn read_shortened(&self, dir: &DirId, stem: &str, stored: Stored) -> Result<Decrypted, Damage> {
        let bytes =
            self.storage.read(&stored.path.push(NAME_FILE), MAX_NAME_FILE_LEN).map_err(
                |error| match error.kind() {
                    io::ErrorKind::NotFound => Damage::MissingLongName,
                    io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory => Damage::BadLongName,
                    _ => Damage::Unreadable(Error::from(error).kind()),
                },
            )?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Damage::BadLongName)?;
        // Trailing bytes were once written by an official client.
        let (encoded, _) = text.rsplit_once(ENTRY_SUFFIX).ok_or(Damage::BadLongName)?;
        let raw = self.names.decrypt(encoded, dir).map_err(|why| match why {
            UndecryptableName::NotEncoded => Damage::BadLongName,
            _ => Damage::Name(why),
        })?;
        let long = format!("{encoded}{ENTRY_SUFFIX}");
        let hash = shortened(&long);
        let hash = hash.strip_suffix(SHORTENED_SUFFIX).unwrap_or(&hash);
        let added = match stem.strip_prefix(hash) {
            Some("") if long.len() > self.shortening_threshold => None,
            Some(suffix) => Some(suffix.to_owned()),
            None => Some(String::new()),
        };
        Ok(Decrypted { raw, stored, added })
    }
}

/// Gives each entry the name it is shown under: its own to those that are stored as they should be, then what is left
/// to the others, in the order they come in.
fn name_all(sound: Vec<Decrypted>, damaged: &mut Vec<DamagedEntry>) -> Vec<Entry> {
    let mut taken = HashSet::new();
    let mut entries = Vec::with_capacity(sound.len());
    let mut copies = Vec::new();
    for entry in sound {
        match Name::new(&entry.raw) {
            Err(_) => damaged.push(forbidden(entry.stored)),
            Ok(name) if entry.added.is_none() && name.as_str() == entry.raw && taken.insert(name.clone()) => {
                entries.push(Entry::Sound(Found { name, stored: entry.stored, canonical: true }));
            }
            Ok(_) => copies.push(entry),
        }
    }
    let mut last_numbers = HashMap::new();
    for Decrypted { raw, stored, added } in copies {
        let last_number = last_numbers.entry((raw.clone(), added.clone())).or_insert(0);
        match free_name(&raw, added.as_deref().unwrap_or_default(), &taken, last_number) {
            Some(name) => {
                taken.insert(name.clone());
                entries.push(Entry::Sound(Found { name, stored, canonical: false }));
            }
            None => damaged.push(forbidden(stored)),
        }
    }
    entries
}

/// The first name for a copy that nobody has: its own, then with what the sync client added, then numbered from behind
/// the last number such a copy got.
///
/// `None` where the host's text makes a name that no entry can have.
fn free_name(raw: &str, added: &str, taken: &HashSet<Name>, last_number: &mut usize) -> Option<Name> {
    for suffix in ["", added] {
        let name = Name::new(&shown_name(raw, suffix)).ok()?;
        if !taken.contains(&name) {
            return Some(name);
        }
    }
    loop {
        *last_number += 1;
        let name = Name::new(&shown_name(raw, &format!("{added} ({last_number})"))).ok()?;
        if !taken.contains(&name) {
            return Some(name);
        }
    }
}

fn forbidden(stored: Stored) -> DamagedEntry {
    let shown = stored.path.file_name().unwrap_or_default().to_owned();
    DamagedEntry { path: stored.path, shown, damage: Damage::ForbiddenName }
}
