//! Where the passphrase comes from. Never the command line: everybody on the machine can read that.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use oxcrypt_core::unlock::Passphrase;
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;

/// As much as the official command line takes.
const MAX_LEN: usize = 5_000;
/// As much as a command may print behind its first line and still be heard out.
const MAX_MORE: u64 = 1 << 20;

const HEADING: &str = "Passphrase (default: ask on the terminal)";

/// How to get the passphrase; by default it is asked for on the terminal.
#[derive(Args, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the options, which say what they give")]
#[group(multiple = false)]
pub(crate) struct PassphraseArgs {
    /// Take the first line of standard input
    #[arg(long, help_heading = HEADING)]
    passphrase_stdin: bool,
    /// Take the first line of a file
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    passphrase_file: Option<PathBuf>,
    /// Take the content of an environment variable
    #[arg(long, value_name = "VAR", help_heading = HEADING)]
    passphrase_env: Option<OsString>,
    /// Run a command by the shell and take the first line it prints, as "pass show vault"
    #[arg(long, value_name = "COMMAND", help_heading = HEADING)]
    passphrase_command: Option<OsString>,
}

impl PassphraseArgs {
    /// Whether somebody is there to ask again.
    pub(crate) fn is_asked_for(&self) -> bool {
        !self.passphrase_stdin
            && self.passphrase_file.is_none()
            && self.passphrase_env.is_none()
            && self.passphrase_command.is_none()
    }

    /// The environment variable that has it, if one has: processes that have no use for that are to be without.
    #[cfg(target_os = "linux")]
    pub(crate) fn variable(&self) -> Option<&OsStr> {
        self.passphrase_env.as_deref()
    }

    /// Gets the passphrase, from wherever it is to come.
    pub(crate) fn get(&self, interrupt: &Interrupt) -> Result<Passphrase> {
        self.bytes(interrupt).map(Passphrase::from_bytes)
    }

    /// The same, to be handed on as it is.
    pub(crate) fn bytes(&self, interrupt: &Interrupt) -> Result<Zeroizing<Vec<u8>>> {
        let line = if self.passphrase_stdin {
            first_line(standard_input()?, "standard input")?
        } else if let Some(path) = &self.passphrase_file {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| {
                Failure::usage(format_args!("cannot read the passphrase from {name}: {error}"))
            })?;
            first_line(file, &name)?
        } else if let Some(variable) = &self.passphrase_env {
            let value = std::env::var_os(variable).ok_or_else(|| {
                Failure::usage(format_args!(
                    "the environment variable {} for the passphrase is not set",
                    variable.display()
                ))
            })?;
            Zeroizing::new(value.into_encoded_bytes())
        } else if let Some(command) = &self.passphrase_command {
            from_command(command)?
        } else {
            ask(interrupt)?
        };
        if line.is_empty() {
            return Err(Failure::usage("the passphrase is empty"));
        }
        Ok(line)
    }
}

/// Standard input without the standard library's buffer, which nobody wipes.
fn standard_input() -> Result<File> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned();
    owned.map(File::from).map_err(|error| {
        Failure::usage(format_args!("cannot read the passphrase from standard input: {error}"))
    })
}

fn ask(interrupt: &Interrupt) -> Result<Zeroizing<Vec<u8>>> {
    let _guard = interrupt.guard_terminal();
    match rpassword::prompt_password("Passphrase: ") {
        Ok(typed) => Ok(Zeroizing::new(typed.into_bytes())),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Failure::said(Code::Interrupted)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Failure::usage("no passphrase was typed"))
        }
        Err(error) => Err(Failure::usage(format_args!(
            "there is no terminal to ask for the passphrase ({error}); use --passphrase-stdin, --passphrase-file, \
             --passphrase-env or --passphrase-command"
        ))),
    }
}

fn from_command(command: &OsStr) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |why: &dyn std::fmt::Display| Failure::usage(format_args!("the passphrase command {why}"));
    let mut shell = shell(command);
    let mut child = shell
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&format_args!("cannot be run: {error}")))?;
    let mut stdout = child.stdout.take();
    let line = stdout.as_mut().map(|stdout| first_line(stdout, "the passphrase command"));
    // What else it prints is not wanted, yet closing the pipe on it could make it fail.
    if let Some(stdout) = &mut stdout {
        drop(io::copy(&mut stdout.take(MAX_MORE), &mut io::sink()));
    }
    drop(stdout);
    let status = child.wait().map_err(|error| failed(&format_args!("was lost: {error}")))?;
    line.filter(|_| status.success()).unwrap_or_else(|| Err(failed(&format_args!("failed ({status})"))))
}

#[cfg(not(windows))]
fn shell(command: &OsStr) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &OsStr) -> Command {
    use std::os::windows::process::CommandExt as _;
    let mut shell = Command::new("cmd");
    // As typed: cmd has rules for quotes of its own.
    shell.arg("/C").raw_arg(command);
    shell
}

/// Reads up to the first line break, which may be one of Windows.
fn first_line(mut from: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    // Never grows, so no copy is left behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_LEN + 1]);
    let mut len = 0;
    let end = loop {
        let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) else {
            return Err(Failure::usage(format_args!(
                "the passphrase in {name} is longer than {MAX_LEN} bytes"
            )));
        };
        match from.read(rest) {
            Ok(0) => break len,
            Ok(count) => {
                let new = bytes.get(len..len + count).unwrap_or_default();
                if let Some(at) = new.iter().position(|byte| *byte == b'\n') {
                    break len + at;
                }
                len += count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::usage(format_args!("cannot read the passphrase from {name}: {error}")));
            }
        }
    };
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_without_its_end() {
        for (input, line) in
            [("", ""), ("a b", "a b"), ("a\n", "a"), ("a\r\nb", "a"), ("\nb", ""), (" a \n\n", " a ")]
        {
            assert_eq!(
                first_line(input.as_bytes(), "test").unwrap().as_slice(),
                line.as_bytes(),
                "{input:?}"
            );
        }
    }

    #[test]
    fn a_passphrase_without_end_is_refused() {
        assert!(first_line(io::repeat(b'x'), "test").is_err());
        assert!(first_line(io::repeat(b'x').take(5_000), "test").is_ok());
    }
}
