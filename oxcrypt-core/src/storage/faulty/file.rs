//! An open file of a store that fails on purpose.

use std::io;
use std::sync::Arc;

use super::super::{Attributes, BlockFile, Metadata};
use super::mutation::Mutation;
use super::{Method, Shared};
use crate::ciphertext_path::CiphertextPath;

#[derive(Debug)]
pub(super) struct FaultyFile {
    pub(super) inner: Box<dyn BlockFile>,
    pub(super) path: CiphertextPath,
    pub(super) id: u64,
    pub(super) shared: Arc<Shared>,
}

impl FaultyFile {
    fn record_write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mutation = || Mutation::Write { id: self.id, offset, bytes: bytes.to_vec() };
        self.shared.record(mutation, || self.inner.write_at(offset, bytes))
    }
}

impl BlockFile for FaultyFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let extent = self.shared.admit(Method::ReadAt, &self.path)?;
        let read = self.inner.read_at(offset, extent.of_read(buf));
        extent.end(read)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let extent = self.shared.admit(Method::TryReadAt, &self.path)?;
        let read = self.inner.try_read_at(offset, extent.of_read(buf));
        extent.end(read)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let extent = self.shared.admit(Method::WriteAt, &self.path)?;
        let (first, rest) = extent.of_write(buf);
        let written = self.record_write(offset, first);
        extent.end(written)?;
        if rest.is_empty() { Ok(()) } else { self.record_write(offset + first.len() as u64, rest) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let extent = self.shared.admit(Method::SetLen, &self.path)?;
        extent.end(self.shared.record(|| Mutation::SetLen { id: self.id, len }, || self.inner.set_len(len)))
    }

    fn sync(&self) -> io::Result<()> {
        let extent = self.shared.admit(Method::Sync, &self.path)?;
        extent.end(self.shared.record(|| Mutation::Sync { id: self.id }, || self.inner.sync()))
    }

    fn set_attributes(&self, change: &Attributes) -> io::Result<Metadata> {
        let extent = self.shared.admit(Method::SetAttributes, &self.path)?;
        let mutation = || Mutation::ChangeFile { id: self.id, change: change.clone() };
        extent.end(self.shared.record(mutation, || self.inner.set_attributes(change)))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::{Crash, FaultyStorage, Gate, Verdict};
    use super::*;
    use crate::storage::{BlockStorage, MemoryStorage, OpenMode};

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    #[test]
    fn a_write_that_fails_on_its_way_has_stored_a_part_for_storage_and_journal() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        let (file, _) = storage.open(&path("a"), OpenMode::CreateNew { mode: None }).unwrap();
        storage.on_call(|call| match call.method {
            Method::WriteAt => Verdict::FailAfter(2, io::ErrorKind::StorageFull),
            _ => Verdict::Pass,
        });
        assert_eq!(file.write_at(1, b"abc").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.write_at(3, b"d").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(storage.read(&path("a"), 10).unwrap(), b"\0abd");
        let image = storage.crash_image(usize::MAX, Crash::Kill { pages: 0 });
        assert_eq!(image.read(&path("a"), 10).unwrap(), b"\0abd");
    }

    #[test]
    fn a_short_read_ends_early() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.write_new(&path("a"), b"abcdef").unwrap();
        let (file, _) = storage.open(&path("a"), OpenMode::ReadWrite).unwrap();
        storage.on_call(|_| Verdict::Short(2));
        let mut buf = [0xee; 4];
        assert_eq!(file.read_at(1, &mut buf).unwrap(), 2);
        assert_eq!(&buf, b"bc\xee\xee");
        assert_eq!(file.try_read_at(4, &mut buf).unwrap(), 2);
        assert_eq!(file.read_at(5, &mut buf).unwrap(), 1);
        file.write_at(0, b"ABCDEF").unwrap();
        storage.on_call(|_| Verdict::Pass);
        assert_eq!(storage.read(&path("a"), 10).unwrap(), b"ABCDEF");
    }

    #[test]
    fn a_write_in_two_is_seen_torn_and_its_file_may_be_used_meanwhile() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.write_new(&path("a"), b"old").unwrap();
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        storage.on_call(move |call| match call.method {
            Method::WriteAt => Verdict::HoldAfter(2, Arc::clone(&held)),
            _ => Verdict::Pass,
        });
        let (file, _) = storage.open(&path("a"), OpenMode::ReadWrite).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| file.write_at(0, b"NEW").unwrap());
            gate.wait_for(1);
            assert_eq!(storage.read(&path("a"), 10).unwrap(), b"NEd");
            gate.open();
        });
        assert_eq!(storage.read(&path("a"), 10).unwrap(), b"NEW");
    }
}
