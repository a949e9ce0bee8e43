//! Random choices that become an operation where it is known what the vault holds by then. So they can be dropped one
//! by one, and what is left still makes sense.

use oxcrypt_core::storage::Replace;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::{Model, Thing};
use crate::operation::{Content, Operation};
use crate::suite::Suite;

/// Cleartext bytes in a chunk.
const CHUNK: usize = 32_768;

#[derive(Clone, Debug)]
pub(crate) struct Draft {
    what: What,
    /// Which of the entries that are there.
    entry: Index,
    /// Which directory something new goes to, under which name.
    dir: Index,
    name: Index,
    /// Where in a file, and how much.
    at: usize,
    len: usize,
    seed: u32,
    /// That what is to be removed is not there, or that the name for something else is taken.
    is_odd: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    MakeDir,
    Create,
    Write,
    Truncate,
    Rename(Replace),
    Remove,
    RemoveDir,
    MakeSymlink,
}

impl Draft {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let what = prop_oneof![
            4 => Just(What::MakeDir),
            4 => Just(What::Create),
            4 => Just(What::Write),
            2 => Just(What::Truncate),
            3 => Just(What::Rename(Replace::Always)),
            2 => Just(What::Rename(Replace::Never)),
            1 => Just(What::Rename(Replace::Exchange)),
            2 => Just(What::Remove),
            2 => Just(What::RemoveDir),
            1 => Just(What::MakeSymlink),
        ];
        let choices = (any::<Index>(), any::<Index>(), any::<Index>());
        (what, choices, position(), position(), 0..1000u32, prop::bool::weighted(0.3)).prop_map(
            |(what, (entry, dir, name), at, len, seed, is_odd)| Self {
                what,
                entry,
                dir,
                name,
                at,
                len,
                seed,
                is_odd,
            },
        )
    }

    /// The operation, if there is something to do it to.
    pub(crate) fn resolve(&self, model: &Model, suite: Suite) -> Option<Operation> {
        let path = self.new_path(model, suite);
        let file = || pick(self.entry, model, |thing| matches!(thing, Thing::File(_)));
        let content = Content { seed: self.seed, len: self.len };
        let offset = self.at as u64;
        Some(match self.what {
            What::MakeDir => Operation::MakeDir { path },
            What::MakeSymlink => {
                Operation::MakeSymlink { path, target: self.name.get(&link_targets()).clone() }
            }
            What::Create => match model.get(&path) {
                None | Some(Thing::File(_)) => Operation::Write { path, offset, content },
                Some(Thing::Directory | Thing::Symlink(_)) => return None,
            },
            What::Write => Operation::Write { path: file()?, offset, content },
            What::Truncate => Operation::Truncate { path: file()?, len: offset },
            What::Remove if self.is_odd && model.get(&path).is_none() => Operation::Remove { path },
            What::Remove => Operation::Remove { path: pick(self.entry, model, |_| true)? },
            What::RemoveDir => {
                Operation::RemoveDir { path: pick(self.entry, model, |thing| *thing == Thing::Directory)? }
            }
            What::Rename(replace) => {
                let from = pick(self.entry, model, |_| true)?;
                let is_taken = self.is_odd || replace == Replace::Exchange;
                let to = if is_taken { pick(self.dir, model, |_| true)? } else { path };
                Operation::Rename { from, to, replace }
            }
        })
    }

    fn new_path(&self, model: &Model, suite: Suite) -> String {
        let dirs: Vec<&str> = model
            .things()
            .filter(|(path, thing)| **thing == Thing::Directory && path.matches('/').count() < 4)
            .map(|(path, _)| path)
            .collect();
        format!("{}/{}", self.dir.get(&dirs), self.name.get(&suite.names()))
    }
}

/// An entry of this kind, but for the root.
fn pick(index: Index, model: &Model, is_wanted: impl Fn(&Thing) -> bool) -> Option<String> {
    let entries = model.things().filter(|(path, thing)| !path.is_empty() && is_wanted(thing));
    let paths: Vec<&str> = entries.map(|(path, _)| path).collect();
    (!paths.is_empty()).then(|| index.get(&paths).to_string())
}

/// As official code would write them: it normalises.
fn link_targets() -> Vec<String> {
    let long = ["\u{fc}ber/"; 200].concat() + "long";
    ["a", "../b", "/absolute/\u{e4}", "with spaces.txt", &long].map(str::to_owned).into()
}

/// Mostly where chunks begin and end. More chunks than official code keeps in memory.
fn position() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 0..100usize,
        3 => (0..3usize, 0..5usize).prop_map(|(chunk, off)| (chunk * CHUNK + off).saturating_sub(2)),
        1 => (3..8usize, 0..5usize).prop_map(|(chunk, off)| chunk * CHUNK + off - 2),
        1 => 0..3 * CHUNK,
    ]
}
