//! A vault that always answers.
//!
//! Core has each object in two halves: a resident one that holds no storage handle, and a storage one that blocks. A
//! [`Volume`] asks the first on the caller's thread, and leaves the second to the [scheduler](crate::sched):
//!
//! ```text
//!  lookup, attributes, list,        memory has it
//!  readlink, read ─► resident half ────────────────► answer, there and then
//!  open ──────────┐        │ absent                                 ▲
//!                 ▼        ▼                                        │
//!            Question ─ then / ask / wait ─► scheduler ── older answer after 30 ms, failure at the deadline
//!                                               │
//!                      one flight for a name, a listing, a block of 4 chunks, however many ask
//!                                               ▼
//!                                     thread: storage half ──► caches of core
//!                                               └── value ──► all who wait
//! ```
//!
//! So nothing here blocks on storage but [`Question::wait`] and [`Answer::wait`], and these only until the deadline. No
//! lock is held across storage. The value of a flight goes to its waiters as it is, so that an eviction meanwhile makes
//! nobody start over; filling the caches is a side effect, for whoever asks next, also where the answer was too late.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use oxcrypt_core::{Name, Vault};
//! use oxcrypt_io::clock::SystemClock;
//! use oxcrypt_io::volume::{Volume, VolumeOptions};
//!
//! fn first_bytes(vault: Vault, name: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let clock = Arc::new(SystemClock::new());
//!     let volume = Volume::start(Arc::new(vault), VolumeOptions::default(), clock)?;
//!     let node = volume.lookup(&volume.vault().root(), &Name::new(name)?).wait()?;
//!     let file = volume.open(&node).wait()?;
//!     // Answered after two minutes at the latest, even if the cloud never answers.
//!     Ok(volume.read(&file, 0, 16).wait()?.to_vec())
//! }
//! # use oxcrypt_core::{DirId, VaultOptions, storage::MemoryStorage, testing::VaultBuilder, unlock::*};
//! # let storage = Arc::new(MemoryStorage::default());
//! # VaultBuilder::create(&*storage, Default::default())?.file(&DirId::root(), "a", b"0123456789")?;
//! # let vault = Locked::read(storage)?.unlock(&Passphrase::new("passphrase"), &VaultOptions::default())?;
//! # assert_eq!(first_bytes(vault, "a")?, b"0123456789");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxcrypt_core::{Node, Vault};

use crate::clock::{Clock, Deadline, Time};
use crate::sched::plan::{Outcome, WaiterId, Why};
use crate::sched::{Scheduler, Snapshot};

mod admission;
mod answer;
mod change;
mod error;
mod look_ahead;
mod open_file;
mod ops;
mod options;
mod pace;
mod question;
mod read_ahead;
mod space;
mod turns;
mod unsaved;
mod value;
mod waiting;
mod write_back;

pub use answer::Answer;
pub use error::{Cause, Error, Result};
pub use open_file::OpenFile;
pub use ops::entries::{Seen, Wanted};
pub use options::{Deadlines, VolumeOptions};
pub use oxcrypt_core::Cleartext;
pub use question::Question;
pub use unsaved::Unsaved;

use admission::Admission;
use look_ahead::Names;
use open_file::Descriptors;
use pace::Pace;
use question::{Ask, Pending, take_one};
use space::KnownSpace;
use value::{Key, Value};
use waiting::AllWaiting;
use write_back::Later;

/// An open vault and the threads that wait for its storage. Any number of threads may ask at once.
///
/// Dropping it answers every request and returns at once; what is unsaved then is lost, unless somebody has
/// [finished](Self::finish) it before. Its threads end when nobody holds an [`OpenFile`] of it any
/// more, and those that hang in storage when that lets them go.
pub struct Volume {
    shared: Arc<Shared>,
}

/// What requests and open files share.
struct Shared {
    store: Arc<Store>,
    scheduler: Scheduler<Key, Value>,
    options: VolumeOptions,
    space: Mutex<KnownSpace>,
    names: Names,
    admission: Admission,
    waiting: AllWaiting,
    later: Later,
    descriptors: Descriptors,
}

/// What operations work with: the vault, and its time.
struct Store {
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    /// When the volume was started, for core, and for the clock.
    born: Instant,
    born_at: Time,
    pace: Pace,
}

impl Volume {
    /// Starts the threads. Asks storage for the free space, and does not wait for it. Where the options do not say how
    /// many reads the storage's own queue takes, the storage does.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn start(vault: Arc<Vault>, options: VolumeOptions, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let mut limits = options.limits.clone();
        limits.store_queue = limits.store_queue.or(vault.habits().queue);
        let scheduler = Scheduler::start(limits, Arc::clone(&clock))?;
        let born_at = clock.now();
        let store = Arc::new(Store { vault, clock, born: Instant::now(), born_at, pace: Pace::default() });
        let shared = Arc::new(Shared {
            store,
            scheduler,
            options,
            space: Mutex::default(),
            names: Names::default(),
            admission: Admission::default(),
            waiting: AllWaiting::default(),
            later: Later::default(),
            descriptors: Descriptors::none(),
        });
        shared.refresh_space();
        Ok(Self { shared })
    }

    /// The vault. Its own methods block for as long as storage does.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.shared.store.vault
    }

    /// Answers a request without a value, if it has not been answered. Its operation goes on if it has begun.
    pub fn cancel(&self, waiter: WaiterId, why: Why) {
        self.shared.scheduler.cancel(waiter, why);
    }

    /// Answers every request, and all that come after, but for what memory answers; nothing is changed from then on. Files
    /// are still closed. What is unsaved stays so: see [`finish`](Self::finish).
    pub fn drain(&self) {
        self.shared.admission.close();
        self.shared.scheduler.drain();
        self.shared.store_no_more();
    }

    /// How many of the files that the process may have open are taken at most: by files that somebody has open, that are closed
    /// and not stored yet, or whose closing has not ended. One that memory alone has opened counts as well. Never blocks.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.shared.descriptors.all()
    }

    /// What the threads are doing. Touches no storage.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.scheduler.snapshot()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // What waits holds what it belongs to.
        self.drain();
    }
}

impl Shared {
    /// The deadline of a request that arrives now.
    fn deadline(&self, patience: Duration) -> Deadline {
        Deadline::at(self.store.clock.now() + patience)
    }

    /// A question about `node` that memory has no fresh answer to: `work` asks storage, `take` gets its value, and `older` is
    /// what memory has at the moment that it is given, or nothing.
    fn question<T: Send + 'static>(
        self: &Arc<Self>,
        node: &Arc<Node>,
        key: Key,
        patience: Duration,
        older: impl Fn(&Store) -> Option<T> + Send + 'static,
        work: impl FnOnce(&Store) -> Outcome<Value> + Send + 'static,
        take: impl FnOnce(Value) -> Option<T> + Send + 'static,
    ) -> Question<T> {
        let (store, stale) = (Arc::clone(&self.store), Arc::clone(&self.store));
        let mut ask = Ask::one(self, node, key, patience, Box::new(move || work(&store)));
        ask.stale = older(&self.store).is_some();
        let finish = take_one(node, move || older(&stale), take);
        Question::open(Pending { shared: Arc::clone(self), ask, finish })
    }
}

impl Store {
    /// The moment it is, as core wants it.
    fn now(&self) -> Instant {
        self.born + self.clock.now().since(self.born_at)
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({:?})", self.shared.store.vault)
    }
}
