//! What operations are called, and what they result in.

use std::sync::Arc;

use oxcrypt_core::storage::Space;
use oxcrypt_core::{Block, ContentId, ErrorKind, LinkTarget, Listing, Name, Node, NodeAttributes};

use crate::sched::plan::Outcome;

use super::{Cleartext, OpenFile, Seen};

/// What an operation does with its object. Requests for the same share one operation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Lookup(Name),
    Attributes,
    List,
    Target,
    Open,
    OpenForWriting,
    /// One aligned block of chunks of one state of a file.
    Block(ContentId, u64),
    Space,
    /// All that is unsaved of a file.
    Flush,
    /// The same, made durable.
    Sync,
    /// What is unsaved of a file and was written some time ago.
    Rest,
    /// Whole runs of chunks of a file.
    Runs,
    /// Files that are to be stored later.
    Later,
}

/// What an operation results in; cheap to clone, because each of its waiters gets one.
#[derive(Clone)]
pub(super) enum Value {
    Node(Arc<Node>),
    Attributes(Box<NodeAttributes>),
    List(Arc<Listing>),
    Entries(Arc<[Seen]>),
    Target(LinkTarget),
    File(Arc<OpenFile>),
    Block(Arc<Block>),
    Bytes(Cleartext),
    Space(Space),
    Nothing,
    Failed(Arc<oxcrypt_core::Error>),
}

/// How an operation ended, from what core made of it.
pub(super) fn outcome<T>(result: oxcrypt_core::Result<T>, value: impl FnOnce(T) -> Value) -> Outcome<Value> {
    match result {
        Ok(done) => Outcome::Done(value(done)),
        Err(error) if error.kind() == ErrorKind::TimedOut => Outcome::TimedOut,
        Err(error) => Outcome::Failed(Value::Failed(Arc::new(error))),
    }
}
