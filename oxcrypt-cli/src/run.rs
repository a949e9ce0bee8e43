//! One run of several workers over what a walk finds: what they share, what is told of it, and how it ends.

use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};

use crate::exit::{Code, Failure, Result as Ended};
use crate::interrupt::Interrupt;
use crate::lock::lock;
use crate::output::Console;
use crate::printable::printable;
use crate::progress::{Counts, Progress, Words, count};
use crate::queue::Queue;

/// What is worth telling a program, too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'e> {
    /// An entry could not be done, or not whole.
    Failed { path: &'e str, why: &'e str },
    /// An entry has another name in the destination.
    Alias { path: &'e str, name: &'e str },
    /// An entry is of a kind that is not taken along.
    LeftOut { path: &'e str, why: &'e str },
}

impl Event<'_> {
    pub(crate) fn as_json(self) -> Value {
        match self {
            Self::Failed { path, why } => json!({ "event": "failed", "path": path, "error": why }),
            Self::Alias { path, name } => json!({ "event": "alias", "path": path, "name": name }),
            Self::LeftOut { path, why } => json!({ "event": "leftOut", "path": path, "reason": why }),
        }
    }
}

/// Told of each event.
pub(crate) type OnEvent<'r> = &'r (dyn Fn(Event<'_>) + Sync);

/// Why a run ended before its time.
#[derive(Debug)]
pub(crate) enum Fatal<E> {
    /// What everything goes to takes nothing more.
    Destination(E),
    /// This program is wrong.
    Panic,
}

/// A run: `F` are the files it is about, `P` is what workers need to know of one that they share, `E` is what ends it.
pub(crate) struct Run<'r, F, P, E> {
    pub(crate) console: &'r Console,
    pub(crate) counts: Counts,
    pub(crate) queue: Queue<F, P>,
    interrupt: &'r Interrupt,
    on_event: OnEvent<'r>,
    fatal: Mutex<Option<Fatal<E>>>,
}

impl<'r, F: Send, P: Send + Sync, E: Send> Run<'r, F, P, E> {
    pub(crate) fn new(
        words: Words,
        console: &'r Console,
        interrupt: &'r Interrupt,
        on_event: OnEvent<'r>,
    ) -> Self {
        let (counts, queue, fatal) = (Counts::new(words), Queue::new(), Mutex::default());
        Self { console, counts, queue, interrupt, on_event, fatal }
    }

    /// Has so many workers do `work` until the queue is at its end, while `find` fills it.
    ///
    /// # Errors
    ///
    /// What ended the run before its time. Everything else is told as it happens.
    pub(crate) fn go(
        &self,
        workers: usize,
        work: impl Fn() + Sync,
        find: impl FnOnce(),
    ) -> Result<(), Fatal<E>> {
        let progress = Progress::new(&self.counts, self.console);
        thread::scope(|scope| {
            let _ending = Ending { run: self, progress: &progress };
            scope.spawn(|| progress.run());
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    scope.spawn(|| {
                        let _guard = OnPanic(self);
                        work();
                    })
                })
                .collect();
            find();
            self.counts.found_all();
            self.queue.close();
            for worker in workers {
                // One that panicked has said so.
                drop(worker.join());
            }
        });
        match lock(&self.fatal).take() {
            Some(fatal) => Err(fatal),
            None => Ok(()),
        }
    }

    /// Whether there is no point in going on.
    pub(crate) fn is_over(&self) -> bool {
        self.interrupt.is_asked() || lock(&self.fatal).is_some()
    }

    /// Ends the run.
    pub(crate) fn give_up(&self, fatal: Fatal<E>) {
        lock(&self.fatal).get_or_insert(fatal);
        self.queue.stop();
    }

    /// Tells of an entry that could not be done, or not whole.
    pub(crate) fn failed(&self, path: &str, why: &str) {
        count(&self.counts.failed);
        self.console.error(format_args!("{}: {why}", printable(path)));
        self.tell(Event::Failed { path, why });
    }

    /// Tells a program.
    pub(crate) fn tell(&self, event: Event<'_>) {
        (self.on_event)(event);
    }

    /// Says what came of it, and chooses the code. `has_storage_failed` of a vault, for some entry.
    pub(crate) fn conclude(&self, result: Result<(), Fatal<E>>, has_storage_failed: bool) -> Ended<()>
    where
        E: std::fmt::Display,
    {
        let (counts, console) = (&self.counts, self.console);
        if self.interrupt.is_asked() {
            console.note(format_args!("interrupted after {counts}; --resume goes on from here"));
            return Err(Failure::said(Code::Interrupted));
        }
        if let Err(fatal) = result {
            console.note(format_args!("stopped after {counts}; --resume goes on from here"));
            return Err(match fatal {
                Fatal::Destination(error) => {
                    Failure::failed(format_args!("the {} failed: {error}", counts.words().destination))
                }
                Fatal::Panic => {
                    Failure::failed("this program has failed, which is a mistake in it; please report it")
                }
            });
        }
        console.note(format_args!("{} {counts}", counts.words().done));
        if counts.is_complete() {
            Ok(())
        } else if has_storage_failed && !counts.has_any() {
            Err(Failure::said(Code::Failed))
        } else {
            Err(Failure::said(Code::Partial))
        }
    }
}

/// Ends the run if a worker panics, so that nobody waits for it.
struct OnPanic<'g, 'r, F: Send, P: Send + Sync, E: Send>(&'g Run<'r, F, P, E>);

impl<F: Send, P: Send + Sync, E: Send> Drop for OnPanic<'_, '_, F, P, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.give_up(Fatal::Panic);
        }
    }
}

/// Sees to it that workers and progress end, also if the walk panics.
struct Ending<'g, 'r, F: Send, P: Send + Sync, E: Send> {
    run: &'g Run<'r, F, P, E>,
    progress: &'g Progress<'g>,
}

impl<F: Send, P: Send + Sync, E: Send> Drop for Ending<'_, '_, F, P, E> {
    fn drop(&mut self) {
        self.run.queue.stop();
        self.progress.end();
    }
}
