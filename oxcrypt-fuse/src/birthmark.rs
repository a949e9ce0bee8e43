//! What tells a mount from all others that were, or will be, at its place.

use std::io;

use rustix::rand::GetRandomFlags;

/// A number that a mount is given when it is made, and that the table of mounts shows as long as it is there.
///
/// The kernel's own numbers do not do: that of a connection, or of a mount, is given to the next one as soon as it is free.
/// This is told to the kernel as the number of bytes that it may read at once. It is more than the kernel ever reads, and
/// so means nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birthmark(u32);

/// The option that carries it.
pub(crate) const OPTION: &str = "max_read";

/// The least of them. The kernel takes no number from twice of this on, in versions that read it with a sign.
const LEAST: u32 = 1 << 30;

impl Birthmark {
    /// One that no other mount has, as far as chance goes.
    pub(crate) fn new() -> io::Result<Self> {
        let mut bytes = [0; 4];
        // So few are never cut short.
        rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
        Ok(Self(LEAST | (u32::from_ne_bytes(bytes) % LEAST)))
    }

    /// What the kernel is told.
    pub(crate) fn word(self) -> String {
        format!("{OPTION}={}", self.0)
    }

    /// The one that such a word says, if it does.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let number = word.strip_prefix(OPTION)?.strip_prefix('=')?.parse().ok()?;
        (number >= LEAST).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_words_say_which() {
        let (one, other) = (Birthmark::new().unwrap(), Birthmark::new().unwrap());
        assert_ne!(one, other);
        assert_eq!(Birthmark::of_word(&one.word()), Some(one));
        assert!(i32::try_from(one.0).is_ok());
    }

    #[test]
    fn what_limits_reads_is_none() {
        assert_eq!(Birthmark::of_word("max_read=131072"), None);
        assert_eq!(Birthmark::of_word("max_reads=1073741824"), None);
        assert_eq!(Birthmark::of_word("user_id=1073741824"), None);
    }
}
