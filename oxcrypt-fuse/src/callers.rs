//! Those who wait for an answer: whether they still want it, and for how long they have waited.
//!
//! The kernel does not tell when a caller is killed: its note of that (`FUSE_INTERRUPT`) is refused by the library below.
//! A caller that waits for us is not let go by the kernel until we answer, not even by `SIGKILL`. But every request says
//! which thread asks, and `/proc` says which signals wait for that thread. So whoever has waited for a moment is looked
//! after, and answered `EINTR` when it is dying or was told to stop. `/proc` is no storage, and does not block.
//!
//! Nothing here wakes up while nobody waits.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::CiphertextPath;
use oxcrypt_io::sched::plan::{WaiterId, Why};
use oxcrypt_io::volume::Volume;
use rustix::process::Pid;

mod signals;
mod turns;

use signals::{Look, Wish};
use turns::Turns;

/// How often somebody looks.
const BEAT: Duration = Duration::from_millis(75);
/// Whoever has waited for less is not looked at.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long looking at them may take in one go, however many there are: a fiftieth of a processor.
const EFFORT: Duration = Duration::from_micros(1_500);
/// In so many goes everybody is looked at once, if that is not too many.
const BEATS: usize = 13;
/// Ages at which a request is worth a line in the log.
const OLD: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_mins(1)];
/// How many such lines there may be at once. Of more there is only said how many.
const LINES: usize = 8;
/// A table of as many is kept while nobody waits. One that thousands have used is given back: it would be full of traces of
/// them, and grow to twice its size when the next thousands come.
const FEW: usize = 256;
/// As much as `/proc` says of a thread, mostly.
const STATUS_LEN: usize = 4_096;

/// All who wait.
pub(crate) struct Callers {
    waiting: Mutex<Waiting>,
    somebody: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Boxed: a table has room for more than there are, and has that twice while it grows.
    requests: HashMap<RequestId, Box<Request>>,
    turns: Turns,
    next: u64,
    watcher_sleeps: bool,
    ended: bool,
}

struct Request {
    operation: &'static str,
    thread: u32,
    /// Whose thread that is, once somebody has looked.
    process: Option<u32>,
    place: CiphertextPath,
    since: Instant,
    /// What to take it back by, once that is known.
    waiter: Option<WaiterId>,
    told: usize,
}

/// One request among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(u64);

impl RequestId {
    const FIRST: Self = Self(0);
    const LAST: Self = Self(u64::MAX);
}

/// A request that waits, for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HeldRequest {
    /// What was asked for.
    pub operation: &'static str,
    /// Of which entry, in the vault's folder.
    pub place: String,
    /// For how long.
    pub age: Duration,
}

