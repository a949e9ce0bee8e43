//! Reading a range of a file.

use std::ops::Range;
use std::sync::Arc;

use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::{Assembly, Block, ContentId, File, Probe};

use crate::clock::Deadline;
use crate::sched::plan::{Class, Part, Verdict};
use crate::sched::{Calls, Settled};
use crate::volume::error::{Error, Result};
use crate::volume::question::{Ask, Pending, Step, object, take_one};
use crate::volume::value::{Key, Value, outcome};
use crate::volume::{Cleartext, OpenFile, Question, Shared, Volume};

/// Chunks that are read together. They lie at the same places for everybody, so that overlapping reads meet.
pub(super) const BLOCK_CHUNKS: u64 = 4;
/// Bytes of cleartext in a block.
pub(in crate::volume) const BLOCK_LEN: u64 = BLOCK_CHUNKS * PAYLOAD_LEN;
/// As many chunks are read where the request arrives, and no more: it takes some ten microseconds for each.
const AT_HAND: u64 = 8;
/// Bytes in a page, for the memory of failures.
const PAGE_LEN: u64 = 4_096;

/// A range of an open file.
#[derive(Clone)]
struct Wanted {
    file: Arc<OpenFile>,
    offset: u64,
    len: usize,
    deadline: Deadline,
}

impl Volume {
    /// Reads up to `len` bytes at `offset`: fewer only at the end of the file.
    ///
    /// What memory lacks is read in blocks of four chunks that all readers share, and what comes too late for a reader
    /// is there when it asks again. A reader gets all of its bytes from one state of the file. `file` must be one of
    /// this volume.
    ///
    /// Takes no more memory than there is to be read, but for a file that is cut off or changes meanwhile: then that is
    /// `len` bytes. The errors are those of [`oxcrypt_core::File::read_at`]: a chunk that does not authenticate fails the reads that
    /// touch it and no other.
    pub fn read(&self, file: &Arc<OpenFile>, offset: u64, len: usize) -> Question<Cleartext> {
        let deadline = self.shared.deadline(self.shared.options.deadlines.read);
        let wanted = Wanted { file: Arc::clone(file), offset, len, deadline };
        let Some(assembly) = file.resident().begin(offset, len) else {
            return Question::open(self.shared.read_alone(&wanted));
        };
        // Afterwards, so that what the range is made of is what is judged.
        if let Err(error) = file.with(File::expect_believed) {
            return Question::known(Err(error.into()));
        }
        if assembly.missing().next().is_none()
            && let Probe::Ready(bytes) = assembly.finish(&[])
        {
            if let Ok(bytes) = &bytes {
                self.shared.read_ahead(file, offset, bytes.len());
            }
            return Question::known(bytes.map_err(Error::from));
        }
        if let Some(bytes) = self.read_at_hand(&wanted, &assembly) {
            return Question::known(bytes);
        }
        Question::open(self.shared.read_blocks(wanted, assembly, true))
    }

    /// Reads on this thread what the host promises to have at hand, if that is not much.
    fn read_at_hand(&self, wanted: &Wanted, assembly: &Assembly) -> Option<Result<Cleartext>> {
        if self.vault().habits().may_block {
            return None;
        }
        let first = assembly.missing().next()?.0;
        let end = assembly.missing().last()?.0 + 1;
        if end - first > AT_HAND {
            return None;
        }
        let block = wanted.file.try_read_block(first..end)?;
        let Probe::Ready(bytes) = assembly.finish(&[Arc::new(block)]) else { return None };
        if let Ok(bytes) = &bytes {
            self.shared.read_ahead(&wanted.file, wanted.offset, bytes.len());
        }
        Some(bytes.map_err(Error::from))
    }
}

impl Shared {
    /// Reads the blocks that are missing, and puts the range together. The `first` time, of a file that nobody has read and
    /// where storage may hang, they end with what is wanted: each read that hangs holds a buffer. Whoever joins it for
    /// something else asks once more then, for all of the block.
    fn read_blocks(self: &Arc<Self>, wanted: Wanted, assembly: Assembly, first: bool) -> Pending<Cleartext> {
        let in_part = first && assembly.is_unread() && self.store.vault.habits().may_block;
        let mut blocks: Vec<Range<u64>> = Vec::new();
        for chunk in assembly.missing() {
            match blocks.last_mut() {
                Some(last) if last.start / BLOCK_CHUNKS == chunk.0 / BLOCK_CHUNKS => last.end = chunk.0 + 1,
                _ => blocks.push(chunk.0..chunk.0 + 1),
            }
        }
        let parts = blocks.into_iter().map(|chunks| {
            let number = chunks.start / BLOCK_CHUNKS;
            // The header comes along with the first chunk.
            let start = if number == 0 { 0 } else { chunks.start };
            let chunks = if in_part { start..chunks.end } else { chunks_of(number) };
            block(&wanted.file, assembly.content(), number, chunks)
        });
        let ask = wanted.ask(parts.collect());
        let finish = move |settled: Settled<Value>| match wanted.put_together(&assembly, settled) {
            Probe::Ready(answer) => {
                if let Ok(bytes) = &answer {
                    wanted.file.shared.read_ahead(&wanted.file, wanted.offset, bytes.len());
                }
                Step::Done(answer)
            }
            Probe::Absent if first => Arc::clone(&wanted.file.shared).read_rest(wanted),
            // Somebody has changed the file meanwhile. Reading all of the range at once takes it as it is then.
            Probe::Absent => Step::Again(Box::new(wanted.file.shared.read_alone(&wanted))),
        };
        Pending { shared: Arc::clone(self), ask, finish: Box::new(finish) }
    }

