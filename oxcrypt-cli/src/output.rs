//! What people and programs see: data on standard output, everything else on standard error.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::exit::{Failure, Result};
use crate::lock::lock;
use crate::printable::printable;

/// Standard output, for data only.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    escape: bool,
    shown: Instant,
}

/// How long a program that reads along may have to wait for what is known already.
const SHOW_EVERY: Duration = Duration::from_millis(100);

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let out = io::stdout();
        Self {
            escape: out.is_terminal(),
            out: BufWriter::with_capacity(1 << 16, out),
            json,
            shown: Instant::now(),
        }
    }

    /// Whether a program is to read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<()> {
        writeln!(self.out, "{line}").map_err(|error| Failure::output(&error))
    }

    /// Writes an object as one line of JSON, without what it has no value for.
    pub(crate) fn object(&mut self, mut object: Value) -> Result<()> {
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self.line(object)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Failure::output(&error))
    }

    /// Shows what was written so far where somebody waits for it: on a terminal, and elsewhere now and then.
    pub(crate) fn show(&mut self) -> Result<()> {
        if !self.escape && self.shown.elapsed() < SHOW_EVERY {
            return Ok(());
        }
        self.shown = Instant::now();
        self.flush()
    }

    /// Writes out all that was written so far.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|error| Failure::output(&error))
    }

    /// A name as it is to be written: to a terminal without anything the terminal would act on.
    pub(crate) fn name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.escape { printable(name) } else { Cow::Borrowed(name) }
    }
}

/// Standard error: errors, warnings, and what goes on meanwhile. Nothing it fails to say stops anything.
pub(crate) struct Console {
    quiet: bool,
    verbose: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose, bar: Mutex::default() }
    }

    /// Whether somebody sees at once what is said.
    pub(crate) fn is_watched(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether nobody wants to hear of anything but errors.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether somebody asked for more than is usually said.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Says what went wrong, and what everybody should know.
    pub(crate) fn error(&self, text: impl fmt::Display) {
        self.say(format_args!("oxcrypt: {text}"));
    }

    /// Says what is good to know, unless nobody wants to.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            self.say(format_args!("{text}"));
        }
    }

    /// Says what only those want to know who asked for it.
    pub(crate) fn detail(&self, text: impl fmt::Display) {
        if self.verbose {
            self.say(format_args!("{text}"));
        }
    }

    /// From now on messages go above this progress bar.
    pub(crate) fn show(&self, bar: Option<ProgressBar>) {
        *lock(&self.bar) = bar;
    }

    fn say(&self, text: fmt::Arguments<'_>) {
        // A path may hold anything, and another user may have chosen it.
        let line = format!("{}\n", printable(&text.to_string()));
        // A standard error that is closed is no reason to stop, or to panic.
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A time for people: in their zone, to the minute.
pub(crate) fn local_time(time: Option<SystemTime>) -> String {
    match time.map(Timestamp::try_from) {
        Some(Ok(time)) => time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Some(Err(_)) | None => "-".to_owned(),
    }
}

/// A time for people that another process told as one for programs.
#[cfg(target_os = "linux")]
pub(crate) fn local_time_of(exact: &str) -> String {
    local_time(exact.parse::<Timestamp>().ok().and_then(|time| SystemTime::try_from(time).ok()))
}

/// A time for programs: RFC 3339 in UTC, as exact as the storage has it.
pub(crate) fn exact_time(time: Option<SystemTime>) -> Value {
    match time.map(Timestamp::try_from) {
        Some(Ok(time)) => time.to_string().into(),
        Some(Err(_)) | None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_for_programs() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1, 500);
        assert_eq!(exact_time(Some(time)), "1970-01-01T00:00:01.0000005Z");
        assert_eq!(exact_time(None), Value::Null);
    }
}
