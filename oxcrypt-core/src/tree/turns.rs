//! Turns: who may change a directory or an entry now, and who may rely on where it is.

use std::collections::HashMap;

use crate::name::DirId;
use crate::node::NodeId;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Turns of a vault. They are held across storage, by threads that may block; nothing that answers from memory takes one.
///
/// To wait for each other for ever is impossible where everybody takes them in this order: [`Subject::Moves`], then
/// directories, then entries by their ids. Several directories are taken all at once; whoever has some waits for no other
/// but one that lies in them, and which that is nobody changes without [`Subject::Moves`].
pub(crate) struct Turns {
    held: Mutex<HashMap<Subject, Hold>>,
    freed: Condvar,
}

/// What a turn is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Which directory lies in which: renames of directories from one to another.
    Moves,
    /// The entries of a directory.
    Directory(DirId),
    /// Where an entry is, and what is there.
    Entry(NodeId),
}

#[derive(Default)]
struct Hold {
    shared: usize,
    alone: bool,
    /// Waiting to be alone: those who would share wait behind them.
    waiting: usize,
    /// Those who would share, and wait.
    behind: usize,
}

/// A turn that was given; it ends when this is dropped.
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    subject: Subject,
    alone: bool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { held: Mutex::new(HashMap::new()), freed: Condvar::new() }
    }

    /// Waits until nobody else has a turn of `subject`.
    pub(crate) fn alone(&self, subject: Subject) -> Turn<'_> {
        let mut all = self.lock();
        wait_alone(&mut all, &subject);
        while !is_free(&all, &subject) {
            all = self.freed.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
        take_alone(&mut all, &subject);
        Turn { turns: self, subject, alone: true }
    }

    /// Waits until nobody else has a turn of any of these, each of them another, and has none while it waits.
    pub(crate) fn all_alone(&self, subjects: Vec<Subject>) -> Vec<Turn<'_>> {
        let mut all = self.lock();
        for subject in &subjects {
            wait_alone(&mut all, subject);
        }
        while !subjects.iter().all(|subject| is_free(&all, subject)) {
            all = self.freed.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
        for subject in &subjects {
            take_alone(&mut all, subject);
        }
        drop(all);
        subjects.into_iter().map(|subject| Turn { turns: self, subject, alone: true }).collect()
    }

    /// Waits until nobody has the turn of `subject` alone.
    pub(crate) fn shared(&self, subject: Subject) -> Turn<'_> {
        let mut all = self.lock();
        let mut has_waited = false;
        loop {
            let hold = all.entry(subject.clone()).or_default();
            if !hold.alone && hold.waiting == 0 {
                hold.behind -= usize::from(has_waited);
                hold.shared += 1;
                return Turn { turns: self, subject, alone: false };
            }
            hold.behind += usize::from(!has_waited);
            has_waited = true;
            all = self.freed.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut held = self.turns.lock();
        let mut is_awaited = false;
        if let Some(hold) = held.get_mut(&self.subject) {
            if self.alone {
                hold.alone = false;
            } else {
                hold.shared -= 1;
            }
            is_awaited = hold.waiting > 0 || hold.behind > 0;
            if hold.shared == 0 && !hold.alone && !is_awaited {
                held.remove(&self.subject);
            }
        }
        drop(held);
        // Waking costs a call of the system, also where nobody sleeps.
        if is_awaited {
            self.turns.freed.notify_all();
        }
    }
}

/// Somebody begins to wait until he is alone.
fn wait_alone(all: &mut HashMap<Subject, Hold>, subject: &Subject) {
    all.entry(subject.clone()).or_default().waiting += 1;
}

fn is_free(all: &HashMap<Subject, Hold>, subject: &Subject) -> bool {
    all.get(subject).is_none_or(|hold| hold.shared == 0 && !hold.alone)
}

/// Somebody who waited is alone.
fn take_alone(all: &mut HashMap<Subject, Hold>, subject: &Subject) {
    let hold = all.entry(subject.clone()).or_default();
    hold.waiting -= 1;
    hold.alone = true;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn whoever_is_alone_is_alone() {
        let (turns, inside, most) = (Turns::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let subject = || Subject::Directory(DirId::root());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (turns, inside, most) = (&turns, &inside, &most);
                scope.spawn(move || {
                    for _ in 0..500 {
                        if number % 2 == 0 {
                            let _turn = turns.alone(subject());
                            assert_eq!(inside.fetch_add(100, Ordering::SeqCst), 0);
                            inside.fetch_sub(100, Ordering::SeqCst);
                        } else {
                            let _turn = turns.shared(subject());
                            let others = inside.fetch_add(1, Ordering::SeqCst);
                            assert!(others < 100);
                            most.fetch_max(others + 1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(turns.lock().is_empty(), "no turn is remembered that nobody has");
    }

    #[test]
    fn whoever_wants_several_has_none_while_he_waits() {
        let turns = Turns::new();
        let thing = |number| Subject::Entry(NodeId(number));
        let first = turns.alone(thing(1));
        std::thread::scope(|scope| {
            let both = scope.spawn(|| turns.all_alone(vec![thing(2), thing(1)]).len());
            while turns.lock().get(&thing(2)).is_none() {
                std::thread::yield_now();
            }
            drop(turns.alone(thing(2)));
            assert!(!both.is_finished());
            drop(first);
            assert_eq!(both.join().unwrap(), 2);
        });
        assert!(turns.lock().is_empty());
    }

    #[test]
    fn different_subjects_do_not_wait_for_each_other() {
        let turns = Turns::new();
        let _moves = turns.alone(Subject::Moves);
        let _one = turns.alone(Subject::Entry(NodeId(1)));
        let _other = turns.alone(Subject::Entry(NodeId(2)));
        let _first = turns.shared(Subject::Directory(DirId::root()));
        let _second = turns.shared(Subject::Directory(DirId::root()));
    }
}
