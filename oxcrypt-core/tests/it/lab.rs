//! Empty vaults to be written to, and short words for what tests do to them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use oxcrypt_core::crypto::{CipherCombo, MasterKey};
use oxcrypt_core::storage::{BlockStorage, FaultyStorage, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{File, Follow, Name, Node, Result, Stored, Vault, VaultOptions, VaultPath};

use proptest::prelude::ProptestConfig;

use crate::checker::{Report, check};
use crate::fixtures::unlock_with;

const KEY: [u8; MasterKey::LEN] = [0x5a; MasterKey::LEN];

/// The kind of vault that a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lab {
    pub(crate) combo: CipherCombo,
    pub(crate) threshold: usize,
}

impl Lab {
    pub(crate) const GCM: Self = Self { combo: CipherCombo::SivGcm, threshold: 220 };
    pub(crate) const CTRMAC: Self = Self { combo: CipherCombo::SivCtrMac, threshold: 220 };
    /// Where names of nine bytes are shortened already.
    pub(crate) const SHORT: Self = Self { combo: CipherCombo::SivGcm, threshold: 36 };

    /// Makes an empty vault, its keys included.
    pub(crate) fn make(self, storage: &dyn BlockStorage) -> VaultBuilder<'_> {
        let recipe = Recipe { key: &KEY, combo: self.combo, threshold: self.threshold, ..Recipe::default() };
        VaultBuilder::create(storage, recipe).unwrap()
    }

    pub(crate) fn empty(self) -> MemoryStorage {
        let storage = MemoryStorage::default();
        drop(self.make(&storage));
        storage
    }

    /// A vault that `fill` has written to before, and made durable.
    pub(crate) fn filled(self, fill: impl FnOnce(&Vault)) -> Arc<FaultyStorage> {
        let storage = Arc::new(FaultyStorage::new(&self.empty()));
        let vault = open(&storage);
        fill(&vault);
        assert_eq!(vault.unsaved().len(), 0, "what a test begins with is stored");
        drop(vault);
        let image = storage.crash_image(usize::MAX, oxcrypt_core::storage::Crash::Kill { pages: 0 });
        Arc::new(FaultyStorage::new(&image))
    }

    pub(crate) fn check(self, storage: &dyn BlockStorage) -> Report {
        check(storage, &KEY, self.combo, self.threshold)
    }

    /// The longest name that is not shortened, of this many bytes.
    pub(crate) fn longest_plain_name(self) -> usize {
        (self.threshold - 4) / 4 * 3 - 16
    }
}

/// Opens a vault with nothing of it in memory.
pub(crate) fn open<S: BlockStorage + 'static>(storage: &Arc<S>) -> Vault {
    open_with(storage, &VaultOptions::default())
}

pub(crate) fn open_with<S: BlockStorage + 'static>(storage: &Arc<S>, options: &VaultOptions) -> Vault {
    unlock_with(Arc::clone(storage) as _, options)
}

/// The time that a write is told, so many seconds after no time at all.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn find(vault: &Vault, path: &str) -> Result<Arc<Node>> {
    vault.resolve(&VaultPath::parse(path)?, Follow::NotLast, Instant::now())
}

/// The directory that an entry is in, and its name there.
pub(crate) fn place(vault: &Vault, path: &str) -> (Arc<Node>, Name) {
    let (dir, last) = path.rsplit_once('/').unwrap_or(("", path));
    (find(vault, dir).unwrap(), name(last))
}

/// Creates a file, open for writing.
pub(crate) fn create(vault: &Vault, path: &str) -> Result<File> {
    let (dir, name) = place(vault, path);
    vault.create(&dir, &name, Instant::now())
}

/// Creates a file with `content` and makes it durable.
pub(crate) fn put(vault: &Vault, path: &str, content: &[u8]) -> File {
    let file = create(vault, path).unwrap();
    write(&file, 0, content).unwrap();
    sync(&file).unwrap();
    file
}

pub(crate) fn make_dir(vault: &Vault, path: &str) -> Result<Arc<Node>> {
    let (dir, name) = place(vault, path);
    vault.make_dir(&dir, &name, Instant::now())
}

pub(crate) fn make_symlink(vault: &Vault, path: &str, target: &str) -> Result<Arc<Node>> {
    let (dir, name) = place(vault, path);
    vault.make_symlink(&dir, &name, target, Instant::now())
}

pub(crate) fn remove(vault: &Vault, path: &str) -> Result<()> {
    let (dir, name) = place(vault, path);
    vault.remove(&dir, &name, Instant::now())
}

pub(crate) fn remove_dir(vault: &Vault, path: &str) -> Result<()> {
    let (dir, name) = place(vault, path);
    vault.remove_dir(&dir, &name, Instant::now())
}

pub(crate) fn rename(
    vault: &Vault,
    from: &str,
    to: &str,
    replace: oxcrypt_core::storage::Replace,
) -> Result<()> {
    let ((from_dir, from), (to_dir, to)) = (place(vault, from), place(vault, to));
    vault.rename((&from_dir, &from), (&to_dir, &to), replace, Instant::now())
}

pub(crate) fn open_for_writing(vault: &Vault, path: &str) -> Result<File> {
    vault.open_for_writing(&find(vault, path)?, Instant::now())
}

/// Writes all of it, however little is taken at a time.
pub(crate) fn write(file: &File, offset: u64, mut bytes: &[u8]) -> Result<()> {
    let mut at_offset = offset;
    while !bytes.is_empty() {
        let taken = file.write_at(at_offset, bytes, at(1))?;
        assert!(taken > 0, "a write that takes nothing would go on for ever");
        (at_offset, bytes) = (at_offset + taken as u64, &bytes[taken..]);
    }
    Ok(())
}

/// Stores everything of a file that nobody else has touched.
pub(crate) fn flush(file: &File) -> Result<()> {
    assert_eq!(file.flush(Instant::now())?, Stored::InPlace);
    Ok(())
}

/// Makes everything of a file durable that nobody else has touched.
pub(crate) fn sync(file: &File) -> Result<()> {
    assert_eq!(file.sync(Instant::now())?, Stored::InPlace);
    Ok(())
}

/// The whole content, as a handle reads it.
pub(crate) fn content(file: &File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap() + 1];
    let len = file.read_at(0, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// The content of the file at `path`, opened for the purpose.
pub(crate) fn read(vault: &Vault, path: &str) -> Result<Vec<u8>> {
    content(&vault.open(&find(vault, path)?, Instant::now())?)
}

/// Bytes of which each chunk, and each place in it, has others; another `salt`, other bytes.
pub(crate) fn bytes(len: usize, salt: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at * 7 + at / 32_768 * 13 + at / 251 + salt * 101 + 1) % 251).unwrap())
        .collect()
}

/// So many cases of a property that takes long, unless `PROPTEST_CASES` says how many.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig::with_cases(cases)
}
