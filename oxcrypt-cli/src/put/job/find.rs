//! The walk on the host: makes directories and links, and finds the files for the workers.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::SystemTime;
use std::vec;

use oxcrypt_core::{Name, NodeKind};

use super::super::directory::Directory;
use super::super::host::{Folder, Kind, Root};
use super::super::origin::Origin;
use super::super::stopped::Stopped;
use super::{Found, Job, Target};
use crate::drafts::is_draft;
use crate::progress::count;

/// A folder on the way down.
struct Level {
    folder: Arc<Folder>,
    entries: vec::IntoIter<(OsString, Kind)>,
    directory: Arc<Directory>,
    /// Names that were given in the directory.
    taken: HashSet<Name>,
}

/// An entry of the host, and where it is to go.
struct Entry<'e> {
    folder: &'e Arc<Folder>,
    name: &'e OsStr,
    directory: &'e Arc<Directory>,
    to: Name,
}

impl Entry<'_> {
    fn path(&self) -> String {
        self.folder.path_of(self.name).display().to_string()
    }
}

impl Job<'_> {
    /// Finds what is at `root` and below.
    pub(super) fn find_on_host(&self, root: Root, target: &Target, taken: &mut HashSet<Name>) {
        let level = match root {
            Root::Folder(folder, name) => self.fill(&folder, name.as_deref(), target, taken),
            Root::Entry(folder, name) => {
                let path = || folder.path_of(&name).display().to_string();
                let to = target.name.clone().or_else(|| self.fit(&name, &path));
                let Some(to) = to.filter(|to| self.is_free(taken, to, &path)) else { return };
                let entry = Entry { folder: &folder, name: &name, directory: &target.directory, to };
                match folder.stat(&name) {
                    Ok(stat) => self.entry(&entry, stat.kind),
                    Err(error) => return self.stopped(&path(), &Stopped::Host(error)),
                }
            }
        };
        let mut levels: Vec<Level> = level.into_iter().collect();
        while let Some(Level { folder, entries, directory, taken }) = levels.last_mut() {
            if self.run.is_over() {
                return self.run.queue.stop();
            }
            let Some((name, kind)) = entries.next() else {
                levels.pop();
                continue;
            };
            let path = || folder.path_of(&name).display().to_string();
            let Some(to) = self.fit(&name, &path) else { continue };
            if self.is_free(taken, &to, &path) {
                let inner = self.entry(&Entry { folder, name: &name, directory, to }, kind);
                levels.extend(inner);
            }
        }
    }

    /// What is in a folder goes into a directory of its name; into the target itself where neither has one.
    fn fill(
        &self,
        folder: &Arc<Folder>,
        name: Option<&OsStr>,
        target: &Target,
        taken: &mut HashSet<Name>,
    ) -> Option<Level> {
        let path = || folder.path().display().to_string();
        let to = match (&target.name, name) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(name)) => Some(self.fit(name, &path)?),
            (None, None) => None,
        };
        let directory = match to {
            Some(to) if self.is_free(taken, &to, &path) => target.directory.enter(&to, folder.modified()),
            Some(_) => return None,
            None => Ok(Arc::clone(&target.directory)),
        };
        self.level(folder, directory, &path)
    }

    /// Takes care of one entry. What is in a folder comes next.
    fn entry(&self, entry: &Entry<'_>, kind: Kind) -> Option<Level> {
        match kind {
            Kind::File => self.file_found(entry),
            Kind::Link => {
                if let Err(stopped) = self.host_link(entry) {
                    self.stopped(&entry.path(), &stopped);
                }
            }
            Kind::Other => self.left_out(&entry.path(), "it is a device, a pipe or a socket"),
            Kind::Folder => return self.enter(entry),
        }
        None
    }

    fn enter(&self, entry: &Entry<'_>) -> Option<Level> {
        if entry.folder.has_many_folders() {
            // Those that only wait for files of theirs to be encrypted are let go of.
            self.run.queue.wait_until_empty();
        }
        match entry.folder.enter(entry.name) {
            Ok(inner) => {
                let directory = entry.directory.enter(&entry.to, inner.modified());
                self.level(&Arc::new(inner), directory, &|| entry.path())
            }
            Err(error) => {
                self.stopped(&entry.path(), &Stopped::Host(error));
                None
            }
        }
    }

    fn level(
        &self,
        folder: &Arc<Folder>,
        directory: Result<Arc<Directory>, Stopped>,
        path: &dyn Fn() -> String,
    ) -> Option<Level> {
        let entries =
            directory.and_then(|directory| Ok((directory, folder.entries().map_err(Stopped::Host)?)));
        match entries {
            Ok((directory, entries)) => {
                count(&self.run.counts.folders);
                let (folder, entries, taken) = (Arc::clone(folder), entries.into_iter(), HashSet::new());
                Some(Level { folder, entries, directory, taken })
            }
            Err(stopped) => {
                self.stopped(&path(), &stopped);
                None
            }
        }
    }

    fn file_found(&self, entry: &Entry<'_>) {
        let stat = self.run.console.is_watched().then(|| entry.folder.stat(entry.name).ok()).flatten();
        let origin = Origin::Host(Arc::clone(entry.folder), entry.name.to_owned());
        self.push(origin, entry.directory, entry.to.clone(), stat.map_or(0, |stat| stat.len));
    }

    /// Leaves a file to the workers. `len` is 0 where nobody watches.
    pub(super) fn push(&self, origin: Origin, directory: &Arc<Directory>, name: Name, len: u64) {
        self.run.counts.found(len);
        self.run.queue.push(Found { origin, directory: Arc::clone(directory), name, len });
    }

    fn host_link(&self, entry: &Entry<'_>) -> Result<(), Stopped> {
        let target = entry.folder.read_link(entry.name).map_err(Stopped::Host)?;
        let Some(target) = target.to_str() else {
            return Err(Stopped::Refused("it leads to a name that is not UTF-8, which no vault can hold"));
        };
        let modified = entry.folder.stat(entry.name).ok().and_then(|stat| stat.modified);
        self.link(target, modified, entry.directory, &entry.to)
    }

    /// Makes a link, unless it is there already.
    pub(super) fn link(
        &self,
        target: &str,
        modified: Option<SystemTime>,
        directory: &Arc<Directory>,
        name: &Name,
    ) -> Result<(), Stopped> {
        let old = directory.existing(name)?;
        if let Some(old) = &old {
            let is_same = || {
                old.kind() == NodeKind::Symlink
                    && self.source().read_link(old).is_ok_and(|there| there.as_str() == target)
            };
            if self.settings.no_clobber || self.settings.resume && is_same() {
                count(&self.run.counts.skipped);
                return Ok(());
            }
        }
        let mut draft = self.filling.drafts.link(directory.node(), target)?;
        if let Some(modified) = modified {
            draft.set_modified(modified);
        }
        let counter = if self.give_name(&mut draft, name, old.as_deref())? {
            &self.run.counts.links
        } else {
            &self.run.counts.skipped
        };
        count(counter);
        Ok(())
    }

    /// The name to have in the vault; tells where there is none.
    fn fit(&self, name: &OsStr, path: &dyn Fn() -> String) -> Option<Name> {
        let Some(text) = name.to_str() else {
            self.run.failed(&path(), "its name is not UTF-8, so no vault can hold it");
            return None;
        };
        if is_draft(text) {
            self.left_out(&path(), "it is what a put has left over that was killed");
            return None;
        }
        Name::new(text).inspect_err(|invalid| self.run.failed(&path(), &invalid.to_string())).ok()
    }
}
