//! The entries of a vault that somebody holds.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::chunk::Torn;
use crate::ciphertext_path::{CONTENTS_FILE, CiphertextPath, SYMLINK_FILE};
use crate::name::{DirId, Name, VaultPath};
use crate::storage::Owner;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// A number that no other node of this vault has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u64);

impl NodeId {
    /// The number itself: 0 is the root's.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// An entry of a vault: one object for as long as anybody holds it, however often it is looked up.
///
/// `Debug` hides the name.
pub struct Node {
    pub(crate) id: NodeId,
    pub(crate) place: Place,
    /// How many directories it lies in: 0 for the root.
    pub(crate) depth: usize,
    pub(crate) what: What,
}

/// Where a node is in the tree.
pub(crate) enum Place {
    Root,
    At { parent: Arc<Node>, name: Name, stored: Stored },
}

/// What a node is, with what names its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Directory(DirId),
    Symlink,
}

/// How the host spells an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The entry in its parent's content directory.
    pub(crate) path: CiphertextPath,
    pub(crate) shape: Shape,
}

/// What the host has at an entry's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A regular file: the content itself.
    Plain,
    /// A folder `….c9r`, for a directory or a symbolic link.
    Folder,
    /// A folder `….c9s`, for anything whose name is shortened.
    Shortened,
}

impl Node {
    /// The number that tells it from every other node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        match self.what {
            What::File => NodeKind::File,
            What::Directory(_) => NodeKind::Directory,
            What::Symlink => NodeKind::Symlink,
        }
    }

    /// The directory it is in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Self>> {
        match &self.place {
            Place::Root => None,
            Place::At { parent, .. } => Some(parent),
        }
    }

    /// Its name there; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        match &self.place {
            Place::Root => None,
            Place::At { name, .. } => Some(name),
        }
    }

    /// The id of a directory.
    #[must_use]
    pub fn dir_id(&self) -> Option<&DirId> {
        match &self.what {
            What::Directory(id) => Some(id),
            What::File | What::Symlink => None,
        }
    }

    /// Where it is in the vault.
    ///
    /// Where several entries refer to one directory, as sync clients make copies, what is in it is in all of them, and
    /// this is the path by which it was first found.
    #[must_use]
    pub fn path(&self) -> VaultPath {
        let mut names: Vec<Name> = Vec::new();
        let mut node = self;
        while let Place::At { parent, name, .. } = &node.place {
            names.push(name.clone());
            node = parent;
        }
        names.into_iter().rev().collect()
    }

    /// Its entry in the storage; the vault's root folder for the root.
    #[must_use]
    pub fn ciphertext_path(&self) -> CiphertextPath {
        match &self.place {
            Place::Root => CiphertextPath::root(),
            Place::At { stored, .. } => stored.path.clone(),
        }
    }

    /// Whether it is a file that the host has as a file itself, and not in a folder.
    pub(crate) fn is_plain_file(&self) -> bool {
        matches!((&self.what, &self.place), (What::File, Place::At { stored, .. }) if stored.shape == Shape::Plain)
    }

    /// The ciphertext file of a file or link; `None` for a directory, whose content lies elsewhere.
    pub(crate) fn ciphertext_file(&self) -> Option<CiphertextPath> {
        let Place::At { stored, .. } = &self.place else { return None };
        match (&self.what, stored.shape) {
            (What::Directory(_), _) => None,
            (What::File, Shape::Plain) => Some(stored.path.clone()),
            (What::File, Shape::Folder | Shape::Shortened) => Some(stored.path.push(CONTENTS_FILE)),
            (What::Symlink, _) => Some(stored.path.push(SYMLINK_FILE)),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} {:?} at {})", self.id.0, self.kind(), self.ciphertext_path())
    }
}

impl Drop for Node {
    /// Lets go of a chain of parents one by one: a hostile vault can be deep enough to overflow the stack otherwise.
    fn drop(&mut self) {
        let mut place = std::mem::replace(&mut self.place, Place::Root);
        while let Place::At { parent, .. } = place {
            place = match Arc::into_inner(parent) {
                Some(mut last) => std::mem::replace(&mut last.place, Place::Root),
                None => Place::Root,
            };
        }
    }
}

/// The target of a symbolic link, as it was stored: any text. Wiped when the last copy is dropped; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkTarget(Arc<Zeroizing<Box<str>>>);

impl LinkTarget {
    pub(crate) fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for LinkTarget {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkTarget({} bytes)", self.len())
    }
}

/// What is known of an entry without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeAttributes {
    /// What it is.
    pub kind: NodeKind,
    /// Length of a file's cleartext, or of a link's target, in bytes; 0 for a directory.
    ///
    /// It follows from the length of the ciphertext alone and is not authenticated.
    pub len: u64,
    /// When the content last changed, where the storage knows.
    pub modified: Option<SystemTime>,
    /// Mode and owner of the ciphertext, where the storage has them.
    pub owner: Option<Owner>,
    /// Set where the ciphertext is cut off: `len` then counts the bytes before the cut and one that cannot be read.
    pub torn: Option<Torn>,
}
