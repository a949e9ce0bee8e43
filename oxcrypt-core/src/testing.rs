//! Vaults made to order, for tests, benches and fuzzing: sound ones, and with the pieces that damage is made of.
//!
//! Nothing here is fit for a vault that somebody keeps: no order of operations, no durability, a cost that protects no passphrase.

use std::io;

use serde_json::json;

use crate::chunk::{ChunkIndex, PAYLOAD_LEN};
use crate::ciphertext_path::{
    CONTENTS_FILE, CiphertextPath, DATA_DIR, DIR_FILE, ENTRY_SUFFIX, MASTERKEY_FILE, NAME_FILE, SYMLINK_FILE,
    VAULT_CONFIG, shortened,
};
use crate::config;
use crate::crypto::{CipherCombo, ContentCipher, FileHeader, MasterKey, NameCipher};
use crate::masterkey_file::{MasterkeyFile, ScryptParams, VERSION_IN_CONFIG};
use crate::name::DirId;
use crate::storage::BlockStorage;

/// Writes vaults into any storage.
pub struct VaultBuilder<'s> {
    storage: &'s dyn BlockStorage,
    key: MasterKey,
    names: NameCipher,
    combo: CipherCombo,
    threshold: usize,
    next_id: std::cell::Cell<u64>,
}

/// How a test wants its vault.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// The raw masterkey.
    pub key: &'a [u8; MasterKey::LEN],
    /// How contents are encrypted.
    pub combo: CipherCombo,
    /// The shortening threshold.
    pub threshold: usize,
    /// What unlocks it, at a scrypt cost that no real vault should have.
    pub passphrase: &'a str,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Self {
            key: &[0x5a; MasterKey::LEN],
            combo: CipherCombo::SivGcm,
            threshold: 220,
            passphrase: "passphrase",
        }
    }
}

impl<'s> VaultBuilder<'s> {
    /// Writes an empty vault: config, masterkey file, and the root's content directory.
    ///
    /// # Errors
    ///
    /// What the storage says; so do all methods.
    pub fn create(storage: &'s dyn BlockStorage, recipe: Recipe<'_>) -> io::Result<Self> {
        let key = MasterKey::from_raw(recipe.key);
        let claims = json!({
            "jti": "00000000-0000-4000-8000-000000000000",
            "format": config::FORMAT,
            "cipherCombo": recipe.combo.name(),
            "shorteningThreshold": recipe.threshold,
        });
        let header = json!({"kid": "masterkeyfile:masterkey.cryptomator", "typ": "JWT", "alg": "HS256"});
        let scrypt = ScryptParams { cost: 2, block_size: 8 };
        let masterkey = MasterkeyFile::create(&key, recipe.passphrase.as_bytes(), scrypt, VERSION_IN_CONFIG);
        let masterkey = masterkey.map_err(|_| io::ErrorKind::InvalidInput)?;
        let root = CiphertextPath::root();
        storage.write_new(&root.push(VAULT_CONFIG), config::sign(&key, &header, &claims).as_bytes())?;
        storage.write_new(&root.push(MASTERKEY_FILE), masterkey.as_bytes())?;
        storage.create_dir(&root.push(DATA_DIR))?;
        let names = NameCipher::new(&key);
        let builder =
            Self { storage, key, names, combo: recipe.combo, threshold: recipe.threshold, next_id: 0.into() };
        builder.content_dir(&DirId::root())?;
        Ok(builder)
    }

    /// Signs a config with the vault's key, whatever it says.
    #[must_use]
    pub fn sign_config(&self, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        config::sign(&self.key, header, claims)
    }

    /// Creates a directory and returns its id.
    ///
    /// # Errors
    ///
    /// What the storage says.
    #[expect(clippy::missing_panics_doc, reason = "the id is always a legal one")]
    pub fn directory(&self, parent: &DirId, name: &str) -> io::Result<DirId> {
        self.next_id.set(self.next_id.get() + 1);
        let id =
            DirId::from_dir_file(format!("{:08}-0000-4000-8000-000000000000", self.next_id.get()).as_bytes());
        let id = id.expect("36 bytes are a directory id");
        self.directory_with_id(parent, name, &id)?;
        self.content_dir(&id)?;
        Ok(id)
    }

