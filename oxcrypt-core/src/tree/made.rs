//! Mode and owner of what is made: they are those of the ciphertext file, or of the content directory.
//!
//! What storage cannot hold is left. What it refuses, as where only a superuser may give files away, undoes what was made.

use std::io;

use crate::ciphertext_path::CiphertextPath;
use crate::storage::{Attributes, BlockFile, BlockStorage, EntryKind, Metadata, OpenMode, Owner};

/// Creates a file with the mode of `made`, and gives it to its owner: that costs a call more, unless it is theirs.
pub(super) fn new_file(
    storage: &dyn BlockStorage,
    path: &CiphertextPath,
    made: &Attributes,
) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
    let (file, created) = storage.open(path, OpenMode::CreateNew { mode: made.mode })?;
    // To give a file away takes bits of its mode.
    let Some(change) = missing(&Attributes { mode: None, ..made.clone() }, created.owner) else {
        return Ok((file, created));
    };
    match give(storage, path, &*file, &Attributes { mode: made.mode, ..change }) {
        Ok(None) => Ok((file, created)),
        Ok(Some(given)) => Ok((file, given)),
        Err(error) => {
            // Some hosts remove no open file.
            drop(file);
            undo(storage, path, &created);
            Err(error)
        }
    }
}

/// Writes a new small file, as [`BlockStorage::write_new`], and gives it to the owner of `made` before.
pub(super) fn new_small_file(
    storage: &dyn BlockStorage,
    path: &CiphertextPath,
    bytes: &[u8],
    made: &Attributes,
) -> io::Result<()> {
    let (file, created) = new_file(storage, path, &Attributes { mode: None, ..made.clone() })?;
    let written = file.write_at(0, bytes);
    drop(file);
    written.inspect_err(|_| undo(storage, path, &created))
}

/// Gives a folder mode and owner of `made`, and tells what it is then; without either it asks nothing.
pub(super) fn give_to_folder(
    storage: &dyn BlockStorage,
    path: &CiphertextPath,
    made: &Attributes,
) -> io::Result<Option<Metadata>> {
    if missing(made, None).is_none() {
        return Ok(None);
    }
    let created = storage.metadata(path)?;
    let Some(change) = missing(made, created.owner) else { return Ok(Some(created)) };
    match storage.set_attributes(path, &Attributes { mode: made.mode, ..change }) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(created)),
        result => result.map(Some),
    }
}

/// What of mode and owner is to be another than it is; `None` if nothing.
fn missing(made: &Attributes, is: Option<Owner>) -> Option<Attributes> {
    let change = Attributes {
        mode: made.mode.filter(|mode| is.is_none_or(|is| is.mode != *mode)),
        uid: made.uid.filter(|uid| is.is_none_or(|is| is.uid != *uid)),
        gid: made.gid.filter(|gid| is.is_none_or(|is| is.gid != *gid)),
        ..Attributes::default()
    };
    (change != Attributes::default()).then_some(change)
}

/// Changes a file that was just made; `None` where the store cannot hold that.
fn give(
    storage: &dyn BlockStorage,
    path: &CiphertextPath,
    file: &dyn BlockFile,
    change: &Attributes,
) -> io::Result<Option<Metadata>> {
    let by_path = |error: io::Error| match error.kind() {
        io::ErrorKind::Unsupported => storage.set_attributes(path, change),
        _ => Err(error),
    };
    match file.set_attributes(change).or_else(by_path) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        result => result.map(Some),
    }
}

/// Removes a file that was just made, if it is still that.
fn undo(storage: &dyn BlockStorage, path: &CiphertextPath, created: &Metadata) {
    if storage.metadata(path).is_ok_and(|there| there.identity == created.identity) {
        let _removed_or_left_behind = storage.remove(path, EntryKind::File);
    }
}
