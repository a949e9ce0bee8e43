//! Writing into a file.

use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::chunk::{ChunkIndex, MAX_FILE_LEN};
use oxcrypt_core::{Attempt, Block, Cleartext, ErrorKind};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Verdict};
use crate::sched::{Job, Settled};
use crate::volume::error::{Cause, Error, Result};
use crate::volume::question::{Ask, Pending, Step, object};
use crate::volume::value::{Value, outcome};
use crate::volume::waiting::Waiting;
use crate::volume::{OpenFile, Question, Shared, Volume};

use super::read::{BLOCK_CHUNKS, block, chunks_of};

/// As much more is made room for in memory as those who write on will want.
const SLACK: usize = 2 << 20;

/// What a write lacks that memory cannot take at once.
enum Lack {
    /// Chunks of which only a part changes.
    Chunks(Vec<ChunkIndex>),
    /// Room in memory.
    Memory,
    /// Room in the storage, as far as is known.
    Space,
}

/// A write that memory cannot take at once, with a copy of what is to be written.
struct Write {
    file: Arc<OpenFile>,
    offset: u64,
    bytes: Cleartext,
    /// How many of the bytes are written.
    done: usize,
    /// Whether a part of the rest is taken where there is no room for all of it: it has waited for room once.
    in_parts: bool,
    deadline: Deadline,
    /// What was read of the chunks that it lacked so far. The cache may have lost them by the time the last is there.
    blocks: Vec<Arc<Block>>,
    /// Counts the copy as long as there is one.
    _waiting: Waiting,
}

impl Volume {
    /// Writes all of `bytes` at `offset`, and tells how many that are. They are in memory then, and everybody sees them;
    /// storage has them after [`flush`](Self::flush), or before.
    ///
    /// Memory answers in the usual case. Where only a part of a chunk changes that is not in memory, that is read first;
    /// where memory holds as much of the file as it may, the answer waits until storage has taken some. Where other files
    /// use up what memory may hold of all, the bytes go there and to storage part by part. At the deadline nothing was
    /// written, or only as many bytes as are told then. The errors are those of [`oxcrypt_core::File::write_at`], and among
    /// them that of an earlier write which could not be stored.
    pub fn write(&self, file: &Arc<OpenFile>, offset: u64, bytes: &[u8]) -> Question<usize> {
        match self.shared.try_write(file, offset, bytes, &[], Space::AsKnown) {
            Ok(None) => Question::known(Ok(bytes.len())),
            Ok(Some(lack)) => self.shared.write_later(file, offset, bytes, &lack),
            Err(error) => Question::known(Err(told(file, error))),
        }
    }
}

/// Whether storage was asked just now how much room it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    AsKnown,
    Asked,
}

impl Shared {
    fn try_write(
        self: &Arc<Self>,
        file: &Arc<OpenFile>,
        offset: u64,
        bytes: &[u8],
        blocks: &[Arc<Block>],
        space: Space,
    ) -> Result<Option<Lack>> {
        let within = self.admission.enter()?;
        let end = offset.saturating_add(bytes.len() as u64);
        let more = end.saturating_sub(file.resident().len());
        // What no file may be as long as is refused without a look at the room for it.
        if space == Space::AsKnown && end <= MAX_FILE_LEN && self.is_tight(more) {
            return Ok(Some(Lack::Space));
        }
        let attempt = file.file()?.try_write_at(offset, bytes, blocks, SystemTime::now());
        drop(within);
        Ok(match attempt? {
            Attempt::Done => {
                self.store_by_and_by(file);
                None
            }
            Attempt::Needs(chunks) => Some(Lack::Chunks(chunks)),
            Attempt::Full => Some(Lack::Memory),
        })
    }

    fn write_later(
        self: &Arc<Self>,
        file: &Arc<OpenFile>,
        offset: u64,
        bytes: &[u8],
        lack: &Lack,
    ) -> Question<usize> {
        let Some(waiting) = self.waiting.enter(bytes.len()) else {
            return Question::known(Err(Error::new(Cause::Busy).at(file.node())));
        };
        let mut copy = Cleartext::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        let deadline = self.write_deadline();
        let write = Write {
            file: Arc::clone(file),
            offset,
            bytes: copy,
            done: 0,
            in_parts: false,
            deadline,
            blocks: Vec::new(),
            _waiting: waiting,
        };
        Question::open(self.ask_for(write, lack))
    }

