//! What is to be decrypted next: parts of large files that were begun, then files that the walk has found.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::lock::lock;

/// Files found and not begun. The walk waits while there are more.
const MAX_FILES: usize = 4096;

/// Work for several workers: `F` are files, `P` is what they need to know of a large file that they share.
pub(crate) struct Queue<F, P> {
    state: Mutex<State<F, P>>,
    /// There may be something to do.
    work: Condvar,
    /// There may be room for another file.
    room: Condvar,
}

struct State<F, P> {
    files: VecDeque<F>,
    parts: VecDeque<Parts<P>>,
    /// Files begun of which nobody knows yet whether they are large.
    undecided: usize,
    /// Workers that wait. Waking costs a call of the system, also where nobody sleeps.
    idle: usize,
    /// The walk waits until there are no more files than this.
    room_at: Option<usize>,
    /// Nothing more will be found.
    closed: bool,
    /// Nothing more is begun.
    stopped: bool,
}

/// A file that is given out in parts.
pub(crate) struct Parts<P> {
    file: P,
    next: u64,
    part_len: u64,
    len: u64,
}

impl<P> Parts<P> {
    /// `len` bytes of `file`, `part_len` at a time. Neither may be 0.
    pub(crate) fn new(file: P, len: u64, part_len: u64) -> Self {
        Self { file, next: 0, part_len, len }
    }
}

/// What a worker does next.
pub(crate) enum Task<F, P> {
    /// A whole file. It must be [`decided`](Queue::decided) on soon.
    File(F),
    /// A part of a file.
    Part(P, Range<u64>),
}

impl<F, P: Clone> Queue<F, P> {
    pub(crate) fn new() -> Self {
        let state = State {
            files: VecDeque::new(),
            parts: VecDeque::new(),
            undecided: 0,
            idle: 0,
            room_at: None,
            closed: false,
            stopped: false,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new() }
    }

    /// Adds a file; waits while there are too many. False if nothing more is begun.
    pub(crate) fn push(&self, file: F) -> bool {
        let mut state = lock(&self.state);
        if state.files.len() >= MAX_FILES {
            // Half of the room at once, so that the walk does not wake for each file.
            state = self.wait_for_room(state, MAX_FILES / 2);
        }
        if state.stopped {
            return false;
        }
        state.files.push_back(file);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        true
    }

    /// Waits until every file has been begun.
    pub(crate) fn wait_until_empty(&self) {
        drop(self.wait_for_room(lock(&self.state), 0));
    }

    fn wait_for_room<'q>(
        &'q self,
        mut state: MutexGuard<'q, State<F, P>>,
        room_at: usize,
    ) -> MutexGuard<'q, State<F, P>> {
        while state.files.len() > room_at && !state.stopped {
            state.room_at = Some(room_at);
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.room_at = None;
        state
    }

    /// Nothing more will be found: workers end when all is done.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.work.notify_all();
    }

    /// Nothing more is begun: workers end when what they are at is done.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        let dropped = (std::mem::take(&mut state.files), std::mem::take(&mut state.parts));
        state.stopped = true;
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
        drop(dropped);
    }

    /// Says of a file that was begun whether several workers share it. Then its parts are what is
    /// done next.
    pub(crate) fn decided(&self, shared: Option<Parts<P>>) {
        let mut state = lock(&self.state);
        state.undecided -= 1;
        match shared {
            Some(parts) if !state.stopped => state.parts.push_back(parts),
            _ => {}
        }
        // Whoever waits does so for the parts, or for the last file to be decided on.
        let wake = state.idle > 0 && (!state.parts.is_empty() || state.closed);
        drop(state);
        if wake {
            self.work.notify_all();
        }
    }

    /// The next task; waits for it. `None` when there will be none.
    pub(crate) fn next(&self) -> Option<Task<F, P>> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return None;
            }
            if let Some(parts) = state.parts.front_mut() {
                let range = parts.next..(parts.next + parts.part_len).min(parts.len);
                parts.next = range.end;
                let file = parts.file.clone();
                if range.end >= parts.len {
                    state.parts.pop_front();
                }
                return Some(Task::Part(file, range));
            }
            if let Some(file) = state.files.pop_front() {
                state.undecided += 1;
                let wake = state.room_at.is_some_and(|room_at| state.files.len() <= room_at);
                drop(state);
                if wake {
                    self.room.notify_one();
                }
                return Some(Task::File(file));
            }
            if state.closed && state.undecided == 0 {
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_large_file_tile_it_and_go_before_other_files() {
        let queue: Queue<&str, &str> = Queue::new();
        assert!(queue.push("large") && queue.push("small"));
        queue.close();
        assert!(matches!(queue.next(), Some(Task::File("large"))));
        queue.decided(Some(Parts::new("large", 25, 10)));
        let mut ranges = Vec::new();
        while let Some(Task::Part("large", range)) = queue.next() {
            ranges.push(range);
        }
        assert_eq!(ranges, [0..10, 10..20, 20..25]);
        // The loop has taken the small file, which is still to be decided on.
        queue.decided(None);
        assert!(queue.next().is_none());
    }

    #[test]
    fn no_worker_leaves_while_a_file_may_still_be_shared() {
        let queue: Queue<&str, &str> = Queue::new();
        queue.push("large");
        queue.close();
        assert!(matches!(queue.next(), Some(Task::File("large"))));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| queue.next());
            queue.decided(Some(Parts::new("large", 1, 1)));
            assert!(matches!(other.join().unwrap(), Some(Task::Part("large", _))));
        });
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_stop_ends_everybody_who_waits() {
        let queue: Queue<usize, ()> = Queue::new();
        for file in 0..MAX_FILES {
            queue.push(file);
        }
        std::thread::scope(|scope| {
            let walk = scope.spawn(|| queue.push(MAX_FILES));
            queue.stop();
            assert!(!walk.join().unwrap());
        });
        assert!(queue.next().is_none());
    }
}
