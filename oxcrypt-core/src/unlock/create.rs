//! A new vault in an empty folder.

use std::io;

use zeroize::Zeroizing;

use super::KeyFileError;
use super::error::confirmed;
use crate::ciphertext_path::{self, CiphertextPath, DATA_DIR, MASTERKEY_FILE, VAULT_CONFIG};
use crate::config::{self, DEFAULT_THRESHOLD, MAX_NEW_THRESHOLD, MIN_THRESHOLD};
use crate::content_dir::{self, DIR_ID_FILE};
use crate::crypto::{CipherCombo, MasterKey, NameCipher};
use crate::error::{Error, ErrorKind};
use crate::key_files::{Content, KeyFile, sync_dir, write_durably};
use crate::masterkey_file::{MasterkeyFile, MasterkeyFileError, Passphrase, ScryptParams, VERSION_IN_CONFIG};
use crate::name::DirId;
use crate::small_file;
use crate::storage::{BlockStorage, EntryKind, Listed, Replace};

/// Memory that opening a new vault may take, so that it opens with default options.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;

/// How a new vault is to be.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NewVault {
    /// How headers and contents are encrypted.
    pub combo: CipherCombo,
    /// Encrypted names longer than this, `.c9r` included, are shortened: 36 to 220.
    pub shortening_threshold: usize,
    /// What one guess of the passphrase costs.
    pub scrypt: ScryptParams,
}

impl Default for NewVault {
    /// What official clients choose today.
    fn default() -> Self {
        Self {
            combo: CipherCombo::SivGcm,
            shortening_threshold: DEFAULT_THRESHOLD,
            scrypt: ScryptParams::default(),
        }
    }
}

impl NewVault {
    /// Sets how headers and contents are encrypted.
    #[must_use]
    pub fn combo(mut self, combo: CipherCombo) -> Self {
        self.combo = combo;
        self
    }

    /// Sets the shortening threshold.
    #[must_use]
    pub fn shortening_threshold(mut self, threshold: usize) -> Self {
        self.shortening_threshold = threshold;
        self
    }

    /// Sets what one guess of the passphrase costs.
    #[must_use]
    pub fn scrypt(mut self, scrypt: ScryptParams) -> Self {
        self.scrypt = scrypt;
        self
    }
}

/// Creates a vault in an empty folder and returns its key.
///
/// All is durable when this returns. The config comes last, so that nobody takes for a vault what is not whole yet. A
/// vault that was left unfinished by a crash is finished by another call with the same passphrase, under the key it was
/// begun with: no masterkey file is ever given up.
///
/// # Errors
///
/// [`KeyFileError`]: `IsAVault`, `NotEmpty` and `HalfAVault` for what is in the folder, before anything is changed.
pub fn create(
    storage: &dyn BlockStorage,
    passphrase: &Passphrase,
    new: &NewVault,
) -> Result<MasterKey, KeyFileError> {
    let typed = new_passphrase(passphrase)?;
    let begun = Begun::find(storage, new)?;
    let key = match &begun.masterkey_file {
        Some(file) => key_of(file, passphrase)?,
        None => MasterKey::generate(),
    };
    let root = content_dir::path(&NameCipher::new(&key), &DirId::root());
    if begun.has_data {
        holds_no_more_than(storage, &root)?;
    }
    let file = MasterkeyFile::create(&key, &typed, new.scrypt, VERSION_IN_CONFIG)
        .map_err(|_| KeyFileError::ScryptCost(new.scrypt))?;
    let written = KeyFile::Masterkey.write(storage, file.as_bytes(), Replace::Always)?;
    confirmed(KeyFile::Masterkey, written)?;
    create_root(storage, &root, &key, new.combo)?;
    let config = config::create(&key, new.combo, new.shortening_threshold);
    match KeyFile::Config.write(storage, config.as_bytes(), Replace::Never) {
        Ok(written) => confirmed(KeyFile::Config, written)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(KeyFileError::IsAVault),
        Err(error) => return Err(error.into()),
    }
    Ok(key)
}

/// Whether such a vault can be created here, so that nobody is asked for a passphrase in vain. Changes nothing.
///
/// # Errors
///
/// As [`create`], but for what only the passphrase tells.
pub fn expect_room(storage: &dyn BlockStorage, new: &NewVault) -> Result<(), KeyFileError> {
    Begun::find(storage, new).map(drop)
}

/// What a passphrase is in a new masterkey file.
pub(super) fn new_passphrase(passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    if passphrase.is_empty() {
        return Err(KeyFileError::EmptyPassphrase);
    }
    passphrase.normal().ok_or(KeyFileError::PassphraseNotText)
}

pub(super) fn check_cost(scrypt: ScryptParams) -> Result<(), KeyFileError> {
    if scrypt.is_sane(MAX_SCRYPT_MEMORY) { Ok(()) } else { Err(KeyFileError::ScryptCost(scrypt)) }
}

