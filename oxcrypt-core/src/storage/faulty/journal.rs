//! What was changed, in order, and what a crash leaves of it.

use std::io;
use std::sync::Arc;

use super::super::memory::MemoryFile;
use super::super::{Attributes, BlockFile, BlockStorage, EntryKind, MemoryStorage};
use super::coin::Coin;
use super::losses;
use super::mutation::Mutation;

/// Where a write may tear.
const PAGE: u64 = 4_096;

/// How everything stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process was killed: what was done before is whole, and what was being done is torn. Of a write its first
    /// `pages` pages of 4 KiB are there; anything else is done if that is not 0.
    Kill {
        /// How far the call had come.
        pages: u64,
    },
    /// The machine lost power: of writes that were not synced any page may be missing, and of changes to folders any
    /// number of the last ones, but for those in a folder that was synced after them.
    PowerLoss {
        /// Decides what is missing: another seed, another loss.
        seed: u64,
    },
}

/// All changes to a store since it was `base`.
pub(super) struct Journal {
    base: MemoryStorage,
    mutations: Vec<Mutation>,
}

impl Journal {
    pub(super) fn new(base: MemoryStorage) -> Self {
        Self { base, mutations: Vec::new() }
    }

    pub(super) fn push(&mut self, mutation: Mutation) {
        self.mutations.push(mutation);
    }

    pub(super) fn len(&self) -> usize {
        self.mutations.len()
    }

    pub(super) fn image(&self, at: usize, crash: Crash) -> MemoryStorage {
        let (done, rest) = self.mutations.split_at(at.min(self.mutations.len()));
        let mut image = Image { storage: self.base.snapshot(), files: Vec::new() };
        match crash {
            Crash::Kill { pages } => {
                for mutation in done {
                    image.apply(mutation);
                }
                match rest.first() {
                    Some(Mutation::Write { id, offset, bytes }) => {
                        image.write(*id, *offset, bytes, |page| page < pages);
                    }
                    Some(mutation) if pages > 0 => image.apply(mutation),
                    _ => {}
                }
            }
            Crash::PowerLoss { seed } => image.apply_with_losses(done, &mut Coin::new(seed)),
        }
        image.storage
    }
}

/// A store that changes are made to again. Files are kept by their number, as handles keep them.
struct Image {
    storage: MemoryStorage,
    files: Vec<Arc<MemoryFile>>,
}

impl Image {
    fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Write { id, offset, bytes } => self.write(*id, *offset, bytes, |_| true),
            Mutation::SetLen { id, len } => self.on_file(*id, |file| file.set_len(*len)),
            Mutation::ChangeFile { id, change } => self.change_file(*id, change),
            Mutation::Sync { .. } | Mutation::SyncDir { .. } => {}
            folders => self.change_folders(folders),
        }
    }

    /// Keeps of all changes to folders those that [`losses`] keeps, and of each unsynced write any pages.
    fn apply_with_losses(&mut self, done: &[Mutation], coin: &mut Coin) {
        let kept = losses::kept(done, coin);
        let mut lost = Vec::new();
        for (number, (mutation, is_kept)) in done.iter().zip(kept).enumerate() {
            let is_synced = |id: u64| {
                let later = done.iter().skip(number + 1);
                later
                    .into_iter()
                    .any(|mutation| matches!(mutation, Mutation::Sync { id: synced } if *synced == id))
            };
            match mutation {
                Mutation::Write { id, offset, bytes } => {
                    let synced = is_synced(*id);
                    self.write(*id, *offset, bytes, |_| synced || coin.toss());
                }
                Mutation::SetLen { id, len } if is_synced(*id) || coin.toss() => {
                    self.on_file(*id, |file| file.set_len(*len));
                }
                Mutation::ChangeFile { id, change } if is_synced(*id) || coin.toss() => {
                    self.change_file(*id, change);
                }
                Mutation::SetLen { .. }
                | Mutation::ChangeFile { .. }
                | Mutation::Sync { .. }
                | Mutation::SyncDir { .. } => {}
                // A file that nobody finds again may still be written to by its number.
                Mutation::Create { path, id, .. } => {
                    self.change_folders(mutation);
                    lost.extend((!is_kept).then_some((path, *id)));
                }
                folders if is_kept => self.change_folders(folders),
                _ => {}
            }
        }
        for (path, id) in lost {
            let there = self.storage.metadata(path).ok().and_then(|there| there.identity);
            if there.is_some_and(|there| there.file == id) {
                expected(self.storage.remove(path, EntryKind::File));
            }
        }
    }

    fn change_folders(&mut self, mutation: &Mutation) {
        let storage = &self.storage;
        expected(match mutation {
            Mutation::Create { path, id, mode } => {
                storage.create_file(path, *id, *mode).map(|file| self.files.push(file))
            }
            Mutation::CreateDir { path } => storage.create_dir(path),
            Mutation::Remove { path, kind } => {
                self.files.extend(storage.metadata(path).ok().and_then(|at| storage.file(at.identity?.file)));
                storage.remove(path, *kind)
            }
            Mutation::Rename { from, to, replace } => {
                self.files.extend(storage.metadata(to).ok().and_then(|at| storage.file(at.identity?.file)));
                storage.rename(from, to, *replace)
            }
            Mutation::SetAttributes { path, change } => storage.set_attributes(path, change).map(drop),
            _ => Ok(()),
        });
    }

    /// Writes those pages of `bytes` that `keep` wants, by their number within the write.
    fn write(&mut self, id: u64, offset: u64, bytes: &[u8], mut keep: impl FnMut(u64) -> bool) {
        let end = offset + bytes.len() as u64;
        let (mut at, mut page) = (offset, 0);
        while at < end {
            let until = ((at / PAGE + 1) * PAGE).min(end);
            if keep(page) {
                let part = usize::try_from(at - offset).ok().zip(usize::try_from(until - offset).ok());
                let part = part.and_then(|(from, to)| bytes.get(from..to)).unwrap_or_default();
                self.on_file(id, |file| file.write_at(at, part));
            }
            (at, page) = (until, page + 1);
        }
    }

    fn change_file(&self, id: u64, change: &Attributes) {
        self.on_file(id, |file| {
            file.change(change);
            Ok(())
        });
    }

    fn on_file(&self, id: u64, change: impl FnOnce(&Arc<MemoryFile>) -> io::Result<()>) {
        let kept = self.files.iter().find(|file| file.id == id).map(Arc::clone);
        if let Some(file) = kept.or_else(|| self.storage.file(id)) {
            expected(change(&file));
        }
    }
}