    /// Reads again of which somebody else has read a part.
    fn read_rest(self: &Arc<Self>, wanted: Wanted) -> Step<Cleartext> {
        let Some(assembly) = wanted.file.resident().begin(wanted.offset, wanted.len) else {
            return Step::Again(Box::new(self.read_alone(&wanted)));
        };
        if let Err(error) = wanted.file.with(File::expect_believed) {
            return Step::Done(Err(error.into()));
        }
        match assembly.finish(&[]) {
            Probe::Ready(bytes) if !assembly.is_unread() => Step::Done(bytes.map_err(Error::from)),
            _ => Step::Again(Box::new(self.read_blocks(wanted, assembly, false))),
        }
    }

    /// Reads the range in an operation of its own.
    fn read_alone(self: &Arc<Self>, wanted: &Wanted) -> Pending<Cleartext> {
        let Wanted { file, offset, len, .. } = wanted.clone();
        let job = Box::new(move || {
            let mut bytes = Cleartext::zeroed(len);
            let read = file.with(|file| file.read_at(offset, &mut bytes));
            outcome(read, |len| Value::Bytes(bytes.first(len)))
        });
        let pages = offset / PAGE_LEN..offset.saturating_add(len as u64).div_ceil(PAGE_LEN);
        let ask = wanted.ask(vec![Part { key: None, job, pages }]);
        let take = |value| if let Value::Bytes(bytes) = value { Some(bytes) } else { None };
        let finish = take_one(wanted.file.node(), || None, take);
        Pending { shared: Arc::clone(self), ask, finish }
    }
}

impl Wanted {
    fn ask(&self, parts: Vec<Part<Calls<Key, Value>>>) -> Ask {
        Ask::new(self.class(), object(self.file.node()), parts, self.deadline)
    }

    /// Where storage may block, files that it has at hand go the fast way.
    fn class(&self) -> Class {
        let store = &self.file.shared.store;
        let is_quick = || store.pace.is_quick(self.file.node().id(), store.clock.now());
        if store.vault.habits().may_block && is_quick() { Class::Hot } else { Class::Demand }
    }

    fn put_together(&self, assembly: &Assembly, settled: Settled<Value>) -> Probe<Result<Cleartext>> {
        let mut blocks: Vec<Arc<Block>> = Vec::with_capacity(settled.values.len());
        for value in settled.values {
            match value {
                Value::Block(block) => blocks.push(block),
                Value::Failed(error) => return Probe::Ready(Err(error.into())),
                _ => {}
            }
        }
        if settled.verdict != Verdict::Done {
            return Probe::Ready(Err(Error::of(settled.verdict).at(self.file.node())));
        }
        match assembly.finish(&blocks) {
            Probe::Ready(bytes) => Probe::Ready(bytes.map_err(Error::from)),
            Probe::Absent => Probe::Absent,
        }
    }
}

/// All chunks that a block may have.
pub(in crate::volume) fn chunks_of(number: u64) -> Range<u64> {
    number.saturating_mul(BLOCK_CHUNKS)..number.saturating_add(1).saturating_mul(BLOCK_CHUNKS)
}

/// The operation that reads these chunks of a block of one state of a file.
pub(in crate::volume) fn block(
    file: &Arc<OpenFile>,
    content: ContentId,
    number: u64,
    chunks: Range<u64>,
) -> Part<Calls<Key, Value>> {
    let page = number.saturating_mul(BLOCK_LEN / PAGE_LEN);
    let (file, store) = (Arc::clone(file), Arc::clone(&file.shared.store));
    let job = Box::new(move || {
        let began = store.clock.now();
        let read = file.with(|file| file.read_block(chunks));
        if read.is_ok() {
            store.pace.note(file.node().id(), began, store.clock.now());
        }
        outcome(read, |block| Value::Block(Arc::new(block)))
    });
    Part {
        key: Some(Key::Block(content, number)),
        job,
        pages: page..page.saturating_add(BLOCK_LEN / PAGE_LEN),
    }
}
