//! What became of each of the things that a command was told to do.

use std::fmt;

use oxcrypt_io::volume::Error;
use serde_json::json;

use crate::exit::{Code, Failure, Result, code_of};
use crate::printable::printable;
use crate::session::Session;

/// What became of each of a few things.
pub(crate) struct Outcomes<'s> {
    session: &'s mut Session,
    /// What the command does, as it is told to programs.
    verb: &'static str,
    /// Things that were asked for.
    asked: usize,
    done: u64,
    skipped: u64,
    failed: Vec<Code>,
}

impl<'s> Outcomes<'s> {
    /// Of `asked` things.
    pub(crate) fn new(verb: &'static str, asked: usize, session: &'s mut Session) -> Self {
        Self { session, verb, asked, done: 0, skipped: 0, failed: Vec::new() }
    }

    /// Whether there is no point in going on.
    pub(crate) fn is_over(&self) -> bool {
        self.session.interrupt.is_asked()
    }

    pub(crate) fn done(&mut self, path: &str) {
        self.done += 1;
        self.session.console.detail(format_args!("{}: {}", printable(path), self.verb));
    }

    pub(crate) fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// The way to it could not be gone.
    pub(crate) fn missed(&mut self, path: &str, failure: &Failure) -> Result<()> {
        let why = failure.text().unwrap_or("it was not found");
        self.session.console.error(why);
        self.told(path, failure.code(), why)
    }

    pub(crate) fn failed(&mut self, path: &str, error: &Error) -> Result<()> {
        self.session.console.error(format_args!("{}: {error}", printable(path)));
        self.told(path, code_of(error), error)
    }

    fn told(&mut self, path: &str, code: Code, why: impl fmt::Display) -> Result<()> {
        self.failed.push(code);
        if self.session.out.is_json() {
            let why = why.to_string();
            self.session.out.object(json!({ "event": "failed", "path": path, "error": why }))?;
        }
        Ok(())
    }

    /// Says how it went, as a whole.
    pub(crate) fn conclude(self) -> Result<()> {
        let Self { session, verb, asked, done, skipped, failed } = self;
        if session.out.is_json() {
            let failed = failed.len();
            let counts = json!({ "event": "done", verb: done, "skipped": skipped, "failed": failed });
            session.out.object(counts)?;
        }
        match failed.as_slice() {
            _ if session.interrupt.is_asked() => Err(Failure::said(Code::Interrupted)),
            [] => Ok(()),
            // The only thing asked for: its own code says more.
            [only] if asked == 1 => Err(Failure::said(*only)),
            _ => Err(Failure::said(Code::Partial)),
        }
    }
}
