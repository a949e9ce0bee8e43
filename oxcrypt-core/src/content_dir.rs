//! Content directories: where the entries of a directory lie, and how one is made.

use std::io;

use crate::ciphertext_path::CiphertextPath;
use crate::crypto::{CipherCombo, MasterKey, NameCipher};
use crate::error::{Error, Result};
use crate::name::DirId;
use crate::small_file;
use crate::storage::{BlockStorage, EntryKind};

/// In a content directory: its own directory id, encrypted, so that names can be recovered where its entry is lost.
pub(crate) const DIR_ID_FILE: &str = "dirid.c9r";

/// Where the entries of `dir` lie.
pub(crate) fn path(names: &NameCipher, dir: &DirId) -> CiphertextPath {
    CiphertextPath::content_dir(&names.hash_dir_id(dir))
}

/// Creates the content directory of `dir`, with its `dirid.c9r`, in four calls of the storage. Syncs nothing.
///
/// Where it fails, what it made is removed again as far as the storage lets us.
///
/// # Errors
///
/// `AlreadyExists` if there is one; else what the storage says.
pub(crate) fn create(
    storage: &dyn BlockStorage,
    names: &NameCipher,
    combo: CipherCombo,
    key: &MasterKey,
    dir: &DirId,
) -> Result<CiphertextPath> {
    let path = path(names, dir);
    if let Some(parent) = path.parent() {
        match storage.create_dir(&parent) {
            // Content directories share 1,024 folders.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result.map_err(|error| Error::from(error).at(&parent))?,
        }
    }
    storage.create_dir(&path).map_err(|error| Error::from(error).at(&path))?;
    write_dir_id(storage, &path, combo, key, dir).inspect_err(|_| {
        let _removed_or_left_empty = storage.remove(&path, EntryKind::Directory);
    })?;
    Ok(path)
}

/// Writes the `dirid.c9r` of a content directory that has none.
pub(crate) fn write_dir_id(
    storage: &dyn BlockStorage,
    content_dir: &CiphertextPath,
    combo: CipherCombo,
    key: &MasterKey,
    dir: &DirId,
) -> Result<()> {
    let file = content_dir.push(DIR_ID_FILE);
    let bytes = small_file::encrypt(dir.as_bytes(), combo, key);
    storage.write_new(&file, &bytes).map_err(|error| Error::from(error).at(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn a_content_directory_says_whose_it_is() {
        let (storage, key) = (MemoryStorage::default(), MasterKey::from_raw(&[7; 64]));
        let names = NameCipher::new(&key);
        storage.create_dir(&CiphertextPath::root().push("d")).unwrap();
        for combo in CipherCombo::ALL {
            for (id, len) in [(DirId::generate(), 36), (DirId::from_dir_file(b"recovery").unwrap(), 8)] {
                let dir = create(&storage, &names, combo, &key, &id).unwrap();
                let bytes = storage.read(&dir.push(DIR_ID_FILE), 1 << 10).unwrap();
                assert_eq!(bytes.len() as u64, combo.layout().ciphertext_len(len));
                assert_eq!(*small_file::decrypt(bytes, combo, &key).unwrap(), *id.as_bytes());
                assert!(create(&storage, &names, combo, &key, &id).is_err());
                storage.remove(&dir.push(DIR_ID_FILE), EntryKind::File).unwrap();
                storage.remove(&dir, EntryKind::Directory).unwrap();
            }
        }
    }
}
