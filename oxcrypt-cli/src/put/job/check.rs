//! Reading back what storage has.

use std::sync::Arc;

use oxcrypt_core::Name;
use sha2::{Digest as _, Sha256};

use super::super::directory::Directory;
use super::super::origin::BLOCK_LEN;
use super::super::stopped::Stopped;
use super::Job;
use crate::drafts::Draft;
use crate::source::Buffer;

const DIFFERENT: Stopped = Stopped::Refused("what storage has is not what was written");

impl Job<'_> {
    /// Compares what storage has of a file with what was read, before that takes the place of anything.
    pub(super) fn check_content(
        &self,
        directory: &Arc<Directory>,
        draft: &Draft,
        len: u64,
        expected: &[u8; 32],
        buffer: &mut Buffer,
    ) -> Result<(), Stopped> {
        let Some(fresh) = &self.filling.fresh else { return Ok(()) };
        let dir = directory.afresh(fresh)?;
        let file = fresh.open(&fresh.lookup((&dir, draft.name()))?)?;
        let (mut hash, mut at) = (Sha256::new(), 0);
        loop {
            let count = fresh.read_at(&file, at, buffer, BLOCK_LEN)?;
            hash.update(buffer.get(..count).unwrap_or_default());
            at += count as u64;
            if self.run.is_over() {
                return Err(Stopped::Asked);
            }
            if count < BLOCK_LEN {
                break;
            }
        }
        let is_same = at == len && hash.finalize().as_slice() == expected;
        if is_same { Ok(()) } else { Err(DIFFERENT) }
    }

    /// Sees to it that storage has it under its name.
    pub(super) fn check_name(
        &self,
        directory: &Arc<Directory>,
        name: &Name,
        len: u64,
    ) -> Result<(), Stopped> {
        let Some(fresh) = &self.filling.fresh else { return Ok(()) };
        let found = fresh.lookup((&directory.afresh(fresh)?, name))?;
        if fresh.attributes(&found)?.len == len { Ok(()) } else { Err(DIFFERENT) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oxcrypt_core::storage::{BlockStorage as _, MemoryStorage, OpenMode};
    use oxcrypt_core::testing::{Recipe, VaultBuilder};
    use oxcrypt_core::unlock::{Locked, Passphrase};
    use oxcrypt_core::{CiphertextPath, VaultOptions};

    use super::super::super::directory::Filling;
    use super::super::Settings;
    use super::*;
    use crate::drafts::Drafts;
    use crate::interrupt::Interrupt;
    use crate::output::Console;
    use crate::progress::Words;
    use crate::source::Source;

    const CONTENT: &[u8] = b"what was read";

    /// Does something to storage between writing and reading back. Returns what the check says.
    fn checked(
        expected: &[u8],
        meanwhile: impl FnOnce(&MemoryStorage, &CiphertextPath),
    ) -> Result<(), String> {
        let storage = Arc::new(MemoryStorage::default());
        VaultBuilder::create(&*storage, Recipe::default()).unwrap();
        let locked = Locked::read(Arc::<MemoryStorage>::clone(&storage)).unwrap();
        let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
        let source = Source::new(vault, Duration::from_mins(1)).unwrap();
        let fresh = source.afresh(&VaultOptions::default().read_only(true)).unwrap();
        let filling = Filling::new(&source, Drafts::new(&source), Some(fresh));
        let directory = Directory::open(&filling, source.vault().root()).unwrap();
        let mut draft = filling.drafts.file(directory.node()).unwrap();
        let node = source.lookup((directory.node(), draft.name())).unwrap();
        let mut buffer = Buffer::new(vec![0; BLOCK_LEN]);
        buffer[..CONTENT.len()].copy_from_slice(CONTENT);
        draft.write_at(0, &mut buffer, CONTENT.len(), false).unwrap();
        draft.store(false).unwrap();
        meanwhile(&storage, &source.vault().content_path(&node));

        let (console, interrupt) = (Console::new(true, false), Interrupt::default());
        let settings = Settings { no_clobber: false, resume: false, workers: 1 };
        let words = Words { done: "encrypted", destination: "vault's storage" };
        let job = Job::new(Arc::clone(&filling), settings, words, &console, &interrupt, &|_| ());
        let hash = Sha256::digest(expected).into();
        let checked = job.check_content(&directory, &draft, expected.len() as u64, &hash, &mut buffer);
        checked.map_err(|stopped| stopped.to_string())
    }

    #[test]
    fn what_storage_has_as_it_was_read_is_right() {
        assert_eq!(checked(CONTENT, |_, _| ()), Ok(()));
    }

    #[test]
    fn what_storage_has_otherwise_is_found() {
        let other = checked(b"what was ---d", |_, _| ()).unwrap_err();
        assert!(other.contains("not what was written"), "{other}");
        let flipped = checked(CONTENT, |storage, path| {
            let (file, metadata) = storage.open(path, OpenMode::ReadWrite).unwrap();
            file.write_at(metadata.len - 20, b"x").unwrap();
        });
        assert!(flipped.unwrap_err().contains("authenticate"));
        let cut = checked(CONTENT, |storage, path| {
            storage.open(path, OpenMode::ReadWrite).unwrap().0.set_len(68).unwrap();
        });
        assert!(cut.unwrap_err().contains("not what was written"));
    }
}
