//! The walk in the vault itself, for what is copied there: makes directories and links, and finds the files for the
//! workers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::{Name, Node, NodeKind};
use oxcrypt_io::volume::Error;

use super::super::directory::Directory;
use super::super::origin::Origin;
use super::super::stopped::Stopped;
use super::{Job, Target};
use crate::looks::Wanted;
use crate::problem::Problem;
use crate::progress::count;
use crate::walk::{Item, Walk};

impl Job<'_> {
    /// Finds what is at `start` and below.
    pub(super) fn find_in_vault(&self, start: &Arc<Node>, target: &Target, taken: &mut HashSet<Name>) {
        let path = || start.path().to_string();
        let Some(name) = target.name.clone().or_else(|| start.name()) else {
            return;
        };
        if !self.is_free(taken, &name, &path) {
            return;
        }
        let done = match start.kind() {
            NodeKind::File => {
                let len = if self.run.console.is_watched() { self.len(start) } else { 0 };
                self.push(Origin::Entry(Arc::clone(start)), &target.directory, name, len);
                Ok(())
            }
            NodeKind::Symlink => self
                .source()
                .read_link(start)
                .map_err(Stopped::from)
                .and_then(|to| self.link(&to, self.modified(start), &target.directory, &name)),
            NodeKind::Directory => self.find_below(start, &target.directory, &name),
        };
        if let Err(stopped) = done {
            self.stopped(&path(), &stopped);
        }
    }

    fn find_below(&self, start: &Arc<Node>, within: &Arc<Directory>, name: &Name) -> Result<(), Stopped> {
        let wanted = Wanted { attributes: true, target: true, listing: true };
        // Listed before anything is made: what is copied is what was there.
        let mut walk = Walk::below(self.source(), start, wanted)?;
        let mut directories = vec![within.enter(name, self.modified(start))?];
        count(&self.run.counts.folders);
        while let Some(item) = walk.next() {
            if self.run.is_over() {
                self.run.queue.stop();
                return Ok(());
            }
            directories.truncate(item.depth + 1);
            let Some(directory) = directories.last() else { return Ok(()) };
            match self.item(&item, directory) {
                Ok(Some(inner)) => directories.push(inner),
                Ok(None) if item.is_entered() => walk.leave_out(),
                Ok(None) => {}
                Err(stopped) => {
                    self.stopped(&item.path(), &stopped);
                    if item.is_entered() {
                        walk.leave_out();
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes care of one entry. Returns the directory to put its own entries in, if it has any.
    fn item(&self, item: &Item, directory: &Arc<Directory>) -> Result<Option<Arc<Directory>>, Stopped> {
        if let Some(problem) = &item.problem {
            self.run.failed(&item.path(), &problem.to_string());
        }
        let Some(node) = item.node() else { return Ok(None) };
        let Some(name) = node.name() else { return Ok(None) };
        let known = item.look.attributes.as_ref().and_then(|known| known.as_ref().ok());
        let modified = known.and_then(|known| known.modified);
        match (node.kind(), &item.look.target) {
            (NodeKind::File, _) => {
                let len = known.filter(|_| self.run.console.is_watched()).map_or(0, |known| known.len);
                self.push(Origin::Entry(Arc::clone(node)), directory, name.clone(), len);
            }
            (NodeKind::Symlink, Some(Ok(target))) => self.link(target, modified, directory, &name)?,
            (NodeKind::Symlink, Some(Err(problem))) => {
                let problem: &Problem = problem;
                self.run.failed(&item.path(), &problem.to_string());
            }
            (NodeKind::Symlink, None) => {}
            (NodeKind::Directory, _) => {
                let inner = directory.enter(&name, modified)?;
                count(&self.run.counts.folders);
                return Ok(item.is_entered().then_some(inner));
            }
        }
        Ok(None)
    }

    fn modified(&self, node: &Arc<Node>) -> Option<SystemTime> {
        self.source().attributes(node).ok()?.modified
    }

    fn len(&self, node: &Arc<Node>) -> u64 {
        let known: Result<_, Error> = self.source().attributes(node);
        known.map_or(0, |known| known.len)
    }
}
