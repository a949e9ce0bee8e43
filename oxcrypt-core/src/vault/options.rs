//! How a vault is opened.

use std::time::Duration;

/// How a vault is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VaultOptions {
    /// Bytes of cleartext chunks to keep; 0 keeps none.
    pub chunk_cache_bytes: usize,
    /// Bytes that listings, nodes, attributes and link targets may take, roughly; 0 keeps none.
    ///
    /// One listing is kept however long it is, and so are the ancestors of what is kept. To make a listing takes about
    /// as much again as the listing.
    pub tree_cache_bytes: usize,
    /// How long to believe what storage said of the tree. A sync client may change it at any time.
    pub max_age: Duration,
    /// Bytes of memory that deriving the key may take.
    pub max_scrypt_memory: u64,
    /// Whether every change is refused: nothing whatever is written then.
    pub read_only: bool,
    /// Bytes of changed chunks of one file that memory takes, before whoever writes has to store some.
    pub unsaved_bytes_per_file: usize,
    /// The same of all files together, but for a chunk of 32 KiB that every file may hold, so that those which cannot be
    /// stored do not stop the writers of others.
    pub unsaved_bytes: usize,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            chunk_cache_bytes: 64 << 20,
            tree_cache_bytes: 64 << 20,
            max_age: Duration::from_secs(5),
            max_scrypt_memory: 1 << 30,
            read_only: false,
            unsaved_bytes_per_file: 16 << 20,
            unsaved_bytes: 64 << 20,
        }
    }
}

impl VaultOptions {
    /// Sets how many bytes of cleartext chunks to keep; 0 keeps none.
    #[must_use]
    pub fn chunk_cache_bytes(mut self, bytes: usize) -> Self {
        self.chunk_cache_bytes = bytes;
        self
    }

    /// Sets how many bytes listings, nodes, attributes and link targets may take.
    #[must_use]
    pub fn tree_cache_bytes(mut self, bytes: usize) -> Self {
        self.tree_cache_bytes = bytes;
        self
    }

    /// Sets how long to believe what storage said of the tree.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how many bytes of memory deriving the key may take.
    #[must_use]
    pub fn max_scrypt_memory(mut self, bytes: u64) -> Self {
        self.max_scrypt_memory = bytes;
        self
    }

    /// Sets how many bytes of changed chunks memory takes, of one file and of all together.
    #[must_use]
    pub fn unsaved_bytes(mut self, per_file: usize, of_all: usize) -> Self {
        self.unsaved_bytes_per_file = per_file;
        self.unsaved_bytes = of_all;
        self
    }

    /// Sets whether every change is refused.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }
}
