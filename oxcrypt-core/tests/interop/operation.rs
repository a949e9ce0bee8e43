//! One change to a vault, and what becomes of it.

use oxcrypt_core::storage::Replace;
use serde_json::{Value, json};

/// Paths are absolute, in NFC.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    MakeDir {
        path: String,
    },
    /// Creates the file where there is none. What lies between its end and `offset` becomes zeros.
    Write {
        path: String,
        offset: u64,
        content: Content,
    },
    Truncate {
        path: String,
        len: u64,
    },
    Rename {
        from: String,
        to: String,
        replace: Replace,
    },
    /// Of anything but a directory.
    Remove {
        path: String,
    },
    RemoveDir {
        path: String,
    },
    MakeSymlink {
        path: String,
        target: String,
    },
}

/// Bytes that both sides can make, so that none cross the pipe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    pub(crate) seed: u32,
    pub(crate) len: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Absent,
    Exists,
    NotEmpty,
    NotADirectory,
    IsADirectory,
    /// It makes no sense.
    Invalid,
    /// What nobody expects, in words.
    Else(String),
}

impl Operation {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::MakeDir { path } => json!({"do": "mkdir", "path": path}),
            Self::Write { path, offset, content: Content { seed, len } } => {
                json!({"do": "write", "path": path, "offset": offset, "seed": seed, "len": len})
            }
            Self::Truncate { path, len } => json!({"do": "truncate", "path": path, "len": len}),
            Self::Rename { from, to, replace } => {
                assert_ne!(*replace, Replace::Exchange, "official code has nothing of the kind");
                json!({"do": "rename", "path": from, "to": to, "replace": *replace == Replace::Always})
            }
            Self::Remove { path } | Self::RemoveDir { path } => json!({"do": "remove", "path": path}),
            Self::MakeSymlink { path, target } => json!({"do": "symlink", "path": path, "target": target}),
        }
    }
}

impl Content {
    /// Splitmix64, little endian, as in `Content.java`.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut state = u64::from(self.seed);
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (word ^ (word >> 31)).to_le_bytes()
        });
        words.flatten().take(self.len).collect()
    }
}

impl Outcome {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "absent" => Self::Absent,
            "exists" => Self::Exists,
            "not empty" => Self::NotEmpty,
            "not a directory" => Self::NotADirectory,
            other => Self::Else(other.to_owned()),
        }
    }
}
