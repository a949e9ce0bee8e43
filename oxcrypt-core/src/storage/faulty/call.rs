//! The calls that a test is told of, and how many there were.

use crate::ciphertext_path::CiphertextPath;

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// How many calls were made before.
    pub number: u64,
    /// Which method.
    pub method: Method,
    /// What it is about. For a file, the path it was opened by.
    pub path: CiphertextPath,
}

/// The methods of [`BlockStorage`](crate::storage::BlockStorage) and [`BlockFile`](crate::storage::BlockFile).
#[expect(missing_docs, reason = "each is the method of its name")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Open,
    Metadata,
    List,
    CreateDir,
    Remove,
    Rename,
    SyncDir,
    SetAttributes,
    Space,
    ReadAt,
    TryReadAt,
    WriteAt,
    SetLen,
    Sync,
}

/// How many methods there are.
const METHODS: usize = Method::Sync as usize + 1;

/// How often each method was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts([u64; METHODS]);

impl CallCounts {
    pub(super) fn count(&mut self, method: Method) {
        if let Some(count) = self.0.get_mut(method as usize) {
            *count += 1;
        }
    }

    /// All calls together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The calls of one method.
    #[must_use]
    pub fn of(&self, method: Method) -> u64 {
        self.0.get(method as usize).copied().unwrap_or_default()
    }
}
