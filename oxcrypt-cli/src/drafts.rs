//! Files of the vault that are not whole yet: under names of their own, until they get the one they are for.
//!
//! Such a name is `.oxcrypt-put-`, what tells this user on this machine from others, and two numbers of the run. Nobody
//! but the holder of the writer lock makes them, so those of this user on this machine that a run comes upon are
//! left over from one that was killed, and it removes them. Those of others may be under way somewhere else, on the way
//! here by a sync client; they are removed when nobody has written to them for a day.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use oxcrypt_core::storage::Replace;
use oxcrypt_core::{DirId, Entry, ErrorKind, Listing, Name, Node, NodeKind, Stored};
use oxcrypt_io::volume::Error;
use sha2::{Digest as _, Sha256};

use crate::lock::lock;
use crate::source::{Buffer, Opened, Source};

const PREFIX: &str = ".oxcrypt-put-";

/// How long to wait for storage to remove what nobody has a use for.
const TIDYING: Duration = Duration::from_secs(5);

/// How long nobody has written to what another machine has left over.
const ABANDONED: Duration = Duration::from_hours(24);

/// The files of a run that are not whole yet.
pub(crate) struct Drafts {
    source: Source,
    /// The same, for what nobody wants to wait for long.
    hurried: Source,
    machine: String,
    run: String,
    next: AtomicU64,
    open: Mutex<HashSet<(ByNode, Name)>>,
}

/// A directory, told from others by what it is and not by how it is called.
#[derive(Clone)]
struct ByNode(Arc<Node>);

/// A file or link of the vault under a name of its own. Dropping it removes it.
pub(crate) struct Draft {
    drafts: Arc<Drafts>,
    dir: Arc<Node>,
    name: Name,
    node: Arc<Node>,
    /// Of a file, until it has its name.
    file: Option<Opened>,
    is_named: bool,
}

impl Drafts {
    pub(crate) fn new(source: &Source) -> Arc<Self> {
        let hurried = source.hurried(TIDYING).unwrap_or_else(|| source.clone());
        let random = DirId::generate();
        let run = HEXLOWER.encode(Sha256::digest(random.as_bytes()).get(..8).unwrap_or_default());
        let (next, open) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { source: source.clone(), hurried, machine: this_machine(), run, next, open })
    }

    /// Begins a file in a directory.
    pub(crate) fn file(self: &Arc<Self>, dir: &Arc<Node>) -> Result<Draft, Error> {
        self.begin(dir, |place| {
            let file = self.source.create(place)?;
            Ok((Arc::clone(file.node()), Some(file)))
        })
    }

    /// Makes a link in a directory.
    pub(crate) fn link(self: &Arc<Self>, dir: &Arc<Node>, target: &str) -> Result<Draft, Error> {
        self.begin(dir, |place| Ok((self.source.make_symlink(place, target)?, None)))
    }

    fn begin(
        self: &Arc<Self>,
        dir: &Arc<Node>,
        make: impl FnOnce((&Arc<Node>, &Name)) -> Result<(Arc<Node>, Option<Opened>), Error>,
    ) -> Result<Draft, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = Name::new(&format!("{PREFIX}{}-{}-{number:x}", self.machine, self.run));
        let name = name.map_err(oxcrypt_core::Error::from)?;
        // Known before it is there, so that it is removed whatever happens.
        self.begun(dir, &name);
        let begun = make((dir, &name));
        let (node, file) = begun.inspect_err(|_| self.ended(dir, &name))?;
        Ok(Draft { drafts: Arc::clone(self), dir: Arc::clone(dir), name, node, file, is_named: false })
    }

    /// Removes what is not whole. For the end of a run that cannot wait for its workers.
    pub(crate) fn remove_all(&self) {
        for (ByNode(dir), name) in std::mem::take(&mut *lock(&self.open)) {
            // Where that fails, the next run removes it.
            drop(self.hurried.remove((&dir, &name)));
        }
    }

    /// Removes what runs that were killed have left over in a directory.
    pub(crate) fn clear(&self, dir: &Arc<Node>, listing: &Listing) {
        for entry in listing.entries() {
            if let Some(machine) = machine_of(entry.shown())
                && let Ok(node) = self.hurried.node(dir, entry)
                && node.kind() != NodeKind::Directory
                && (machine == self.machine || self.is_abandoned(&node))
                && let Entry::Sound(found) = entry
            {
                // Where that fails, it stays, and nobody is worse off.
                drop(self.hurried.remove((dir, found.name())));
            }
        }
    }

    fn is_abandoned(&self, node: &Arc<Node>) -> bool {
        let modified = self.hurried.attributes(node).ok().and_then(|known| known.modified);
        modified
            .and_then(|modified| SystemTime::now().duration_since(modified).ok())
            .is_some_and(|since| since > ABANDONED)
    }

    fn begun(&self, dir: &Arc<Node>, name: &Name) {
        lock(&self.open).insert((ByNode(Arc::clone(dir)), name.clone()));
    }

    fn ended(&self, dir: &Arc<Node>, name: &Name) {
        let ended = lock(&self.open).take(&(ByNode(Arc::clone(dir)), name.clone()));
        drop(ended);
    }
}

