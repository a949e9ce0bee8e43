//! What the kernel is told when something fails: the only place where a number is chosen.

use fuser::Errno;
use oxcrypt_core::ErrorKind;
use oxcrypt_io::volume::{Cause, Error};

/// The number for a request that failed.
///
/// Where there was no answer in time that is `ETIMEDOUT`: at `EAGAIN` programs write empty files, and `EIO` is kept for
/// what is damaged.
pub(crate) fn of(error: &Error) -> Errno {
    match error.cause() {
        Cause::Vault(error) => of_kind(error.kind()),
        Cause::TimedOut | Cause::Busy => Errno::ETIMEDOUT,
        Cause::Interrupted => Errno::EINTR,
        // What the kernel itself says of a mount that has ended, which this one will have in a moment.
        Cause::Stopped => Errno::ENOTCONN,
        Cause::Broken => Errno::EIO,
    }
}

fn of_kind(kind: ErrorKind) -> Errno {
    match kind {
        ErrorKind::NotFound => Errno::ENOENT,
        ErrorKind::AlreadyExists => Errno::EEXIST,
        ErrorKind::NotADirectory => Errno::ENOTDIR,
        ErrorKind::IsADirectory => Errno::EISDIR,
        ErrorKind::NotASymlink | ErrorKind::InvalidName | ErrorKind::InvalidArgument => Errno::EINVAL,
        ErrorKind::NotEmpty => Errno::ENOTEMPTY,
        ErrorKind::NameTooLong => Errno::ENAMETOOLONG,
        ErrorKind::TooLarge => Errno::EFBIG,
        ErrorKind::SymlinkLoop => Errno::ELOOP,
        ErrorKind::Damaged | ErrorKind::Incomplete | ErrorKind::Storage => Errno::EIO,
        ErrorKind::NoSpace => Errno::ENOSPC,
        ErrorKind::QuotaExceeded => Errno::EDQUOT,
        ErrorKind::PermissionDenied => Errno::EACCES,
        ErrorKind::ReadOnly => Errno::EROFS,
        ErrorKind::TimedOut => Errno::ETIMEDOUT,
        // The process that has too many open is not the one that asks.
        ErrorKind::TooManyFiles => Errno::ENFILE,
        ErrorKind::Unsupported => Errno::EOPNOTSUPP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_time_is_never_told_as_damage_or_as_try_again() {
        let late = Error::from(oxcrypt_core::Error::new(ErrorKind::TimedOut));
        assert_eq!(of(&late).code(), Errno::ETIMEDOUT.code());
        let damaged = Error::from(oxcrypt_core::Error::new(ErrorKind::Damaged));
        assert_eq!(of(&damaged).code(), Errno::EIO.code());
    }

    #[test]
    fn regression_want_of_handles_is_not_told_as_damage() {
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            let error = oxcrypt_core::Error::from(std::io::Error::from(errno));
            assert_eq!(of(&Error::from(error)).code(), Errno::ENFILE.code());
        }
    }
}
