//! Where every request passes: rules, the table of those that wait, and the one thread that ends them.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fuser::Errno;

use super::counters::Counters;
use super::held::{Held, Table};
use super::op::Op;
use super::rule::{Action, Call, Rule, Rules, Verdict};

/// Ends a request.
type Job = Box<dyn FnOnce(Verdict) + Send>;

/// What a request waits for while the store is being ended: nothing.
const ENDING: Verdict = Verdict::Fail(Errno::EIO);

/// What became of a request at the gate.
pub(crate) enum Admission<J> {
    /// The caller ends it, now.
    Now(J, Verdict),
    /// It waits; the timer thread will end it.
    Held,
}

/// A request that waits, for people to look at.
pub(crate) struct Waiting {
    pub(crate) rule: u64,
    pub(crate) op: Op,
    pub(crate) path: Vec<u8>,
    pub(crate) bytes: Option<Range<u64>>,
    pub(crate) age: Duration,
}

/// Rules and the requests that wait by them, under one lock: a request is either held before a rule goes, and then
/// released with it, or judged without that rule.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    counters: Arc<Counters>,
    /// The timer thread has something to do, sooner than it knew.
    work: Condvar,
    /// Something was held or ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rules: Rules,
    table: Table<Job>,
    /// Taken out of the table, and not ended yet.
    in_hand: usize,
    ending: bool,
}

