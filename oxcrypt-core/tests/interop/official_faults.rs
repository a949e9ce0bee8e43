//! What is not to be asked of official code, because it would do harm, or nothing, or something else than POSIX has it.
//! Where both sides change a vault by turns, this is for ours alone.

use oxcrypt_core::storage::Replace;

use crate::model::{Model, Thing, is_below};
use crate::operation::Operation;

/// Whether official code does this as it should.
pub(crate) fn spare(model: &Model, operation: &Operation) -> bool {
    match operation {
        // To truncate to more does nothing.
        Operation::Truncate { path, len } => match model.get(path) {
            Some(Thing::File(bytes)) => *len <= bytes.len() as u64,
            _ => false,
        },
        // It has one call for both, and where it refuses, it has removed already what is not listed.
        Operation::Remove { path } => model.get(path) != Some(&Thing::Directory),
        Operation::RemoveDir { path } => model.is_empty_dir(path),
        Operation::Rename { from, to, replace } => may_rename(model, from, to, *replace),
        Operation::MakeDir { .. } | Operation::Write { .. } | Operation::MakeSymlink { .. } => true,
    }
}

/// Whether official code is wrong about the tree afterwards, until it opens the vault again. Where it renames a directory
/// whose id it does not know, and may replace, it makes up an id for the new path, or keeps that of what was there.
pub(crate) fn confuses(model: &Model, operation: &Operation) -> bool {
    match operation {
        Operation::Rename { from, replace: Replace::Always, .. } => {
            model.get(from) == Some(&Thing::Directory)
        }
        _ => false,
    }
}

fn may_rename(model: &Model, from: &str, to: &str, replace: Replace) -> bool {
    if is_below(to, from) {
        // It succeeds, and what is in there cannot be reached any more.
        return false;
    }
    let (from, to) = (model.get(from), model.get(to));
    match replace {
        Replace::Exchange => false,
        Replace::Never => true,
        Replace::Always if to.is_none() => true,
        // It refuses to replace by another kind, and to replace links.
        Replace::Always => matches!(
            (from, to),
            (Some(Thing::File(_)), Some(Thing::File(_))) | (Some(Thing::Directory), Some(Thing::Directory))
        ),
    }
}
