//! How much of a call is made, and what its caller is told.

use std::io;
use std::sync::Arc;

use super::Gate;

/// How much of an admitted call is made.
pub(super) enum Extent {
    Whole,
    Short(usize),
    Part(usize, io::ErrorKind),
    InTwo(usize, Arc<Gate>),
}

impl Extent {
    pub(super) fn of_read<'b>(&self, buf: &'b mut [u8]) -> &'b mut [u8] {
        match self {
            Self::Short(bytes) => buf.split_at_mut(buf.len().min(*bytes)).0,
            Self::Whole | Self::Part(..) | Self::InTwo(..) => buf,
        }
    }

    /// What a write stores at first, and what it stores after the [`end`](Self::end).
    pub(super) fn of_write<'b>(&self, buf: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        match self {
            Self::Part(bytes, _) => (buf.split_at(buf.len().min(*bytes)).0, &[]),
            Self::InTwo(bytes, _) => buf.split_at(buf.len().min(*bytes)),
            Self::Whole | Self::Short(_) => (buf, &[]),
        }
    }

    /// What the caller is told of the call, when it has waited.
    pub(super) fn end<T>(self, result: io::Result<T>) -> io::Result<T> {
        match self {
            Self::Part(_, kind) => result.and_then(|_| Err(on_purpose(kind))),
            Self::InTwo(_, gate) => {
                gate.pass();
                result
            }
            Self::Whole | Self::Short(_) => result,
        }
    }
}

pub(super) fn on_purpose(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "failed on purpose")
}
