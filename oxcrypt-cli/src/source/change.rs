//! What commands change in a vault.

use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::storage::{Attributes, Replace};
use oxcrypt_core::{File, Name, Node, Stored};
use oxcrypt_io::sched::plan::Class;
use oxcrypt_io::volume::Error;
use zeroize::Zeroizing;

use super::{Buffer, Opened, Source};

/// A name in a directory.
pub(crate) type Place<'p> = (&'p Arc<Node>, &'p Name);

/// Each of these that gets no answer in time may still be carried out later, but for what had not begun.
impl Source {
    /// Makes an empty file, open for writing.
    pub(crate) fn create(&self, (dir, name): Place<'_>) -> Result<Opened, Error> {
        let (about, name) = (Arc::clone(dir), name.clone());
        let file = self.change(dir, move |vault, now| vault.create(&about, &name, now).map(Arc::new))?;
        Ok(self.opened(file))
    }

    pub(crate) fn make_dir(&self, (dir, name): Place<'_>) -> Result<Arc<Node>, Error> {
        let (about, name) = (Arc::clone(dir), name.clone());
        self.change(dir, move |vault, now| vault.make_dir(&about, &name, now))
    }

    pub(crate) fn make_symlink(&self, (dir, name): Place<'_>, target: &str) -> Result<Arc<Node>, Error> {
        let (about, name, target) = (Arc::clone(dir), name.clone(), Zeroizing::new(target.to_owned()));
        self.change(dir, move |vault, now| vault.make_symlink(&about, &name, &target, now))
    }

    /// Removes a file or link.
    pub(crate) fn remove(&self, (dir, name): Place<'_>) -> Result<(), Error> {
        let (about, name) = (Arc::clone(dir), name.clone());
        self.change(dir, move |vault, now| vault.remove(&about, &name, now))
    }

    /// Removes an empty directory.
    pub(crate) fn remove_dir(&self, (dir, name): Place<'_>) -> Result<(), Error> {
        let (about, name) = (Arc::clone(dir), name.clone());
        self.change(dir, move |vault, now| vault.remove_dir(&about, &name, now))
    }

    pub(crate) fn rename(&self, from: Place<'_>, to: Place<'_>, replace: Replace) -> Result<(), Error> {
        let (from_dir, from_name) = (Arc::clone(from.0), from.1.clone());
        let (to_dir, to_name) = (Arc::clone(to.0), to.1.clone());
        self.change(from.0, move |vault, now| {
            vault.rename((&from_dir, &from_name), (&to_dir, &to_name), replace, now)
        })
    }

    /// Says when the content of an entry was changed last.
    pub(crate) fn set_modified(&self, node: &Arc<Node>, modified: SystemTime) -> Result<(), Error> {
        let about = Arc::clone(node);
        let change = Attributes { modified: Some(modified), ..Attributes::default() };
        self.change(node, move |vault, now| vault.set_attributes(&about, &change, now))
    }

    /// Makes the entries of a directory durable.
    pub(crate) fn sync_dir(&self, dir: &Arc<Node>) -> Result<(), Error> {
        let about = Arc::clone(dir);
        self.change(dir, move |vault, _| vault.sync_dir(&about))
    }

    /// Writes the first `len` bytes of `buffer` at `offset`. With `store`, what chunks are full by then goes to storage
    /// at once, while it is in the processor's cache; else when it has to.
    pub(crate) fn write_at(
        &self,
        opened: &Opened,
        offset: u64,
        buffer: &mut Buffer,
        len: usize,
        store: bool,
    ) -> Result<(), Error> {
        let Some(file) = &opened.file else { return Ok(()) };
        if !self.may_block() {
            return Ok(write(file, offset, buffer.get(..len).unwrap_or_default(), store)?);
        }
        // It goes with the operation, and comes back unless that comes too late.
        let (capacity, lent, file) = (buffer.len(), std::mem::take(buffer), Arc::clone(file));
        let about = Arc::clone(file.node());
        let written = self.volume.perform(&about, Class::WriteBack, self.patience, move |_, _| {
            let written = write(&file, offset, lent.get(..len).unwrap_or_default(), store);
            Ok((lent, written))
        });
        match written {
            Ok((lent, written)) => {
                *buffer = lent;
                Ok(written?)
            }
            Err(error) => {
                *buffer = Zeroizing::new(vec![0; capacity]);
                Err(error)
            }
        }
    }

    /// Has storage take everything that was written, and keep it over a loss of power where `durably` says so.
    pub(crate) fn store(&self, opened: &Opened, durably: bool) -> Result<Stored, Error> {
        let Some(file) = &opened.file else { return Ok(Stored::InPlace) };
        let (about, file) = (Arc::clone(file.node()), Arc::clone(file));
        self.perform(
            &about,
            Class::WriteBack,
            move |_, now| {
                if durably { file.sync(now) } else { file.flush(now) }
            },
        )
    }

    fn change<T: Send + 'static>(
        &self,
        about: &Arc<Node>,
        work: impl FnOnce(&oxcrypt_core::Vault, std::time::Instant) -> oxcrypt_core::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.perform(about, Class::Namespace, work)
    }
}

fn write(file: &File, offset: u64, bytes: &[u8], store: bool) -> oxcrypt_core::Result<()> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += file.write_at(offset + at as u64, rest, SystemTime::now())?;
    }
    if store {
        file.store_some()?;
    }
    Ok(())
}
