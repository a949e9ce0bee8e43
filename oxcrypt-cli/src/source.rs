//! An open vault as commands ask it: storage that does not answer costs an entry, and not the command.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::chunk::Torn;
use oxcrypt_core::{
    Entry, File, Follow, Found, LinkTarget, Listing, Node, NodeAttributes, Vault, VaultOptions, VaultPath,
};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::sched::plan::Class;
use oxcrypt_io::volume::{Error, Volume, VolumeOptions};
use zeroize::Zeroizing;

use crate::exit::{Failure, Result};
use crate::problem::Problem;
use crate::writer_lock::WriterLock;

mod change;

pub(crate) use change::Place;

/// What is read into; wiped when dropped.
pub(crate) type Buffer = Zeroizing<Vec<u8>>;

/// An open vault; its copies are the same one. Every method blocks, and where storage may hang, for no longer than the patience it was given.
#[derive(Clone)]
pub(crate) struct Source {
    volume: Arc<Volume>,
    patience: Duration,
    /// Held for as long as anybody may change the vault.
    _lock: Option<Arc<WriterLock>>,
}

/// A file that is open. Dropping it never waits.
pub(crate) struct Opened {
    volume: Arc<Volume>,
    node: Arc<Node>,
    /// There until this is dropped.
    file: Option<Arc<File>>,
}

impl Source {
    /// Starts what it takes to wait for a vault.
    pub(crate) fn new(vault: Vault, patience: Duration) -> Result<Self> {
        let volume =
            Volume::start(Arc::new(vault), VolumeOptions::default(), Arc::new(SystemClock::new()))
                .map_err(|error| Failure::failed(format_args!("the system refuses a thread: {error}")))?;
        Ok(Self { volume: Arc::new(volume), patience, _lock: None })
    }

    /// The same vault, to be changed by whoever has `lock`.
    pub(crate) fn held_by(self, lock: WriterLock) -> Self {
        Self { _lock: Some(Arc::new(lock)), ..self }
    }

    /// The same vault, asked with less patience; `None` where that is no difference.
    pub(crate) fn hurried(&self, patience: Duration) -> Option<Self> {
        let differs = self.may_block() && patience < self.patience;
        differs.then(|| Self { patience, ..self.clone() })
    }

    /// The vault, for what needs no storage.
    pub(crate) fn vault(&self) -> &Vault {
        self.volume.vault()
    }

    /// The same vault with nothing of it in memory, for whoever wants to know what storage has.
    pub(crate) fn afresh(&self, options: &VaultOptions) -> Result<Self> {
        Self::new(self.vault().afresh(options), self.patience)
    }

    /// Whether an answer may take long, so that many questions should be under way at a time.
    pub(crate) fn may_block(&self) -> bool {
        self.vault().habits().may_block
    }

    /// How many should work at a time: more than there are processors, so that one that waits for storage leaves another
    /// at work; and `patient`, far more, where some may wait for long.
    pub(crate) fn workers(&self, patient: usize) -> usize {
        let processors = thread::available_parallelism().map_or(3, NonZero::get);
        if self.may_block() { patient } else { (processors + 1).clamp(3, 12) }
    }

    pub(crate) fn resolve(&self, path: &VaultPath, follow: Follow) -> Result<Arc<Node>, Error> {
        let path = path.clone();
        self.ask(&self.vault().root(), move |vault, now| vault.resolve(&path, follow, now))
    }

    pub(crate) fn list(&self, dir: &Arc<Node>) -> Result<Arc<Listing>, Error> {
        let about = Arc::clone(dir);
        self.ask(dir, move |vault, now| vault.list(&about, now))
    }

    /// Finds the entry of a name in a directory.
    pub(crate) fn lookup(&self, (dir, name): Place<'_>) -> Result<Arc<Node>, Error> {
        let (about, name) = (Arc::clone(dir), name.clone());
        self.ask(dir, move |vault, now| vault.lookup(&about, &name, now))
    }

    /// The node of a listed entry, or why there is none.
    pub(crate) fn node(&self, dir: &Arc<Node>, entry: &Entry) -> Result<Arc<Node>, Problem> {
        match entry {
            Entry::Sound(found) => self.found(dir, found).map_err(Problem::from),
            Entry::Damaged(damaged) => {
                Err(Problem::new(format_args!("{} ({})", damaged.damage(), damaged.path())))
            }
        }
    }

    /// The node of an entry that `dir` has listed.
    pub(crate) fn found(&self, dir: &Arc<Node>, found: &Found) -> Result<Arc<Node>, Error> {
        let (within, found) = (Arc::clone(dir), found.clone());
        self.ask(dir, move |vault, now| vault.node(&within, &found, now))
    }

    pub(crate) fn attributes(&self, node: &Arc<Node>) -> Result<NodeAttributes, Error> {
        let about = Arc::clone(node);
        self.ask(node, move |vault, now| vault.attributes(&about, now))
    }

    pub(crate) fn read_link(&self, node: &Arc<Node>) -> Result<LinkTarget, Error> {
        let about = Arc::clone(node);
        self.ask(node, move |vault, now| vault.read_link(&about, now))
    }

    pub(crate) fn open(&self, node: &Arc<Node>) -> Result<Opened, Error> {
        let about = Arc::clone(node);
        let file = self.ask(node, move |vault, now| vault.open(&about, now).map(Arc::new))?;
        Ok(self.opened(file))
    }

    fn opened(&self, file: Arc<File>) -> Opened {
        Opened { volume: Arc::clone(&self.volume), node: Arc::clone(file.node()), file: Some(file) }
    }

    fn ask<T: Send + 'static>(
        &self,
        about: &Arc<Node>,
        work: impl FnOnce(&Vault, Instant) -> oxcrypt_core::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.perform(about, Class::Meta, work)
    }

    fn perform<T: Send + 'static>(
        &self,
        about: &Arc<Node>,
        class: Class,
        work: impl FnOnce(&Vault, Instant) -> oxcrypt_core::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.volume.perform(about, class, self.patience, work)
    }

    /// Reads up to `want` bytes at `offset` into the beginning of `buffer`, as [`File::read_at`] does.
    pub(crate) fn read_at(
        &self,
        opened: &Opened,
        offset: u64,
        buffer: &mut Buffer,
        want: usize,
    ) -> Result<usize, Error> {
        let Some(file) = &opened.file else { return Ok(0) };
        if !self.may_block() {
            let into = buffer.get_mut(..want).unwrap_or_default();
            return Ok(file.read_at(offset, into)?);
        }
        // It goes with the operation, and comes back unless that comes too late.
        let (len, mut lent, file) = (buffer.len(), std::mem::take(buffer), Arc::clone(file));
        let about = Arc::clone(file.node());
        let read = self.volume.perform(&about, Class::Demand, self.patience, move |_, _| {
            let read = file.read_at(offset, lent.get_mut(..want).unwrap_or_default());
            Ok((lent, read))
        });
        match read {
            Ok((lent, read)) => {
                *buffer = lent;
                Ok(read?)
            }
            Err(error) => {
                *buffer = Zeroizing::new(vec![0; len]);
                Err(error)
            }
        }
    }
}

impl Opened {
    /// Set where the ciphertext is cut off.
    pub(crate) fn torn(&self) -> Option<Torn> {
        self.file.as_ref().and_then(|file| file.torn())
    }

    /// The entry it was opened by.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Length of the cleartext.
    pub(crate) fn len(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.len())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && self.volume.vault().habits().may_block
        {
            self.volume.drop_later(&Arc::clone(file.node()), file);
        }
    }
}
