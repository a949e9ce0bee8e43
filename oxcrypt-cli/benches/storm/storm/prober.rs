//! A prober as seen by the worker: orders, samples, and an end to patience.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::Role;
use super::caller::Caller;
use super::probe::{DONE, Probe};
use super::samples::Samples;
use crate::child::poll;

/// How many times in a phase a probe may block before the rest of its samples are not tried.
const TRIES: usize = 2;

/// How long a killed child may take to disappear before it is left to the kernel.
const GRACE: Duration = Duration::from_millis(200);

/// One probe of one mount. Its child lives across phases, and is replaced when it blocks.
pub(crate) struct Prober {
    probe: Probe,
    root: PathBuf,
    limit: Duration,
    caller: Caller,
    child: Option<Running>,
}

struct Running {
    process: Child,
    lines: Receiver<String>,
}

impl Prober {
    pub(crate) fn new(probe: Probe, root: &Path, limit: Duration, caller: &Caller) -> Self {
        Self { probe, root: root.to_owned(), limit, caller: caller.clone(), child: None }
    }

    /// Takes samples. A child that gives no sign of life within the limit is given up, and a new one goes on.
    pub(crate) fn measure(&mut self, count: usize) -> Samples {
        let mut samples = Samples::default();
        while samples.len() < count && samples.blocked < TRIES {
            let mut child =
                self.child.take().unwrap_or_else(|| Running::start(self.probe, &self.root, &self.caller));
            // If it has ended, that shows next.
            let _ = child.process.stdin.as_mut().map(|stdin| writeln!(stdin, "{}", count - samples.len()));
            loop {
                match child.lines.recv_timeout(self.limit) {
                    Ok(line) if line == DONE => {
                        self.child = Some(child);
                        break;
                    }
                    Ok(line) => match line.parse() {
                        Ok(nanos) => samples.push(Duration::from_nanos(nanos)),
                        Err(_) => samples.push_error(line),
                    },
                    Err(RecvTimeoutError::Timeout) => {
                        samples.blocked += 1;
                        break;
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        samples.push_error("a prober died".to_owned());
                        break;
                    }
                }
            }
        }
        samples
    }
}

impl Running {
    fn start(probe: Probe, root: &Path, caller: &Caller) -> Self {
        let mut command = caller.command(Role::Prober);
        command.arg(probe.name()).arg(root).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("this program starts");
        let output = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let (tell, lines) = channel();
        // Ends with the child, whenever the kernel lets that go.
        thread::spawn(move || output.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { process, lines }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            poll(GRACE, || self.process.try_wait().ok().flatten());
        }
    }
}
