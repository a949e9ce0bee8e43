//! `oxcrypt rm`: removes entries, and trees from the leaves on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use oxcrypt_core::{Entry, ErrorKind, Name, Node, NodeKind, VaultOptions, VaultPath, Visit, Visits};
use serde_json::json;

use crate::args::RmArgs;
use crate::dest::Dest;
use crate::exit::{Code, Failure, Result, code_of};
use crate::interrupt::Interrupt;
use crate::lock::lock;
use crate::open;
use crate::output::{Console, Output};
use crate::printable::printable;
use crate::session::Session;
use crate::source::Source;
use crate::walk::join;

/// Entries to remove at a time where storage may not answer for some of them.
const PATIENT_WORKERS: usize = 32;

pub(crate) fn run(args: &RmArgs, session: &mut Session) -> Result<()> {
    let paths = args.paths.iter().map(|text| open::parse_path(text)).collect::<Result<Vec<_>>>()?;
    if paths.iter().any(|path| path.names().is_empty()) {
        return Err(Failure::usage("the vault's root is never removed"));
    }
    if args.recursive {
        let shown: Vec<String> = paths.iter().map(ToString::to_string).collect();
        args.confirm.ask(format_args!("Remove {} with all that is in it", shown.join(", ")))?;
    }
    let source = open::writable(&args.vault, &VaultOptions::default(), "rm", session)?;
    let Session { out, console, interrupt } = session;
    let removal = Removal {
        source: &source,
        console,
        interrupt,
        out: Mutex::new(out),
        recursive: args.recursive,
        removed: Removed::default(),
        failed: Mutex::default(),
    };
    for path in &paths {
        removal.path(path);
    }
    removal.conclude(paths.len())
}

/// What was removed so far.
#[derive(Default)]
struct Removed {
    files: AtomicU64,
    directories: AtomicU64,
    links: AtomicU64,
}

struct Removal<'r> {
    source: &'r Source,
    console: &'r Console,
    interrupt: &'r Interrupt,
    out: Mutex<&'r mut Output>,
    recursive: bool,
    removed: Removed,
    failed: Mutex<Vec<Code>>,
}

/// A directory on the way down, and what is still to be done there.
struct Level {
    node: Arc<Node>,
    parent: Arc<Node>,
    name: Name,
    /// As it was walked to.
    path: String,
    inner: Vec<(Arc<Node>, Name)>,
    /// Something in it could not be removed, so it cannot either.
    is_kept: bool,
}