    /// Asks for what a write lacks, and tries again when that is there.
    fn ask_for(self: &Arc<Self>, mut write: Write, lack: &Lack) -> Pending<usize> {
        if !matches!(lack, Lack::Chunks(_)) {
            // That may take long, and nobody counts the memory that they take.
            write.blocks.clear();
        }
        let (ask, space) = match lack {
            Lack::Chunks(chunks) => (write.ask_for_chunks(chunks), Space::AsKnown),
            Lack::Memory => (write.ask_for_memory(), Space::AsKnown),
            Lack::Space => (write.ask_for_space(), Space::Asked),
        };
        write.in_parts |= matches!(lack, Lack::Memory);
        let shared = Arc::clone(self);
        let finish = move |settled: Settled<Value>| match shared.try_again(&mut write, settled, space) {
            Ok(None) => Step::Done(Ok(write.bytes.len())),
            Ok(Some(lack)) => Step::Again(Box::new(shared.ask_for(write, &lack))),
            // What is written is written; whoever goes on meets the error then.
            Err(_) if write.done > 0 => Step::Done(Ok(write.done)),
            Err(error) => Step::Done(Err(told(&write.file, error))),
        };
        Pending { shared: Arc::clone(self), ask, finish: Box::new(finish) }
    }

    fn try_again(
        self: &Arc<Self>,
        write: &mut Write,
        settled: Settled<Value>,
        space: Space,
    ) -> Result<Option<Lack>> {
        let growth = write.growth();
        for value in settled.values {
            match value {
                // The latest first: an older one of the same chunks is of no use any more.
                Value::Block(block) => write.blocks.insert(0, block),
                Value::Failed(error) => return Err(error.into()),
                Value::Space(space) => {
                    self.space_was_told(space);
                    if space.available < growth {
                        return Err(oxcrypt_core::Error::new(ErrorKind::NoSpace).into());
                    }
                }
                _ => {}
            }
        }
        if settled.verdict != Verdict::Done {
            return Err(Error::of(settled.verdict).at(write.file.node()));
        }
        // Only chunks at its two ends can change in part.
        write.blocks.truncate(2);
        let (offset, rest) = write.rest();
        match self.try_write(&write.file, offset, rest, &write.blocks, space)? {
            Some(Lack::Memory) if write.in_parts => self.write_part(write, space),
            lack => Ok(lack),
        }
    }

    /// Writes as much as there is room for in memory.
    fn write_part(self: &Arc<Self>, write: &mut Write, space: Space) -> Result<Option<Lack>> {
        let (offset, rest) = write.rest();
        let room = write.file.file()?.memory_left(offset).min(rest.len());
        let part = rest.split_at(room).0;
        if part.is_empty() {
            return Ok(Some(Lack::Memory));
        }
        let lack = self.try_write(&write.file, offset, part, &write.blocks, space)?;
        if lack.is_some() {
            return Ok(lack);
        }
        write.done += room;
        Ok(if write.done < write.bytes.len() { Some(Lack::Memory) } else { None })
    }
}

impl Write {
    /// Chunks of which a part changes, in the blocks that readers share.
    fn ask_for_chunks(&self, chunks: &[ChunkIndex]) -> Ask {
        let mut blocks: Vec<_> = chunks.iter().map(|chunk| chunk.0 / BLOCK_CHUNKS).collect();
        blocks.dedup();
        let state = self.file.resident().content_id();
        let parts =
            blocks.into_iter().map(|number| block(&self.file, state, number, chunks_of(number))).collect();
        Ask::new(Class::Demand, object(self.file.node()), parts, self.deadline)
    }

    /// Room in memory, which there is when storage has taken some.
    fn ask_for_memory(&self) -> Ask {
        let (offset, rest) = self.rest();
        let (file, len) = (Arc::clone(&self.file), rest.len());
        self.ask_to_store(Box::new(move || {
            let stored = file.with(|file| {
                while !file.has_memory(offset, len + SLACK) && file.store_some()? {}
                Ok(())
            });
            outcome(stored, |()| Value::Nothing)
        }))
    }

    /// How much room storage has, when it has taken what is unsaved of the file.
    fn ask_for_space(&self) -> Ask {
        let file = Arc::clone(&self.file);
        self.ask_to_store(Box::new(move || {
            let space = file.with(|open| {
                while open.store_some()? {}
                file.shared.store.vault.space()
            });
            outcome(space, Value::Space)
        }))
    }

    fn ask_to_store(&self, job: Job<Value>) -> Ask {
        Ask::to_store(self.file.node(), None, job, self.deadline)
    }

    /// What is not written yet, and where.
    fn rest(&self) -> (u64, &[u8]) {
        (self.offset.saturating_add(self.done as u64), self.bytes.split_at(self.done).1)
    }

    /// Bytes by which it makes the file longer.
    fn growth(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64).saturating_sub(self.file.resident().len())
    }
}

/// Takes note that whoever has the file open is told of this, if it is what storage says.
pub(super) fn told(file: &OpenFile, error: Error) -> Error {
    if error.kind().is_some() {
        file.resident().failure_was_told();
    }
    error
}
