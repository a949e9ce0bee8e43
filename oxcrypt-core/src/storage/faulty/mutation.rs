//! A change to a store, so that it can be made again.

use super::super::{Attributes, EntryKind, Replace};
use crate::ciphertext_path::CiphertextPath;

/// One change that was made.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Create { path: CiphertextPath, id: u64, mode: Option<u32> },
    CreateDir { path: CiphertextPath },
    Remove { path: CiphertextPath, kind: EntryKind },
    Rename { from: CiphertextPath, to: CiphertextPath, replace: Replace },
    SetAttributes { path: CiphertextPath, change: Attributes },
    SyncDir { path: CiphertextPath },
    Write { id: u64, offset: u64, bytes: Vec<u8> },
    SetLen { id: u64, len: u64 },
    ChangeFile { id: u64, change: Attributes },
    Sync { id: u64 },
}
