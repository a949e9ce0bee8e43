//! A store in memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use super::{
    Attributes, BlockFile, BlockStorage, EntryKind, Identity, Listed, Metadata, OpenMode, Owner, Replace,
    Space,
};
use crate::ciphertext_path::CiphertextPath;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A store in memory: for tests, and as an example of the trait. Times and owners are only what somebody set, for it has no
/// clock; so it knows nothing of when anything was changed. The vault's own folder has neither.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    entries: RwLock<BTreeMap<CiphertextPath, Entry>>,
    last_id: AtomicU64,
}

/// Files are shared with their handles, which outlive the entry. A folder has a file of its own that stays empty.
#[derive(Clone, Debug)]
struct Entry {
    kind: EntryKind,
    file: Arc<MemoryFile>,
}

#[derive(Debug)]
pub(super) struct MemoryFile {
    pub(super) id: u64,
    content: RwLock<Vec<u8>>,
    set: RwLock<Set>,
}

/// What somebody has set of a file or folder.
#[derive(Clone, Debug, Default)]
struct Set {
    modified: Option<SystemTime>,
    accessed: Option<SystemTime>,
    owner: Option<Owner>,
}

/// The longest file. A longer one is more often a mistake than a test.
const MAX_LEN: u64 = u32::MAX as u64;

type Entries = BTreeMap<CiphertextPath, Entry>;

