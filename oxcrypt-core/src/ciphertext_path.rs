//! Where things lie in a vault's storage, and how entries are spelled there.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64URL;
use sha1::{Digest, Sha1};

/// The signed vault config, in the vault's root.
pub(crate) const VAULT_CONFIG: &str = "vault.cryptomator";
/// The wrapped keys, in the vault's root.
pub(crate) const MASTERKEY_FILE: &str = "masterkey.cryptomator";
/// The folder of all content directories, in the vault's root.
pub(crate) const DATA_DIR: &str = "d";
/// Ends the host name of an entry.
pub(crate) const ENTRY_SUFFIX: &str = ".c9r";
/// Ends the host name of an entry whose name is shortened.
pub(crate) const SHORTENED_SUFFIX: &str = ".c9s";
/// Ends the host name of what tells other clients that a file is in use.
pub(crate) const IN_USE_SUFFIX: &str = ".c9u";
/// In an entry's folder: it is a directory, and this file holds its id.
pub(crate) const DIR_FILE: &str = "dir.c9r";
/// In an entry's folder: it is a symbolic link, and this file holds its target.
pub(crate) const SYMLINK_FILE: &str = "symlink.c9r";
/// In a shortened entry's folder: it is a file, and this is its content.
pub(crate) const CONTENTS_FILE: &str = "contents.c9r";
/// In a shortened entry's folder: its whole host name.
pub(crate) const NAME_FILE: &str = "name.c9s";

/// The longest `name.c9s` that any client reads, in bytes.
pub(crate) const MAX_NAME_FILE_LEN: usize = 10 * 1024;
/// The longest name that an entry can have, in bytes: encrypted, behind 16 bytes of synthetic IV and in Base64url, it fits
/// into a `name.c9s`.
pub(crate) const MAX_NAME_LEN: usize = (MAX_NAME_FILE_LEN - ENTRY_SUFFIX.len()) / 4 * 3 - 16;
/// The shortest host name that can be an entry: 16 bytes of synthetic IV in Base64url, and the suffix.
pub(crate) const MIN_ENTRY_LEN: usize = 28;

/// A path in a vault's storage, relative to the vault's root folder.
///
/// Made by this crate alone and of plain components only, so no storage ever sees a path that leaves the vault.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CiphertextPath(Arc<str>);

impl CiphertextPath {
    /// The vault's root folder.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Reads a path as people type it, relative to the vault's root folder, its components between slashes.
    ///
    /// Returns `None` where a component is `..`, or could mean anything but a name in its folder to the host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
        parts.try_fold(Self::root(), |path, part| path.join(part))
    }

    /// The path of `component` in this folder; `None` where that is no plain name.
    #[must_use]
    pub fn join(&self, component: &str) -> Option<Self> {
        let elsewhere = matches!(component, "" | "." | "..")
            || component.contains(['/', '\0'])
            || (cfg!(windows) && component.contains(['\\', ':']));
        (!elsewhere).then(|| self.push(component))
    }

    /// Appends a component known to be plain.
    pub(crate) fn push(&self, component: &str) -> Self {
        if self.0.is_empty() {
            Self(component.into())
        } else {
            Self(format!("{}/{component}", self.0).into())
        }
    }

    /// The content directory of the directory id whose hash is `hash`: 32 characters of Base32.
    pub(crate) fn content_dir(hash: &str) -> Self {
        let (first, rest) = hash.split_at(2);
        Self(format!("{DATA_DIR}/{first}/{rest}").into())
    }

    /// The components, separated by slashes; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components from the root down.
    #[must_use]
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.components().next_back()
    }

    /// The folder that holds this; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(parent.into())),
            None if self.0.is_empty() => None,
            None => Some(Self::root()),
        }
    }
}

impl fmt::Display for CiphertextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl fmt::Debug for CiphertextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CiphertextPath({self})")
    }
}

/// Whether a file of this name is what the host's own programs leave in any folder that somebody looks at.
pub(crate) fn is_junk(name: &str) -> bool {
    matches!(name, ".DS_Store" | ".directory" | "Thumbs.db" | "desktop.ini") || name.starts_with("._")
}

/// The name of the folder that stands for the host name `long`, `.c9r` included: a hash of 28 characters and `.c9s`.
pub(crate) fn shortened(long: &str) -> String {
    BASE64URL.encode(&Sha1::digest(long)) + SHORTENED_SUFFIX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_vault_cannot_be_made() {
        for bad in ["..", "a/../b", "a/..", "a\0b"] {
            assert_eq!(CiphertextPath::parse(bad), None, "{bad:?}");
        }
        let root = CiphertextPath::root();
        for bad in ["", ".", "..", "a/b", "/etc", "a\0"] {
            assert_eq!(root.join(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_path_knows_its_parts() {
        let path = CiphertextPath::parse("/d//AB/./CD").unwrap();
        assert_eq!(path.as_str(), "d/AB/CD");
        assert_eq!(path.file_name(), Some("CD"));
        assert_eq!(path.parent().unwrap().as_str(), "d/AB");
        assert_eq!(CiphertextPath::root().push("d").parent(), Some(CiphertextPath::root()));
        assert_eq!(CiphertextPath::root().parent(), None);
        assert_eq!(CiphertextPath::root().to_string(), ".");
    }

    #[test]
    fn the_short_name_is_a_hash_of_the_long_one_with_its_suffix() {
        assert_eq!(shortened("9ovGh03FYi0-jGCbRkIA80k29tJKo9BfgA==.c9r"), "xolCj2vg8Z-0OXZv2UQs0_i5YoY=.c9s");
    }
}
