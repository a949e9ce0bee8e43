//! Where a file comes from.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::Node;

use super::host::{Folder, Kind};
use super::stopped::Stopped;
use crate::source::{Buffer, Opened, Source};

/// Bytes that are read, encrypted and written at a time: small enough for a processor's cache.
pub(crate) const BLOCK_LEN: usize = 1 << 18;

/// Where a file comes from.
pub(crate) enum Origin {
    Host(Arc<Folder>, OsString),
    Entry(Arc<Node>),
    StandardInput,
}

/// What a file is like before it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Like {
    /// `None` where nobody knows.
    pub(crate) len: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
}

/// A file that is being read.
pub(crate) struct Reading<'o> {
    side: Side<'o>,
    pub(crate) like: Like,
}

enum Side<'o> {
    Host(&'o Folder, Arc<File>),
    Entry(&'o Source, Opened),
    StandardInput,
}

impl Origin {
    /// What people call it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Host(folder, name) => folder.path_of(name).display().to_string(),
            Self::Entry(node) => node.path().to_string(),
            Self::StandardInput => "standard input".to_owned(),
        }
    }

    /// What it is like, without opening it.
    pub(crate) fn like(&self, source: &Source) -> Result<Like, Stopped> {
        Ok(match self {
            Self::Host(folder, name) => {
                let stat = folder.stat(name).map_err(Stopped::Host)?;
                Like { len: Some(stat.len), modified: stat.modified }
            }
            Self::Entry(node) => {
                let known = source.attributes(node)?;
                Like { len: Some(known.len), modified: known.modified }
            }
            Self::StandardInput => Like { len: None, modified: None },
        })
    }

    pub(crate) fn open<'o>(&'o self, source: &'o Source) -> Result<Reading<'o>, Stopped> {
        match self {
            Self::Host(folder, name) => {
                let (file, stat) = folder.open(name).map_err(Stopped::Host)?;
                if stat.kind != Kind::File {
                    return Err(Stopped::Refused("it is no file any more"));
                }
                let like = Like { len: Some(stat.len), modified: stat.modified };
                Ok(Reading { side: Side::Host(folder, file), like })
            }
            Self::Entry(node) => {
                let file = source.open(node)?;
                if let Some(torn) = file.torn() {
                    return Err(Stopped::CutOff(torn));
                }
                let modified = source.attributes(node)?.modified;
                let like = Like { len: Some(file.len()), modified };
                Ok(Reading { side: Side::Entry(source, file), like })
            }
            Self::StandardInput => {
                Ok(Reading { side: Side::StandardInput, like: Like { len: None, modified: None } })
            }
        }
    }
}

impl Reading<'_> {
    /// Reads what follows the first `offset` bytes, which were read before, and tells how much, and whether that is all.
    pub(crate) fn next(&self, offset: u64, buffer: &mut Buffer) -> Result<(usize, bool), Stopped> {
        let want = BLOCK_LEN;
        match &self.side {
            Side::Host(folder, file) => {
                let count = folder.read_at(file, offset, buffer, want).map_err(Stopped::Host)?;
                // Some files have a length of 0 and content nevertheless.
                let is_expected_end = self.like.len == Some(offset + count as u64) && count < want;
                Ok((count, count == 0 || is_expected_end && offset + count as u64 > 0))
            }
            Side::Entry(source, file) => {
                // What meets the end authenticates it.
                let count = source.read_at(file, offset, buffer, want)?;
                Ok((count, count < want))
            }
            Side::StandardInput => {
                let mut len = 0;
                while let Some(rest) = buffer.get_mut(len..want).filter(|rest| !rest.is_empty()) {
                    match io::stdin().lock().read(rest) {
                        Ok(0) => return Ok((len, true)),
                        Ok(count) => len += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(Stopped::Host(error)),
                    }
                }
                Ok((len, false))
            }
        }
    }

    /// Whether somebody has written to it since it was opened, or while `len` bytes of it were read.
    pub(crate) fn has_changed(&self, len: u64) -> Result<bool, Stopped> {
        match &self.side {
            Side::Host(folder, file) => {
                let now = folder.stat_of(file).map_err(Stopped::Host)?;
                let is_same = now.len == len || self.like.len == Some(0) && now.len == 0;
                Ok(!is_same || now.modified != self.like.modified)
            }
            Side::Entry(..) => Ok(self.like.len != Some(len)),
            Side::StandardInput => Ok(false),
        }
    }
}