impl Callers {
    /// Begins to look after those who wait for a volume.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub(crate) fn watch(volume: &Arc<Volume>) -> io::Result<Arc<Self>> {
        let callers = Arc::new(Self { waiting: Mutex::default(), somebody: Condvar::new() });
        let (watched, volume) = (Arc::clone(&callers), Arc::downgrade(volume));
        thread::Builder::new()
            .name("oxcrypt-callers".to_owned())
            .stack_size(256 << 10)
            .spawn(move || watched.look_after(&volume))?;
        Ok(callers)
    }

    /// Somebody begins to wait.
    pub(crate) fn enter(&self, operation: &'static str, thread: u32, place: CiphertextPath) -> RequestId {
        let mut waiting = self.lock();
        let id = RequestId(waiting.next);
        waiting.next += 1;
        waiting.turns.enter(id);
        let since = Instant::now();
        let request = Request { operation, thread, process: None, place, since, waiter: None, told: 0 };
        waiting.requests.insert(id, Box::new(request));
        if waiting.watcher_sleeps {
            self.somebody.notify_one();
        }
        id
    }

    /// Says what to take a request back by; too late if it has been answered.
    pub(crate) fn can_be_cancelled(&self, id: RequestId, waiter: WaiterId) {
        let mut waiting = self.lock();
        if let Some(request) = waiting.requests.get_mut(&id) {
            request.waiter = Some(waiter);
        }
    }

    /// It is answered.
    pub(crate) fn leave(&self, id: RequestId) {
        let mut waiting = self.lock();
        let process = waiting.requests.remove(&id).and_then(|request| request.process);
        waiting.turns.leave(process, id);
        if waiting.requests.is_empty() {
            // Nobody may look for a long time, where each is answered before somebody does.
            waiting.turns.clear();
            waiting.requests.shrink_to(FEW);
        }
    }

    /// Nobody is looked after any more.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.somebody.notify_one();
    }

    /// Those who wait, the one who has waited longest first.
    pub(crate) fn held(&self) -> Vec<HeldRequest> {
        let waiting = self.lock();
        let mut held: Vec<_> = waiting
            .requests
            .values()
            .map(|request| HeldRequest {
                operation: request.operation,
                place: request.place.to_string(),
                age: request.since.elapsed(),
            })
            .collect();
        drop(waiting);
        held.sort_unstable_by_key(|request| std::cmp::Reverse(request.age));
        held
    }

    fn look_after(&self, volume: &Weak<Volume>) {
        loop {
            let mut waiting = self.lock();
            waiting.watcher_sleeps = true;
            while waiting.requests.is_empty() && !waiting.ended {
                waiting = self.somebody.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.watcher_sleeps = false;
            if waiting.ended {
                return;
            }
            let (ended, _) = self
                .somebody
                .wait_timeout_while(waiting, BEAT, |waiting| !waiting.ended)
                .unwrap_or_else(PoisonError::into_inner);
            drop(ended);
            let Some(volume) = volume.upgrade() else { return };
            for (waiter, why) in self.leavers() {
                volume.cancel(waiter, why);
            }
        }
    }

    /// Who wants to leave, of those whose turn it is to be looked at.
    fn leavers(&self) -> Vec<(WaiterId, Why)> {
        let mut round = Round { began: Instant::now(), leavers: Vec::new(), old: Vec::new() };
        let is_time = |waiting: &HashMap<RequestId, Box<Request>>, id| {
            waiting.get(&id).is_none_or(|request| request.since.elapsed() >= PATIENCE)
        };
        while round.may_take(EFFORT / 3)
            && let Some(id) = self.next(|turns, waiting| turns.next_new(|id| is_time(waiting, id)))
        {
            self.look_at(id, &mut round);
        }
        let mut first = None;
        while round.may_take(2 * EFFORT / 3)
            && let Some((process, id)) = self.next(|turns, _| turns.next_process())
            && first.replace(first.unwrap_or(process)) != Some(process)
        {
            if self.look_at(id, &mut round) {
                let all = self.next(|turns, _| Some(turns.of_process(process))).unwrap_or_default();
                for other in all.into_iter().filter(|other| *other != id) {
                    self.look_at(other, &mut round);
                }
            }
        }
        let mut left = self.lock().turns.known().div_ceil(BEATS);
        while left > 0
            && round.may_take(EFFORT)
            && let Some(id) = self.next(|turns, waiting| turns.next_known(|id| waiting.contains_key(&id)))
        {
            left -= 1;
            self.look_at(id, &mut round);
        }
        round.tell();
        round.leavers
    }

    fn next<T>(
        &self,
        next: impl FnOnce(&mut Turns, &HashMap<RequestId, Box<Request>>) -> Option<T>,
    ) -> Option<T> {
        let waiting = &mut *self.lock();
        next(&mut waiting.turns, &waiting.requests)
    }

    /// Looks at one. Returns whether he wants to leave.
    fn look_at(&self, id: RequestId, round: &mut Round) -> bool {
        let mut waiting = self.lock();
        let Some(request) = waiting.requests.get_mut(&id) else { return false };
        if let Some(old) = OLD.get(request.told).filter(|old| request.since.elapsed() >= **old) {
            request.told += 1;
            round.old.push((request.operation, request.place.clone(), old.as_secs()));
        }
        let Some(waiter) = request.waiter.filter(|_| request.thread != 0) else { return false };
        let thread = request.thread;
        drop(waiting);
        let Look { wish, process } = Look::at(thread);
        let waiting = &mut *self.lock();
        if let Some(request) = waiting.requests.get_mut(&id)
            && let Some(process) = process
        {
            request.process = Some(process);
            waiting.turns.learn(process, id);
        }
        let why = match wish {
            Wish::Stay => return false,
            Wish::Leave => Why::Interrupted,
            Wish::Gone => Why::Abandoned,
        };
        round.leavers.push((waiter, why));
        true
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looking once at those whose turn it is.
struct Round {
    began: Instant,
    leavers: Vec<(WaiterId, Why)>,
    /// Whose waiting is worth a line: what was asked for, of what, and for how many seconds.
    old: Vec<(&'static str, CiphertextPath, u64)>,
}

impl Round {
    /// Whether it has not taken so long yet.
    fn may_take(&self, effort: Duration) -> bool {
        self.began.elapsed() < effort
    }

    /// Says who has waited for long. Not under the lock, which every request takes: nobody knows what a log is written to.
    fn tell(&self) {
        for (operation, place, seconds) in self.old.iter().take(LINES) {
            log::warn!("{operation} of {place} has waited for {seconds} s");
        }
        if let Some((_, _, seconds)) = self.old.get(LINES) {
            log::warn!("{} more have waited for {seconds} s or about that", self.old.len() - LINES);
        }
    }
}

/// What `/proc` says of a thread; `None` if there is no such thread.
fn status_of(thread: u32) -> Option<String> {
    // What is read into has room, and is not asked how long it is: that would be half of the system calls.
    let mut status = String::with_capacity(STATUS_LEN);
    let file = File::open(format!("/proc/{thread}/status"));
    match file.and_then(|file| file.take(u64::MAX).read_to_string(&mut status)) {
        Ok(_) => Some(status),
        Err(_) if is_gone(thread) => None,
        // The error tells nothing: it waits on.
        Err(_) => Some(String::new()),
    }
}

/// Whether there is no such thread. That `/proc` does not show it says little: where it is mounted with `hidepid`, it hides
/// those of other users, and who guards his memory.
fn is_gone(thread: u32) -> bool {
    let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
    thread.is_none_or(|thread| rustix::process::test_kill_process(thread) == Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_nothing_is_kept_of_those_who_are_answered_before_anybody_looks() {
        let callers = Callers { waiting: Mutex::default(), somebody: Condvar::new() };
        for thread in 0..1_000 {
            let id = callers.enter("read", thread, CiphertextPath::root());
            callers.leave(id);
        }
        let mut waiting = callers.lock();
        assert!(waiting.requests.is_empty() && waiting.turns.known() == 0);
        assert_eq!(waiting.turns.next_new(|_| true), None);
    }

    #[test]
    fn regression_the_room_that_a_crowd_took_is_given_back() {
        let callers = Callers { waiting: Mutex::default(), somebody: Condvar::new() };
        for _ in 0..3 {
            let crowd: Vec<_> =
                (0..10_000).map(|thread| callers.enter("read", thread, CiphertextPath::root())).collect();
            assert!(callers.lock().requests.capacity() < 15_000, "what has gone is not counted any more");
            for id in crowd {
                callers.leave(id);
            }
            assert!(callers.lock().requests.capacity() < 2 * FEW);
        }
    }
}
