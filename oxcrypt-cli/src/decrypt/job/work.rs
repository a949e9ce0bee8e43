//! The workers: decrypt files, and parts of large files.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use oxcrypt_core::NodeAttributes;
use zeroize::Zeroizing;

use super::super::copy::{BLOCK_LEN, BUFFER_LEN, Copy, Damage, Stopped};
use super::super::folder::Existing;
use super::super::unfinished::Unfinished;
use super::{Found, Job};
use crate::lock::lock;
use crate::printable::printable;
use crate::progress::count;
use crate::queue::{Pace, Parts, Task, Undecided};
use crate::same_time::same_time;
use crate::source::{Buffer, Opened, Source};

/// A file longer than this is shared by all workers, this many bytes at a time.
const PART_LEN: u64 = 8 << 20;

/// As many ranges of one damaged file as are told.
const MAX_RANGES_TOLD: usize = 8;

/// A file that several workers decrypt.
pub(crate) struct Shared {
    found: Found,
    file: Opened,
    to: Mutex<Option<Arc<Unfinished>>>,
    len: u64,
    modified: Option<SystemTime>,
    /// Bytes of which nobody is done yet.
    left: AtomicU64,
    failed: AtomicBool,
    damage: Mutex<Damage>,
}

impl Job<'_> {
    pub(super) fn work(&self) {
        let mut buffer: Buffer = Zeroizing::new(vec![0; BUFFER_LEN]);
        while let Some(task) = self.run.queue.next() {
            match task {
                Task::File(found) => self.file(found, &mut buffer),
                Task::Part(shared, range) => self.part(&shared, range, &mut buffer),
            }
            if self.run.is_over() {
                self.run.queue.stop();
            }
        }
    }

    /// Decrypts a file, or the beginning of one that is to be shared, or sets it aside.
    fn file(&self, found: Found, buffer: &mut Buffer) {
        let undecided = Undecided::new(&self.run.queue);
        let source = self.hurried.as_ref().filter(|_| !found.is_set_aside).unwrap_or(self.source);
        let (file, to, attributes) = match self.begin(source, &found) {
            Ok(Some(begun)) => begun,
            Ok(None) => {
                self.run.counts.passed_bytes.fetch_add(found.len, Ordering::Relaxed);
                return count(&self.run.counts.skipped);
            }
            Err(stopped) => return self.set_aside(found, stopped, 0, undecided),
        };
        let len = file.torn().map_or(file.len(), |torn| torn.readable);
        let modified = attributes.modified;
        // Nobody else has to do with a large file before it has answered.
        let alone = if len > PART_LEN { BLOCK_LEN as u64 } else { len };
        let copied = Cell::new(0);
        let step = |bytes| {
            copied.set(copied.get() + bytes);
            self.step(bytes)
        };
        let copy =
            Copy { source, file: &file, to: &to, len, keep_damaged: self.settings.keep_damaged, step: &step };
        let damage = match copy.range(0..alone, buffer) {
            Ok(damage) => damage,
            Err(stopped) => return self.set_aside(found, stopped, copied.get(), undecided),
        };
        if alone == len {
            return self.finish(&found, &file, to, len, modified, &damage);
        }
        let shared = Arc::new(Shared {
            found,
            file,
            to: Mutex::new(Some(Arc::new(to))),
            len,
            modified,
            left: AtomicU64::new(len - alone),
            failed: AtomicBool::new(false),
            damage: Mutex::new(damage),
        });
        undecided.shared(Parts::new(shared, alone..len, PART_LEN, self.pace()));
    }

    /// Sets a file aside that did not answer in a hurry, after so many bytes of it. Of any other the end is told.
    fn set_aside(
        &self,
        found: Found,
        stopped: Stopped,
        copied: u64,
        undecided: Undecided<'_, Found, Shared>,
    ) {
        let is_slow = matches!(&stopped, Stopped::Source(error) if error.is_timeout());
        if self.hurried.is_none() || found.is_set_aside || !is_slow {
            self.run.counts.passed_bytes.fetch_add(found.len.saturating_sub(copied), Ordering::Relaxed);
            return self.stopped(&found, stopped);
        }
        self.run.counts.bytes.fetch_sub(copied, Ordering::Relaxed);
        self.run.counts.passed_bytes.fetch_sub(copied, Ordering::Relaxed);
        let path = found.node.path().to_string();
        self.run.console.detail(format_args!("{}: no answer yet; asked again later", printable(&path)));
        undecided.set_aside(Found { is_set_aside: true, ..found });
    }

    /// Opens both sides. `None` if what is there already is right.
    fn begin(
        &self,
        source: &Source,
        found: &Found,
    ) -> Result<Option<(Opened, Unfinished, NodeAttributes)>, Stopped> {
        match found.folder.existing(&found.name).map_err(Stopped::Destination)? {
            Some(Existing::OfThisRun) => {
                return Err(Stopped::NameTaken);
            }
            Some(Existing::File { len, modified }) if self.settings.resume => {
                let attributes = source.attributes(&found.node).map_err(Stopped::Source)?;
                if attributes.torn.is_none()
                    && attributes.len == len
                    && same_time(attributes.modified, modified)
                {
                    return Ok(None);
                }
                if !self.settings.force {
                    return Err(Stopped::Destination(io::ErrorKind::AlreadyExists.into()));
                }
            }
            Some(_) if !self.settings.force => {
                return Err(Stopped::Destination(io::ErrorKind::AlreadyExists.into()));
            }
            _ => {}
        }
        let file = source.open(&found.node).map_err(Stopped::Source)?;
        if let Some(torn) = file.torn().filter(|torn| !self.settings.keep_damaged || torn.readable == 0) {
            return Err(Stopped::CutOff(torn));
        }
        // Known since the file was opened.
        let attributes = source.attributes(&found.node).map_err(Stopped::Source)?;
        let to = Unfinished::begin(&found.folder, attributes.owner.map(|owner| owner.mode))
            .map_err(Stopped::Destination)?;
        Ok(Some((file, to, attributes)))
    }

    fn pace(&self) -> Pace {
        if self.source.may_block() { Pace::AsAnswered } else { Pace::AtOnce }
    }

    fn part(&self, shared: &Arc<Shared>, range: Range<u64>, buffer: &mut Buffer) {
        let part_len = range.end - range.start;
        let is_awaited = Cell::new(true);
        let answered = || {
            if is_awaited.take() {
                self.run.queue.answered(shared);
            }
        };
        let to = lock(&shared.to).clone();
        if let Some(to) = to.filter(|_| !shared.failed.load(Ordering::Relaxed)) {
            let step = |bytes| {
                answered();
                self.step(bytes) && !shared.failed.load(Ordering::Relaxed)
            };
            let copy = Copy {
                source: self.source,
                file: &shared.file,
                to: &to,
                len: shared.len,
                keep_damaged: self.settings.keep_damaged,
                step: &step,
            };
            match copy.range(range, buffer) {
                Ok(damage) => lock(&shared.damage).merge(damage),
                // The first failure is told, and the others need not be.
                Err(stopped) if !shared.failed.swap(true, Ordering::Relaxed) => {
                    self.stopped(&shared.found, stopped);
                }
                Err(_) => {}
            }
        }
        answered();
        self.run.queue.done(shared);
        if shared.left.fetch_sub(part_len, Ordering::AcqRel) > part_len {
            return;
        }
        // This was the last part, so nobody else holds the file.
        let to = lock(&shared.to).take().and_then(Arc::into_inner);
        if let Some(to) = to.filter(|_| !shared.failed.load(Ordering::Relaxed)) {
            let damage = std::mem::take(&mut *lock(&shared.damage));
            self.finish(&shared.found, &shared.file, to, shared.len, shared.modified, &damage);
        }
    }

    fn step(&self, bytes: u64) -> bool {
        self.run.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.run.counts.passed_bytes.fetch_add(bytes, Ordering::Relaxed);
        !self.run.is_over()
    }

    /// Gives a copied file its name, and tells what is not right about it.
    fn finish(
        &self,
        found: &Found,
        file: &Opened,
        to: Unfinished,
        len: u64,
        modified: Option<SystemTime>,
        damage: &Damage,
    ) {
        if let [only] = damage.ranges.as_slice()
            && *only == (0..len)
            && let Some(first) = &damage.first
        {
            // Nothing could be read, so there is nothing to keep.
            return self.run.failed(&found.node.path().to_string(), &first.to_string());
        }
        let is_whole = damage.ranges.is_empty() && file.torn().is_none();
        let time = if is_whole { modified } else { modified.map(time_of_damaged) };
        // A damaged end was never written.
        let extended = if damage.ranges.is_empty() { Ok(()) } else { to.extend(len) };
        if let Err(error) = extended.and_then(|()| to.finish(&found.name, time)) {
            return self.stopped(found, Stopped::Destination(error));
        }
        let path = found.node.path().to_string();
        if is_whole {
            count(&self.run.counts.files);
            return self.run.console.detail(format_args!("{}", printable(&path)));
        }
        let mut why: Vec<String> = Vec::new();
        if let Some(first) = &damage.first {
            let ranges: Vec<String> = damage
                .ranges
                .iter()
                .take(MAX_RANGES_TOLD)
                .map(|range| format!("{}-{}", range.start, range.end - 1))
                .collect();
            let more = if damage.ranges.len() > MAX_RANGES_TOLD { " and more" } else { "" };
            why.push(format!("{first}; kept with zeros for bytes {}{more}", ranges.join(", ")));
        }
        if let Some(torn) = file.torn() {
            why.push(format!("{torn}; these are kept"));
        }
        self.run.failed(&path, &why.join("; "));
    }
}

/// A time that no file system takes for `right`, so that nobody takes a damaged file for the right one, `--resume`
/// neither.
fn time_of_damaged(right: SystemTime) -> SystemTime {
    let now = SystemTime::now();
    right.checked_add(Duration::from_secs(10)).map_or(now, |later| now.max(later))
}
