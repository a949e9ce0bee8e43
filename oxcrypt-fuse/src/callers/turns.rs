//! Whose turn it is to be looked at.
//!
//! To look at all who wait, again and again, takes a part of a core where thousands do. But most signals are those of a
//! process, and show at each of its threads. So whoever has never been looked at comes first, which is how it is known
//! whose he is; then one of each process; and only then everybody.

use std::collections::{BTreeSet, VecDeque};

use super::RequestId;

/// All who wait, by the turns that they have.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Nobody has looked at these; in the order in which they came. Those who have left may still be in it.
    new: VecDeque<RequestId>,
    /// The others: who was looked at longest ago comes first. The same is true.
    known: VecDeque<RequestId>,
    /// The same by their processes, and without those who have left.
    processes: BTreeSet<(u32, RequestId)>,
    /// The process of which one was looked at last.
    last: u32,
}

impl Turns {
    pub(super) fn enter(&mut self, id: RequestId) {
        self.new.push_back(id);
    }

    /// He has been looked at, and belongs to this process.
    pub(super) fn learn(&mut self, process: u32, id: RequestId) {
        self.processes.insert((process, id));
    }

    pub(super) fn leave(&mut self, process: Option<u32>, id: RequestId) {
        if let Some(process) = process {
            self.processes.remove(&(process, id));
        }
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) {
        self.new.clear();
        self.known.clear();
    }

    /// The first whom nobody has looked at, if `is_time` says that it is time to do so: he is one of the others then.
    pub(super) fn next_new(&mut self, is_time: impl Fn(RequestId) -> bool) -> Option<RequestId> {
        let id = self.new.pop_front_if(|id| is_time(*id))?;
        self.known.push_back(id);
        Some(id)
    }

    /// The next process, and one of it.
    pub(super) fn next_process(&mut self) -> Option<(u32, RequestId)> {
        let behind = (self.last.saturating_add(1), RequestId::FIRST)..;
        let next = *self.processes.range(behind).next().or_else(|| self.processes.first())?;
        self.last = next.0;
        Some(next)
    }

    /// All of a process.
    pub(super) fn of_process(&self, process: u32) -> Vec<RequestId> {
        let all = (process, RequestId::FIRST)..=(process, RequestId::LAST);
        self.processes.range(all).map(|(_, id)| *id).collect()
    }

    /// The next of those who have been looked at before; whoever does not wait any more is forgotten.
    pub(super) fn next_known(&mut self, waits: impl Fn(RequestId) -> bool) -> Option<RequestId> {
        while let Some(id) = self.known.pop_front() {
            if waits(id) {
                self.known.push_back(id);
                return Some(id);
            }
        }
        None
    }

    /// How many of those there are at most.
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many, who have been looked at, of processes that have numbers from 100 on.
    fn turns(all: u64, processes: u32) -> Turns {
        let mut turns = Turns::default();
        for (number, process) in (0..all).zip((100..100 + processes).cycle()) {
            turns.enter(RequestId(number));
            let id = turns.next_new(|_| true).unwrap();
            turns.learn(process, id);
        }
        turns
    }

    #[test]
    fn each_process_has_its_turn_before_any_has_another_however_many_wait() {
        let mut turns = turns(10_000, 20);
        for _ in 0..3 {
            let seen: Vec<_> = (0..20).map(|_| turns.next_process().unwrap().0).collect();
            assert_eq!(seen, (100..120).collect::<Vec<_>>());
        }
        assert_eq!(turns.of_process(119).len(), 500);
    }

    #[test]
    fn who_comes_is_looked_at_before_those_who_were_but_not_before_it_is_time() {
        let mut turns = turns(3, 1);
        turns.enter(RequestId(7));
        turns.enter(RequestId(8));
        assert_eq!(turns.next_new(|_| false), None);
        assert_eq!(turns.next_new(|id| id == RequestId(7)), Some(RequestId(7)));
        assert_eq!(turns.next_new(|id| id == RequestId(7)), None);
        let round: Vec<_> = (0..5).map(|_| turns.next_known(|id| id != RequestId(1)).unwrap().0).collect();
        assert_eq!(round, [0, 2, 7, 0, 2]);
    }

    #[test]
    fn a_process_of_which_nobody_waits_has_no_turn() {
        let mut turns = turns(4, 2);
        turns.leave(Some(100), RequestId(0));
        turns.leave(Some(100), RequestId(2));
        turns.leave(None, RequestId(3));
        let seen: Vec<_> = (0..3).map(|_| turns.next_process().unwrap().0).collect();
        assert_eq!(seen, [101; 3]);
        turns.leave(Some(101), RequestId(1));
        turns.leave(Some(101), RequestId(3));
        assert_eq!(turns.next_process(), None);
    }
}
