//! Children with time limits.
//!
//! Whoever looks at a mount may wait for ever, and not even `SIGKILL` helps while the kernel waits with them. So a test
//! never looks itself: a child does, which has a limit and can be given up. The test polls and never waits for it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What nothing here comes near on the busiest machine, unless it hangs.
pub(crate) const CEILING: Duration = Duration::from_mins(1);

/// How long a killed child may take to disappear before it is left to the kernel.
const GRACE: Duration = Duration::from_secs(2);

/// A running child. Dropping it kills it and does not wait for it to be gone.
pub(crate) struct Child {
    process: std::process::Child,
    output: File,
    started: Instant,
}

/// How a child ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Both its outputs, as they came.
    pub(crate) output: Vec<u8>,
    pub(crate) took: Duration,
}

impl Child {
    /// Starts a program that writes into a file: a pipe would have to be read for as long as anybody holds it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let output = tempfile::tempfile().expect("a temporary file");
        let same = || OwnedFd::from(output.try_clone().expect("a second handle"));
        let command = command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(same()).stderr(same());
        let process = command.spawn().expect("a child");
        Self { process, output, started: Instant::now() }
    }

    /// Starts a shell script; `$1`, `$2` … are the paths.
    pub(crate) fn sh(script: &str, paths: &[&Path]) -> Self {
        Self::start(Command::new("sh").args(["-euc", script, "sh"]).args(paths))
    }

    /// The end of the child, if it comes within `limit`.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Option<Ended> {
        let status = poll(limit, || self.process.try_wait().expect("a child of ours"))?;
        let took = self.started.elapsed();
        let mut output = Vec::new();
        self.output
            .rewind()
            .and_then(|()| self.output.read_to_end(&mut output))
            .expect("what the child wrote");
        Some(Ended { status, output, took })
    }

    /// The end of a child that has no reason to hang. Panics if it hangs, or fails.
    #[track_caller]
    pub(crate) fn succeed(mut self) -> Ended {
        let Some(ended) = self.ended_within(CEILING) else { panic!("no end within {CEILING:?}") };
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.output));
        ended
    }

    /// Whether it runs still.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("a child of ours").is_none()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // An error says that it has ended, and been seen to.
        if self.process.kill().is_ok() {
            poll(GRACE, || self.process.try_wait().ok().flatten());
        }
    }
}

/// Asks until there is an answer, or `limit` is over.
pub(crate) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