impl Removal<'_> {
    fn path(&self, path: &VaultPath) {
        let shown = path.to_string();
        let found = Dest::exactly(self.source, path).map(|dest| (dest.dir, dest.name));
        let (dir, name) = match found {
            Ok((dir, Some(name))) => (dir, name),
            Ok(_) => return,
            Err(failure) => {
                lock(&self.failed).push(failure.code());
                return self.console.error(failure.text().unwrap_or("it was not found"));
            }
        };
        match self.source.lookup((&dir, &name)) {
            Ok(node) if node.kind() == NodeKind::Directory && !self.recursive => self.failed(
                &shown,
                Code::Partial,
                "this is a directory; --recursive removes it with all that is in it",
            ),
            Ok(node) if node.kind() == NodeKind::Directory => self.tree(node, dir, name, shown),
            Ok(node) => {
                self.leaf(&node, &dir, &name, &shown);
            }
            Err(error) => self.failed(&shown, code_of(&error), &error.to_string()),
        }
    }

    /// Removes a directory and what is in it, the innermost first.
    fn tree(&self, node: Arc<Node>, parent: Arc<Node>, name: Name, path: String) {
        let mut visits = Visits::default();
        let mut levels: Vec<Level> = Vec::new();
        levels.extend(self.enter(&mut visits, node, parent, name, path).ok());
        while let Some(level) = levels.last_mut() {
            if self.interrupt.is_asked() {
                return;
            }
            if let Some((node, name)) = level.inner.pop() {
                let (parent, path) = (Arc::clone(&level.node), join(&level.path, name.as_str()));
                match self.enter(&mut visits, node, parent, name, path) {
                    Ok(inner) => levels.push(inner),
                    Err(()) => level.is_kept = true,
                }
                continue;
            }
            let Some(level) = levels.pop() else { return };
            let is_kept = level.is_kept || !self.empty(&level);
            if let Some(outer) = levels.last_mut() {
                outer.is_kept |= is_kept;
            }
        }
    }

    /// Removes the files and links in a directory, and tells what directories are in it.
    fn enter(
        &self,
        visits: &mut Visits,
        node: Arc<Node>,
        parent: Arc<Node>,
        name: Name,
        path: String,
    ) -> Result<Level, ()> {
        if matches!(visits.enter(&node), Visit::Refused | Visit::TooDeep) {
            self.failed(&path, Code::Partial, "it leads to a directory that it lies in, or lies too deep");
            return Err(());
        }
        let listing = match self.source.list(&node) {
            Ok(listing) => listing,
            // Its content is gone already, and only the entry is left.
            Err(error) if error.kind() == Some(ErrorKind::Incomplete) => {
                return Ok(Level { node, parent, name, path, inner: Vec::new(), is_kept: false });
            }
            Err(error) => {
                self.failed(&path, code_of(&error), &error.to_string());
                return Err(());
            }
        };
        let inner = Mutex::new(Vec::new());
        let kept = AtomicU64::new(0);
        let entries = Mutex::new(listing.entries().iter());
        let work = || {
            // Not held while one is removed.
            let next = || lock(&entries).next();
            while let Some(entry) = next().filter(|_| !self.interrupt.is_asked()) {
                match self.entry(&node, entry, &path) {
                    Ok(found) => lock(&inner).extend(found),
                    Err(()) => {
                        kept.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        };
        if self.source.may_block() {
            thread::scope(|scope| {
                for _ in 0..PATIENT_WORKERS.min(listing.entries().len()) {
                    scope.spawn(work);
                }
            });
        } else {
            work();
        }
        let inner = inner.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Level { node, parent, name, path, inner, is_kept: kept.into_inner() > 0 })
    }

    /// Removes an entry, or tells of the directory that it is.
    fn entry(&self, dir: &Arc<Node>, entry: &Entry, within: &str) -> Result<Option<(Arc<Node>, Name)>, ()> {
        let path = || join(within, entry.shown());
        match (self.source.node(dir, entry), entry) {
            (Ok(node), Entry::Sound(found)) if node.kind() == NodeKind::Directory => {
                Ok(Some((node, found.name().clone())))
            }
            (Ok(node), Entry::Sound(found)) => {
                self.leaf(&node, dir, found.name(), &path()).then_some(None).ok_or(())
            }
            (Ok(_), Entry::Damaged(_)) => Err(()),
            (Err(problem), _) => {
                let code = if problem.is_timeout { Code::Failed } else { Code::Partial };
                self.failed(&path(), code, &format!("not removed: {problem}"));
                Err(())
            }
        }
    }

    fn leaf(&self, node: &Node, dir: &Arc<Node>, name: &Name, path: &str) -> bool {
        match self.source.remove((dir, name)) {
            Ok(()) => {
                let is_link = node.kind() == NodeKind::Symlink;
                let counter = if is_link { &self.removed.links } else { &self.removed.files };
                self.removed(counter, path);
                true
            }
            Err(error) => {
                self.failed(path, code_of(&error), &error.to_string());
                false
            }
        }
    }

    /// Removes a directory that nothing is in any more.
    fn empty(&self, level: &Level) -> bool {
        match self.source.remove_dir((&level.parent, &level.name)) {
            Ok(()) => {
                self.removed(&self.removed.directories, &level.path);
                true
            }
            Err(error) => {
                self.failed(&level.path, code_of(&error), &error.to_string());
                false
            }
        }
    }

    fn removed(&self, counter: &AtomicU64, path: &str) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.console.detail(format_args!("{}: removed", printable(path)));
    }

    fn failed(&self, path: &str, code: Code, why: &str) {
        lock(&self.failed).push(code);
        self.console.error(format_args!("{}: {why}", printable(path)));
        let mut out = lock(&self.out);
        if out.is_json() {
            // What cannot be written comes up again when all is flushed.
            drop(out.object(json!({ "event": "failed", "path": path, "error": why })));
        }
    }

    fn conclude(self, asked: usize) -> Result<()> {
        let Removed { files, directories, links } = self.removed;
        let [files, directories, links] = [files, directories, links].map(AtomicU64::into_inner);
        let failed = lock(&self.failed).clone();
        let mut out = lock(&self.out);
        if out.is_json() {
            out.object(json!({
                "event": "done", "files": files, "folders": directories, "links": links, "failed": failed.len(),
            }))?;
        }
        if self.recursive {
            let counts = format_args!("removed {files} files, {directories} directories, {links} links");
            match failed.len() {
                0 => self.console.note(counts),
                count => self.console.note(format_args!("{counts}; {count} not")),
            }
        }
        match failed.as_slice() {
            _ if self.interrupt.is_asked() => Err(Failure::said(Code::Interrupted)),
            [] => Ok(()),
            // The only thing asked for: its own code says more.
            [only] if asked == 1 => Err(Failure::said(*only)),
            _ => Err(Failure::said(Code::Partial)),
        }
    }
}
