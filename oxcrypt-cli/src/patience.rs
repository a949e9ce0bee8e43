//! Waiting no longer than one has patience for what may hang.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// None came in time.
    Late,
    /// Whoever was to give it has panicked.
    Broken,
    /// The system has no thread to spare.
    NoThread(io::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("it did not answer in time"),
            Self::Broken => {
                f.write_str("this program has failed, which is a mistake in it; please report it")
            }
            Self::NoThread(error) => write!(f, "the system refuses a thread: {error}"),
        }
    }
}

/// Does on a thread of its own what may hang, and waits for it no longer than `patience`. What comes later is dropped
/// there.
pub(crate) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new().spawn(move || drop(tell.send(work()))).map_err(NoAnswer::NoThread)?;
    told.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => NoAnswer::Late,
        RecvTimeoutError::Disconnected => NoAnswer::Broken,
    })
}
