//! Which changes to folders are left after a loss of power.

use std::collections::BTreeMap;

use super::super::{EntryKind, Replace};
use super::coin::Coin;
use super::mutation::Mutation;
use crate::ciphertext_path::CiphertextPath;

/// Tells of each change to folders whether it is left: all before a moment that `coin` draws, and of those after it the
/// ones that somebody made durable by a sync of the folder that they are in.
///
/// What is left of one folder is what was done first in it, and a move from one folder to another is left in both or in
/// none. That a folder was synced says nothing of the one that it lies in.
pub(super) fn kept(done: &[Mutation], coin: &mut Coin) -> Vec<bool> {
    let moment = coin.below(done.len() + 1);
    let mut folders = Folders::default();
    let changes: Vec<Change> = done.iter().map(|mutation| folders.changed_by(mutation)).collect();
    let mut ends = Ends(vec![moment; folders.count]);
    for (number, (mutation, change)) in done.iter().zip(&changes).enumerate() {
        if matches!(mutation, Mutation::SyncDir { .. }) {
            ends.raise(&change.folders, number);
        }
    }
    // A move that one folder has kept is kept by the other, with all that came before it there.
    loop {
        let before = ends.clone();
        for (number, change) in changes.iter().enumerate() {
            if ends.keep(change, number) {
                ends.raise(&change.folders, number + 1);
                ends.raise(change.removed.as_slice(), number);
            }
        }
        if ends == before {
            return changes.iter().enumerate().map(|(number, change)| ends.keep(change, number)).collect();
        }
    }
}

/// What a mutation does to folders.
struct Change {
    /// Those whose entries it changes, or makes durable.
    folders: Vec<usize>,
    /// The one that it removes: where that is left, the folder was empty.
    removed: Option<usize>,
}

/// What is left of each folder: the changes before that number.
#[derive(Clone, PartialEq, Eq)]
struct Ends(Vec<usize>);

impl Ends {
    fn keep(&self, change: &Change, number: usize) -> bool {
        change.folders.iter().any(|folder| self.0.get(*folder).is_some_and(|end| number < *end))
    }

    fn raise(&mut self, folders: &[usize], to: usize) {
        for folder in folders {
            if let Some(end) = self.0.get_mut(*folder) {
                *end = to.max(*end);
            }
        }
    }
}

/// Numbers for folders, which go with them when they are moved.
#[derive(Default)]
struct Folders {
    numbers: BTreeMap<CiphertextPath, usize>,
    count: usize,
}

impl Folders {
    fn changed_by(&mut self, mutation: &Mutation) -> Change {
        let folders = match mutation {
            Mutation::Create { path, .. } | Mutation::SetAttributes { path, .. } => vec![self.around(path)],
            Mutation::Remove { path, kind } => {
                let is_folder = *kind == EntryKind::Directory;
                let removed = is_folder.then(|| self.number(path));
                return Change { folders: vec![self.around(path)], removed };
            }
            Mutation::CreateDir { path } => {
                let around = self.around(path);
                self.numbers.remove(path);
                vec![around]
            }
            Mutation::Rename { from, to, replace } => {
                let around = vec![self.around(from), self.around(to)];
                self.rename(from, to, *replace);
                around
            }
            Mutation::SyncDir { path } => vec![self.number(path)],
            Mutation::Write { .. }
            | Mutation::SetLen { .. }
            | Mutation::ChangeFile { .. }
            | Mutation::Sync { .. } => vec![],
        };
        Change { folders, removed: None }
    }

    fn around(&mut self, path: &CiphertextPath) -> usize {
        self.number(&path.parent().unwrap_or_else(CiphertextPath::root))
    }

    fn number(&mut self, folder: &CiphertextPath) -> usize {
        *self.numbers.entry(folder.clone()).or_insert_with(|| {
            self.count += 1;
            self.count - 1
        })
    }