    /// Creates an entry for a directory whose content lies elsewhere, or nowhere.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn directory_with_id(&self, parent: &DirId, name: &str, id: &DirId) -> io::Result<()> {
        self.storage.write_new(&self.folder(parent, name)?.push(DIR_FILE), id.as_bytes())
    }

    /// Creates a file and returns the path of its ciphertext.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn file(&self, parent: &DirId, name: &str, content: &[u8]) -> io::Result<CiphertextPath> {
        self.ciphertext_file(parent, name, &self.encrypt(content))
    }

    /// Creates a file of any ciphertext.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn ciphertext_file(
        &self,
        parent: &DirId,
        name: &str,
        ciphertext: &[u8],
    ) -> io::Result<CiphertextPath> {
        let path = match self.spell(parent, name) {
            (path, None) => path,
            (_, Some(_)) => self.folder(parent, name)?.push(CONTENTS_FILE),
        };
        self.storage.write_new(&path, ciphertext)?;
        Ok(path)
    }

    /// Creates a symbolic link.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn symlink(&self, parent: &DirId, name: &str, target: &str) -> io::Result<()> {
        self.storage
            .write_new(&self.folder(parent, name)?.push(SYMLINK_FILE), &self.encrypt(target.as_bytes()))
    }

    /// Encrypts the content of a file: header and chunks, without an empty one at the end.
    #[must_use]
    pub fn encrypt(&self, content: &[u8]) -> Vec<u8> {
        let payload_len = usize::try_from(PAYLOAD_LEN).unwrap_or(usize::MAX);
        self.encrypt_chunks(content.chunks(payload_len))
    }

    /// Encrypts the content of a file as a stream encryptor of recent official clients does: where it fills its chunks,
    /// an empty one follows.
    #[must_use]
    pub fn encrypt_as_stream(&self, content: &[u8]) -> Vec<u8> {
        let payload_len = usize::try_from(PAYLOAD_LEN).unwrap_or(usize::MAX);
        let is_full = content.len().is_multiple_of(payload_len);
        self.encrypt_chunks(content.chunks(payload_len).chain(is_full.then_some(&[][..])))
    }

    fn encrypt_chunks<'c>(&self, chunks: impl Iterator<Item = &'c [u8]>) -> Vec<u8> {
        let header = FileHeader::generate(self.combo);
        let cipher = ContentCipher::new(&header, &self.key);
        let layout = self.combo.layout();
        let nonce = vec![0; usize::try_from(layout.nonce_len()).unwrap_or_default()];
        let tag = vec![0; usize::try_from(layout.tag_len()).unwrap_or_default()];
        let mut ciphertext = header.encrypt(&self.key);
        for (index, payload) in (0..).map(ChunkIndex).zip(chunks) {
            let mut chunk = [&nonce, payload, &tag].concat();
            cipher.encrypt_in_place(index, &mut chunk);
            ciphertext.append(&mut chunk);
        }
        ciphertext
    }

    /// Where an entry of this name lies; with its long name where that is shortened. The name is taken as it is, legal
    /// or not.
    #[must_use]
    pub fn spell(&self, parent: &DirId, name: &str) -> (CiphertextPath, Option<String>) {
        let long = self.names.encrypt(name, parent) + ENTRY_SUFFIX;
        let dir = CiphertextPath::content_dir(&self.names.hash_dir_id(parent));
        if long.len() > self.threshold {
            (dir.push(&shortened(&long)), Some(long))
        } else {
            (dir.push(&long), None)
        }
    }

    /// Creates the content directory of an id, with its parents.
    ///
    /// # Errors
    ///
    /// What the storage says, but for folders that exist.
    pub fn content_dir(&self, id: &DirId) -> io::Result<CiphertextPath> {
        let path = CiphertextPath::content_dir(&self.names.hash_dir_id(id));
        for dir in path.parent().into_iter().chain([path.clone()]) {
            match self.storage.create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(path)
    }

    /// Creates the folder of an entry, with the long name in it where that is shortened.
    fn folder(&self, parent: &DirId, name: &str) -> io::Result<CiphertextPath> {
        let (path, long) = self.spell(parent, name);
        self.storage.create_dir(&path)?;
        if let Some(long) = long {
            self.storage.write_new(&path.push(NAME_FILE), long.as_bytes())?;
        }
        Ok(path)
    }
}
