//! What changes of a vault take turns in, so that the scheduler begins none that core would make wait for another.
//!
//! Core has turns of its own, which hold threads while they wait. These here are the same, seen from above: a change
//! begins when it has all that it needs there. Where memory does not know what an entry is, a change takes no turn of it,
//! and waits in core if it has to.

use std::sync::Arc;

use oxcrypt_core::{Name, Node, NodeKind, Probe};

use crate::sched::plan::{Hold, TurnId};

use super::Store;

/// Which directory lies in which.
pub(super) const MOVES: TurnId = TurnId(u64::MAX);

/// What is in a directory, or in a file.
pub(super) fn content(node: &Node) -> TurnId {
    TurnId(node.id().get() * 3)
}

/// Where an entry is, and what it is like.
pub(super) fn entry(node: &Node) -> TurnId {
    TurnId(node.id().get() * 3 + 1)
}

/// Making durable what is in a directory.
pub(super) fn durability(node: &Node) -> TurnId {
    TurnId(node.id().get() * 3 + 2)
}

/// What it takes to store something of a file: one at a time, and the entry stays where it is meanwhile.
pub(super) fn to_store(file: &Node) -> Vec<(TurnId, Hold)> {
    vec![(content(file), Hold::Alone), (entry(file), Hold::Share)]
}

/// Whether a directory may be what moves with an entry, as far as memory knows.
pub(super) fn may_be_directory(store: &Store, dir: &Arc<Node>, name: &Name) -> bool {
    let known = store.vault.resident().lookup(dir, name, store.born);
    !matches!(known, Probe::Ready(Ok(node)) if node.kind() != NodeKind::Directory)
}

/// What it takes to remove or move an entry, or to put another in its place, if memory knows which one that is.
pub(super) fn of_victim(store: &Store, dir: &Arc<Node>, name: &Name) -> Vec<(TurnId, Hold)> {
    let known = store.vault.resident().lookup(dir, name, store.born);
    let Probe::Ready(Ok(node)) = known else { return Vec::new() };
    let mut turns = vec![(entry(&node), Hold::Alone)];
    if node.kind() == NodeKind::Directory {
        turns.push((content(&node), Hold::Alone));
    }
    turns
}
