//! What a store can be asked for, by the names that rules and counters use.

use std::str::FromStr;

/// An operation of the FUSE protocol, as far as this store knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Lookup,
    Getattr,
    Setattr,
    Readlink,
    Mknod,
    Mkdir,
    Unlink,
    Rmdir,
    Symlink,
    Rename,
    Link,
    Open,
    Create,
    Read,
    Write,
    Flush,
    Release,
    Fsync,
    Opendir,
    Readdir,
    Releasedir,
    Fsyncdir,
    Statfs,
}

impl Op {
    /// Every operation, in the order of their discriminants.
    pub(crate) const ALL: [Self; 23] = [
        Self::Lookup,
        Self::Getattr,
        Self::Setattr,
        Self::Readlink,
        Self::Mknod,
        Self::Mkdir,
        Self::Unlink,
        Self::Rmdir,
        Self::Symlink,
        Self::Rename,
        Self::Link,
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::Flush,
        Self::Release,
        Self::Fsync,
        Self::Opendir,
        Self::Readdir,
        Self::Releasedir,
        Self::Fsyncdir,
        Self::Statfs,
    ];

    /// The operation's name in rules and counters.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Getattr => "getattr",
            Self::Setattr => "setattr",
            Self::Readlink => "readlink",
            Self::Mknod => "mknod",
            Self::Mkdir => "mkdir",
            Self::Unlink => "unlink",
            Self::Rmdir => "rmdir",
            Self::Symlink => "symlink",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Release => "release",
            Self::Fsync => "fsync",
            Self::Opendir => "opendir",
            Self::Readdir => "readdir",
            Self::Releasedir => "releasedir",
            Self::Fsyncdir => "fsyncdir",
            Self::Statfs => "statfs",
        }
    }
}

/// A set of operations, written as their names with commas between. Three words stand for several: `all`; `list` for
/// `opendir` and `readdir`; `change` for everything that changes the folder, but for `write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpSet(u32);

impl OpSet {
    /// Whether `op` is in the set.
    pub(crate) fn contains(self, op: Op) -> bool {
        self.0 & bit(op) != 0
    }

    fn of(ops: &[Op]) -> Self {
        Self(ops.iter().fold(0, |set, op| set | bit(*op)))
    }
}

impl FromStr for OpSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut set = 0;
        for word in text.split(',') {
            let Self(bits) = match word {
                "all" => Self::of(&Op::ALL),
                "list" => Self::of(&[Op::Opendir, Op::Readdir]),
                "change" => Self::of(&[
                    Op::Setattr,
                    Op::Mknod,
                    Op::Mkdir,
                    Op::Unlink,
                    Op::Rmdir,
                    Op::Symlink,
                    Op::Rename,
                    Op::Link,
                    Op::Create,
                ]),
                name => {
                    let op = Op::ALL.into_iter().find(|op| op.name() == name);
                    Self::of(&[op.ok_or_else(|| format!("no operation is called {name:?}"))?])
                }
            };
            set |= bits;
        }
        Ok(Self(set))
    }
}

fn bit(op: Op) -> u32 {
    1 << op as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_has_every_operation_at_its_place() {
        for (place, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!(place, op as usize);
            assert_eq!(op.name().parse(), Ok(OpSet(1 << place)));
        }
    }

    #[test]
    fn words_stand_for_several_operations_and_add_up() {
        let set: OpSet = "read,list".parse().unwrap();
        let in_it: Vec<_> = Op::ALL.into_iter().filter(|op| set.contains(*op)).collect();
        assert_eq!(in_it, [Op::Read, Op::Opendir, Op::Readdir]);
        let all: OpSet = "all".parse().unwrap();
        assert!(Op::ALL.into_iter().all(|op| all.contains(op)));
        assert!(!"change".parse::<OpSet>().unwrap().contains(Op::Write));
    }

    #[test]
    fn an_unknown_word_is_refused() {
        for text in ["", "reed", "read,", "READ"] {
            assert!(text.parse::<OpSet>().is_err(), "{text:?}");
        }
    }
}
