//! A file that is open, closed by a thread that may wait for it.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use oxcrypt_core::{Block, ErrorKind, File, Node, ResidentFile};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Outcome, Part};

use super::Shared;
use super::error::Result;
use super::question::{Ask, object};
use super::read_ahead::Pattern;
use super::value::Value;
use super::write_back::Marks;

/// A file of a [`Volume`](super::Volume) that is open, for reading or for both.
///
/// Whoever drops the last reference does not wait: the backing file is closed by an operation of class
/// [`Class::Close`], which nothing drops, not even the end of the volume. Operations that read it hold a reference.
pub struct OpenFile {
    node: Arc<Node>,
    resident: Arc<ResidentFile>,
    /// There until this is dropped.
    file: Option<File>,
    descriptors: Option<Descriptors>,
    writable: bool,
    pub(super) pattern: Mutex<Pattern>,
    pub(super) marks: Marks,
    pub(super) shared: Arc<Shared>,
}

impl OpenFile {
    pub(super) fn new(file: File, shared: Arc<Shared>) -> Self {
        let (node, resident) = (Arc::clone(file.node()), Arc::clone(file.resident()));
        let writable = file.is_writable();
        let descriptors = Some(shared.descriptors.of(&file, shared.store.vault.habits().may_block));
        Self {
            node,
            resident,
            file: Some(file),
            descriptors,
            writable,
            pattern: Mutex::default(),
            marks: Marks::default(),
            shared,
        }
    }

    /// The entry it was opened by.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What memory has of it: its length, and what it answers without storage.
    #[must_use]
    pub fn resident(&self) -> &Arc<ResidentFile> {
        &self.resident
    }

    /// Whether it may be written to.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The file of the vault, whose methods may block.
    pub(super) fn file(&self) -> Result<&File> {
        self.file.as_ref().ok_or_else(|| oxcrypt_core::Error::new(ErrorKind::InvalidArgument).into())
    }

    /// Does something with the backing file, which may block.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&File) -> oxcrypt_core::Result<T>,
    ) -> oxcrypt_core::Result<T> {
        match &self.file {
            Some(file) => work(file),
            None => Err(ErrorKind::InvalidArgument.into()),
        }
    }

    /// Reads chunks without waiting, if the host can promise that.
    pub(super) fn try_read_block(&self, chunks: Range<u64>) -> Option<Block> {
        self.file.as_ref()?.try_read_block(chunks).ready()
    }

    pub(super) fn pattern<T>(&self, look: impl FnOnce(&mut Pattern) -> T) -> T {
        look(&mut self.pattern.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let (file, descriptors) = (self.file.take(), self.descriptors.take());
        if let Some(file) = file.and_then(|file| self.shared.keep_until_stored(&self.node, file)) {
            // They are there until it is closed.
            self.shared.drop_later(&self.node, (file, descriptors));
        }
    }
}

/// Files of the process that open files hold.
pub(super) struct Descriptors {
    all: Arc<AtomicUsize>,
    /// What of them this stands for.
    count: usize,
}

impl Descriptors {
    /// None, and those of every open file are to be counted by this.
    pub(super) fn none() -> Self {
        Self { all: Arc::default(), count: 0 }
    }

    /// What one open file takes until this is dropped. Where storage may block it may be read by another handle than it is
    /// written by.
    fn of(&self, file: &File, may_block: bool) -> Self {
        let count = if file.is_writable() && may_block { 2 } else { 1 };
        self.all.fetch_add(count, Ordering::Relaxed);
        Self { all: Arc::clone(&self.all), count }
    }

    pub(super) fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        self.all.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Shared {
    /// Drops something that belongs to a file in an operation of class close.
    pub(super) fn drop_later<T: Send + 'static>(&self, about: &Node, thing: T) {
        let close = move || {
            drop(thing);
            Outcome::Done(Value::Nothing)
        };
        let ask = Ask::new(
            Class::Close,
            object(about),
            vec![Part { key: None, job: Box::new(close), pages: 0..0 }],
            Deadline::NEVER,
        );
        self.scheduler.submit(ask.request(Box::new(|_| ())));
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({:?})", self.node)
    }
}