    fn rename(&mut self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) {
        let moved = self.take(from, to);
        let replaced = self.take(to, from);
        self.numbers.extend(moved);
        if replace == Replace::Exchange {
            self.numbers.extend(replaced);
        }
    }

    /// Takes out the folders at and below `from`, as they are called when that has become `to`.
    fn take(&mut self, from: &CiphertextPath, to: &CiphertextPath) -> Vec<(CiphertextPath, usize)> {
        let is_below = |path: &CiphertextPath| {
            path.as_str()
                .strip_prefix(from.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (below, others): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.numbers).into_iter().partition(|(path, _)| is_below(path));
        self.numbers = others;
        let depth = from.components().count();
        let moved = |(path, number): (CiphertextPath, usize)| {
            (path.components().skip(depth).fold(to.clone(), |path, part| path.push(part)), number)
        };
        below.into_iter().map(moved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Crash, FaultyStorage};
    use super::*;
    use crate::storage::{BlockStorage, MemoryStorage};

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    /// Whether each of `paths` is there, in each of many images.
    fn images<const N: usize>(storage: &FaultyStorage, paths: [&str; N]) -> Vec<[bool; N]> {
        let seeds = 0..200;
        let images = seeds.map(|seed| storage.crash_image(usize::MAX, Crash::PowerLoss { seed }));
        let mut seen: Vec<_> =
            images.map(|image| paths.map(|at| image.metadata(&path(at)).is_ok())).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[test]
    fn a_sync_keeps_what_is_in_its_folder_and_not_the_folder() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        for dir in ["a", "a/b", "c"] {
            storage.create_dir(&path(dir)).unwrap();
        }
        storage.sync_dir(&path("a")).unwrap();
        let all = [[false; 3], [true, true, false], [true; 3]];
        assert_eq!(images(&storage, ["a", "a/b", "c"]), all);
        storage.sync_dir(&CiphertextPath::root()).unwrap();
        assert_eq!(images(&storage, ["a", "a/b", "c"]), [[true; 3]]);
    }

    #[test]
    fn a_move_is_kept_in_both_folders_or_in_none() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        for dir in ["from", "to"] {
            storage.create_dir(&path(dir)).unwrap();
        }
        storage.sync_dir(&CiphertextPath::root()).unwrap();
        storage.create_dir(&path("from/x")).unwrap();
        storage.rename(&path("from/x"), &path("to/y"), Replace::Always).unwrap();
        let all = [[false; 2], [false, true], [true, false]];
        assert_eq!(images(&storage, ["from/x", "to/y"]), all);
        storage.sync_dir(&path("from")).unwrap();
        assert_eq!(images(&storage, ["from/x", "to/y"]), [[false, true]]);
    }

    #[test]
    fn a_folder_that_is_gone_for_good_was_empty() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        for dir in ["a", "a/b"] {
            storage.create_dir(&path(dir)).unwrap();
            storage.sync_dir(&path(dir).parent().unwrap()).unwrap();
        }
        for dir in ["a/b", "a"] {
            storage.remove(&path(dir), EntryKind::Directory).unwrap();
        }
        storage.sync_dir(&CiphertextPath::root()).unwrap();
        assert_eq!(images(&storage, ["a"]), [[false]]);
    }

    #[test]
    fn what_was_synced_in_a_folder_stays_in_it_when_it_is_moved() {
        let storage = FaultyStorage::new(&MemoryStorage::default());
        storage.create_dir(&path("old")).unwrap();
        storage.sync_dir(&CiphertextPath::root()).unwrap();
        storage.create_dir(&path("old/x")).unwrap();
        storage.rename(&path("old"), &path("new"), Replace::Always).unwrap();
        storage.create_dir(&path("old")).unwrap();
        storage.sync_dir(&path("new")).unwrap();
        let all = [[false, true, true], [true, false, false], [true, false, true]];
        assert_eq!(images(&storage, ["new/x", "old/x", "old"]), all);
    }
}
