//! An open vault: the façade over tree and files.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::cache::{ChunkCache, NodeCache};
use crate::ciphertext_path::CiphertextPath;
use crate::config::VaultConfig;
use crate::crypto::{CipherCombo, MasterKey};
use crate::error::{Error, ErrorKind, Result};
use crate::file::{Budget, File, FileContext, Limits, Registry, ResidentFile};
use crate::listing::{Found, Listing};
use crate::name::{DirId, Name, VaultPath};
use crate::node::{LinkTarget, Node, NodeAttributes, NodeKind};
use crate::probe::Probe;
use crate::storage::{BlockStorage, Habits, OpenMode, Space};
use crate::tree::Tree;
use crate::warning::Warning;

mod change;
mod entries;
mod locate;
mod options;
mod resident;
mod visits;

pub use entries::Seen;
pub use locate::Located;
pub use options::VaultOptions;
pub use resident::Resident;
pub use visits::{Visit, Visits};

/// As many links as any system follows before it suspects a circle.
const MAX_LINKS: usize = 40;

/// How often storage is asked about an entry that we change all the time.
const TRIES: u32 = 3;

/// Whether [`Vault::resolve`] follows a symbolic link at the end of a path. Those on the way are always followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It is followed, too.
    Always,
    /// It is what was asked for.
    NotLast,
}

/// An open vault. Any number of threads may use it at once.
///
/// Every method here may block on storage, but for those of [`resident`](Self::resident), which cannot. `now` is the
/// caller's clock: this crate has none. Keys are wiped when the vault and all its files are dropped.
pub struct Vault {
    storage: Arc<dyn BlockStorage>,
    key: Arc<MasterKey>,
    tree: Arc<Tree>,
    files: Arc<FileContext>,
    resident: Resident,
    combo: CipherCombo,
    shortening_threshold: usize,
    warnings: Vec<Warning>,
    read_only: bool,
}

impl Vault {
    pub(crate) fn new(
        storage: Arc<dyn BlockStorage>,
        key: MasterKey,
        config: &VaultConfig,
        warnings: Vec<Warning>,
        options: &VaultOptions,
    ) -> Self {
        let names = (config.combo, config.shortening_threshold);
        Self::with_empty_memory(storage, Arc::new(key), names, warnings, options)
    }

    fn with_empty_memory(
        storage: Arc<dyn BlockStorage>,
        key: Arc<MasterKey>,
        (combo, shortening_threshold): (CipherCombo, usize),
        warnings: Vec<Warning>,
        options: &VaultOptions,
    ) -> Self {
        let nodes = Arc::new(NodeCache::new(options.tree_cache_bytes, options.max_age));
        let chunks = Arc::new(ChunkCache::new(options.chunk_cache_bytes));
        let budget = Arc::new(Budget::default());
        let registry = Arc::new(Registry::new(combo.layout(), chunks, budget));
        let tree = Arc::new(Tree::new(
            Arc::clone(&storage),
            Arc::clone(&nodes),
            Arc::clone(&key),
            combo,
            shortening_threshold,
        ));
        let limits = Limits {
            per_file: options.unsaved_bytes_per_file,
            per_vault: options.unsaved_bytes,
            read_only: options.read_only,
        };
        let files = FileContext::new(
            Arc::clone(&storage),
            Arc::clone(&key),
            combo,
            Arc::clone(&tree),
            Arc::clone(&nodes),
            Arc::clone(&registry),
            limits,
        );
        Self {
            tree,
            files: Arc::new(files),
            resident: Resident { nodes, registry },
            storage,
            key,
            combo,
            shortening_threshold,
            warnings,
            read_only: options.read_only,
        }
    }

    pub(crate) fn storage(&self) -> &dyn BlockStorage {
        &*self.storage
    }

    /// The same vault once more, of which nothing is in memory: for whoever wants to know what storage has by now. The two
    /// know nothing of each other, so what is unsaved in one is not seen by the other, and only one may change the vault.
    #[must_use]
    pub fn afresh(&self, options: &VaultOptions) -> Self {
        let (storage, key) = (Arc::clone(&self.storage), Arc::clone(&self.key));
        Self::with_empty_memory(storage, key, (self.combo, self.shortening_threshold), Vec::new(), options)
    }