impl MemoryStorage {
    /// A copy that shares nothing with this one. Files keep their identity.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let copy = |(path, entry): (&CiphertextPath, &Entry)| {
            let (content, set) = (entry.file.read().clone(), entry.file.set().clone());
            let file = MemoryFile { id: entry.file.id, content: RwLock::new(content), set: RwLock::new(set) };
            (path.clone(), Entry { kind: entry.kind, file: Arc::new(file) })
        };
        let entries = RwLock::new(self.shared().iter().map(copy).collect());
        Self { entries, last_id: AtomicU64::new(self.last_id.load(Ordering::Relaxed)) }
    }

    /// The file of this identity, under whatever path.
    #[cfg(feature = "testing")]
    pub(super) fn file(&self, id: u64) -> Option<Arc<MemoryFile>> {
        self.shared().values().find(|entry| entry.file.id == id).map(|entry| Arc::clone(&entry.file))
    }

    /// Creates a file of a given identity.
    #[cfg(feature = "testing")]
    pub(super) fn create_file(
        &self,
        path: &CiphertextPath,
        id: u64,
        mode: Option<u32>,
    ) -> io::Result<Arc<MemoryFile>> {
        self.last_id.fetch_max(id, Ordering::Relaxed);
        let new = Entry::new(EntryKind::File, id);
        new.file.change(&Attributes { mode, ..Attributes::default() });
        self.exclusive().insert_new(path, new).map(|entry| Arc::clone(&entry.file))
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn shared(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the trait's methods are made of, under one lock each.
trait Tree {
    fn find(&self, path: &CiphertextPath) -> io::Result<&Entry>;
    fn is_folder(&self, path: &CiphertextPath) -> io::Result<()>;
    fn below<'t>(&'t self, dir: &'t CiphertextPath) -> impl Iterator<Item = (&'t CiphertextPath, &'t Entry)>;
    fn insert_new(&mut self, path: &CiphertextPath, entry: Entry) -> io::Result<&Entry>;
    fn take_tree(&mut self, path: &CiphertextPath) -> Vec<(String, Entry)>;
    fn put_tree(&mut self, path: &CiphertextPath, tree: Vec<(String, Entry)>);
}

impl Tree for Entries {
    fn find(&self, path: &CiphertextPath) -> io::Result<&Entry> {
        if let Some(parent) = path.parent() {
            self.is_folder(&parent)?;
        }
        self.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_folder(&self, path: &CiphertextPath) -> io::Result<()> {
        if path.as_str().is_empty() {
            return Ok(());
        }
        match self.find(path)?.kind {
            EntryKind::Directory => Ok(()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Everything in a folder and in the folders in it. Paths in order of their text lie together below theirs.
    fn below<'t>(&'t self, dir: &'t CiphertextPath) -> impl Iterator<Item = (&'t CiphertextPath, &'t Entry)> {
        self.range((Bound::Excluded(dir), Bound::Unbounded))
            .take_while(move |(path, _)| path.as_str().starts_with(dir.as_str()))
            .filter(move |(path, _)| relative(path, dir).is_some())
    }

    fn insert_new(&mut self, path: &CiphertextPath, entry: Entry) -> io::Result<&Entry> {
        match self.find(path) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(error) => {
                // Not found, or a folder on its way was not.
                self.is_folder(&path.parent().ok_or(io::ErrorKind::AlreadyExists)?).map_err(|_| error)?;
            }
        }
        Ok(self.entry(path.clone()).or_insert(entry))
    }

    fn take_tree(&mut self, path: &CiphertextPath) -> Vec<(String, Entry)> {
        let mut paths: Vec<CiphertextPath> = self.below(path).map(|(path, _)| path.clone()).collect();
        paths.push(path.clone());
        let take = |taken: CiphertextPath| Some((relative(&taken, path)?.to_owned(), self.remove(&taken)?));
        paths.into_iter().filter_map(take).collect()
    }

    fn put_tree(&mut self, path: &CiphertextPath, tree: Vec<(String, Entry)>) {
        for (below, entry) in tree {
            let path = below
                .split('/')
                .filter(|part| !part.is_empty())
                .fold(path.clone(), |path, part| path.push(part));
            self.insert(path, entry);
        }
    }
}

/// What leads from `dir` to `path`: empty if they are the same, `None` if it is not below.
fn relative<'p>(path: &'p CiphertextPath, dir: &CiphertextPath) -> Option<&'p str> {
    let rest = path.as_str().strip_prefix(dir.as_str())?;
    if dir.as_str().is_empty() || rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

impl Entry {
    fn new(kind: EntryKind, id: u64) -> Self {
        Self { kind, file: Arc::new(MemoryFile { id, content: RwLock::default(), set: RwLock::default() }) }
    }

    fn metadata(&self) -> Metadata {
        self.file.metadata(self.kind)
    }
}

impl BlockStorage for MemoryStorage {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        let entry = if let OpenMode::CreateNew { mode } = mode {
            let new = Entry::new(EntryKind::File, self.next_id());
            new.file.change(&Attributes { mode, ..Attributes::default() });
            self.exclusive().insert_new(path, new)?.clone()
        } else if path.as_str().is_empty() {
            return Err(io::ErrorKind::IsADirectory.into());
        } else {
            self.shared().find(path)?.clone()
        };
        match entry.kind {
            EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
            _ if mode == OpenMode::Read => {
                Ok((Box::new(ReadOnly(Arc::clone(&entry.file))), entry.metadata()))
            }
            _ => Ok((Box::new(Arc::clone(&entry.file)), entry.metadata())),
        }
    }

    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        if path.as_str().is_empty() {
            return Ok(Metadata::new(EntryKind::Directory, 0));
        }
        self.shared().find(path).map(Entry::metadata)
    }

    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        let entries = self.shared();
        entries.is_folder(dir)?;
        let direct = entries
            .below(dir)
            .filter(|(path, _)| relative(path, dir).is_some_and(|rest| !rest.contains('/')));
        Ok(direct
            .map(|(path, entry)| Listed {
                name: path.file_name().unwrap_or_default().into(),
                kind: entry.kind,
                len: (entry.kind == EntryKind::File).then(|| entry.file.read().len() as u64),
            })
            .collect())
    }

    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.exclusive().insert_new(dir, Entry::new(EntryKind::Directory, self.next_id())).map(|_| ())
    }

    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        not_the_root(path)?;
        let mut entries = self.exclusive();
        let found = entries.find(path)?.kind;
        match (kind, found) {
            (EntryKind::Directory, EntryKind::Directory) if entries.below(path).next().is_some() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            (EntryKind::Directory, EntryKind::Directory) => {}
            (EntryKind::Directory, _) => return Err(io::ErrorKind::NotADirectory.into()),
            (_, EntryKind::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            _ => {}
        }
        entries.remove(path);
        Ok(())
    }

    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        not_the_root(from)?;
        not_the_root(to)?;
        let mut entries = self.exclusive();
        let source = entries.find(from)?.kind;
        let target = match entries.find(to) {
            Ok(entry) => Some(entry.kind),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(error) => {
                entries.is_folder(&to.parent().ok_or(io::ErrorKind::InvalidInput)?).map_err(|_| error)?;
                None
            }
        };
        if from == to {
            return if replace == Replace::Never { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) };
        }
        let within = |path: &CiphertextPath, dir: &CiphertextPath| relative(path, dir).is_some();
        if within(to, from) || (replace == Replace::Exchange && within(from, to)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match (replace, target) {
            (Replace::Exchange, None) => return Err(io::ErrorKind::NotFound.into()),
            (Replace::Never, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Replace::Always, Some(target)) => {
                replaceable(source, target, entries.below(to).next().is_none())?;
            }
            _ => {}
        }
        let replaced = entries.take_tree(to);
        let moved = entries.take_tree(from);
        entries.put_tree(to, moved);
        if replace == Replace::Exchange {
            entries.put_tree(from, replaced);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.shared().is_folder(dir)
    }

    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        if path.as_str().is_empty() {
            let is_nothing = *change == Attributes::default();
            return if is_nothing { self.metadata(path) } else { Err(io::ErrorKind::Unsupported.into()) };
        }
        only_permissions(change)?;
        let entries = self.shared();
        let entry = entries.find(path)?;
        entry.file.change(change);
        Ok(entry.metadata())
    }

    fn space(&self) -> io::Result<Space> {
        let used = self.shared().values().map(|entry| entry.file.read().len() as u64).sum::<u64>();
        let free = MAX_LEN.saturating_sub(used);
        Ok(Space { total: MAX_LEN, free, available: free })
    }
}

