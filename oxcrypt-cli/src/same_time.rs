//! Whether two times are the same as far as a file system can hold them.

use std::time::SystemTime;

/// Whether a file has the time it should have. Some file systems keep whole seconds, or every other one.
pub(crate) fn same_time(wanted: Option<SystemTime>, found: Option<SystemTime>) -> bool {
    let (Some(wanted), Some(found)) = (wanted, found) else { return false };
    let is_coarse = found.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since.subsec_nanos() == 0);
    let apart = wanted.duration_since(found).unwrap_or_else(|error| error.duration());
    apart.is_zero() || is_coarse && apart.as_secs() < 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_the_same_as_far_as_the_destination_can_hold_it() {
        let at = |nanos| Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        assert!(same_time(at(5_000_000_123), at(5_000_000_123)));
        assert!(same_time(at(5_000_000_123), at(5_000_000_000)));
        assert!(same_time(at(5_000_000_123), at(4_000_000_000)));
        assert!(!same_time(at(5_000_000_123), at(5_000_000_124)));
        assert!(!same_time(at(7_500_000_000), at(5_000_000_000)));
        assert!(!same_time(None, at(0)));
    }
}
