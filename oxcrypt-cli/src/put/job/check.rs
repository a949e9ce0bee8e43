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
