//! What a task costs, and how that comes from the child to the bench.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Clock ticks in a second, as Linux counts them for programs on every machine that it runs on today.
const TICKS: f64 = 100.0;

/// What a task took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Seconds of the processor that the mount's process took meanwhile; no number where the system does not tell.
    pub(crate) processor: f64,
    /// The most memory that it ever had, in MiB.
    pub(crate) peak: f64,
}

/// A clock that runs, and the process that serves the mount, if there is one.
pub(crate) struct Meter {
    server: Option<u32>,
    processor: f64,
    started: Instant,
}

impl Meter {
    pub(crate) fn start(server: Option<u32>) -> Self {
        let processor = server.and_then(processor).unwrap_or(f64::NAN);
        Self { server, processor, started: Instant::now() }
    }

    pub(crate) fn stop(&self) -> Measured {
        let took: Duration = self.started.elapsed();
        Measured {
            seconds: took.as_secs_f64(),
            processor: self.server.and_then(processor).unwrap_or(f64::NAN) - self.processor,
            peak: self.server.and_then(peak).unwrap_or(f64::NAN),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.seconds, self.processor, self.peak)
    }
}

impl FromStr for Measured {
    type Err = String;

    /// Seconds alone will do.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok([seconds, processor, peak]) => {
                Ok(Self { seconds: *seconds, processor: *processor, peak: *peak })
            }
            Ok([seconds]) => Ok(Self { seconds: *seconds, ..Self::default() }),
            _ => Err(text.into()),
        }
    }
}

/// Seconds of the processor that a process and all its threads took so far.
fn processor(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before this may have blanks.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS)
}

fn peak(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}