/// What follows from a lost change may not be possible any more; anything else is a fault of this journal.
fn expected(result: io::Result<()>) {
    if let Err(error) = result {
        use io::ErrorKind as Kind;
        let follows = matches!(
            error.kind(),
            Kind::NotFound
                | Kind::AlreadyExists
                | Kind::NotADirectory
                | Kind::IsADirectory
                | Kind::DirectoryNotEmpty
        );
        assert!(follows, "a recorded change cannot be made again: {error}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FaultyStorage;
    use super::*;
    use crate::ciphertext_path::CiphertextPath;
    use crate::storage::OpenMode;

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    fn read(storage: &MemoryStorage, file: &str) -> Option<Vec<u8>> {
        storage.read(&path(file), 1 << 20).ok()
    }

    #[test]
    fn a_kill_tears_the_running_write_at_a_page() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.write_new(&path("a"), &[1; 10_000]).unwrap();
        let image = |at, pages| read(&storage.crash_image(at, Crash::Kill { pages }), "a");
        assert_eq!(image(0, 0), None);
        assert_eq!(image(0, 1), Some(vec![]));
        assert_eq!(image(1, 0), Some(vec![]));
        assert_eq!(image(1, 2), Some(vec![1; 8_192]));
        assert_eq!(image(1, 3), Some(vec![1; 10_000]));
        assert_eq!(image(2, 0), Some(vec![1; 10_000]));
    }

    #[test]
    fn a_write_tears_where_pages_of_the_file_end() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        let (file, _) = storage.open(&path("a"), OpenMode::CreateNew { mode: None }).unwrap();
        file.write_at(4_000, &[1; 200]).unwrap();
        let image = storage.crash_image(1, Crash::Kill { pages: 1 });
        assert_eq!(read(&image, "a").unwrap().len(), 4_096);
    }

    #[test]
    fn a_file_removed_while_open_takes_its_writes_with_it() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        let (file, _) = storage.open(&path("a"), OpenMode::CreateNew { mode: None }).unwrap();
        storage.remove(&path("a"), EntryKind::File).unwrap();
        storage.write_new(&path("a"), b"new").unwrap();
        file.write_at(0, b"old").unwrap();
        assert_eq!(read(&storage.crash_image(usize::MAX, Crash::Kill { pages: 0 }), "a").unwrap(), b"new");
    }

    proptest! {
        #[test]
        fn what_was_synced_survives_a_power_loss(seed: u64, len in 0..20_000usize) {
            let storage = FaultyStorage::new(&MemoryStorage::default());
            let (file, _) = storage.open(&path("synced"), OpenMode::CreateNew { mode: None }).unwrap();
            file.write_at(0, &vec![1; len]).unwrap();
            file.sync().unwrap();
            storage.sync_dir(&CiphertextPath::root()).unwrap();
            file.write_at(len as u64, &[2; 10_000]).unwrap();
            storage.write_new(&path("lost or not"), b"x").unwrap();
            let image = storage.crash_image(usize::MAX, Crash::PowerLoss { seed });
            let left = read(&image, "synced").unwrap();
            prop_assert_eq!(&left[..len], &vec![1; len]);
            prop_assert!(left[len..].iter().all(|byte| matches!(byte, 0 | 2)));
        }
    }

    #[test]
    fn what_was_not_synced_may_be_lost_and_may_be_there() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.write_new(&path("a"), &[1; 8_192]).unwrap();
        let images: std::collections::BTreeSet<_> = (0..200)
            .map(|seed| read(&storage.crash_image(usize::MAX, Crash::PowerLoss { seed }), "a"))
            .collect();
        let torn = [vec![0; 4_096], vec![1; 4_096]].concat();
        for possible in [None, Some(vec![]), Some(vec![1; 4_096]), Some(torn), Some(vec![1; 8_192])] {
            assert!(images.contains(&possible));
        }
    }
}