impl Gate {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, ..Self::default() }
    }

    /// Judges a request. `job` ends it; if it has to wait, the timer thread calls that.
    pub(crate) fn admit<J>(&self, call: &Call<'_>, job: J) -> Admission<J>
    where
        J: FnOnce(Verdict) + Send + 'static,
    {
        let mut state = self.lock();
        let Some((rule, Action::Hold { time, then })) = state.rules.decide(call) else {
            return Admission::Now(job, Verdict::Go);
        };
        if time == Some(Duration::ZERO) {
            return Admission::Now(job, then);
        }
        if state.ending {
            return Admission::Now(job, ENDING);
        }
        // Before anybody can see that it is held.
        self.counters.held(call.op, call.path);
        let due_before = state.table.next_due();
        let held = Held {
            rule,
            op: call.op,
            path: call.path.to_vec(),
            bytes: call.bytes.clone(),
            since: Instant::now(),
            then,
            job: Box::new(job) as Job,
        };
        state.table.hold(held, time);
        if state.table.next_due() != due_before {
            self.work.notify_one();
        }
        self.changed.notify_all();
        Admission::Held
    }

    /// Adds a rule for what comes from now on, and returns its number.
    pub(crate) fn add(&self, rule: Rule) -> u64 {
        self.lock().rules.add(rule)
    }

    /// Removes one rule, or all. What waits goes on waiting. Returns how many rules that were.
    pub(crate) fn remove(&self, rule: Option<u64>) -> usize {
        self.lock().rules.remove(rule)
    }

    /// Ends what one rule holds, or all that is held, like this; returns how many requests that are. They are ended
    /// soon, by the timer thread, not before this returns.
    pub(crate) fn release(&self, rule: Option<u64>, verdict: Verdict) -> usize {
        let released = self.lock().table.release(rule, verdict);
        self.work.notify_one();
        released
    }

    /// Removes one rule, or all, and carries out what is held by it. Returns how many rules and requests that were.
    pub(crate) fn thaw(&self, rule: Option<u64>) -> (usize, usize) {
        let mut state = self.lock();
        let counts = (state.rules.remove(rule), state.table.release(rule, Verdict::Go));
        drop(state);
        self.work.notify_one();
        counts
    }

    /// Answers everything that waits, now and from now on, and returns whether that is done within `limit`.
    pub(crate) fn end(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        state.ending = true;
        state.table.release(None, ENDING);
        self.work.notify_one();
        let busy = |state: &mut State| state.table.len() > 0 || state.table.has_ready() || state.in_hand > 0;
        let waited = self.changed.wait_timeout_while(state, limit, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits until at least `count` requests are held, and returns how many are, then or after `limit`.
    pub(crate) fn await_held(&self, count: usize, limit: Duration) -> usize {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| state.table.len() < count && !state.ending);
        waited.unwrap_or_else(PoisonError::into_inner).0.table.len()
    }

    /// How many requests are held.
    pub(crate) fn held(&self) -> usize {
        self.lock().table.len()
    }

    /// The requests that are held, the oldest first.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let (state, now) = (self.lock(), Instant::now());
        let waiting = state.table.iter().map(|held| Waiting {
            rule: held.rule,
            op: held.op,
            path: held.path.clone(),
            bytes: held.bytes.clone(),
            age: now.saturating_duration_since(held.since),
        });
        waiting.collect()
    }

    /// The rules in force and their numbers, oldest first.
    pub(crate) fn rules(&self) -> Vec<(u64, String)> {
        self.lock().rules.iter().map(|(id, rule)| (id, rule.to_string())).collect()
    }

    /// Ends requests when their time has come or they are released. Never returns: it is a thread's main function.
    pub(crate) fn run_timer(&self) -> ! {
        let mut state = self.lock();
        loop {
            let ready = state.table.take_ready(Instant::now());
            if ready.is_empty() {
                state = self.wait_for_work(state);
                continue;
            }
            state.in_hand = ready.len();
            drop(state);
            for (job, verdict) in ready {
                // A job that panics drops its reply, which answers it; the others must not suffer.
                let _ = catch_unwind(AssertUnwindSafe(|| job(verdict)));
            }
            state = self.lock();
            state.in_hand = 0;
            self.changed.notify_all();
        }
    }

    fn wait_for_work<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.table.next_due() {
            None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                let time = due.saturating_duration_since(Instant::now());
                self.work.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;

    /// Longer than anything here takes on the busiest machine.
    const CEILING: Duration = Duration::from_mins(1);

    fn gate(rules: &[&str]) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        for rule in rules {
            gate.add(rule.parse().unwrap());
        }
        let timer = Arc::clone(&gate);
        thread::spawn(move || timer.run_timer());
        gate
    }

    /// Sends a read of `path` through the gate, and says how it ends.
    fn read(gate: &Gate, path: &str) -> Receiver<Verdict> {
        let (tell, told) = channel();
        let call =
            Call { op: Op::Read, path: path.as_bytes(), other: None, bytes: Some(0..1), file_len: &|| None };
        if let Admission::Now(job, verdict) = gate.admit(&call, move |verdict| tell.send(verdict).unwrap()) {
            job(verdict);
        }
        told
    }

    #[test]
    fn a_request_without_a_rule_is_carried_out_at_once() {
        let gate = gate(&["freeze read cold"]);
        assert_eq!(read(&gate, "hot").try_recv(), Ok(Verdict::Go));
        assert_eq!(gate.held(), 0);
    }

    #[test]
    fn a_thaw_carries_out_what_its_rule_holds() {
        let gate = gate(&["freeze read cold", "freeze read frozen"]);
        let (cold, frozen) = (read(&gate, "cold"), read(&gate, "frozen"));
        assert_eq!(gate.await_held(2, CEILING), 2);
        assert_eq!(gate.thaw(Some(1)), (1, 1));
        assert_eq!(cold.recv_timeout(CEILING), Ok(Verdict::Go));
        assert!(frozen.try_recv().is_err());
        assert_eq!(read(&gate, "cold").try_recv(), Ok(Verdict::Go));
        assert_eq!(gate.waiting().first().map(|waiting| waiting.rule), Some(2));
        assert_eq!(gate.release(None, Verdict::Fail(Errno::ENOENT)), 1);
        assert_eq!(frozen.recv_timeout(CEILING), Ok(Verdict::Fail(Errno::ENOENT)));
        assert_eq!(gate.rules().len(), 1);
    }

    #[test]
    fn a_delay_passes_by_itself_and_a_failure_may_come_at_once() {
        let gate =
            gate(&["delay 20ms read slow", "fail EIO read bad", "fail ETIMEDOUT read late after=10ms"]);
        let (slow, late, before) = (read(&gate, "slow"), read(&gate, "late"), Instant::now());
        assert_eq!(read(&gate, "bad").try_recv(), Ok(Verdict::Fail(Errno::EIO)));
        assert_eq!(late.recv_timeout(CEILING), Ok(Verdict::Fail(Errno::ETIMEDOUT)));
        assert_eq!(slow.recv_timeout(CEILING), Ok(Verdict::Go));
        assert!(before.elapsed() >= Duration::from_millis(19));
    }

    #[test]
    fn the_end_answers_everything_and_holds_nothing_more() {
        let gate = gate(&["freeze read *"]);
        let waiting: Vec<_> = (0..1000).map(|number| read(&gate, &number.to_string())).collect();
        assert!(gate.end(CEILING));
        assert!(waiting.iter().all(|told| told.try_recv() == Ok(ENDING)));
        assert_eq!(read(&gate, "x").try_recv(), Ok(ENDING));
    }

    #[test]
    fn a_job_that_panics_does_not_stop_the_others() {
        let gate = gate(&["freeze read *"]);
        let call = Call { op: Op::Read, path: b"x", other: None, bytes: None, file_len: &|| None };
        assert!(matches!(gate.admit(&call, |_| panic!("on purpose")), Admission::Held));
        let other = read(&gate, "y");
        gate.thaw(None);
        assert_eq!(other.recv_timeout(CEILING), Ok(Verdict::Go));
    }
}
