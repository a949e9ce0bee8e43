//! What is to be done next: parts of large files that were begun, then files that the walk has found, and at the
//! end those that were set aside because they did not answer at once.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::lock::lock;

/// Files found and not begun, or set aside. The walk waits while there are more.
const MAX_FILES: usize = 4096;

/// Parts of a file that are under way at a time where storage may not answer; it is asked no more of one file anyway.
const MAX_UNDER_WAY: usize = 8;

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
    /// Files to begin once more when there is nothing else to do, or when the walk waits for room.
    later: VecDeque<F>,
    /// Files begun of which nobody knows yet whether they are shared or set aside.
    undecided: usize,
    /// Workers that wait. Waking costs a call of the system, also where nobody sleeps.
    idle: usize,
    /// The walk waits until there are no more files to begin than this.
    room_at: Option<usize>,
    /// The walk looks for what did not answer it at first.
    found_first: bool,
    /// Nothing more will be found.
    closed: bool,
    /// Nothing more is begun.
    stopped: bool,
}

impl<F, P> State<F, P> {
    fn to_begin(&self) -> usize {
        self.files.len() + self.later.len()
    }

    /// Whether it is time for what was set aside.
    fn is_late(&self) -> bool {
        self.found_first || self.closed || self.room_at.is_some()
    }

    fn take_file(&mut self) -> Option<F> {
        let file = self.files.pop_front();
        if file.is_none() && self.is_late() { self.later.pop_front() } else { file }
    }
}

/// A file that is given out in parts.
pub(crate) struct Parts<P> {
    file: Arc<P>,
    next: u64,
    part_len: u64,
    end: u64,
    pace: Pace,
    /// Parts given out that are not done.
    under_way: usize,
    /// The part that was given out last has not answered.
    is_awaited: bool,
}

/// How fast the parts of a file are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// To whoever asks.
    AtOnce,
    /// None before the last one has answered, so that a file that never does holds one worker; and a few at a time, so
    /// that one that ceases to does not hold them all.
    AsAnswered,
}

impl<P> Parts<P> {
    /// A range of `file`, `part_len` bytes at a time. Neither may be empty.
    pub(crate) fn new(file: Arc<P>, range: Range<u64>, part_len: u64, pace: Pace) -> Self {
        let Range { start: next, end } = range;
        Self { file, next, part_len, end, pace, under_way: 0, is_awaited: false }
    }

    fn is_open(&self) -> bool {
        self.pace == Pace::AtOnce || !self.is_awaited && self.under_way < MAX_UNDER_WAY
    }

    fn take(&mut self) -> Range<u64> {
        let range = self.next..(self.next + self.part_len).min(self.end);
        self.next = range.end;
        self.under_way += 1;
        self.is_awaited = true;
        range
    }
}

/// What a worker does next.
pub(crate) enum Task<F, P> {
    /// A whole file. It must be [`decided`](Queue::decided) on, or [set aside](Queue::set_aside).
    File(F),
    /// A part of a file. It is to be told when it has [`answered`](Queue::answered) and when it is
    /// [`done`](Queue::done).
    Part(Arc<P>, Range<u64>),
}

/// A file that was begun, until it is known whether it is shared or set aside; also where that is never known.
pub(crate) struct Undecided<'q, F, P>(&'q Queue<F, P>);

impl<'q, F, P> Undecided<'q, F, P> {
    pub(crate) fn new(queue: &'q Queue<F, P>) -> Self {
        Self(queue)
    }

    pub(crate) fn shared(self, parts: Parts<P>) {
        self.0.decided(Some(parts));
        std::mem::forget(self);
    }

    pub(crate) fn set_aside(self, file: F) {
        self.0.set_aside(file);
        std::mem::forget(self);
    }
}

impl<F, P> Drop for Undecided<'_, F, P> {
    fn drop(&mut self) {
        self.0.decided(None);
    }
}

