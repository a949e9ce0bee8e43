//! Reading directories.

use std::sync::Arc;

use fuser::{Errno, FileHandle, FopenFlags, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen};
use oxcrypt_core::{Entry, Listing, NodeKind};
use oxcrypt_io::volume::{Seen, Wanted};

use super::entry::GENERATION;
use super::{Asker, Dispatch};
use crate::attr::file_type;
use crate::handles::{Handle, OpenDir};
use crate::inodes::number;
use crate::shown_name::shown;

/// Entries that are looked at for one page, at most: those that do not fit are known for the next.
const WINDOW: usize = 64;
/// The same on storage that does not block, which tells of as many in no time. No page has room for more.
const QUICK_WINDOW: usize = 192;
/// `.` and `..` come first.
const DOTS: u64 = 2;
/// Numbers of entries in pages without attributes, where nothing is known of one.
const SOMEBODY: u64 = 1 << 62;

/// A page of a directory, as the kernel asked for it.
pub(crate) enum Page {
    /// Names, numbers and kinds.
    Plain(ReplyDirectory),
    /// All that a lookup of each would tell.
    Plus(ReplyDirectoryPlus),
}

impl Dispatch {
    pub(crate) fn open_dir(&self, ino: INodeNo, reply: ReplyOpen) {
        match self.inodes.node(ino) {
            Some(node) if node.kind() == NodeKind::Directory => {
                let handle = self.handles.insert(Handle::Dir(Arc::new(OpenDir::new(node))));
                reply.opened(handle, FopenFlags::empty());
            }
            Some(_) => reply.error(Errno::ENOTDIR),
            None => reply.error(Errno::ESTALE),
        }
    }

    /// Fills a page from a position on: 0 is the beginning, and takes the directory as it is now.
    pub(crate) fn read_dir(self: &Arc<Self>, asker: Asker, handle: FileHandle, position: u64, page: Page) {
        let Some(Handle::Dir(dir)) = self.handles.get(handle) else { return page.error(Errno::EBADF) };
        if let Some(listing) = dir.snapshot().filter(|_| position > 0) {
            return self.fill(asker, dir, &listing, position, page);
        }
        let question = self.volume.list(&dir.node);
        self.ask("list", asker, &Arc::clone(&dir).node, question, move |dispatch, listing| match listing {
            Ok(listing) => {
                dir.begin(&listing);
                dispatch.fill(asker, dir, &listing, position, page);
            }
            Err(errno) => page.error(errno),
        });
    }

    fn fill(
        self: &Arc<Self>,
        asker: Asker,
        dir: Arc<OpenDir>,
        listing: &Arc<Listing>,
        position: u64,
        page: Page,
    ) {
        let start = usize::try_from(position.saturating_sub(DOTS)).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(if self.may_block { WINDOW } else { QUICK_WINDOW });
        let wanted = match page {
            Page::Plain(_) => Wanted::Kinds,
            Page::Plus(_) => Wanted::Attributes,
        };
        let question = self.volume.entries(&dir.node, listing, range.clone(), wanted);
        let listing = Arc::clone(listing);
        self.ask("list", asker, &Arc::clone(&dir).node, question, move |dispatch, seen| {
            let seen = match seen {
                Ok(seen) => seen,
                // The names are known, so they are told, with as much as memory has.
                Err(errno) if errno.code() == Errno::ETIMEDOUT.code() => {
                    dispatch.volume.resident_entries(&dir.node, &listing, range, wanted)
                }
                Err(errno) => return page.error(errno),
            };
            let entries = listing.entries().get(start..).unwrap_or_default().iter().zip(&seen);
            dispatch.put(&dir, entries, position, page);
        });
    }

    /// Writes as many entries as fit. The position of each is that of the one behind it.
    fn put<'e>(
        &self,
        dir: &OpenDir,
        entries: impl Iterator<Item = (&'e Entry, &'e Seen)>,
        position: u64,
        mut page: Page,
    ) {
        let itself = number(&dir.node);
        let above = dir.node.parent().map_or(itself, |parent| number(&parent));
        for (at, name, ino) in [(0, ".", itself), (1, "..", above)] {
            if position <= at && self.add_dots(&mut page, ino, at + 1, name) {
                return page.ok();
            }
        }
        for (at, (entry, seen)) in (position.max(DOTS) + 1..).zip(entries) {
            if self.add(&mut page, itself, at, entry, seen) {
                break;
            }
        }
        page.ok();
    }

    /// Adds `.` or `..`, which nobody looks up. Whether there was no room.
    fn add_dots(&self, page: &mut Page, ino: INodeNo, next: u64, name: &str) -> bool {
        let attr = self.looks.unknown(ino, NodeKind::Directory);
        match page {
            Page::Plain(reply) => reply.add(ino, next, attr.kind, name),
            Page::Plus(reply) => reply.add(ino, next, name, &self.looks.lifetime, &attr, GENERATION),
        }
    }

    /// Adds an entry. Whether there was no room.
    fn add(&self, page: &mut Page, dir: INodeNo, next: u64, entry: &Entry, seen: &Seen) -> bool {
        let name = shown(entry.shown());
        match page {
            Page::Plain(reply) => {
                let (ino, kind) = match (&seen.node, entry) {
                    (Some(node), _) => (number(node), node.kind()),
                    (None, Entry::Damaged(_)) => (INodeNo(SOMEBODY | next), NodeKind::File),
                    (None, Entry::Sound(_)) => (INodeNo(SOMEBODY | next), NodeKind::Directory),
                };
                reply.add(ino, next, file_type(kind), name.as_ref())
            }
            Page::Plus(reply) => {
                // Counted before it is sent, because the kernel may forget at once.
                let told = self.tell(dir, entry, &name, seen);
                let full =
                    reply.add(told.attr.ino, next, name.as_ref(), &told.lifetime, &told.attr, GENERATION);
                if full {
                    self.inodes.forget(told.attr.ino, 1);
                }
                full
            }
        }
    }
}

impl Page {
    fn ok(self) {
        match self {
            Self::Plain(reply) => reply.ok(),
            Self::Plus(reply) => reply.ok(),
        }
    }

    fn error(self, errno: Errno) {
        match self {
            Self::Plain(reply) => reply.error(errno),
            Self::Plus(reply) => reply.error(errno),
        }
    }
}