/// What POSIX lets a rename replace.
fn replaceable(source: EntryKind, target: EntryKind, target_is_empty: bool) -> io::Result<()> {
    match (source == EntryKind::Directory, target == EntryKind::Directory) {
        (true, true) if !target_is_empty => Err(io::ErrorKind::DirectoryNotEmpty.into()),
        (true, false) => Err(io::ErrorKind::NotADirectory.into()),
        (false, true) => Err(io::ErrorKind::IsADirectory.into()),
        _ => Ok(()),
    }
}

fn not_the_root(path: &CiphertextPath) -> io::Result<()> {
    match path.as_str() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidInput, "the vault's own folder")),
        _ => Ok(()),
    }
}

fn only_permissions(change: &Attributes) -> io::Result<()> {
    match change.mode {
        Some(mode) if mode & !0o7777 != 0 => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "more than the permission bits"))
        }
        _ => Ok(()),
    }
}

/// Makes `content` longer or shorter.
fn resize(content: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).ok().filter(|_| len <= MAX_LEN).ok_or(io::ErrorKind::StorageFull)?;
    content.try_reserve(len.saturating_sub(content.len())).map_err(|_| io::ErrorKind::StorageFull)?;
    content.resize(len, 0);
    Ok(())
}

impl MemoryFile {
    fn metadata(&self, kind: EntryKind) -> Metadata {
        let mut metadata = Metadata::new(kind, self.read().len() as u64);
        metadata.identity = Some(Identity { device: 0, file: self.id });
        let set = self.set();
        (metadata.modified, metadata.accessed, metadata.owner) = (set.modified, set.accessed, set.owner);
        metadata
    }

    pub(super) fn change(&self, change: &Attributes) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        set.modified = change.modified.or(set.modified);
        set.accessed = change.accessed.or(set.accessed);
        if change.mode.is_some() || change.uid.is_some() || change.gid.is_some() {
            let owner = set.owner.unwrap_or(Owner { mode: 0o600, uid: 0, gid: 0 });
            set.owner = Some(Owner {
                mode: change.mode.unwrap_or(owner.mode),
                uid: change.uid.unwrap_or(owner.uid),
                gid: change.gid.unwrap_or(owner.gid),
            });
        }
    }

    fn set(&self) -> RwLockReadGuard<'_, Set> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<u8>> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<u8>> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockFile for Arc<MemoryFile> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let content = self.read();
        let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf.split_at_mut(len).0.copy_from_slice(rest.split_at(len).0);
        Ok(len)
    }

    /// Memory never waits.
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        if buf.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(buf.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = self.write();
        if (content.len() as u64) < end {
            resize(&mut content, end)?;
        }
        let start = usize::try_from(offset).ok();
        match start.and_then(|start| content.get_mut(start..)?.get_mut(..buf.len())) {
            Some(into) => into.copy_from_slice(buf),
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        resize(&mut self.write(), len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_attributes(&self, change: &Attributes) -> io::Result<Metadata> {
        only_permissions(change)?;
        self.change(change);
        Ok(self.metadata(EntryKind::File))
    }
}

/// A handle that was asked for to read.
#[derive(Debug)]
struct ReadOnly(Arc<MemoryFile>);

impl BlockFile for ReadOnly {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read_at(offset, buf)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// Who may write content is another matter.
    fn set_attributes(&self, change: &Attributes) -> io::Result<Metadata> {
        self.0.set_attributes(change)
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::storage::conformance;

    #[test]
    fn conforms() {
        conformance::check(&|| Arc::new(MemoryStorage::default()));
    }

    #[test]
    fn a_snapshot_shares_nothing() {
        let storage = MemoryStorage::default();
        let path = CiphertextPath::root().push("a");
        storage.write_new(&path, b"before").unwrap();
        let snapshot = storage.snapshot();
        storage.open(&path, OpenMode::ReadWrite).unwrap().0.write_at(0, b"after!").unwrap();
        assert_eq!(snapshot.read(&path, 10).unwrap(), b"before");
    }

    #[test]
    fn a_length_beyond_reason_takes_no_memory() {
        let storage = MemoryStorage::default();
        let (file, _) =
            storage.open(&CiphertextPath::root().push("a"), OpenMode::CreateNew { mode: None }).unwrap();
        assert_eq!(file.set_len(1 << 50).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.write_at(1 << 50, b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.write_at(u64::MAX, b"x").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(storage.read(&CiphertextPath::root().push("a"), 0).unwrap(), b"");
    }
}
