//! Whether somebody really wants what cannot be undone.

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use crate::exit::{Code, Failure, Result};
use crate::printable::printable;

/// Who says yes.
#[derive(Args, Debug)]
pub(crate) struct ConfirmArgs {
    /// Do not ask, do it
    #[arg(long, short)]
    yes: bool,
}

impl ConfirmArgs {
    /// Asks at the terminal, unless yes was said before.
    ///
    /// # Errors
    ///
    /// `Refused` for any other answer, and where nobody is there to ask.
    pub(crate) fn ask(&self, question: impl fmt::Display) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        let (input, mut error) = (io::stdin(), io::stderr());
        if !input.is_terminal() || !error.is_terminal() {
            return Err(Failure::refused(format_args!(
                "{question}: nobody is there to ask, and --yes was not given; nothing was changed"
            )));
        }
        drop(write!(error, "{}? [y/N] ", printable(&question.to_string())));
        let mut answer = String::new();
        match input.lock().read_line(&mut answer) {
            Ok(_) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Failure::said(Code::Interrupted)),
            _ => Err(Failure::refused("nothing was changed")),
        }
    }
}
