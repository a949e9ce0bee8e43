//! Attributes, from the words of system calls into those of the kernel's protocol, and back.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use rustix::fs::{Stat, Timespec, UTIME_NOW, UTIME_OMIT};

/// The attributes of a file, under the number that the kernel knows it by.
pub(crate) fn attributes(ino: INodeNo, stat: &Stat) -> FileAttr {
    FileAttr {
        ino,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        blocks: u64::try_from(stat.st_blocks).unwrap_or_default(),
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(rustix::fs::FileType::from_raw_mode(stat.st_mode)),
        perm: u16::try_from(stat.st_mode & 0o7777).unwrap_or_default(),
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: u32::try_from(stat.st_rdev).unwrap_or_default(),
        blksize: u32::try_from(stat.st_blksize).unwrap_or(4096),
        flags: 0,
    }
}

/// A kind of file, in the words of the kernel's protocol.
pub(crate) fn kind(kind: rustix::fs::FileType) -> FileType {
    match kind {
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        rustix::fs::FileType::Fifo => FileType::NamedPipe,
        rustix::fs::FileType::Socket => FileType::Socket,
        rustix::fs::FileType::CharacterDevice => FileType::CharDevice,
        rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

fn time(seconds: i64, nanos: u64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    time.and_then(|time| time.checked_add(Duration::from_nanos(nanos))).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A time to be set; none leaves the one there is.
pub(crate) fn timespec(time: Option<TimeOrNow>) -> Timespec {
    let of = |nanos| Timespec { tv_sec: 0, tv_nsec: nanos };
    match time {
        None => of(UTIME_OMIT),
        Some(TimeOrNow::Now) => of(UTIME_NOW),
        Some(TimeOrNow::SpecificTime(time)) => {
            let (after, before) =
                (time.duration_since(SystemTime::UNIX_EPOCH), SystemTime::UNIX_EPOCH.duration_since(time));
            let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            match (after, before) {
                (Ok(after), _) => {
                    Timespec { tv_sec: seconds(after), tv_nsec: i64::from(after.subsec_nanos()) }
                }
                (_, Ok(before)) if before.subsec_nanos() == 0 => {
                    Timespec { tv_sec: -seconds(before), tv_nsec: 0 }
                }
                (_, Ok(before)) => Timespec {
                    tv_sec: -seconds(before) - 1,
                    tv_nsec: 1_000_000_000 - i64::from(before.subsec_nanos()),
                },
                _ => of(UTIME_OMIT),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_survive_the_way_back_and_forth() {
        for (seconds, nanos) in
            [(0, 0), (1, 999_999_999), (-1, 0), (-1, 1), (-5, 250_000_000), (4_102_444_800, 7)]
        {
            let spec = timespec(Some(TimeOrNow::SpecificTime(time(seconds, nanos))));
            assert_eq!((spec.tv_sec, spec.tv_nsec.cast_unsigned()), (seconds, nanos));
        }
    }
}
