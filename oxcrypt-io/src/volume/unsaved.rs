//! What storage has not taken yet, and the end of it.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use oxcrypt_core::{CiphertextPath, ErrorKind, File, Node, NodeId};

use crate::clock::{Deadline, Time};
use crate::sched::Settled;

use super::error::Result;
use super::question::{Ask, Pending, Step, take_one};
use super::value::{Value, outcome};
use super::write_back::say_where_it_is;
use super::{Cause, Question, Shared, Volume};

/// After the first failure it is tried again so soon; each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A file of which something is not in storage yet. Its `Debug` names no cleartext.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unsaved {
    /// The entry.
    pub node: Arc<Node>,
    /// Where it lies in the storage, or would.
    pub path: CiphertextPath,
    /// Bytes that memory holds of it; 0 where only zeros, or the end of the work, are left.
    pub bytes: usize,
    /// When it was last written to.
    pub written: Option<SystemTime>,
    /// Why the last attempt to store it failed, if it did.
    pub error: Option<String>,
}

impl Volume {
    /// The files of which something is not in storage yet. Never blocks.
    #[must_use]
    pub fn unsaved(&self) -> Vec<Unsaved> {
        let unsaved = self.vault().unsaved_in_memory().into_iter().map(|(node, resident)| Unsaved {
            path: node.ciphertext_path(),
            bytes: resident.unsaved_bytes(),
            written: resident.written(),
            error: resident.failure().map(|error| error.to_string()),
            node,
        });
        unsaved.collect()
    }

    /// Gives up what is unsaved of a file, if storing that has failed, as [`oxcrypt_core::Vault::discard`]. Never blocks.
    #[must_use]
    pub fn discard(&self, node: NodeId) -> bool {
        self.vault().discard(node)
    }

    /// Has storage take what is unsaved now, for no longer than `patience`, while all goes on. What fails is tried again until
    /// then, unless no retry mends it. Returns the files that storage has not taken. Blocks.
    #[must_use = "what is left is not in storage"]
    pub fn save(&self, patience: Duration) -> Vec<Unsaved> {
        let deadline = self.shared.deadline(patience);
        let files = self.vault().unsaved();
        let (answered, answers) = channel::<()>();
        for file in files {
            let last = Last::new(file, Arc::clone(&self.shared), deadline);
            let answered = answered.clone();
            // What failed or came too late is still unsaved, and told below.
            Question::open(last.store(None)).then(move |_| drop(answered));
        }
        drop(answered);
        // Until the last has gone: nothing is ever sent.
        for () in answers {}
        self.unsaved()
    }

    /// Ends the volume: [drains](Self::drain) it, and has storage take what is unsaved as [`save`](Self::save) does. Blocks.
    #[must_use = "what is left is lost with the process"]
    pub fn finish(&self, patience: Duration) -> Vec<Unsaved> {
        self.drain();
        self.save(patience)
    }
}

/// A file that storage is to take by some time, however often that fails.
struct Last {
    file: Arc<File>,
    shared: Arc<Shared>,
    deadline: Deadline,
    /// How long it waits if it fails once more.
    pause: Duration,
}

impl Last {
    fn new(file: File, shared: Arc<Shared>, deadline: Deadline) -> Self {
        Self { file: Arc::new(file), shared, deadline, pause: FIRST_PAUSE }
    }

    fn store(self, not_before: Option<Time>) -> Pending<()> {
        let (file, store) = (Arc::clone(&self.file), Arc::clone(&self.shared.store));
        let job = Box::new(move || {
            let stored = file.flush(store.now());
            if let Ok(stored) = stored {
                say_where_it_is(file.node(), stored);
            }
            outcome(stored, |_| Value::Nothing)
        });
        let mut ask = Ask::to_store(self.file.node(), None, job, self.deadline);
        ask.not_before = not_before;
        let shared = Arc::clone(&self.shared);
        Pending { shared, ask, finish: Box::new(|settled| self.go_on(settled)) }
    }

    /// It was tried: once more after a pause, if there is time for that and it may help.
    fn go_on(self, settled: Settled<Value>) -> Step<()> {
        let Step::Done(answer) = take_one(self.file.node(), || None, |_| Some(()))(settled) else {
            return Step::Done(Ok(()));
        };
        let next = self.shared.store.clock.now() + self.pause;
        if is_worth_a_retry(&answer) && self.file.resident().is_unsaved() && !self.deadline.is_due(next) {
            let pause = LONGEST_PAUSE.min(self.pause * 2);
            return Step::Again(Box::new(Self { pause, ..self }.store(Some(next))));
        }
        // Whoever waits for this closes no file of the storage.
        self.shared.drop_later(self.file.node(), Arc::clone(&self.file));
        Step::Done(answer)
    }
}

/// Whether what failed may go well another time, with nobody doing anything about it.
fn is_worth_a_retry(answer: &Result<()>) -> bool {
    let Err(error) = answer else { return false };
    match error.cause() {
        Cause::Vault(error) => !matches!(
            error.kind(),
            ErrorKind::ReadOnly
                | ErrorKind::PermissionDenied
                | ErrorKind::TooLarge
                | ErrorKind::Damaged
                | ErrorKind::Unsupported
                | ErrorKind::InvalidArgument
        ),
        Cause::TimedOut | Cause::Busy => true,
        Cause::Interrupted | Cause::Stopped | Cause::Broken => false,
    }
}