impl Draft {
    /// What it is called so far.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// As [`Source::write_at`].
    pub(crate) fn write_at(
        &self,
        offset: u64,
        buffer: &mut Buffer,
        len: usize,
        store: bool,
    ) -> Result<(), Error> {
        match &self.file {
            Some(file) => self.drafts.source.write_at(file, offset, buffer, len, store),
            None => Ok(()),
        }
    }

    /// Has storage take all of it; durably, where it is to take the place of something.
    pub(crate) fn store(&mut self, durably: bool) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let Stored::ConflictCopy { lost_chunks } = self.drafts.source.store(file, durably)? else {
            return Ok(());
        };
        // Somebody else has put another file in its place, and it goes on under another name.
        self.drafts.ended(&self.dir, &self.name);
        if let Some(name) = self.node.name() {
            self.name = name;
            self.drafts.begun(&self.dir, &self.name);
        }
        let lost = oxcrypt_core::Error::from(ErrorKind::Incomplete);
        if lost_chunks > 0 { Err(lost.into()) } else { Ok(()) }
    }

    /// Gives it its time. Not every storage has times, and nobody misses them there.
    pub(crate) fn set_modified(&self, modified: SystemTime) {
        drop(self.drafts.source.set_modified(&self.node, modified));
    }

    /// Gives it its name in the same directory, in one step.
    pub(crate) fn give_name(&mut self, name: &Name, replace: Replace) -> Result<(), Error> {
        let (from, to) = ((&self.dir, &self.name), (&self.dir, name));
        self.drafts.source.rename(from, to, replace)?;
        self.is_named = true;
        self.drafts.ended(&self.dir, &self.name);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_named {
            // Where that fails, the next run removes it.
            drop(self.drafts.hurried.remove((&self.dir, &self.name)));
            self.drafts.ended(&self.dir, &self.name);
        }
    }
}

impl PartialEq for ByNode {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ByNode {}

impl std::hash::Hash for ByNode {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

/// Whether a name is one of a file that is not whole.
pub(crate) fn is_draft(name: &str) -> bool {
    machine_of(name).is_some()
}

/// Who has made a file that is not whole, from its name.
fn machine_of(name: &str) -> Option<&str> {
    let (machine, rest) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let (run, number) = rest.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    [machine, run, number].into_iter().all(is_number).then_some(machine)
}

/// What tells this user on this machine from others, and says no more of them.
fn this_machine() -> String {
    let mut hash = Sha256::new();
    hash.update(b"oxcrypt put");
    #[cfg(unix)]
    {
        hash.update(rustix::process::geteuid().as_raw().to_le_bytes());
        match std::fs::read("/etc/machine-id") {
            Ok(id) => hash.update(id),
            Err(_) => hash.update(rustix::system::uname().nodename().to_bytes()),
        }
    }
    #[cfg(not(unix))]
    for variable in ["COMPUTERNAME", "USERNAME"] {
        hash.update(std::env::var_os(variable).unwrap_or_default().into_encoded_bytes());
    }
    HEXLOWER.encode(hash.finalize().get(..4).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_its_own_kind_are_taken_for_left_over() {
        assert_eq!(machine_of(".oxcrypt-put-0a1b2c3d-0123456789abcdef-1f"), Some("0a1b2c3d"));
        for other in
            [".oxcrypt-put-", ".oxcrypt-put-notes", ".oxcrypt-put-0a-1b", ".oxcrypt-put-0a-1b-x", "a"]
        {
            assert!(!is_draft(other), "{other}");
        }
    }

    #[test]
    fn this_machine_is_the_same_every_time() {
        assert_eq!((this_machine(), this_machine().len()), (this_machine(), 8));
    }
}
