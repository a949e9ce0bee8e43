//! What cannot be told of an entry.

use std::fmt;

use oxcrypt_io::volume::Error;

/// Why something cannot be told. Names ciphertext paths only.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    text: String,
    /// There was no answer in time.
    pub(crate) is_timeout: bool,
}

impl Problem {
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), is_timeout: false }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { text: error.to_string(), is_timeout: error.is_timeout() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
