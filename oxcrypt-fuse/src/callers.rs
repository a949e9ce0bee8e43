//! Those who wait for an answer: whether they still want it, and for how long they have waited.
//!
//! The kernel does not tell when a caller is killed: its note of that (`FUSE_INTERRUPT`) is refused by the library below.
//! A caller that waits for us is not let go by the kernel until we answer, not even by `SIGKILL`. But every request says
//! which thread asks, and `/proc` says which signals wait for that thread. So whoever has waited for a moment is looked
//! after, and answered `EINTR` when it is dying or was told to stop. `/proc` is no storage, and does not block.
//!
//! Nothing here wakes up while nobody waits.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::CiphertextPath;
use oxcrypt_io::sched::plan::{WaiterId, Why};
use oxcrypt_io::volume::Volume;
use rustix::process::Pid;

mod signals;

use signals::Wish;

/// How often somebody looks.
const BEAT: Duration = Duration::from_millis(75);
/// Whoever has waited for less is not looked at.
const PATIENCE: Duration = Duration::from_millis(50);
/// How many are looked at in one go; those whose turn was longest ago.
const LOOKS: usize = 256;
/// Ages at which a request is worth a line in the log.
const OLD: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_mins(1)];

/// All who wait.
pub(crate) struct Callers {
    waiting: Mutex<Waiting>,
    somebody: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: HashMap<RequestId, Request>,
    /// Who was looked at longest ago comes first. Those who have left are still in it, until their turn comes.
    turns: VecDeque<RequestId>,
    next: u64,
    watcher_sleeps: bool,
    ended: bool,
}

struct Request {
    operation: &'static str,
    thread: u32,
    place: CiphertextPath,
    since: Instant,
    /// What to take it back by, once that is known.
    waiter: Option<WaiterId>,
    told: usize,
}

/// One request among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u64);

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
        waiting.turns.push_back(id);
        let request = Request { operation, thread, place, since: Instant::now(), waiter: None, told: 0 };
        waiting.requests.insert(id, request);
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
        waiting.requests.remove(&id);
        if waiting.requests.is_empty() {
            // Nobody may look for a long time, where each is answered before somebody does.
            waiting.turns.clear();
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
        let (mut looked_at, mut lines) = (Vec::new(), Vec::new());
        let mut guard = self.lock();
        let waiting = &mut *guard;
        let mut left = waiting.turns.len();
        while left > 0 && looked_at.len() < LOOKS {
            left -= 1;
            let Some(id) = waiting.turns.pop_front() else { break };
            let Some(request) = waiting.requests.get_mut(&id) else { continue };
            waiting.turns.push_back(id);
            let age = request.since.elapsed();
            if let Some(old) = OLD.get(request.told).filter(|old| age >= **old) {
                request.told += 1;
                lines.push((request.operation, request.place.clone(), old.as_secs()));
            }
            if let Some(waiter) = request.waiter.filter(|_| age >= PATIENCE && request.thread != 0) {
                looked_at.push((request.thread, waiter));
            }
        }
        drop(guard);
        // Not under the lock, which every request takes: nobody knows what a log is written to.
        for (operation, place, seconds) in lines {
            log::warn!("{operation} of {place} has waited for {seconds} s");
        }
        let wish = |(thread, waiter)| match Wish::of(thread) {
            Wish::Stay => None,
            Wish::Leave => Some((waiter, Why::Interrupted)),
            Wish::Gone => Some((waiter, Why::Abandoned)),
        };
        looked_at.into_iter().filter_map(wish).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `/proc` says of a thread; `None` if there is no such thread.
fn status_of(thread: u32) -> Option<String> {
    match fs::read_to_string(format!("/proc/{thread}/status")) {
        Ok(status) => Some(status),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_gone(thread) => None,
        // Another error tells nothing: it waits on.
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
        let waiting = callers.lock();
        assert_eq!((waiting.requests.len(), waiting.turns.len()), (0, 0));
    }
}