    pub(crate) fn has_root(&self) -> Result<bool> {
        let path = self.tree.content_dir(&DirId::root());
        match self.storage.metadata(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::from(error).at(path)),
        }
    }

    /// The half that answers from memory alone.
    #[must_use]
    pub fn resident(&self) -> &Resident {
        &self.resident
    }

    /// How headers and contents are encrypted.
    #[must_use]
    pub fn cipher_combo(&self) -> CipherCombo {
        self.combo
    }

    /// Encrypted names longer than this, `.c9r` included, are shortened.
    #[must_use]
    pub fn shortening_threshold(&self) -> usize {
        self.shortening_threshold
    }

    /// What was odd about the vault when it was unlocked.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// How the storage behaves. Never blocks.
    #[must_use]
    pub fn habits(&self) -> Habits {
        self.storage.habits()
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Arc<Node> {
        self.resident.root()
    }

    /// Finds the entry `name` of the directory `dir`.
    ///
    /// That there is none is known for nothing from a fresh listing of the directory. Without one the directory is
    /// listed: what it shows need not be stored under the name it is shown by.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotADirectory`; `Incomplete` and `Damaged` if the entry is there and does not say what it is;
    /// else what the storage says.
    pub fn lookup(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<Arc<Node>> {
        match self.resident.lookup(dir, name, now) {
            Probe::Ready(known) => known,
            Probe::Absent => {
                let (node, seen) = self.tree.lookup(dir, name, now)?;
                if let Some(seen) = seen {
                    self.files.observe(&node, &seen, now);
                }
                Ok(node)
            }
        }
    }

    /// Finds the node of an entry that `dir` has listed. Costs nothing for files whose name is not shortened, and for
    /// what memory knows. An entry of an old listing need not exist any more.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub fn node(&self, dir: &Arc<Node>, found: &Found, now: Instant) -> Result<Arc<Node>> {
        self.tree.node(dir, found, now)
    }

    /// Lists a directory: one scan of the storage, and one read for each shortened name.
    ///
    /// # Errors
    ///
    /// `NotADirectory`; `Incomplete` if the directory's content directory is missing; else what the storage says. A
    /// damaged entry is part of the listing, not an error.
    pub fn list(&self, dir: &Arc<Node>, now: Instant) -> Result<Arc<Listing>> {
        match self.resident.list(dir, now) {
            Probe::Ready(listing) => Ok(listing),
            Probe::Absent => self.tree.list(dir, now),
        }
    }

    /// Tells length, times, mode and owner. Opens nothing, so it causes no download. Of a file that is gone and open it
    /// tells what memory knows: storage has no name for it any more.
    ///
    /// # Errors
    ///
    /// `NotFound` if a file or link is gone and nobody has it open, `Incomplete` if a directory's content directory is;
    /// else what the storage says.
    pub fn attributes(&self, node: &Arc<Node>, now: Instant) -> Result<NodeAttributes> {
        let mut tries = TRIES;
        loop {
            if let Probe::Ready(attributes) = self.resident.attributes(node, now) {
                return Ok(attributes);
            }
            tries -= 1;
            let (attributes, seen) = match self.tree.attributes(node, now) {
                Ok(told) => told,
                // It has gone meanwhile.
                Err(error) if node.is_gone() => {
                    return self.resident.attributes(node, now).ready().ok_or(error);
                }
                Err(error) => return Err(error),
            };
            // What storage told before a change of ours is not what the file is like now; where one is under way, memory
            // knows.
            if self.files.observe(node, &seen, now) || tries == 0 || self.resident.is_unsaved(node) {
                return Ok(self.resident.as_written(node, attributes));
            }
        }
    }

    /// Reads the target of a symbolic link, as it is stored: never resolved, any text.
    ///
    /// # Errors
    ///
    /// `NotASymlink`; `Damaged`; else what the storage says.
    pub fn read_link(&self, node: &Arc<Node>, now: Instant) -> Result<LinkTarget> {
        match self.resident.read_link(node, now) {
            Probe::Ready(target) => Ok(target),
            Probe::Absent => self.tree.read_link(node, now),
        }
    }

    /// Opens a file for reading. Its header is not read yet.
    ///
    /// Where a sync client has put another file in the place of one that is open or not all stored, the handles of that
    /// one go on with it and its node. The file that is opened has another [`node`](File::node) then, which lookups of the
    /// name find from now on.
    ///
    /// # Errors
    ///
    /// `IsADirectory`, or `InvalidArgument` for a symbolic link; `NotFound` if it is gone; `Damaged` if something else
    /// is in its place; else what the storage says.
    pub fn open(&self, node: &Arc<Node>, now: Instant) -> Result<File> {
        self.files.open(node, OpenMode::Read, now)
    }

    /// Opens a file once more of which something is unsaved: then memory knows best what it is. `None` of all others, and
    /// where it is open for reading only and is to be written to. Never blocks on storage.
    #[must_use]
    pub fn open_unsaved(&self, node: &Node, writable: bool) -> Option<File> {
        // Looked at first: as long as anything is unsaved the file is held, so that nobody closes it here.
        if (writable && self.read_only) || !self.resident.is_unsaved(node) {
            return None;
        }
        self.files.open_held(node, writable)
    }

    /// Opens a file for reading without asking storage, which is asked by the first who reads what memory lacks: then the file
    /// has to be this one still, or that read fails with `NotFound`; and nobody reads on where others had changed it, see
    /// [`File::expect_believed`]. `known` is what [`Resident::file`] has of it. `None` where memory knows of another one
    /// meanwhile, or of none, and where storage could not tell that one has taken its place. Never blocks on storage.
    ///
    /// Who removes such a file, or puts another in its place, has it [opened](Self::open_in_storage) before: else nobody reads
    /// on what memory lacks.
    #[must_use]
    pub fn open_resident(&self, node: &Arc<Node>, known: &Arc<ResidentFile>, now: Instant) -> Option<File> {
        self.files.open_resident(node, known, now)
    }

    /// Opens in storage a file that somebody has open and [memory alone](Self::open_resident) has opened.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); `NotFound` where another file is in its place.
    pub fn open_in_storage(&self, node: &Node) -> Result<()> {
        self.files.open_in_storage(node)
    }

    /// Tells how much room the storage has, in bytes of ciphertext. Memory keeps no answer.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn space(&self) -> Result<Space> {
        Ok(self.storage.space()?)
    }

    /// Finds the entry at `path`, following symbolic links inside the vault: an absolute target begins at the vault's
    /// root, and `..` ends there.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup) and [`read_link`](Self::read_link); `SymlinkLoop` after 40 links, and
    /// `NotADirectory` where a link leads on from a file, be it by `.` or `..`.
    pub fn resolve(&self, path: &VaultPath, follow: Follow, now: Instant) -> Result<Arc<Node>> {
        let mut node = self.root();
        let mut rest: Vec<Zeroizing<String>> =
            path.names().iter().rev().map(|name| Zeroizing::new(name.as_str().to_owned())).collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if node.kind() != NodeKind::Directory {
                return Err(ErrorKind::NotADirectory.into());
            }
            node = match part.as_str() {
                "" | "." => node,
                ".." => node.parent().unwrap_or_else(|| self.root()),
                name => {
                    let found = self.lookup(&node, &Name::new(name)?, now)?;
                    let is_last = rest.is_empty() && follow == Follow::NotLast;
                    if found.kind() != NodeKind::Symlink || is_last {
                        found
                    } else {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err(ErrorKind::SymlinkLoop.into());
                        }
                        let target = self.read_link(&found, now)?;
                        rest.extend(target.split('/').rev().map(|part| Zeroizing::new(part.to_owned())));
                        if target.starts_with('/') { self.root() } else { node }
                    }
                }
            };
        }
        Ok(node)
    }

    /// Where the content of an entry lies in the storage: the ciphertext file of a file or link, the content directory
    /// of a directory; the vault's root folder for what is gone.
    #[must_use]
    pub fn content_path(&self, node: &Node) -> CiphertextPath {
        self.tree.content_path(node).unwrap_or_else(|_| CiphertextPath::root())
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({} on {:?})", self.combo, self.storage)
    }
}
