//! The walk: makes folders and links, and finds the files for the workers.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::{Node, NodeKind};

use super::super::folder::{Existing, Folder};
use super::super::progress::count;
use super::{Found, Job, taken};
use crate::printable::printable;
use crate::walk::{Item, Walk};

/// Tells where an entry is in the vault.
type Place<'p> = &'p dyn Fn() -> String;

impl Job<'_> {
    pub(super) fn find_below(&self, start: &Arc<Node>, dest: &Arc<Folder>) {
        let folder = match folder_of(start, dest) {
            Ok(folder) => folder,
            Err(error) => return self.destination_failed(&start.path().to_string(), error),
        };
        if start.kind() != NodeKind::Directory {
            let name = start.name().map_or("", |name| name.as_str());
            return self.found(start, name, &|| start.path().to_string(), &folder);
        }
        let mut walk = match Walk::below(self.vault, start) {
            Ok(walk) => walk,
            Err(error) => return self.failed(&start.path().to_string(), &error.to_string()),
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
        let modified = self.vault.attributes(node, Instant::now()).ok().and_then(|known| known.modified);
        match folder.enter(&name, modified) {
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
        self.queue.push(Found { node: Arc::clone(node), folder: Arc::clone(folder), name });
    }

    fn fit(&self, folder: &Folder, name: &str, path: Place<'_>) -> String {
        let fitted = folder.fit(name);
        if fitted != name {
            let (path, fitted) = (path(), printable(&fitted));
            let path = printable(&path);
            self.console.note(format_args!(
                "oxcrypt: {path}: the destination cannot hold this name; it is called {fitted} there"
            ));
        }
        fitted.into_owned()
    }

    fn link(&self, node: &Arc<Node>, name: &str, path: Place<'_>, folder: &Arc<Folder>) {
        let now = Instant::now();
        let target = match self.vault.read_link(node, now) {
            Ok(target) => target,
            Err(error) => return self.failed(&path(), &error.to_string()),
        };
        let made = match folder.existing(name) {
            Ok(Some(Existing::Link(old))) if self.settings.resume && old.as_os_str() == &*target => {
                return count(&self.counts.skipped);
            }
            Ok(Some(_)) if !self.settings.force => return self.failed(&path(), taken(&self.settings)),
            Ok(_) => {
                let modified = self.vault.attributes(node, now).ok().and_then(|known| known.modified);
                folder.link(name, &target, modified)
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => count(&self.counts.links),
            Err(error) => self.destination_failed(&path(), error),
        }
    }
}

/// The folder that `start` belongs in; for a directory the folder that it becomes.
fn folder_of(start: &Arc<Node>, dest: &Arc<Folder>) -> io::Result<Arc<Folder>> {
    let path = start.path();
    let on_the_way = match (start.kind(), path.names().split_last()) {
        (NodeKind::Directory, _) | (_, None) => path.names(),
        (_, Some((_, parents))) => parents,
    };
    let mut folder = Arc::clone(dest);
    for name in on_the_way {
        folder = folder.enter(&folder.fit(name.as_str()), None)?;
    }
    Ok(folder)
}
