//! From a file of the vault to one of the destination.

use std::io;
use std::ops::Range;

use oxcrypt_core::ErrorKind;
use oxcrypt_core::chunk::{PAYLOAD_LEN, Torn};
use oxcrypt_io::volume::Error;

use super::unfinished::Unfinished;
use crate::source::{Buffer, Opened, Source};

/// Bytes that are read, decrypted and written at a time: one read of the storage, and small enough for a processor's
/// cache.
pub(crate) const BLOCK_LEN: usize = 1 << 18;

/// As long as a buffer has to be: a block, and the byte that meets the end of a file.
pub(crate) const BUFFER_LEN: usize = BLOCK_LEN + 1;

/// Why a file was not copied.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The vault's side.
    Source(Error),
    /// The file is cut off, and a part of it is not wanted.
    CutOff(Torn),
    /// This run has given the name to another entry.
    NameTaken,
    /// The destination's side.
    Destination(io::Error),
    /// There is no point in going on.
    Asked,
}

/// What could not be read of a file that was copied all the same.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Where there are zeros now; ranges that touch are one. Bounded by the length of the file.
    pub(crate) ranges: Vec<Range<u64>>,
    /// What was wrong first.
    pub(crate) first: Option<Error>,
}

impl Damage {
    fn add(&mut self, range: Range<u64>, error: Error) {
        self.first.get_or_insert(error);
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }

    /// Adds what was found elsewhere in the same file.
    pub(crate) fn merge(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
        self.ranges.sort_by_key(|range| range.start);
        self.ranges.dedup_by(|next, last| {
            let touch = next.start == last.end;
            if touch {
                last.end = next.end;
            }
            touch
        });
        self.first = self.first.take().or(other.first);
    }
}

/// How to copy.
pub(crate) struct Copy<'c> {
    pub(crate) source: &'c Source,
    pub(crate) file: &'c Opened,
    pub(crate) to: &'c Unfinished,
    /// Length of what can be copied: that of the file, its unreadable tail apart.
    pub(crate) len: u64,
    /// Leave zeros for what cannot be read, instead of giving up.
    pub(crate) keep_damaged: bool,
    /// Called with the number of bytes after each step; false ends the copying.
    pub(crate) step: &'c dyn Fn(u64) -> bool,
}

impl Copy<'_> {
    /// Copies a part. The part that ends the file also sees to it that the end is authentic.
    pub(crate) fn range(&self, range: Range<u64>, buffer: &mut Buffer) -> Result<Damage, Stopped> {
        let mut damage = Damage::default();
        let mut at = range.start;
        loop {
            let want = self.want(buffer, at, range.end, BLOCK_LEN);
            let count = match self.source.read_at(self.file, at, buffer, want) {
                Ok(count) => self.write(at, buffer.get(..count).unwrap_or_default(), range.end)?,
                Err(error) if self.keep_damaged && error.kind() == Some(ErrorKind::Damaged) => {
                    let end = (at + want as u64).min(range.end);
                    self.chunks(at..end, buffer, &mut damage)?;
                    end - at
                }
                Err(error) => return Err(Stopped::Source(error)),
            };
            at += count;
            if !(self.step)(count) {
                return Err(Stopped::Asked);
            }
            if at >= range.end {
                return Ok(damage);
            }
        }
    }

    /// Copies what is sound of a range, chunk by chunk. What is not stays as it is in a new file: zeros.
    fn chunks(&self, range: Range<u64>, buffer: &mut Buffer, damage: &mut Damage) -> Result<(), Stopped> {
        let mut at = range.start;
        loop {
            let end = ((at / PAYLOAD_LEN + 1) * PAYLOAD_LEN).min(range.end);
            let want = self.want(buffer, at, end, usize::try_from(PAYLOAD_LEN).unwrap_or(usize::MAX));
            match self.source.read_at(self.file, at, buffer, want) {
                Ok(count) => {
                    self.write(at, buffer.get(..count).unwrap_or_default(), end)?;
                }
                Err(error) if error.kind() == Some(ErrorKind::Damaged) => damage.add(at..end, error),
                Err(error) => return Err(Stopped::Source(error)),
            }
            at = end;
            if at >= range.end {
                return Ok(());
            }
        }
    }

    /// How much to read into the buffer: up to `end`, or beyond where that is the end of the file, because a read
    /// that meets the end authenticates it. A file that is cut off has no such end.
    fn want(&self, buffer: &Buffer, at: u64, end: u64, most: usize) -> usize {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let meets_end = left <= most && end == self.len && self.file.torn().is_none();
        // One byte more than there is, even where there is nothing.
        let want = if meets_end { left + 1 } else { left.min(most) };
        want.min(buffer.len())
    }

    fn write(&self, at: u64, bytes: &[u8], end: u64) -> Result<u64, Stopped> {
        let bytes = bytes.get(..usize::try_from(end - at).unwrap_or(usize::MAX)).unwrap_or(bytes);
        if bytes.is_empty() && at < end {
            let shorter = oxcrypt_core::Error::from(ErrorKind::Incomplete);
            return Err(Stopped::Source(shorter.into()));
        }
        self.to.write_at(at, bytes).map_err(Stopped::Destination)?;
        Ok(bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_found_in_any_order_is_told_in_order_and_in_one_piece() {
        let found = |range: Range<u64>| {
            let mut damage = Damage::default();
            damage.add(range, oxcrypt_core::Error::from(ErrorKind::Damaged).into());
            damage
        };
        let mut damage = found(20..30);
        damage.merge(found(5..10));
        damage.merge(found(10..20));
        damage.merge(Damage::default());
        assert_eq!((damage.ranges.len(), damage.ranges[0].clone()), (1, 5..30));
    }
}
