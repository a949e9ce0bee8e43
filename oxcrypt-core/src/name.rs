//! Cleartext names and paths, and the ids of directories: parsed once, legal from then on.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick};

use crate::error::{Error, ErrorKind};

/// The name of one entry: UTF-8 in normal form NFC, not empty, neither `.` nor `..`, without `/` and NUL.
///
/// Not bounded in length: vaults hold names that some host systems cannot. `Debug` hides the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A text that cannot be the name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// No text at all.
    #[error("a name cannot be empty")]
    Empty,
    /// `.` or `..`, which mean something else everywhere.
    #[error("`.` and `..` cannot be names")]
    Dots,
    /// A slash or a NUL.
    #[error("a name cannot contain a slash or a NUL")]
    Character,
}

impl Name {
    /// Takes `text` as a name, in normal form NFC whatever form it comes in.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] says which rule is broken.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        match text {
            "" => Err(InvalidName::Empty),
            "." | ".." => Err(InvalidName::Dots),
            _ if text.contains(['/', '\0']) => Err(InvalidName::Character),
            _ => Ok(Self(nfc(text).into())),
        }
    }

    /// The text, in NFC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another text may mean this name: one in another normal form.
    pub(crate) fn has_other_forms(&self) -> bool {
        is_nfd_quick(self.0.chars()) != IsNormalized::Yes
    }
}

/// `text` in normal form NFC.
pub(crate) fn nfc(text: &str) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.to_owned(),
        _ => text.nfc().collect(),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({} bytes)", self.0.len())
    }
}

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Self {
        Self::new(ErrorKind::InvalidName).because(invalid.to_string())
    }
}

/// Where an entry is: the names from the root down, none for the root itself. `Debug` hides the text.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultPath(Vec<Name>);

impl VaultPath {
    /// The path of the root directory.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as people type it: names between slashes. A leading, trailing or double slash and `.` mean nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidName`], also for `..`: a vault path never climbs.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        text.split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .map(Name::new)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The names from the root down.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// The last name; `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&Name> {
        self.0.last()
    }

    /// The path of `name` in this directory.
    #[must_use]
    pub fn join(&self, name: Name) -> Self {
        let mut names = self.0.clone();
        names.push(name);
        Self(names)
    }
}

impl FromIterator<Name> for VaultPath {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl fmt::Display for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

impl fmt::Debug for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultPath({} names)", self.0.len())
    }
}

/// The id of a directory: empty for the root, else 1 to 1,000 bytes, most often a UUID.
///
/// It names the directory's content and the key of its entries' names, and says nothing about where the directory is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(Arc<[u8]>);

/// A `dir.c9r` that holds no directory id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidDirId {
    /// No bytes: a sync client may not have filled it yet. Never to be taken for the root's id.
    #[error("the directory file is empty, perhaps not synced yet")]
    Empty,
    /// More than [`DirId::MAX_LEN`] bytes.
    #[error("the directory file is too long to hold a directory id")]
    TooLong,
}

impl DirId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 1_000;

    /// The id of the root directory.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::default())
    }

    /// A new id: a random UUID, as every client makes them.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_uuid().into_bytes().into())
    }

    /// Whether this is the root's id.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the whole content of a `dir.c9r`, byte for byte.
    ///
    /// # Errors
    ///
    /// [`InvalidDirId`].
    pub fn from_dir_file(content: &[u8]) -> Result<Self, InvalidDirId> {
        match content.len() {
            0 => Err(InvalidDirId::Empty),
            1..=Self::MAX_LEN => Ok(Self(content.into())),
            _ => Err(InvalidDirId::TooLong),
        }
    }

    /// The bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DirId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirId({:?})", String::from_utf8_lossy(&self.0))
    }
}

/// A random UUID, as text.
pub(crate) fn random_uuid() -> String {
    let mut random = [0; 16];
    // Without random numbers nothing can be encrypted either.
    getrandom::fill(&mut random).expect("the system's random source works");
    // Version 4, variant 1: the rest is random.
    let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| hex.get(group).unwrap_or_default()).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nfc_whatever_form_it_comes_in() {
        assert_eq!(Name::new("a\u{308}.txt").unwrap().as_str(), "\u{e4}.txt");
        assert_eq!(Name::new("\u{e4}.txt").unwrap().as_str(), "\u{e4}.txt");
    }

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        assert_eq!(Name::new(""), Err(InvalidName::Empty));
        assert_eq!(Name::new("."), Err(InvalidName::Dots));
        assert_eq!(Name::new(".."), Err(InvalidName::Dots));
        assert_eq!(Name::new("a/b"), Err(InvalidName::Character));
        assert_eq!(Name::new("a\0"), Err(InvalidName::Character));
        assert!(Name::new("...").is_ok());
    }

    #[test]
    fn a_path_ignores_what_means_nothing_and_never_climbs() {
        assert_eq!(VaultPath::parse("/a//./b/").unwrap().to_string(), "/a/b");
        assert_eq!(VaultPath::parse("/").unwrap(), VaultPath::root());
        assert_eq!(VaultPath::parse("a/../b"), Err(InvalidName::Dots));
    }

    #[test]
    fn a_new_id_is_a_random_uuid() {
        let ids: std::collections::BTreeSet<_> = (0..100).map(|_| DirId::generate()).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            let text = std::str::from_utf8(id.as_bytes()).unwrap().to_owned();
            let groups: Vec<&str> = text.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')), "{text}");
            assert!(groups[2].starts_with('4') && groups[3].starts_with(['8', '9', 'a', 'b']), "{text}");
        }
    }

    #[test]
    fn an_empty_directory_file_is_never_the_root() {
        assert_eq!(DirId::from_dir_file(b""), Err(InvalidDirId::Empty));
        assert_eq!(DirId::from_dir_file(&[b'x'; 1_001]), Err(InvalidDirId::TooLong));
        assert!(!DirId::from_dir_file(b"recovery").unwrap().is_root());
    }

    #[test]
    fn debug_hides_cleartext_names() {
        let path = VaultPath::parse("secret/plan").unwrap();
        assert!(!format!("{path:?} {:?}", path.names()).contains("secret"));
    }
}
