//! Lengths, times and error numbers as people write them.

use std::time::Duration;

use fuser::Errno;

/// Reads a number of bytes: `4096`, `32K`, `1M`, `2G`, in powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("{text:?} is no number of bytes; 4096, 32K, 1M are"))
}

/// Reads a time: `250ms`, `2s`, `1m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let no_time = || format!("{text:?} is no time; 250ms, 2s, 1m are");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| no_time())?;
    match text.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(number)),
        Some("s") => Ok(Duration::from_secs(number)),
        Some("m") => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(no_time()),
    }
}

/// Reads an error number: a name, or a number between 1 and 4095.
pub(crate) fn errno(text: &str) -> Result<Errno, String> {
    let named = match text {
        "EPERM" => Errno::EPERM,
        "ENOENT" => Errno::ENOENT,
        "EINTR" => Errno::EINTR,
        "EIO" => Errno::EIO,
        "EAGAIN" => Errno::EAGAIN,
        "ENOMEM" => Errno::ENOMEM,
        "EACCES" => Errno::EACCES,
        "EBUSY" => Errno::EBUSY,
        "EEXIST" => Errno::EEXIST,
        "ENOTDIR" => Errno::ENOTDIR,
        "EISDIR" => Errno::EISDIR,
        "EINVAL" => Errno::EINVAL,
        "ENOSPC" => Errno::ENOSPC,
        "EROFS" => Errno::EROFS,
        "EDEADLK" => Errno::EDEADLK,
        "ENOTEMPTY" => Errno::ENOTEMPTY,
        "ENOSYS" => Errno::ENOSYS,
        "ETIMEDOUT" => Errno::ETIMEDOUT,
        "ENOTCONN" => Errno::ENOTCONN,
        "ECONNABORTED" => Errno::ECONNABORTED,
        _ => {
            let number = text.parse().ok().filter(|number| (1..4096).contains(number));
            return number.map(Errno::from_i32).ok_or_else(|| format!("no error is called {text:?}"));
        }
    };
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_suffixes() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("32K"), Ok(32 << 10));
        assert_eq!(bytes("1M"), Ok(1 << 20));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        for text in ["", "K", "1k", "-1", "1.5M", "99999999999G"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_time_needs_its_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_mins(1)));
        for text in ["", "5", "s", "5h", "-5s", "5 s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_error_is_a_name_or_a_number() {
        assert_eq!(errno("ETIMEDOUT"), Ok(Errno::ETIMEDOUT));
        assert_eq!(errno("116").map(Errno::code), Ok(116));
        for text in ["", "0", "-5", "4096", "ETIMEOUT"] {
            assert!(errno(text).is_err(), "{text:?}");
        }
    }
}
