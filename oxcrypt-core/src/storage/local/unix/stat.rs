//! What a Unix host tells of an entry, and what it is told to change, in this crate's words.

use std::time::{Duration, SystemTime};

use rustix::fs::{self, FileType, Mode, Stat, Timespec, Timestamps};

use super::super::super::{Attributes, EntryKind, Identity, Metadata, Owner};

pub(super) fn kind_of(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

// The widths of these fields differ between systems; all of them fit.
#[allow(clippy::allow_attributes, reason = "which casts are needed depends on the system")]
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, clippy::useless_conversion, reason = "as above")]
pub(super) fn metadata_of(stat: &Stat) -> Metadata {
    let mut metadata = Metadata::new(kind_of(FileType::from_raw_mode(stat.st_mode)), stat.st_size as u64);
    metadata.modified = time(stat.st_mtime.into(), stat.st_mtime_nsec as u64);
    metadata.changed = time(stat.st_ctime.into(), stat.st_ctime_nsec as u64);
    metadata.accessed = time(stat.st_atime.into(), stat.st_atime_nsec as u64);
    metadata.identity = Some(Identity { device: stat.st_dev as u64, file: stat.st_ino as u64 });
    metadata.owner =
        Some(Owner { mode: u32::from(stat.st_mode) & 0o7777, uid: stat.st_uid, gid: stat.st_gid });
    metadata
}

/// The permission bits; `None` if there are others.
#[allow(clippy::allow_attributes, clippy::useless_conversion, reason = "as above")]
pub(super) fn mode_of(mode: u32) -> Option<Mode> {
    (mode & !0o7777 == 0).then(|| Mode::from_raw_mode(mode.try_into().unwrap_or_default()))
}

/// The times that are given, the others to be left as they are; `None` if none is.
pub(super) fn times_of(change: &Attributes) -> Option<Timestamps> {
    let omitted = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT };
    (change.modified.is_some() || change.accessed.is_some()).then(|| Timestamps {
        last_access: change.accessed.map_or(omitted, timespec),
        last_modification: change.modified.map_or(omitted, timespec),
    })
}

fn time(seconds: i64, nanoseconds: u64) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = SystemTime::UNIX_EPOCH;
    let base = if seconds < 0 { base.checked_sub(whole) } else { base.checked_add(whole) };
    base?.checked_add(Duration::from_nanos(nanoseconds))
}

/// A `SystemTime` of these systems is a `timespec`, so the seconds always fit.
fn timespec(time: SystemTime) -> Timespec {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timespec {
            tv_sec: since.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: since.subsec_nanos().into(),
        },
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => Timespec { tv_sec: -seconds, tv_nsec: 0 },
                nanos => Timespec { tv_sec: -seconds - 1, tv_nsec: (1_000_000_000 - nanos).into() },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permission_bits_are_a_mode() {
        assert_eq!(mode_of(0o7640).unwrap().bits() & 0o7777, 0o7640);
        assert!(mode_of(0o100_644).is_none());
    }

    #[test]
    fn times_on_both_sides_of_1970_come_back() {
        for offset in [-2_000_000_000i64, -1, 0, 1, 2_000_000_000] {
            for nanos in [0, 1, 999_999_999] {
                let told = time(offset, nanos).unwrap();
                let Timespec { tv_sec, tv_nsec } = timespec(told);
                assert_eq!((tv_sec, u64::try_from(tv_nsec).unwrap()), (offset, nanos));
            }
        }
    }
}
