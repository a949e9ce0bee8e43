//! Changes of the tree: entries made, removed and moved.

use std::sync::Arc;
use std::time::Instant;

use super::Vault;
use crate::ciphertext_path::MAX_NAME_LEN;
use crate::error::{ErrorKind, Result};
use crate::file::{File, ResidentFile};
use crate::name::Name;
use crate::node::{Node, NodeId, NodeKind};
use crate::storage::{Attributes, OpenMode, Replace};
use crate::tree::Created;

/// Permission bits that a host takes from a file when an ordinary user writes to it.
const SET_IDS: u32 = 0o6000;

impl Vault {
    /// Creates an empty file and opens it for writing. It costs one call of the storage, three more where its name is
    /// shortened: not even a header is written before the first [`File::flush`].
    ///
    /// # Errors
    ///
    /// As [`make_dir`](Self::make_dir).
    pub fn create(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<File> {
        self.create_with(dir, name, &Attributes::default(), now)
    }

    /// [Creates](Self::create) an empty file with mode and owner of `made`, as far as they are given and the storage can
    /// hold them; times are not looked at. The mode costs nothing, and another owner than a new file has one call more.
    ///
    /// # Errors
    ///
    /// As [`make_dir_with`](Self::make_dir_with).
    pub fn create_with(&self, dir: &Arc<Node>, name: &Name, made: &Attributes, now: Instant) -> Result<File> {
        self.expect_writable()?;
        let created = self.tree.create(dir, name, made, now)?;
        Ok(self.open_new(created, now))
    }

    /// Opens a file that was just made. Others may have found it, opened it, and written to it by now.
    fn open_new(&self, (node, handle, metadata): Created, now: Instant) -> File {
        self.resident.nodes.insert_attributes(&node, &self.tree.attributes_from(&node, &metadata), now);
        let resident = self.resident.registry.created(node.id(), &metadata);
        let shared = self.files.join(&node, &resident, handle, true, now);
        let file = File::new(shared, Arc::clone(&self.files), true);
        file.begin();
        resident
            .set_mode_later(metadata.owner.map(|owner| owner.mode).filter(|mode| is_lost_by_writing(*mode)));
        file
    }

    /// Opens a file for reading and writing, as [`open`](Self::open) for reading.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); `ReadOnly`.
    pub fn open_for_writing(&self, node: &Arc<Node>, now: Instant) -> Result<File> {
        self.expect_writable()?;
        self.files.open(node, OpenMode::ReadWrite, now)
    }

    /// The files of which something is not in storage yet, whether anybody has them open or not. Whoever is done with a
    /// vault flushes them: what is unsaved when the vault is dropped is lost.
    #[must_use]
    pub fn unsaved(&self) -> Vec<File> {
        self.files.unsaved()
    }

    /// Bytes of changed chunks that storage does not have yet, of all files together.
    #[must_use]
    pub fn unsaved_bytes(&self) -> usize {
        self.files.unsaved_bytes()
    }

    /// What memory has of those files, with their entries. Never blocks on storage.
    #[must_use]
    pub fn unsaved_in_memory(&self) -> Vec<(Arc<Node>, Arc<ResidentFile>)> {
        self.files.unsaved_in_memory()
    }

    /// Gives up what is unsaved of a file, if the last attempt to store it has failed: the file is again what storage has of
    /// it. False if there is no such file, or it is being tried again at this moment. Never blocks on storage.
    #[must_use]
    pub fn discard(&self, node: NodeId) -> bool {
        self.files.discard_of(node)
    }

    /// Sets times, mode and owner of what storage has of an entry, as far as they are given: of the ciphertext file of a
    /// file or link, of the content directory of a directory. Of a file that is not all in storage the times are set
    /// once it is; a later write makes that of the content void. A mode with set-id bits is set again then, because a host
    /// takes these bits from a file that an ordinary user writes to. Of a file that is gone and open they are set in memory,
    /// for those who have it open.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the storage cannot hold them; `NotFound`; `ReadOnly`; else what the storage says.
    pub fn set_attributes(&self, node: &Arc<Node>, change: &Attributes, now: Instant) -> Result<()> {
        self.expect_writable()?;
        let times =
            Attributes { modified: change.modified, accessed: change.accessed, ..Attributes::default() };
        let file = self.resident.registry.get(node.id()).filter(|_| node.kind() == NodeKind::File);
        let mut change = change.clone();
        if times != Attributes::default() && file.as_ref().is_some_and(|file| file.set_times_later(&times)) {
            (change.modified, change.accessed) = (None, None);
        }
        if change == Attributes::default() {
            return Ok(());
        }
        let file = file.filter(|_| change.mode.is_some() || change.uid.is_some() || change.gid.is_some());
        // Before storage has it: who writes meanwhile would have the host take the bits again.
        let mode = change.mode.filter(|mode| is_lost_by_writing(*mode));
        let former = file.as_ref().and_then(|file| file.set_mode_later(mode));
        let metadata = match self.tree.set_attributes(node, &change) {
            Ok(metadata) => metadata,
            Err(error) => {
                if let Some(file) = file {
                    file.set_mode_later(former);
                }
                let gone = self.resident.gone_file(node).filter(|_| error.kind() == ErrorKind::NotFound);
                let known = self.resident.nodes.last_attributes(node);
                return gone.map_or(Err(error), |file| file.set_when_gone(&change, known));
            }
        };
        // A time of modification that we have not set may be that of a change by others, which is still to be noticed.
        if change.modified.is_some() {
            self.resident.registry.touched(node.id(), &metadata);
        }
        self.resident.nodes.adopt_attributes(node, &self.tree.attributes_from(node, &metadata), now);
        Ok(())
    }

    /// Creates an empty directory.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `NotADirectory`, and `NotFound` if `dir` was removed; `Incomplete` if its content directory is
    /// missing; `NameTooLong`; `ReadOnly`; else what the storage says. Nothing is there then that was not before, but
    /// where the storage lets nothing be cleared up: an empty content directory that nothing leads to, or an entry that
    /// does not say what it is.
    pub fn make_dir(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<Arc<Node>> {
        self.make_dir_with(dir, name, &Attributes::default(), now)
    }

    /// [Creates](Self::make_dir) an empty directory with mode and owner of `made`, as far as they are given and the
    /// storage can hold them; times are not looked at. They are those of the content directory, and cost one call of
    /// the storage, or two where they are not what any new directory has.
    ///
    /// # Errors
    ///
    /// As [`make_dir`](Self::make_dir); `PermissionDenied` where the storage gives nothing to that owner.
    pub fn make_dir_with(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        made: &Attributes,
        now: Instant,
    ) -> Result<Arc<Node>> {
        self.expect_writable()?;
        let (node, seen) = self.tree.make_dir(dir, name, made, now)?;
        if let Some(seen) = seen {
            self.files.observe(&node, &seen, now);
        }
        Ok(node)
    }

    /// Creates a symbolic link. Its target is any text of 1 to 32,767 bytes without NUL, and is never resolved.
    ///
    /// # Errors
    ///
    /// As [`make_dir`](Self::make_dir); `InvalidArgument` or `NameTooLong` for a target that no link can have.
    pub fn make_symlink(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        target: &str,
        now: Instant,
    ) -> Result<Arc<Node>> {
        self.make_symlink_with(dir, name, target, &Attributes::default(), now)
    }

    /// [Creates](Self::make_symlink) a symbolic link with the owner of `made`, as far as that is given and the storage can
    /// hold it; the mode of a link means nothing, and times are not looked at.
    ///
    /// # Errors
    ///
    /// As [`make_symlink`](Self::make_symlink); `PermissionDenied` where the storage gives nothing to that owner.
    pub fn make_symlink_with(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        target: &str,
        made: &Attributes,
        now: Instant,
    ) -> Result<Arc<Node>> {
        self.expect_writable()?;
        self.tree.make_symlink(dir, name, target, made, now)
    }

    /// Removes a file or symbolic link. Whoever has the file open reads and writes on.
    ///
    /// # Errors
    ///
    /// `NotFound`; `IsADirectory`; `NotEmpty` where the entry has a folder with something in it that is not the vault's;
    /// `ReadOnly`; else what the storage says.
    pub fn remove(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<()> {
        self.expect_writable()?;
        let (node, cleared) = self.tree.remove(dir, name, now)?;
        self.forget(&node);
        cleared
    }

    /// Removes an empty directory. What the host's own programs leave in any folder (`.DS_Store`, `desktop.ini`) goes
    /// with it; anything else that is not the vault's keeps it, and is named.
    ///
    /// # Errors
    ///
    /// `NotEmpty`, and then nothing is changed; `NotFound`; `NotADirectory`; `Damaged` if it lies within itself;
    /// `ReadOnly`; else what the storage says.
    pub fn remove_dir(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<()> {
        self.expect_writable()?;
        self.tree.remove_dir(dir, name, now)
    }

    /// Moves an entry to another name or directory, in one step that either was done or was not, whenever the process is
    /// killed. [`Replace`] says what becomes of an entry that has the new name: `Always` replaces a file or link by
    /// either and an empty directory by a directory.
    ///
    /// Two cases are not one step: a file in the place of a link or the reverse, where a name is shortened or the
    /// storage cannot exchange entries, removes the replaced one first.
    ///
    /// # Errors
    ///
    /// `NotFound`; `AlreadyExists` for [`Replace::Never`]; `NotEmpty`, `IsADirectory`, `NotADirectory` as POSIX has them
    /// where nothing can be replaced; `InvalidArgument` for a directory that would lie within itself, and for an
    /// exchange that is not possible in one step; `NameTooLong`; `ReadOnly`; else what the storage says.
    pub fn rename(
        &self,
        from: (&Arc<Node>, &Name),
        to: (&Arc<Node>, &Name),
        replace: Replace,
        now: Instant,
    ) -> Result<()> {
        self.expect_writable()?;
        if [from.1, to.1].iter().any(|name| name.as_str().len() > MAX_NAME_LEN) {
            return Err(ErrorKind::NameTooLong.into());
        }
        if replace == Replace::Always {
            self.flush_before_replacing(from, to, now)?;
        }
        if let Some(replaced) = self.tree.rename(from, to, replace, now)? {
            self.forget(&replaced);
        }
        Ok(())
    }

    /// A file that takes the place of another is all in storage before: else a crash would leave neither the old content
    /// nor the new.
    fn flush_before_replacing(
        &self,
        (dir, name): (&Arc<Node>, &Name),
        to: (&Arc<Node>, &Name),
        now: Instant,
    ) -> Result<()> {
        let is_free = |known: &Result<Arc<Node>>| {
            known.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        // Whatever is still believed of the tree: what is unsaved knows its place.
        let unsaved = self.files.unsaved_at(dir, name);
        if unsaved.is_empty() || self.resident.lookup(to.0, to.1, now).ready().as_ref().is_some_and(is_free) {
            return Ok(());
        }
        let file = |shared| File::new(shared, Arc::clone(&self.files), true);
        unsaved.into_iter().map(file).try_for_each(|file| file.flush(now).map(drop))
    }

    /// A node is gone. Whoever has it open may ask what it is like.
    fn forget(&self, node: &Node) {
        if let Some(file) = self.resident.gone_file(node) {
            file.went(self.resident.nodes.last_attributes(node));
        }
        self.resident.nodes.forget_gone(node);
        self.resident.registry.removed(node.id());
        self.files.removed(node);
    }

    /// Makes durable what was made in a directory, moved into it or removed from it, and all that leads to it. The
    /// contents of files are for [`File::sync`](crate::File::sync).
    ///
    /// # Errors
    ///
    /// `NotADirectory`, `NotFound`, and what the storage says.
    pub fn sync_dir(&self, dir: &Arc<Node>) -> Result<()> {
        if dir.kind() != NodeKind::Directory {
            return Err(ErrorKind::NotADirectory.into());
        }
        self.expect_writable()?;
        self.tree.sync_directory(dir)
    }

    pub(crate) fn expect_writable(&self) -> Result<()> {
        if self.read_only { Err(ErrorKind::ReadOnly.into()) } else { Ok(()) }
    }
}

fn is_lost_by_writing(mode: u32) -> bool {
    mode & SET_IDS != 0
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::storage::MemoryStorage;
    use crate::testing::{Recipe, VaultBuilder};
    use crate::unlock::{Locked, Passphrase};
    use crate::vault::VaultOptions;

    #[test]
    fn regression_a_new_file_is_the_same_for_whoever_opens_it_before_it_is_opened() {
        let storage = Arc::new(MemoryStorage::default());
        VaultBuilder::create(&*storage, Recipe::default()).unwrap();
        let locked = Locked::read(storage).unwrap();
        let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
        let (root, name, now) = (vault.root(), Name::new("file").unwrap(), Instant::now());
        let created = vault.tree.create(&root, &name, &Attributes::default(), now).unwrap();
        let other = vault.open_for_writing(&vault.lookup(&root, &name, now).unwrap(), now).unwrap();
        other.write_at(0, b"one ", SystemTime::now()).unwrap();
        other.flush(now).unwrap();
        let file = vault.open_new(created, now);
        assert_eq!(vault.attributes(file.node(), now).unwrap().len, 4);
        file.write_at(4, b"and the other", SystemTime::now()).unwrap();
        other.write_at(0, b"One", SystemTime::now()).unwrap();
        other.flush(now).unwrap();
        file.flush(now).unwrap();
        let fresh = vault.afresh(&VaultOptions::default());
        let file = fresh.open(&fresh.lookup(&fresh.root(), &name, now).unwrap(), now).unwrap();
        let mut buf = [0; 100];
        let len = file.read_at(0, &mut buf).unwrap();
        assert_eq!(buf.get(..len).unwrap(), b"One and the other");
    }
}