pub(super) fn check_threshold(threshold: usize, most: usize) -> Result<(), KeyFileError> {
    if (MIN_THRESHOLD..=most).contains(&threshold) {
        Ok(())
    } else {
        Err(KeyFileError::ShorteningThreshold { threshold, most })
    }
}

/// What was found of a vault that was never finished.
struct Begun {
    masterkey_file: Option<Vec<u8>>,
    has_data: bool,
}

impl Begun {
    /// Looks through a folder that a vault is to be in, and refuses one that holds anything but a beginning of one.
    fn find(storage: &dyn BlockStorage, new: &NewVault) -> Result<Self, KeyFileError> {
        check_cost(new.scrypt)?;
        check_threshold(new.shortening_threshold, MAX_NEW_THRESHOLD)?;
        let mut begun = Self { masterkey_file: None, has_data: false };
        let temporary = KeyFile::ALL.map(KeyFile::temporary_name);
        let listed = storage.list(&CiphertextPath::root()).map_err(Error::from)?;
        if listed.iter().any(|listed| listed.name == VAULT_CONFIG) {
            return Err(KeyFileError::IsAVault);
        }
        for entry in listed.iter().filter(|listed| !is_junk(listed)) {
            match (entry.name.to_str(), entry.kind) {
                (Some(MASTERKEY_FILE), EntryKind::File) => match KeyFile::Masterkey.read(storage)? {
                    Content::Bytes(bytes) => begun.masterkey_file = Some(bytes),
                    Content::Missing => {}
                    Content::TooLong => return Err(KeyFileError::HalfAVault),
                },
                (Some(DATA_DIR), EntryKind::Directory) => begun.has_data = true,
                (Some(name), EntryKind::File) if temporary.iter().any(|temporary| temporary == name) => {}
                _ => return Err(not_empty(entry)),
            }
        }
        if begun.has_data && begun.masterkey_file.is_none() {
            // A vault whose key files are lost, or not synced yet.
            let folder = CiphertextPath::root().push(DATA_DIR);
            let listed = storage.list(&folder).map_err(|error| Error::from(error).at(folder))?;
            if !listed.iter().all(is_junk) {
                return Err(KeyFileError::NotEmpty(DATA_DIR.to_owned()));
            }
        }
        Ok(begun)
    }
}

fn key_of(file: &[u8], passphrase: &Passphrase) -> Result<MasterKey, KeyFileError> {
    let unlocked = MasterkeyFile::parse(file).and_then(|file| file.unlock(passphrase, MAX_SCRYPT_MEMORY));
    unlocked.map_err(|error| match error {
        MasterkeyFileError::Malformed(_)
        | MasterkeyFileError::Hostile(_)
        | MasterkeyFileError::WrongPassphrase => KeyFileError::HalfAVault,
    })
}

/// Refuses a vault's data folder in which there is anything but an empty content directory of the root.
fn holds_no_more_than(storage: &dyn BlockStorage, root: &CiphertextPath) -> Result<(), KeyFileError> {
    let mut folder = CiphertextPath::root();
    let names = root.components().map(Some).chain([None]);
    for (depth, name) in names.enumerate() {
        let expected = name.unwrap_or(DIR_ID_FILE);
        if depth > 0 {
            let listed = match storage.list(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                listed => listed.map_err(|error| Error::from(error).at(&folder))?,
            };
            if let Some(other) = listed.iter().find(|listed| listed.name != expected && !is_junk(listed)) {
                let name = folder.push(&other.name.to_string_lossy());
                return Err(KeyFileError::NotEmpty(name.to_string()));
            }
        }
        folder = folder.push(expected);
    }
    Ok(())
}

/// Creates the content directory of the root, with its id, and makes all of it durable.
fn create_root(
    storage: &dyn BlockStorage,
    dir: &CiphertextPath,
    key: &MasterKey,
    combo: CipherCombo,
) -> Result<(), KeyFileError> {
    let mut folder = CiphertextPath::root();
    let mut folders = Vec::new();
    for name in dir.components() {
        folders.push(folder.clone());
        folder = folder.push(name);
        match storage.create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::from(error).at(folder).into());
            }
            _ => {}
        }
    }
    let id_file = folder.push(DIR_ID_FILE);
    match storage.remove(&id_file, EntryKind::File) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::from(error).at(id_file).into());
        }
        _ => {}
    }
    write_durably(storage, &id_file, &small_file::encrypt(DirId::root().as_bytes(), combo, key))?;
    folders.push(folder);
    for folder in folders.iter().rev() {
        sync_dir(storage, folder).map_err(|error| Error::from(error).at(folder))?;
    }
    Ok(())
}

fn is_junk(listed: &Listed) -> bool {
    listed.kind == EntryKind::File && ciphertext_path::is_junk(&listed.name.to_string_lossy())
}

fn not_empty(listed: &Listed) -> KeyFileError {
    KeyFileError::NotEmpty(listed.name.to_string_lossy().into_owned())
}
