//! Storing what was written, with nobody asking.
//!
//! Whole runs of chunks go out soon, the rest after about a second. What fails is tried again, after longer and longer
//! pauses. A file that is closed before all of it is stored is held open here until it is.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use oxcrypt_core::{Error, File, Node, Stored};

use crate::clock::{Deadline, Time};
use crate::sched::Job;
use crate::sched::plan::{Class, ObjectId, Outcome, Part, Verdict};

use super::question::Ask;
use super::value::{Key, Value, outcome};
use super::{OpenFile, Shared};

/// What one write of the storage takes at most: as much is stored at once, without waiting for more.
const RUN: usize = 1 << 20;
/// Runs that one operation stores, before others who wait for the same file have their turn.
const RUNS: usize = 4;
/// How long what is less than a run waits for more.
const PAUSE: Duration = Duration::from_secs(1);
/// What is due so soon after something else is stored with it, so that many small files do not wake anybody one by one.
const TOGETHER: Duration = Duration::from_millis(100);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// What the operation is about that looks through the list: no file.
const LIST: ObjectId = ObjectId(u64::MAX - 1);

/// Files of which something is to be stored later, those that are due first in front.
#[derive(Default)]
pub(super) struct Later(Mutex<List>);

#[derive(Default)]
struct List {
    files: VecDeque<(Time, Held)>,
    /// When somebody will look at it next.
    watched: Option<Time>,
    /// Whether it takes no more.
    is_ended: bool,
}

/// A file in that list.
enum Held {
    /// Somebody else has it open, or else it is stored.
    Loosely(Weak<OpenFile>),
    /// Nobody else does.
    Fast(Arc<OpenFile>),
}

/// What is under way for one open file.
#[derive(Default)]
pub(super) struct Marks {
    /// Whether runs are being stored.
    soon: AtomicBool,
    /// Whether it is in the list.
    later: AtomicBool,
    /// Failures since the last success.
    failures: AtomicU32,
}

impl Shared {
    /// Sees to it that what was just written is stored.
    pub(super) fn store_by_and_by(self: &Arc<Self>, file: &Arc<OpenFile>) {
        if has_runs(file) {
            self.store_runs(file);
        }
        if !file.marks.later.swap(true, Ordering::AcqRel) {
            self.put_later(Held::Loosely(Arc::downgrade(file)), PAUSE);
        }
    }

    /// Holds a file that nobody has open any more, until all of it is stored. Returns it if it is, or if it cannot store
    /// anything: whoever has written holds it himself.
    pub(super) fn keep_until_stored(self: &Arc<Self>, node: &Arc<Node>, file: File) -> Option<File> {
        let resident = file.resident();
        let is_done = !file.is_writable() || !resident.is_unsaved() || resident.is_hopeless();
        if is_done || node.is_gone() || self.admission.is_closed() {
            return Some(file);
        }
        let file = Arc::new(OpenFile::new(file, Arc::clone(self)));
        file.marks.later.store(true, Ordering::Release);
        self.put_later(Held::Fast(file), PAUSE);
        None
    }

    fn store_runs(self: &Arc<Self>, file: &Arc<OpenFile>) {
        if file.marks.soon.swap(true, Ordering::AcqRel) {
            return;
        }
        let (about, shared) = (Arc::clone(file), Arc::downgrade(self));
        let job = move || {
            let stored = store_runs(&about);
            if let (Err(error), Some(shared)) = (&stored, shared.upgrade()) {
                shared.failed(&about, error, false);
            }
            outcome(stored, |()| Value::Nothing)
        };
        let (about, shared) = (Arc::clone(file), Arc::downgrade(self));
        // Also where the operation was another's, who has the same file open.
        self.store(file, Key::Runs, Box::new(job), move |verdict| {
            about.marks.soon.store(false, Ordering::Release);
            match shared.upgrade() {
                Some(shared) if verdict == Verdict::Done && has_runs(&about) => shared.store_runs(&about),
                Some(shared) if was_lost(verdict) => shared.come_back(&about, false, PAUSE),
                _ => {}
            }
        });
    }

    /// Has an operation store something, for nobody who waits; `then` is called when it has ended.
    fn store(&self, file: &OpenFile, key: Key, job: Job<Value>, then: impl FnOnce(Verdict) + Send + 'static) {
        let ask = Ask::to_store(file.node(), Some(key), job, Deadline::NEVER);
        self.scheduler.submit(ask.request(Box::new(move |settled| then(settled.verdict))));
    }

    /// Stores nothing more of its own accord, when the volume has ended: what the list holds would hold the list.
    pub(super) fn store_no_more(&self) {
        let mut list = self.later.lock();
        list.is_ended = true;
        let files = mem::take(&mut list.files);
        drop(list);
        drop(files);
    }

    fn put_later(self: &Arc<Self>, held: Held, pause: Duration) {
        let due = self.store.clock.now() + pause;
        let mut list = self.later.lock();
        if list.is_ended {
            drop(list);
            return drop(held);
        }
        let behind = list.files.partition_point(|(time, _)| *time <= due);
        list.files.insert(behind, (due, held));
        self.watch(list);
    }

