//! The walk: makes folders and links, and finds the files for the workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxcrypt_core::{Node, NodeKind};

use super::super::folder::{Existing, Folder, Like};
use super::super::progress::count;
use super::{Event, Found, Job, OF_THIS_RUN, taken};
use crate::exit::{Code, code_of};
use crate::printable::printable;
use crate::walk::{Item, Walk};

/// Tells where an entry is in the vault.
type Place<'p> = &'p dyn Fn() -> String;

impl Job<'_> {
    pub(super) fn find_below(&self, start: &Arc<Node>, dest: &Arc<Folder>) {
        let folder = match self.folder_of(start, dest) {
            Ok(folder) => folder,
            Err(error) => return self.destination_failed(&start.path().to_string(), error),
        };
        if start.kind() != NodeKind::Directory {
            let name = start.name().map_or("", |name| name.as_str());
            return self.found(start, name, &|| start.path().to_string(), &folder);
        }
        let mut walk = match Walk::below(self.source, start) {
            Ok(walk) => walk,
            Err(error) => {
                self.storage_failed.fetch_or(code_of(&error) == Code::Failed, Ordering::Relaxed);
                return self.failed(&start.path().to_string(), &error.to_string());
            }
        };
        let mut folders = vec![folder];
        while let Some(item) = walk.next() {
            if self.is_over() {
                return self.queue.stop();
            }
            folders.truncate(item.depth + 1);
            let Some(folder) = folders.last() else { return };
            match self.item(&item, folder) {
                Some(inner) => folders.push(inner),
                None if item.is_entered() => walk.leave_out(),
                None => {}
            }
        }
    }

    /// Takes care of one entry. Returns the folder to put its own entries in, if it has any.
    fn item(&self, item: &Item, folder: &Arc<Folder>) -> Option<Arc<Folder>> {
        // Wanted only where there is something to tell.
        let path = || item.path();
        if let Some(problem) = &item.problem {
            self.failed(&path(), problem);
        }
        let node = item.node.as_ref()?;
        if item.is_conflict {
            self.console.detail(format_args!("{}: a copy made by a sync client", printable(&path())));
        }
        if node.kind() != NodeKind::Directory {
            self.found(node, &item.name, &path, folder);
            return None;
        }
        let name = self.fit(folder, &item.name, &path);
        if folder.destination().has_many_folders() {
            // Those that only wait for files of theirs to be decrypted are let go of.
            self.queue.wait_until_empty();
        }
        match folder.enter(&name, self.like(node)) {
            Ok(inner) => {
                count(&self.counts.folders);
                item.is_entered().then_some(inner)
            }
            Err(error) => {
                self.destination_failed(&path(), error);
                None
            }
        }
    }

    /// Takes care of a file or link.
    fn found(&self, node: &Arc<Node>, name: &str, path: Place<'_>, folder: &Arc<Folder>) {
        let name = self.fit(folder, name, path);
        if node.kind() == NodeKind::Symlink {
            return self.link(node, &name, path, folder);
        }
        let mut len = 0;
        if self.console.is_watched() {
            len = self.source.attributes(node).map_or(0, |known| known.len);
            self.counts.found_bytes.fetch_add(len, Ordering::Relaxed);
        }
        let (node, folder) = (Arc::clone(node), Arc::clone(folder));
        self.queue.push(Found { node, folder, name, len, is_set_aside: false });
    }

    fn fit(&self, folder: &Folder, name: &str, path: Place<'_>) -> String {
        let fitted = folder.fit(name);
        if fitted != name {
            let path = path();
            self.console.error(format_args!(
                "{}: the destination cannot hold this name; it is called {} there",
                printable(&path),
                printable(&fitted)
            ));
            (self.on_event)(Event::Alias { path: &path, name: &fitted });
        }
        fitted.into_owned()
    }

    fn link(&self, node: &Arc<Node>, name: &str, path: Place<'_>, folder: &Arc<Folder>) {
        let target = match self.source.read_link(node) {
            Ok(target) => target,
            Err(error) => return self.failed(&path(), &error.to_string()),
        };
        let made = match folder.existing(name) {
            Ok(Some(Existing::Link(old))) if self.settings.resume && old.as_os_str() == &*target => {
                return count(&self.counts.skipped);
            }
            Ok(Some(Existing::OfThisRun)) => return self.failed(&path(), OF_THIS_RUN),
            Ok(Some(_)) if !self.settings.force => return self.failed(&path(), taken(&self.settings)),
            Ok(_) => {
                let modified = self.source.attributes(node).ok().and_then(|known| known.modified);
                folder.link(name, &target, modified)
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => count(&self.counts.links),
            Err(error) => self.destination_failed(&path(), error),
        }
    }

    /// The folder that `start` belongs in; for a directory the folder that it becomes.
    fn folder_of(&self, start: &Arc<Node>, dest: &Arc<Folder>) -> io::Result<Arc<Folder>> {
        let mut way: Vec<&Arc<Node>> = Vec::new();
        let mut next = if start.kind() == NodeKind::Directory { Some(start) } else { start.parent() };
        while let Some(node) = next.filter(|node| node.parent().is_some()) {
            way.push(node);
            next = node.parent();
        }
        let mut folder = Arc::clone(dest);
        for node in way.into_iter().rev() {
            let Some(name) = node.name() else { continue };
            let name = self.fit(&folder, name.as_str(), &|| node.path().to_string());
            // Only what is decrypted as a whole gets its time.
            let like = self.like(node);
            let modified = like.modified.filter(|_| Arc::ptr_eq(node, start));
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
