//! Changes of the tree: entries made, removed and moved.

use std::sync::Arc;
use std::time::Instant;

use super::Vault;
use crate::error::{ErrorKind, Result};
use crate::name::Name;
use crate::node::{Node, NodeKind};
use crate::storage::Replace;

impl Vault {
    /// Creates an empty directory.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `NotADirectory`, and `NotFound` if `dir` was removed; `Incomplete` if its content directory is
    /// missing; `NameTooLong`; `ReadOnly`; else what the storage says. Nothing is there then that was not before, but
    /// where the storage lets nothing be cleared up: an empty content directory that nothing leads to, or an entry that
    /// does not say what it is.
    pub fn make_dir(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<Arc<Node>> {
        self.expect_writable()?;
        self.tree.make_dir(dir, name, now)
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
        self.expect_writable()?;
        self.tree.make_symlink(dir, name, target, now)
    }

    /// Removes a file or symbolic link. Whoever has the file open reads and writes on.
    ///
    /// # Errors
    ///
    /// `NotFound`; `IsADirectory`; `NotEmpty` where the entry has a folder with something in it that is not the vault's;
    /// `ReadOnly`; else what the storage says.
    pub fn remove(&self, dir: &Arc<Node>, name: &Name, now: Instant) -> Result<()> {
        self.expect_writable()?;
        self.tree.remove(dir, name, now)?;
        Ok(())
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
        self.tree.rename(from, to, replace, now)
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

    pub(super) fn expect_writable(&self) -> Result<()> {
        if self.read_only { Err(ErrorKind::ReadOnly.into()) } else { Ok(()) }
    }
}
