//! Cryptomator vaults of format 8, to be read and changed, over any block storage.
//!
//! A vault is unlocked once and can then be read and changed by any number of threads. Everything is synchronous: a
//! call blocks for as long as the storage does. This crate has no threads, no clock and no mount; `now` is always the
//! caller's, and decides only how long an answer in memory is believed.
//!
//! # Unlock a vault and list it
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use oxcrypt_core::VaultOptions;
//! use oxcrypt_core::storage::LocalStorage;
//! use oxcrypt_core::unlock::{Locked, Passphrase};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! # #[cfg(feature = "testing")] {
//! # let storage = LocalStorage::open(path)?;
//! # oxcrypt_core::testing::VaultBuilder::create(&storage, Default::default())?;
//! let storage = Arc::new(LocalStorage::open(path)?);
//! let locked = Locked::read(storage)?;
//! let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default())?;
//!
//! for entry in vault.list(&vault.root(), Instant::now())?.entries() {
//!     println!("{}", entry.shown());
//! }
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! # Read a range of a file
//!
//! ```
//! # use std::sync::Arc;
//! use std::time::Instant;
//!
//! use oxcrypt_core::{Follow, Vault, VaultPath};
//!
//! fn last_bytes(vault: &Vault, path: &str, count: u64) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let now = Instant::now();
//!     let node = vault.resolve(&VaultPath::parse(path)?, Follow::Always, now)?;
//!     let file = vault.open(&node, now)?;
//!     let start = file.len().saturating_sub(count);
//!     let mut bytes = vec![0; usize::try_from(file.len() - start)?];
//!     // One ciphertext read for all the chunks that are not in memory; an error if any of them is damaged.
//!     let len = file.read_at(start, &mut bytes)?;
//!     bytes.truncate(len);
//!     Ok(bytes)
//! }
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use oxcrypt_core::{DirId, VaultOptions, storage::MemoryStorage, testing::VaultBuilder, unlock::*};
//! # let storage = Arc::new(MemoryStorage::default());
//! # VaultBuilder::create(&*storage, Default::default())?.file(&DirId::root(), "a", b"0123456789")?;
//! # let vault = Locked::read(storage)?.unlock(&Passphrase::new("passphrase"), &VaultOptions::default())?;
//! # assert_eq!(last_bytes(&vault, "/a", 3)?, b"789");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Change a vault
//!
//! ```
//! use std::time::{Instant, SystemTime};
//!
//! use oxcrypt_core::storage::Replace;
//! use oxcrypt_core::{Name, Stored, Vault};
//!
//! /// Writes a file that is there whole or not at all, whenever the process is killed.
//! fn put(vault: &Vault, name: &str, content: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let (root, now) = (vault.root(), Instant::now());
//!     let (temporary, name) = (Name::new(".unfinished")?, Name::new(name)?);
//!     let file = vault.create(&root, &temporary, now)?;
//!     let mut done = 0;
//!     while done < content.len() {
//!         // Into memory, and to storage what memory has no room for.
//!         done += file.write_at(done as u64, &content[done..], SystemTime::now())?;
//!     }
//!     // To storage, and durable, with the directories that lead to it.
//!     let stored = file.sync(now)?;
//!     assert_eq!(stored, Stored::InPlace, "nobody else has put a file in its place");
//!     vault.rename((&root, &temporary), (&root, &name), Replace::Always, now)?;
//!     vault.sync_dir(&root)?;
//!     Ok(())
//! }
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use oxcrypt_core::{VaultOptions, storage::MemoryStorage, testing::VaultBuilder, unlock::*};
//! # let storage = Arc::new(MemoryStorage::default());
//! # VaultBuilder::create(&*storage, Default::default())?;
//! # let vault = Locked::read(storage)?.unlock(&Passphrase::new("passphrase"), &VaultOptions::default())?;
//! # put(&vault, "a", b"0123456789")?;
//! # assert_eq!(vault.attributes(&vault.lookup(&vault.root(), &Name::new("a")?, Instant::now())?, Instant::now())?.len, 10);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Bring your own storage
//!
//! Whatever can list names and read bytes at an offset can hold a vault. This one reads a vault from memory and refuses
//! to change it:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::io;
//!
//! use oxcrypt_core::CiphertextPath;
//! use oxcrypt_core::storage::*;
//!
//! /// Files by path, folders by what lies in them.
//! #[derive(Debug)]
//! struct Archive(BTreeMap<String, Vec<u8>>);
//!
//! #[derive(Debug)]
//! struct Member(Vec<u8>);
//!
//! fn read_only<T>() -> io::Result<T> {
//!     Err(io::ErrorKind::ReadOnlyFilesystem.into())
//! }
//!
//! impl Archive {
//!     fn in_folder<'a>(&'a self, dir: &'a CiphertextPath) -> impl Iterator<Item = (&'a str, usize)> {
//!         self.0.iter().filter_map(move |(path, bytes)| match dir.as_str() {
//!             "" => Some((path.as_str(), bytes.len())),
//!             dir => Some((path.strip_prefix(dir)?.strip_prefix('/')?, bytes.len())),
//!         })
//!     }
//! }
//!
//! impl BlockStorage for Archive {
//!     fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
//!         if mode != OpenMode::Read {
//!             return read_only();
//!         }
//!         let bytes = self.0.get(path.as_str()).ok_or(io::ErrorKind::NotFound)?;
//!         Ok((Box::new(Member(bytes.clone())), Metadata::new(EntryKind::File, bytes.len() as u64)))
//!     }
//!     fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
//!         match self.0.get(path.as_str()) {
//!             Some(bytes) => Ok(Metadata::new(EntryKind::File, bytes.len() as u64)),
//!             None if self.in_folder(path).next().is_some() => Ok(Metadata::new(EntryKind::Directory, 0)),
//!             None => Err(io::ErrorKind::NotFound.into()),
//!         }
//!     }
//!     fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
//!         let mut listed = BTreeMap::new();
//!         for (rest, len) in self.in_folder(dir) {
//!             let (name, kind, len) = match rest.split_once('/') {
//!                 Some((folder, _)) => (folder, EntryKind::Directory, None),
//!                 None => (rest, EntryKind::File, Some(len as u64)),
//!             };
//!             listed.insert(name, Listed { name: name.into(), kind, len });
//!         }
//!         if listed.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(listed.into_values().collect()) }
//!     }
//!     fn create_dir(&self, _: &CiphertextPath) -> io::Result<()> {
//!         read_only()
//!     }
//!     fn remove(&self, _: &CiphertextPath, _: EntryKind) -> io::Result<()> {
//!         read_only()
//!     }
//!     fn rename(&self, _: &CiphertextPath, _: &CiphertextPath, _: Replace) -> io::Result<()> {
//!         read_only()
//!     }
//!     fn sync_dir(&self, _: &CiphertextPath) -> io::Result<()> {
//!         read_only()
//!     }
//!     fn set_attributes(&self, _: &CiphertextPath, _: &Attributes) -> io::Result<Metadata> {
//!         read_only()
//!     }
//!     fn space(&self) -> io::Result<Space> {
//!         Err(io::ErrorKind::Unsupported.into())
//!     }
//! }
//!
//! impl BlockFile for Member {
//!     fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
//!         let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
//!         let len = rest.len().min(buf.len());
//!         buf[..len].copy_from_slice(&rest[..len]);
//!         Ok(len)
//!     }
//!     fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
//!         read_only()
//!     }
//!     fn set_len(&self, _: u64) -> io::Result<()> {
//!         read_only()
//!     }
//!     fn sync(&self) -> io::Result<()> {
//!         read_only()
//!     }
//! }
//! # let archive = Archive(BTreeMap::from([("d/AB/x".to_owned(), b"abc".to_vec())]));
//! # let path = CiphertextPath::parse("d/AB/x").unwrap();
//! # assert_eq!(archive.read(&path, 10).unwrap(), b"abc");
//! # assert_eq!(archive.list(&CiphertextPath::root()).unwrap().len(), 1);
//! ```
//!
//! # What is promised
//!
//! * Ciphertext that does not authenticate is never returned. What can be read of a damaged vault is read: a damaged
//!   chunk fails alone, a damaged entry is listed with a reason, and neither fails anything beside it.
//! * An error is never an answer: no length, listing or buffer is empty because reading it failed, and only a definite
//!   "not found" is [`ErrorKind::NotFound`].
//! * A vault that is only read stays as it is, byte for byte, unlocking included; [`VaultOptions::read_only`] refuses all
//!   else.
//! * Whenever the process is killed, a vault opens again. Nothing that was written and [synced](File::sync) is lost, but
//!   for a chunk that was being written over at that moment: that is then reported as damaged.
//! * One process writes to a vault at a time. Who that is, is for those who use this crate to agree on; changes that
//!   sync clients make below are noticed, and never written over.
//! * Hostile input costs bounded time and memory, and no path ever leaves the vault's folder.
//! * [`Vault::resident`] answers from memory alone and holds no storage handle, so it cannot block.
//! * Keys and cleartext contents are wiped when dropped. Errors and `Debug` show ciphertext paths only.
//!
//! # Features
//!
//! * `aws-lc` (default): AES-GCM by aws-lc on Linux and macOS, where that needs no more than a C compiler. Without it
//!   the pure-Rust `aes-gcm` makes the same bytes.
//! * `testing`: a storage that fails on purpose, the conformance suite for any [`storage::BlockStorage`], and a builder
//!   of test vaults.
#![forbid(unsafe_code)]

pub mod chunk;
pub mod crypto;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod unlock;

mod cache;
mod ciphertext_path;
mod cleartext;
mod config;
mod content_dir;
mod durability;
mod error;
mod file;
mod key_files;
mod listing;
mod masterkey_file;
mod name;
mod node;
mod probe;
mod recovery_key;
mod small_file;
mod sync;
mod tree;
mod vault;
mod warning;

pub use cache::ContentId;
pub use ciphertext_path::CiphertextPath;
pub use cleartext::Cleartext;
pub use error::{Error, ErrorKind, Result};
pub use file::{Assembly, Attempt, Block, File, ResidentFile, Stored};
pub use listing::{Damage, DamagedEntry, Entry, Found, Listing};
pub use name::{DirId, InvalidDirId, InvalidName, Name, VaultPath};
pub use node::{LinkTarget, Node, NodeAttributes, NodeId, NodeKind};
pub use probe::Probe;
pub use vault::{Follow, Located, Resident, Seen, Vault, VaultOptions, Visit, Visits};
