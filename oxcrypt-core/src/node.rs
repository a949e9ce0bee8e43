//! The entries of a vault that somebody holds.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::chunk::Torn;
use crate::ciphertext_path::{CONTENTS_FILE, CiphertextPath, DIR_FILE, SYMLINK_FILE};
use crate::durability::Durability;
use crate::name::{DirId, Name, VaultPath};
use crate::storage::Owner;
use crate::sync::{PoisonError, RwLock, RwLockReadGuard};

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
/// What it is never changes. Where it is does: it goes along when the vault renames it, and is gone when the vault
/// removes it, whoever still holds it. What others do to the storage makes another node. `Debug` hides the name.
pub struct Node {
    pub(crate) id: NodeId,
    pub(crate) what: What,
    place: RwLock<Place>,
    /// Of its entry, and what leads from there to its content.
    pub(crate) entry: Durability,
    /// Of its content directory.
    pub(crate) content_dir: Durability,
}

/// Where a node is in the tree.
#[derive(Clone)]
pub(crate) enum Place {
    Root,
    At(At),
    /// Removed or replaced by ourselves.
    Gone,
}

/// A place in a directory.
#[derive(Clone)]
pub(crate) struct At {
    pub(crate) parent: Arc<Node>,
    pub(crate) name: Name,
    pub(crate) stored: Spelling,
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
pub(crate) struct Spelling {
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

    /// The directory it is in; `None` for the root, and for what is gone.
    #[must_use]
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.at().map(|at| at.parent)
    }

    /// Its name there; `None` for the root, and for what is gone.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        self.at().map(|at| at.name)
    }

    /// Whether the vault has removed it, or put another in its place.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(*self.read(), Place::Gone)
    }

    /// The id of a directory.
    #[must_use]
    pub fn dir_id(&self) -> Option<&DirId> {
        match &self.what {
            What::Directory(id) => Some(id),
            What::File | What::Symlink => None,
        }
    }

    /// Where it is in the vault; the root's path for what is gone.
    ///
    /// Where several entries refer to one directory, as sync clients make copies, what is in it is in all of them, and
    /// this is the path by which it was last found.
    #[must_use]
    pub fn path(&self) -> VaultPath {
        let above = self.ancestors().filter_map(|node| node.name());
        let names: Vec<Name> = self.name().into_iter().chain(above).collect();
        names.into_iter().rev().collect()
    }

    /// Its entry in the storage; the vault's root folder for the root, and for what is gone.
    #[must_use]
    pub fn ciphertext_path(&self) -> CiphertextPath {
        self.at().map_or_else(CiphertextPath::root, |at| at.stored.path)
    }

    /// Whether it is a file that the host has as a file itself, and not in a folder.
    pub(crate) fn is_plain_file(&self) -> bool {
        self.what == What::File && self.at().is_some_and(|at| at.stored.shape == Shape::Plain)
    }

    /// The ciphertext file of a file or link; `None` for a directory, whose content lies elsewhere, and for what is gone.
    pub(crate) fn ciphertext_file(&self) -> Option<CiphertextPath> {
        match self.what {
            What::Directory(_) => None,
            What::File | What::Symlink => Some(self.at()?.stored.type_file(&self.what)),
        }
    }

    pub(crate) fn new(id: NodeId, what: What, place: Place) -> Self {
        Self {
            id,
            what,
            place: RwLock::new(place),
            entry: Durability::default(),
            content_dir: Durability::default(),
        }
    }

    /// Where it is in its directory; `None` for the root, and for what is gone.
    pub(crate) fn at(&self) -> Option<At> {
        match &*self.read() {
            Place::At(at) => Some(at.clone()),
            Place::Root | Place::Gone => None,
        }
    }

    /// Puts it somewhere else. Whoever does this brings the caches along.
    pub(crate) fn put(&self, place: Place) {
        let was = std::mem::replace(&mut *self.place.write().unwrap_or_else(PoisonError::into_inner), place);
        // Not under the lock: this may be the last that holds a parent.
        drop(was);
    }

    /// Takes note that it was found in `dir`. That may be another node of the directory than before, because what others
    /// move is another one then; what lies in it is the same.
    pub(crate) fn found_in(&self, dir: &Arc<Self>) {
        let is_known = matches!(&*self.read(), Place::At(at) if Arc::ptr_eq(&at.parent, dir));
        // Damaged vaults have entries that lead back up.
        let leads_up = || dir.id == self.id || dir.ancestors().any(|above| above.id == self.id);
        if is_known || leads_up() {
            return;
        }
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        let was = match &mut *place {
            Place::At(at) if at.parent.dir_id() == dir.dir_id() => {
                Some(std::mem::replace(&mut at.parent, Arc::clone(dir)))
            }
            // We have moved it meanwhile.
            _ => None,
        };
        drop(place);
        // Not under the lock: this may be the last that holds it.
        drop(was);
    }

    /// The directories it lies in, from the nearest up to the root.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Arc<Self>> + use<> {
        // Should others move two directories into each other while threads of ours look on, memory may have a circle:
        // whoever stays where the others pass is met again.
        let mut next = self.parent();
        let (mut stays, mut passed, mut until) = (None::<NodeId>, 0_u64, 1_u64);
        std::iter::from_fn(move || {
            let node = next.take().filter(|node| stays != Some(node.id))?;
            passed += 1;
            if passed == until {
                (stays, passed, until) = (Some(node.id), 0, 2 * until);
            }
            next = node.parent();
            Some(node)
        })
    }

    /// Takes note that it is new, so that neither its entry nor a directory's content directory may survive a power loss.
    pub(crate) fn made(&self) {
        self.entry.changed();
        if matches!(self.what, What::Directory(_)) {
            self.content_dir.changed();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Place> {
        self.place.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spelling {
    /// The file that makes the entry what it is: of a file, its content.
    pub(crate) fn type_file(&self, what: &What) -> CiphertextPath {
        match (what, self.shape) {
            (What::File, Shape::Plain) => self.path.clone(),
            (What::File, Shape::Folder | Shape::Shortened) => self.path.push(CONTENTS_FILE),
            (What::Directory(_), _) => self.path.push(DIR_FILE),
            (What::Symlink, _) => self.path.push(SYMLINK_FILE),
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
        let take = |node: &mut Self| {
            std::mem::replace(node.place.get_mut().unwrap_or_else(PoisonError::into_inner), Place::Root)
        };
        let mut place = take(self);
        while let Place::At(At { parent, .. }) = place {
            place = Arc::into_inner(parent).map_or(Place::Root, |mut last| take(&mut last));
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
    /// When the content last changed, where the storage knows: while any of it is unsaved, when it was last written to.
    pub modified: Option<SystemTime>,
    /// When content, attributes or name last changed, where the storage knows.
    pub changed: Option<SystemTime>,
    /// When the content was last read, as far as the storage takes note of that.
    pub accessed: Option<SystemTime>,
    /// Mode and owner of the ciphertext, where the storage has them.
    pub owner: Option<Owner>,
    /// Set where the ciphertext is cut off: `len` then counts the bytes before the cut and one that cannot be read.
    pub torn: Option<Torn>,
}