    /// Has somebody look at the list when the first is due.
    fn watch(self: &Arc<Self>, mut list: MutexGuard<'_, List>) {
        let Some(due) = list.files.front().map(|(due, _)| *due) else { return };
        if list.watched.is_some_and(|watched| watched <= due) {
            return;
        }
        list.watched = Some(due);
        drop(list);
        let shared = Arc::downgrade(self);
        let job: Job<Value> = Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.look_at_list();
            }
            Outcome::Done(Value::Nothing)
        });
        // Where one waits that would look later, this brings it forward.
        let part = Part { key: Some(Key::Later), job, pages: 0..0 };
        let mut ask = Ask::new(Class::WriteBack, LIST, vec![part], Deadline::NEVER);
        ask.not_before = Some(due);
        let shared = Arc::downgrade(self);
        self.scheduler.submit(ask.request(Box::new(move |settled| {
            if let (Some(shared), true) = (shared.upgrade(), was_lost(settled.verdict)) {
                let mut list = shared.later.lock();
                list.watched = None;
                for (due, _) in &mut list.files {
                    *due = *due + PAUSE;
                }
                shared.watch(list);
            }
        })));
    }

    /// Stores what is due, and what will be in a moment.
    fn look_at_list(self: &Arc<Self>) {
        let soon = self.store.clock.now() + TOGETHER;
        let mut list = self.later.lock();
        list.watched = None;
        let due = list.files.partition_point(|(time, _)| *time <= soon);
        let due: Vec<_> = list.files.drain(..due).collect();
        self.watch(list);
        for (_, held) in due {
            if let Some(file) = held.get() {
                self.store_rest(&file, matches!(held, Held::Fast(_)));
            }
        }
    }

    /// Stores the rest of a file, if there is any.
    fn store_rest(self: &Arc<Self>, file: &Arc<OpenFile>, is_held: bool) {
        file.marks.later.store(false, Ordering::Release);
        if !file.resident().is_unsaved() {
            return;
        }
        let (about, shared) = (Arc::clone(file), Arc::downgrade(self));
        let job = move || {
            let Some(shared) = shared.upgrade() else { return Outcome::Done(Value::Nothing) };
            let stored = store_runs(&about).and_then(|()| {
                if has_runs(&about) {
                    return Ok(None);
                }
                about.with(|file| file.flush(shared.store.now())).map(Some)
            });
            match stored {
                Ok(stored) => {
                    was_stored(&about, stored);
                    if about.resident().is_unsaved() {
                        shared.come_back(&about, is_held, PAUSE);
                    }
                }
                Err(error) => shared.failed(&about, &error, is_held),
            }
            Outcome::Done(Value::Nothing)
        };
        let (about, shared) = (Arc::clone(file), Arc::downgrade(self));
        self.store(file, Key::Rest, Box::new(job), move |verdict| {
            if let (Some(shared), true) = (shared.upgrade(), was_lost(verdict)) {
                shared.come_back(&about, is_held, PAUSE);
            }
        });
    }

    fn come_back(self: &Arc<Self>, file: &Arc<OpenFile>, is_held: bool, pause: Duration) {
        if !file.marks.later.swap(true, Ordering::AcqRel) {
            let held =
                if is_held { Held::Fast(Arc::clone(file)) } else { Held::Loosely(Arc::downgrade(file)) };
            self.put_later(held, pause);
        }
    }

    /// Something could not be stored: it is tried again, later each time.
    fn failed(self: &Arc<Self>, file: &Arc<OpenFile>, error: &Error, is_held: bool) {
        let failures = file.marks.failures.fetch_add(1, Ordering::AcqRel);
        if failures == 0 {
            log::error!("could not be stored, and is kept in memory: {error}");
        }
        // What nobody has open, and never will be stored, goes when it is let go of.
        if !(is_held && file.resident().is_hopeless()) {
            let pause = PAUSE * 2_u32.saturating_pow(failures.min(10));
            self.come_back(file, is_held, pause.min(LONGEST_PAUSE));
        }
    }
}

impl Later {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn get(&self) -> Option<Arc<OpenFile>> {
        match self {
            Self::Loosely(file) => file.upgrade(),
            Self::Fast(file) => Some(Arc::clone(file)),
        }
    }
}

/// Something of a file was stored, or all of it: says so where people want to know.
pub(super) fn was_stored(file: &OpenFile, stored: Option<Stored>) {
    if file.marks.failures.swap(0, Ordering::AcqRel) > 0 {
        log::info!("{} can be stored again", file.node().ciphertext_path());
    }
    if let Some(stored) = stored {
        say_where_it_is(file.node(), stored);
    }
}

/// All of a file was stored: says so where that is not where it was.
pub(super) fn say_where_it_is(node: &Node, stored: Stored) {
    if let Stored::ConflictCopy { lost_chunks } = stored {
        let path = node.ciphertext_path();
        log::warn!("somebody else has put a file in the place of ours, which is {path} now");
        if lost_chunks > 0 {
            log::error!("{lost_chunks} chunks of {path} could be read nowhere and are zeros");
        }
    }
}

/// Whether an operation was not carried out, for which nobody is to blame but the crowd.
fn was_lost(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Done | Verdict::Failed | Verdict::Drained)
}

/// Whether there is enough to be stored at once.
fn has_runs(file: &OpenFile) -> bool {
    let resident = file.resident();
    resident.unsaved_bytes() >= RUN || resident.unsaved_zeros() >= RUN as u64
}

/// Stores a few runs, as long as there are any. Blocks on storage.
fn store_runs(file: &OpenFile) -> oxcrypt_core::Result<()> {
    for _ in 0..RUNS {
        if !has_runs(file) || !file.with(File::store_some)? {
            break;
        }
    }
    Ok(())
}
