//! Moving entries: within a directory and from one to another, across the shortening threshold both ways.
//!
//! One call of the storage is the commit: the rename of the entry, or of its type file where a folder is made or left.
//! A process that is killed before it leaves the entry under its old name, after it under the new one.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::remove::{lies_within, stored_of};
use super::turns::Turn;
use super::{Subject, Tree, Waits, directory_id};
use crate::cache::OwnChange;
use crate::ciphertext_path::CiphertextPath;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{DirId, Name};
use crate::node::{At, Node, NodeKind, Shape, Spelling, What};
use crate::probe::Probe;
use crate::storage::Replace;

/// A name in a directory.
pub(crate) type Place<'p> = (&'p Arc<Node>, &'p Name);

/// What a rename is about, while everything that it could race with waits.
struct Move<'m> {
    source: Arc<Node>,
    /// How the source is stored.
    from: Spelling,
    to: Place<'m>,
    change: OwnChange<'m>,
}

/// Whether it is known which directory lies in which until a move is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Known,
    Unknown,
}

/// What came of trying to move something.
enum Tried {
    /// It was moved, and this one replaced.
    Moved(Option<Arc<Node>>),
    /// Nothing was done: a directory would lie in another one then, for which the order has to be known.
    NeedsOrder,
}

impl Tree {
    /// Moves an entry. [`Replace`] says what becomes of one that has the new name. Returns the one that was replaced.
    pub(crate) fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        replace: Replace,
        now: Instant,
    ) -> Result<Option<Arc<Node>>> {
        match self.rename_in_order(from, to, replace, now) {
            // Somebody else has made what memory believed was not there. It does not any more.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && replace == Replace::Always => {
                self.rename_in_order(from, to, replace, now)
            }
            result => result,
        }
    }

    /// Directories move from one to another one after the other, files beside each other and them.
    fn rename_in_order(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        replace: Replace,
        now: Instant,
    ) -> Result<Option<Arc<Node>>> {
        let is_directory = |(dir, name): Place<'_>| {
            let known = self.cache.lookup(dir, name, now);
            matches!(known, Probe::Ready(Ok(node)) if node.kind() == NodeKind::Directory)
        };
        let moves_directory = is_directory(from) || (replace == Replace::Exchange && is_directory(to));
        let is_across = from.0.dir_id() != to.0.dir_id();
        let mut order = if is_across && moves_directory { Order::Known } else { Order::Unknown };
        loop {
            let _moves = (order == Order::Known).then(|| self.turns.alone(Subject::Moves));
            match self.try_rename(from, to, replace, order, now)? {
                Tried::Moved(replaced) => return Ok(replaced),
                Tried::NeedsOrder => order = Order::Known,
            }
        }
    }

    fn try_rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        replace: Replace,
        order: Order,
        now: Instant,
    ) -> Result<Tried> {
        let (from_id, to_id) = (directory_id(from.0)?, directory_id(to.0)?);
        let mut directories = vec![from_id, to_id];
        directories.dedup();
        let needs_order =
            |node: &Node| order == Order::Unknown && from_id != to_id && node.kind() == NodeKind::Directory;
        let directories = directories.into_iter().map(|id| Subject::Directory(id.clone()));
        let _directories = self.turns.all_alone(directories.collect());
        let source = self.find_in_turn(from.0, from.1, now)?;
        if needs_order(&source) {
            return Ok(Tried::NeedsOrder);
        }
        directory_id(to.0)?;
        if source.dir_id().is_some_and(|id| lies_within(to.0, id)) {
            return Err(
                Error::new(ErrorKind::InvalidArgument).because("a directory cannot lie within itself")
            );
        }
        let target = match (replace, self.cache.lookup(to.0, to.1, now)) {
            // Storage tells when it comes to that.
            (Replace::Never, Probe::Absent) if !to.1.has_other_forms() => None,
            _ => self.find_target(to, now)?,
        };
        match (&target, replace) {
            (Some(_), Replace::Never) => return Err(ErrorKind::AlreadyExists.into()),
            (None, Replace::Exchange) => return Err(ErrorKind::NotFound.into()),
            (Some(target), Replace::Exchange) if needs_order(target) => return Ok(Tried::NeedsOrder),
            (Some(target), _) if Arc::ptr_eq(target, &source) => return Ok(Tried::Moved(None)),
            _ => {}
        }
        let Some(target) = target else {
            let _entry = self.turns.alone(Subject::Entry(source.id()));
            let step = self.begin_move(source, from, to, now)?;
            return self.move_to_free_name(step, None).map(|()| Tried::Moved(None));
        };
        if let Some(id) = target.dir_id().filter(|id| lies_within(from.0, id)) {
            let kind = match replace {
                // It holds the source, at least.
                Replace::Always if *id != DirId::root() => ErrorKind::NotEmpty,
                _ => ErrorKind::InvalidArgument,
            };
            return Err(kind.into());
        }
        if target.dir_id().is_some_and(|id| lies_within(to.0, id)) {
            return Err(Error::damaged("the directory lies within itself").at(target.ciphertext_path()));
        }
        let _victim = match target.dir_id() {
            Some(_) if replace == Replace::Always && source.kind() != NodeKind::Directory => {
                return Err(ErrorKind::IsADirectory.into());
            }
            Some(id) if replace == Replace::Always => Some(self.turns.alone(Subject::Directory(id.clone()))),
            _ => None,
        };
        let _entries = self.turns_of_entries(&source, &target);
        let step = self.begin_move(source, from, to, now)?;
        match replace {
            Replace::Exchange => self.exchange(step, &target).map(|()| Tried::Moved(None)),
            Replace::Always | Replace::Never => {
                self.replace(step, &target)?;
                self.let_go(&target);
                Ok(Tried::Moved(Some(target)))
            }
        }
    }

    /// Puts a node in the place of another one that we have just made: its own was taken by somebody else.
    pub(crate) fn take_place_of(&self, node: &Arc<Node>, placeholder: &Arc<Node>, now: Instant) {
        let (Some(from), Some(to)) = (node.at(), placeholder.at()) else { return };
        let Some(id) = to.parent.dir_id() else { return };
        let _turn = self.turns.alone(Subject::Directory(id.clone()));
        let _entries = self.turns_of_entries(node, placeholder);
        let change = self.cache.begin_change(&[(&from.parent, &from.name), (&to.parent, &to.name)], now);
        change.evaded(node, placeholder);
        self.hold_unsynced(node);
        self.let_go(placeholder);
    }

    fn begin_move<'m>(
        &'m self,
        source: Arc<Node>,
        from: Place<'m>,
        to: Place<'m>,
        now: Instant,
    ) -> Result<Move<'m>> {
        let stored = stored_of(&source)?;
        let change = self.cache.begin_change(&[from, to], now);
        Ok(Move { source, from: stored, to, change })
    }

    /// The entry that has the new name, unless memory knows that there is none. Where it does not, storage is asked under
    /// the name's own spelling alone: what a scan would show under it besides is shown under another name then. What lies
    /// there and says that it is another entry is not replaced. A name that may be there in another normal form is looked
    /// for like any.
    fn find_target(&self, (dir, name): Place<'_>, now: Instant) -> Result<Option<Arc<Node>>> {
        match self.cache.lookup(dir, name, now) {
            Probe::Ready(Ok(node)) => return Ok(Some(node)),
            Probe::Ready(Err(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Probe::Ready(Err(error)) => return Err(error),
            Probe::Absent => {}
        }
        if name.has_other_forms() {
            return match self.look_up(dir, name, now, Waits::ForNothing) {
                Ok((node, _)) => Ok(Some(node)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
        }
        let id = directory_id(dir)?;
        let Some((stored, what, _)) = self.inspect(&self.spell(id, name))? else { return Ok(None) };
        if !self.is_named(&stored, id, name) {
            return Err(Error::new(ErrorKind::AlreadyExists).at(stored.path));
        }
        Ok(Some(self.cache.insert(dir, name, &stored, &what, now)))
    }

    fn turns_of_entries(&self, source: &Node, target: &Node) -> [Turn<'_>; 2] {
        let (first, second) = (source.id().min(target.id()), source.id().max(target.id()));
        [first, second].map(|id| self.turns.alone(Subject::Entry(id)))
    }

    /// Moves an entry to a name that nobody has, or that `replaced` had a moment ago.
    fn move_to_free_name(&self, step: Move<'_>, replaced: Option<&Arc<Node>>) -> Result<()> {
        let Move { source, from, to: (dir, name), change } = step;
        let mut new = self.new_entry(directory_id(dir)?, name, &source.what)?;
        let stays_in_folder = from.shape == Shape::Folder && new.stored.shape != Shape::Shortened;
        if stays_in_folder || (from.shape == Shape::Plain && new.stored.shape == Shape::Plain) {
            self.rename_to_free_path(&from.path, &new.stored.path)?;
            new.stored.shape = from.shape;
        } else {
            self.make_folder(&new)?;
            let type_files = (from.type_file(&source.what), new.stored.type_file(&source.what));
            self.rename_to_free_path(&type_files.0, &type_files.1)
                .inspect_err(|_| self.unmake_folder(&new))?;
            // Whatever is left of it is an entry that does not say what it is; the moved one is where it should be.
            let _removed_or_left_behind = self.remove_folder(&from);
        }
        let to = At { parent: Arc::clone(dir), name: name.clone(), stored: new.stored };
        change.moved(&source, to, replaced);
        self.hold_unsynced(&source);
        Ok(())
    }

    fn rename_to_free_path(&self, from: &CiphertextPath, to: &CiphertextPath) -> Result<()> {
        match self.storage.rename(from, to, Replace::Never) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            result => return result.map_err(|error| Error::from(error).at(to)),
        }
        // Nobody of us can come between, and for others there is nothing better on such a store.
        match self.storage.metadata(to) {
            Ok(_) => Err(Error::new(ErrorKind::AlreadyExists).at(to)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.storage.rename(from, to, Replace::Always).map_err(|error| Error::from(error).at(to))
            }
            Err(error) => Err(Error::from(error).at(to)),
        }
    }

    /// Puts an entry in the place of another one.
    fn replace(&self, step: Move<'_>, target: &Arc<Node>) -> Result<()> {
        let there = stored_of(target)?;
        match (&step.source.what, &target.what) {
            // Of a directory that has two entries one is left, with all that is in it.
            (source, replaced) if source == replaced => self.replace_type_file(step, target, there),
            (What::Directory(_), What::File | What::Symlink) => Err(ErrorKind::NotADirectory.into()),
            (What::File | What::Symlink, What::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            (What::Directory(_), What::Directory(victim)) => {
                self.remove_dir_content(target, victim)?;
                self.replace_type_file(step, target, there)
                    .inspect_err(|_| self.put_dir_content_back(target, victim))
            }
            (_, replaced) => self.replace_other_kind(step, target, &there, replaced),
        }
    }

    /// One file of the storage takes the place of another: all of it in one step.
    fn replace_type_file(&self, step: Move<'_>, target: &Arc<Node>, there: Spelling) -> Result<()> {
        let Move { source, from, to: (dir, name), change } = step;
        let path = there.type_file(&target.what);
        self.storage
            .rename(&from.type_file(&source.what), &path, Replace::Always)
            .map_err(|error| Error::from(error).at(path))?;
        let _removed_or_left_behind = self.remove_folder(&from);
        let to = At { parent: Arc::clone(dir), name: name.clone(), stored: there };
        change.moved(&source, to, Some(target));
        self.hold_unsynced(&source);
        Ok(())
    }

    /// A file takes the place of a link, or a link that of a file. In one step where the store can exchange them and
    /// neither name is shortened; else the target is removed first.
    fn replace_other_kind(
        &self,
        step: Move<'_>,
        target: &Arc<Node>,
        there: &Spelling,
        replaced: &What,
    ) -> Result<()> {
        if step.from.shape != Shape::Shortened && there.shape != Shape::Shortened {
            match self.storage.rename(&step.from.path, &there.path, Replace::Exchange) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(error) => return Err(Error::from(error).at(&there.path)),
                Ok(()) => return self.finish_exchange(step, target, there, replaced),
            }
        }
        self.remove_entry(there, replaced)?;
        self.move_to_free_name(step, Some(target))
    }

    /// Removes the replaced entry, which is under the old name of the other now. Where that fails, all is put back.
    fn finish_exchange(
        &self,
        step: Move<'_>,
        target: &Arc<Node>,
        there: &Spelling,
        replaced: &What,
    ) -> Result<()> {
        let Move { source, from, to: (dir, name), change } = step;
        let at = |path: &CiphertextPath, shape| Spelling { path: path.clone(), shape };
        let to = At { parent: Arc::clone(dir), name: name.clone(), stored: at(&there.path, from.shape) };
        let left = at(&from.path, there.shape);
        if let Err(error) = self.remove_type_file(&left, replaced) {
            if self.storage.rename(&from.path, &there.path, Replace::Exchange).is_err()
                && let Some(back) = source.at()
            {
                change.exchanged((&source, to), (target, At { stored: left, ..back }));
            }
            return Err(error);
        }
        let _removed_or_left_behind = self.remove_folder(&left);
        change.moved(&source, to, Some(target));
        self.hold_unsynced(&source);
        Ok(())
    }

    /// Two entries take each other's place, in one step or not at all.
    fn exchange(&self, step: Move<'_>, target: &Arc<Node>) -> Result<()> {
        let Move { source, from, to: _, change } = step;
        let (Some(source_at), Some(target_at)) = (source.at(), target.at()) else {
            return Err(ErrorKind::NotFound.into());
        };
        let there = &target_at.stored;
        let is_same_kind = source.kind() == target.kind();
        if !is_same_kind && (from.shape == Shape::Shortened || there.shape == Shape::Shortened) {
            return Err(Error::new(ErrorKind::InvalidArgument)
                .because("entries of different kinds with long names cannot be exchanged in one step"));
        }
        let paths = if is_same_kind {
            (from.type_file(&source.what), there.type_file(&target.what))
        } else {
            (from.path.clone(), there.path.clone())
        };
        self.storage.rename(&paths.0, &paths.1, Replace::Exchange).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => Error::new(ErrorKind::InvalidArgument)
                .because("the storage cannot exchange entries in one step")
                .caused_by(error),
            _ => Error::from(error).at(&paths.1),
        })?;
        // Of different kinds each takes its own shape along; of the same kind it takes over what it finds.
        let shapes = if is_same_kind { (there.shape, from.shape) } else { (from.shape, there.shape) };
        let source_to = placed(&target_at, shapes.0);
        let target_to = placed(&source_at, shapes.1);
        change.exchanged((&source, source_to), (target, target_to));
        self.hold_unsynced(&source);
        self.hold_unsynced(target);
        Ok(())
    }
}

fn placed(at: &At, shape: Shape) -> At {
    At { stored: Spelling { path: at.stored.path.clone(), shape }, ..at.clone() }
}