impl<F, P> Queue<F, P> {
    pub(crate) fn new() -> Self {
        let state = State {
            files: VecDeque::new(),
            parts: VecDeque::new(),
            later: VecDeque::new(),
            undecided: 0,
            idle: 0,
            room_at: None,
            found_first: false,
            closed: false,
            stopped: false,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new() }
    }

    /// Adds a file; waits while there are too many. False if nothing more is begun.
    pub(crate) fn push(&self, file: F) -> bool {
        let mut state = lock(&self.state);
        if state.to_begin() >= MAX_FILES {
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
        while state.to_begin() > room_at && !state.stopped {
            if state.room_at.is_none() && !state.later.is_empty() {
                // Whoever is idle makes room.
                self.work.notify_all();
            }
            state.room_at = Some(room_at);
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.room_at = None;
        state
    }

    /// Whatever is found from now on did not answer at first, and so it is time for what was set aside.
    pub(crate) fn found_first(&self) {
        lock(&self.state).found_first = true;
        self.work.notify_all();
    }

    /// Nothing more will be found: workers end when all is done.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.work.notify_all();
    }

    /// Nothing more is begun: workers end when what they are at is done.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        let files = [std::mem::take(&mut state.files), std::mem::take(&mut state.later)];
        let dropped = (files, std::mem::take(&mut state.parts));
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

    /// Has a file that was begun, and is not decided on, begun once more when all others have been.
    pub(crate) fn set_aside(&self, file: F) {
        let mut state = lock(&self.state);
        state.undecided -= 1;
        let dropped = if state.stopped {
            Some(file)
        } else {
            state.later.push_back(file);
            None
        };
        let wake = state.idle > 0 && state.is_late();
        drop(state);
        if wake {
            self.work.notify_one();
        }
        drop(dropped);
    }

    /// Says that the part of a file that was given out last is answered.
    pub(crate) fn answered(&self, file: &Arc<P>) {
        self.change(file, |parts| parts.is_awaited = false);
    }

    /// Says that a part is done with, whatever came of it.
    pub(crate) fn done(&self, file: &Arc<P>) {
        self.change(file, |parts| parts.under_way -= 1);
    }

    /// Changes what is known of a file, if parts of it are left.
    fn change(&self, file: &Arc<P>, change: impl FnOnce(&mut Parts<P>)) {
        let mut state = lock(&self.state);
        let Some(parts) = state.parts.iter_mut().find(|parts| Arc::ptr_eq(&parts.file, file)) else { return };
        let was_open = parts.is_open();
        change(parts);
        let wake = !was_open && parts.is_open() && state.idle > 0;
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// The next task; waits for it. `None` when there will be none.
    pub(crate) fn next(&self) -> Option<Task<F, P>> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return None;
            }
            if let Some(at) = state.parts.iter().position(Parts::is_open)
                && let Some(parts) = state.parts.get_mut(at)
            {
                let (file, range) = (Arc::clone(&parts.file), parts.take());
                if range.end >= parts.end {
                    state.parts.remove(at);
                    // That may have been all that they waited for.
                    let wake = state.closed && state.parts.is_empty() && state.idle > 0;
                    drop(state);
                    if wake {
                        self.work.notify_all();
                    }
                }
                return Some(Task::Part(file, range));
            }
            if let Some(file) = state.take_file() {
                state.undecided += 1;
                let wake = state.room_at.is_some_and(|room_at| state.to_begin() <= room_at);
                drop(state);
                if wake {
                    self.room.notify_one();
                }
                return Some(Task::File(file));
            }
            if state.closed && state.undecided == 0 && state.parts.is_empty() {
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

    /// A queue of which everything is found, and whose large file is begun.
    fn shared(pace: Pace) -> (Queue<&'static str, ()>, Arc<()>) {
        let (queue, large) = (Queue::new(), Arc::new(()));
        assert!(queue.push("large") && queue.push("small"));
        queue.close();
        assert!(matches!(queue.next(), Some(Task::File("large"))));
        queue.decided(Some(Parts::new(Arc::clone(&large), 0..25, 10, pace)));
        (queue, large)
    }

    fn part(queue: &Queue<&'static str, ()>) -> Option<Range<u64>> {
        match queue.next() {
            Some(Task::Part(_, range)) => Some(range),
            _ => None,
        }
    }

    #[test]
    fn the_parts_of_a_large_file_tile_it_and_go_before_other_files() {
        let (queue, _) = shared(Pace::AtOnce);
        assert_eq!([0; 3].map(|_| part(&queue).unwrap()), [0..10, 10..20, 20..25]);
        assert!(matches!(queue.next(), Some(Task::File("small"))));
        queue.decided(None);
        assert!(queue.next().is_none());
    }

    #[test]
    fn where_storage_may_hang_each_part_waits_for_an_answer_to_the_last_and_other_files_do_not() {
        let (queue, large) = shared(Pace::AsAnswered);
        assert_eq!(part(&queue), Some(0..10));
        assert!(matches!(queue.next(), Some(Task::File("small"))));
        queue.decided(None);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| part(&queue));
            queue.answered(&large);
            assert_eq!(other.join().unwrap(), Some(10..20));
            queue.done(&large);
            let (other, last) = (scope.spawn(|| part(&queue)), scope.spawn(|| part(&queue)));
            queue.answered(&large);
            let given = [other.join().unwrap(), last.join().unwrap()];
            // The other one has nothing to wait for.
            assert!(given.contains(&Some(20..25)) && given.contains(&None), "{given:?}");
        });
    }

    #[test]
    fn where_storage_may_hang_one_file_never_takes_all_workers() {
        let (queue, large) = (Queue::new(), Arc::new(()));
        assert!(queue.push("large"));
        assert!(matches!(queue.next(), Some(Task::File("large"))));
        queue.decided(Some(Parts::new(Arc::clone(&large), 0..1_000, 1, Pace::AsAnswered)));
        for _ in 0..MAX_UNDER_WAY {
            assert!(part(&queue).is_some());
            queue.answered(&large);
        }
        assert!(queue.push("small"));
        assert!(matches!(queue.next(), Some(Task::File("small"))));
        queue.done(&large);
        assert!(part(&queue).is_some());
    }

    #[test]
    fn what_was_set_aside_comes_last_and_workers_stay_for_it() {
        let queue: Queue<&str, ()> = Queue::new();
        assert!(queue.push("dead") && queue.push("found"));
        assert!(matches!(queue.next(), Some(Task::File("dead"))));
        queue.set_aside("dead");
        queue.close();
        assert!(matches!(queue.next(), Some(Task::File("found"))));
        queue.decided(None);
        assert!(matches!(queue.next(), Some(Task::File("dead"))));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| queue.next());
            queue.set_aside("still dead");
            assert!(matches!(other.join().unwrap(), Some(Task::File("still dead"))));
        });
        queue.decided(None);
        assert!(queue.next().is_none());
    }

    #[test]
    fn what_was_set_aside_comes_earlier_where_it_keeps_the_walk_waiting() {
        let queue: Queue<usize, ()> = Queue::new();
        for file in 0..MAX_FILES {
            queue.push(file);
            assert!(matches!(queue.next(), Some(Task::File(_))));
            queue.set_aside(file);
        }
        std::thread::scope(|scope| {
            let walk = scope.spawn(|| queue.push(MAX_FILES));
            for file in 0..MAX_FILES / 2 {
                assert!(matches!(queue.next(), Some(Task::File(given)) if given == file));
                queue.decided(None);
            }
            assert!(walk.join().unwrap());
        });
    }

    #[test]
    fn no_worker_leaves_while_a_file_may_still_be_shared() {
        let queue: Queue<&str, ()> = Queue::new();
        queue.push("large");
        queue.close();
        assert!(matches!(queue.next(), Some(Task::File("large"))));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| part(&queue));
            queue.decided(Some(Parts::new(Arc::new(()), 0..1, 1, Pace::AtOnce)));
            assert_eq!(other.join().unwrap(), Some(0..1));
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
