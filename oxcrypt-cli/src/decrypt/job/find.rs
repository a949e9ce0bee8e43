//! The walk: makes folders and links, and finds the files for the workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxcrypt_core::{Entry, LinkTarget, Node, NodeKind};
use oxcrypt_io::volume::Error;

use super::super::folder::{Existing, Folder, Like};
use super::{Found, Job, OF_THIS_RUN, taken};
use crate::exit::{Code, code_of};
use crate::looks::{Looks, Wanted};
use crate::printable::printable;
use crate::problem::Problem;
use crate::progress::count;
use crate::run::Event;
use crate::walk::{Item, Walk};

/// Entries that are left for later at a time.
const MAX_LATER: usize = 4096;

/// Tells where an entry is in the vault.
type Place<'p> = &'p dyn Fn() -> String;

/// What is left for later, because it did not answer in a hurry.
#[derive(Default)]
struct Later {
    starts: Vec<Arc<Node>>,
    entries: Vec<Late>,
}

/// An entry of a directory, and the folder that it belongs in.
type Late = (Arc<Node>, Entry, Arc<Folder>);

impl Job<'_> {
    /// Finds everything there is. What does not answer in a hurry comes last, unless there is much of it.
    pub(super) fn find(&self, starts: &[Arc<Node>], dest: &Arc<Folder>) {
        let mut later = Later::default();
        for start in starts {
            self.find_below(start, dest, self.hurried.as_ref().map(|_| &mut later));
        }
        self.run.queue.found_first();
        self.find_again(&mut later.entries);
        for start in later.starts {
            self.find_below(&start, dest, None);
        }
    }

    /// Finds what is at `start` and below. Waits with all patience where nothing is to be left for later.
    fn find_below(&self, start: &Arc<Node>, dest: &Arc<Folder>, later: Option<&mut Later>) {
        if start.kind() != NodeKind::Directory {
            let name = start.name();
            let name = name.as_ref().map_or("", |name| name.as_str());
            let place: Place<'_> = &|| start.path().to_string();
            return match self.folder_of(start, dest) {
                Ok(folder) if start.kind() == NodeKind::Symlink => {
                    self.link(
                        start,
                        name,
                        self.source.read_link(start).map_err(Problem::from),
                        place,
                        &folder,
                    );
                }
                Ok(folder) => {
                    let known =
                        self.run.console.is_watched().then(|| self.source.attributes(start).ok()).flatten();
                    self.file_found(start, name, known.map_or(0, |known| known.len), place, &folder);
                }
                Err(error) => self.destination_failed(&place(), error),
            };
        }
        match (self.walk(start, later.is_some()), later) {
            (Err(error), Some(later)) if error.is_timeout() => later.starts.push(Arc::clone(start)),
            (Err(error), _) => {
                self.storage_failed.fetch_or(code_of(&error) == Code::Failed, Ordering::Relaxed);
                self.run.failed(&start.path().to_string(), &error.to_string());
            }
            (Ok(walk), later) => match self.folder_of(start, dest) {
                Ok(folder) => self.find_along(walk, folder, later.map(|later| &mut later.entries)),
                Err(error) => self.destination_failed(&start.path().to_string(), error),
            },
        }
    }

    fn walk(&self, start: &Arc<Node>, in_a_hurry: bool) -> Result<Walk<'_>, Error> {
        let source = self.hurried.as_ref().filter(|_| in_a_hurry).unwrap_or(self.source);
        Walk::below(source, start, self.wanted())
    }

    fn wanted(&self) -> Wanted {
        Wanted { attributes: self.run.console.is_watched(), target: true, listing: true }
    }

    fn find_along(&self, mut walk: Walk<'_>, folder: Arc<Folder>, mut later: Option<&mut Vec<Late>>) {
        let mut folders = vec![folder];
        while let Some(item) = walk.next() {
            if self.run.is_over() {
                return self.run.queue.stop();
            }
            folders.truncate(item.depth + 1);
            let Some(folder) = folders.last() else { return };
            if let Some(later) = later.as_mut().filter(|_| item.is_late) {
                later.push((item.look.dir, item.look.entry, Arc::clone(folder)));
                if later.len() >= MAX_LATER || folder.destination().has_many_folders() {
                    self.find_again(later);
                }
                continue;
            }
            match self.item(&item, folder) {
                Some(inner) => folders.push(inner),
                None if item.is_entered() => walk.leave_out(),
                None => {}
            }
        }
    }

    /// Asks once more for what was left for later, with all patience.
    fn find_again(&self, later: &mut Vec<Late>) {
        let (places, folders): (Vec<_>, Vec<_>) =
            std::mem::take(later).into_iter().map(|(dir, entry, folder)| ((dir, entry), folder)).unzip();
        let looks = Looks::of(self.source, places.into_iter(), self.wanted());
        for (look, folder) in looks.zip(folders) {
            if self.run.is_over() {
                return self.run.queue.stop();
            }
            let item = Item::alone(look);
            let Some(inner) = self.item(&item, &folder) else { continue };
            let Some(node) = item.node() else { continue };
            match self.walk(node, false) {
                Ok(walk) => self.find_along(walk, inner, None),
                Err(error) => self.run.failed(&item.path(), &error.to_string()),
            }
        }
    }

    /// Takes care of one entry. Returns the folder to put its own entries in, if it has any.
    fn item(&self, item: &Item, folder: &Arc<Folder>) -> Option<Arc<Folder>> {
        // Wanted only where there is something to tell.
        let path = || item.path();
        if let Some(problem) = &item.problem {
            self.run.failed(&path(), &problem.to_string());
        }
        let node = item.node()?;
        if item.is_conflict() {
            self.run.console.detail(format_args!("{}: a copy made by a sync client", printable(&path())));
        }
        if node.kind() == NodeKind::File {
            let known = item.look.attributes.as_ref().and_then(|known| known.as_ref().ok());
            self.file_found(node, item.name(), known.map_or(0, |known| known.len), &path, folder);
            return None;
        }
        if let Some(target) = &item.look.target {
            self.link(node, item.name(), target.clone(), &path, folder);
            return None;
        }
        let name = self.fit(folder, item.name(), &path);
        if folder.destination().has_many_folders() {
            // Those that only wait for files of theirs to be decrypted are let go of.
            self.run.queue.wait_until_empty();
        }
        match folder.enter(&name, self.like(node)) {
            Ok(inner) => {
                count(&self.run.counts.folders);
                item.is_entered().then_some(inner)
            }
            Err(error) => {
                self.destination_failed(&path(), error);
                None
            }
        }
    }

    /// Takes care of a file. `len` is 0 where it is not known.
    fn file_found(&self, node: &Arc<Node>, name: &str, len: u64, path: Place<'_>, folder: &Arc<Folder>) {
        let name = self.fit(folder, name, path);
        self.run.counts.found(len);
        let (node, folder) = (Arc::clone(node), Arc::clone(folder));
        self.run.queue.push(Found { node, folder, name, len, is_set_aside: false });
    }

    fn fit(&self, folder: &Folder, name: &str, path: Place<'_>) -> String {
        let fitted = folder.fit(name);
        if fitted != name {
            let path = path();
            self.run.console.error(format_args!(
                "{}: the destination cannot hold this name; it is called {} there",
                printable(&path),
                printable(&fitted)
            ));
            self.run.tell(Event::Alias { path: &path, name: &fitted });
        }
        fitted.into_owned()
    }

    fn link(
        &self,
        node: &Arc<Node>,
        name: &str,
        target: Result<LinkTarget, Problem>,
        path: Place<'_>,
        folder: &Arc<Folder>,
    ) {
        let name = self.fit(folder, name, path);
        let target = match target {
            Ok(target) => target,
            Err(problem) => return self.run.failed(&path(), &problem.to_string()),
        };
        let made = match folder.existing(&name) {
            Ok(Some(Existing::Link(old))) if self.settings.resume && old.as_os_str() == &*target => {
                return count(&self.run.counts.skipped);
            }
            Ok(Some(Existing::OfThisRun)) => return self.run.failed(&path(), OF_THIS_RUN),
            Ok(Some(_)) if !self.settings.force => return self.run.failed(&path(), taken(&self.settings)),
            Ok(_) => {
                let modified = self.source.attributes(node).ok().and_then(|known| known.modified);
                folder.link(&name, &target, modified)
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => count(&self.run.counts.links),
            Err(error) => self.destination_failed(&path(), error),
        }
    }

    /// The folder that `start` belongs in; for a directory the folder that it becomes.
    fn folder_of(&self, start: &Arc<Node>, dest: &Arc<Folder>) -> io::Result<Arc<Folder>> {
        let mut way: Vec<Arc<Node>> = Vec::new();
        let mut next =
            if start.kind() == NodeKind::Directory { Some(Arc::clone(start)) } else { start.parent() };
        while let Some((node, parent)) = next.and_then(|node| node.parent().map(|parent| (node, parent))) {
            way.push(node);
            next = Some(parent);
        }
        let mut folder = Arc::clone(dest);
        for node in way.into_iter().rev() {
            let Some(name) = node.name() else { continue };
            let name = self.fit(&folder, name.as_str(), &|| node.path().to_string());
            // Only what is decrypted as a whole gets its time.
            let like = self.like(&node);
            let modified = like.modified.filter(|_| Arc::ptr_eq(&node, start));
            folder = folder.enter(&name, Like { modified, ..like })?;
        }
        Ok(folder)
    }

    /// What a folder is to be like.
    fn like(&self, node: &Arc<Node>) -> Like {
        self.source.attributes(node).map_or_else(
            |_| Like::default(),
            |known| Like { modified: known.modified, mode: known.owner.map(|owner| owner.mode) },
        )
    }
}
