//! Where the passphrase comes from. Never the command line: everybody on the machine can read that.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use oxcrypt_core::unlock::Passphrase;
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;
use crate::session::Session;

/// As much as the official command line takes.
const MAX_LEN: usize = 5_000;
/// As much as a command may print behind its first line and still be heard out.
const MAX_MORE: u64 = 1 << 20;

const HEADING: &str = "Passphrase (default: ask on the terminal)";
const NEW_HEADING: &str = "New passphrase (default: ask on the terminal, twice)";

/// What to use where there is no terminal.
const OTHERWISE: &str = "--passphrase-stdin, --passphrase-file, --passphrase-env or --passphrase-command";
const NEW_OTHERWISE: &str =
    "--new-passphrase-stdin, --new-passphrase-file, --new-passphrase-env or --new-passphrase-command";

/// How often two passphrases may differ that are to be the same.
const TRIES: usize = 3;
/// What official clients ask of a new passphrase.
const SHORT: usize = 8;

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

/// How to get the passphrase that is to open the vault from now on.
#[derive(Args, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the options, which say what they give")]
#[group(multiple = false)]
pub(crate) struct NewPassphraseArgs {
    /// Take a line of standard input: the second one, if the first is the passphrase so far
    #[arg(long, help_heading = NEW_HEADING)]
    new_passphrase_stdin: bool,
    /// Take the first line of a file
    #[arg(long, value_name = "FILE", help_heading = NEW_HEADING)]
    new_passphrase_file: Option<PathBuf>,
    /// Take the content of an environment variable
    #[arg(long, value_name = "VAR", help_heading = NEW_HEADING)]
    new_passphrase_env: Option<OsString>,
    /// Run a command by the shell and take the first line it prints
    #[arg(long, value_name = "COMMAND", help_heading = NEW_HEADING)]
    new_passphrase_command: Option<OsString>,
}

/// Where a passphrase comes from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Terminal,
    StandardInput,
    File(&'a Path),
    Variable(&'a OsStr),
    Command(&'a OsStr),
}

impl PassphraseArgs {
    fn origin(&self) -> Origin<'_> {
        let Self { passphrase_stdin, passphrase_file, passphrase_env, passphrase_command } = self;
        Origin::told(
            *passphrase_stdin,
            passphrase_file.as_deref(),
            passphrase_env.as_deref(),
            passphrase_command.as_deref(),
        )
    }

    /// Whether somebody is there to ask again.
    pub(crate) fn is_asked_for(&self) -> bool {
        matches!(self.origin(), Origin::Terminal)
    }

    /// Whether it comes from standard input.
    pub(crate) fn is_standard_input(&self) -> bool {
        self.passphrase_stdin
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
        self.origin().line(interrupt)
    }

    /// Gets the passphrase of a vault that is to be made.
    pub(crate) fn get_new(&self, session: &Session) -> Result<Passphrase> {
        new(self.origin(), OTHERWISE, session)
    }
}

impl NewPassphraseArgs {
    /// Gets the new passphrase.
    pub(crate) fn get(&self, session: &Session) -> Result<Passphrase> {
        let Self { new_passphrase_stdin, new_passphrase_file, new_passphrase_env, new_passphrase_command } =
            self;
        let origin = Origin::told(
            *new_passphrase_stdin,
            new_passphrase_file.as_deref(),
            new_passphrase_env.as_deref(),
            new_passphrase_command.as_deref(),
        );
        new(origin, NEW_OTHERWISE, session)
    }

    /// Whether it takes a line of standard input.
    pub(crate) fn is_from_stdin(&self) -> bool {
        self.new_passphrase_stdin
    }
}

impl<'a> Origin<'a> {
    fn told(
        stdin: bool,
        file: Option<&'a Path>,
        variable: Option<&'a OsStr>,
        command: Option<&'a OsStr>,
    ) -> Self {
        match (stdin, file, variable, command) {
            (true, ..) => Self::StandardInput,
            (_, Some(file), ..) => Self::File(file),
            (_, _, Some(variable), _) => Self::Variable(variable),
            (_, _, _, Some(command)) => Self::Command(command),
            _ => Self::Terminal,
        }
    }

    fn line(self, interrupt: &Interrupt) -> Result<Zeroizing<Vec<u8>>> {
        let line = match self {
            Self::StandardInput => first_line(standard_input()?, "standard input")?,
            Self::File(path) => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| {
                    Failure::usage(format_args!("cannot read the passphrase from {name}: {error}"))
                })?;
                first_line(file, &name)?
            }
            Self::Variable(variable) => {
                let value = std::env::var_os(variable).ok_or_else(|| {
                    Failure::usage(format_args!(
                        "the environment variable {} for the passphrase is not set",
                        variable.display()
                    ))
                })?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Self::Command(command) => from_command(command)?,
            Self::Terminal => ask("Passphrase: ", OTHERWISE, interrupt)?,
        };
        if line.is_empty() {
            return Err(Failure::usage("the passphrase is empty"));
        }
        Ok(line)
    }
}

/// Gets a new passphrase: on a terminal it is asked for twice, as nobody sees what is typed.
fn new(origin: Origin<'_>, otherwise: &str, session: &Session) -> Result<Passphrase> {
    let passphrase = match origin {
        Origin::Terminal => ask_twice(otherwise, session)?,
        other => Passphrase::from_bytes(other.line(&session.interrupt)?),
    };
    if passphrase.len() < SHORT {
        session.console.note(format_args!(
            "warning: the new passphrase has fewer than {SHORT} characters; whoever gets hold of the vault's files can \
             guess it"
        ));
    }
    Ok(passphrase)
}

fn ask_twice(otherwise: &str, session: &Session) -> Result<Passphrase> {
    let ask = |prompt: &str| ask(prompt, otherwise, &session.interrupt).map(Passphrase::from_bytes);
    for _ in 0..TRIES {
        let first = ask("New passphrase: ")?;
        if first.is_empty() {
            session.console.error("the new passphrase is empty");
        } else if first.is_same_as(&ask("New passphrase again: ")?) {
            return Ok(first);
        } else {
            session.console.error("that was not the same passphrase twice");
        }
    }
    Err(Failure::usage("no new passphrase was typed twice"))
}

/// Standard input without the standard library's buffer, which nobody wipes.
pub(crate) fn standard_input() -> Result<File> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned();
    owned
        .map(File::from)
        .map_err(|error| Failure::usage(format_args!("cannot read from standard input: {error}")))
}

/// Asks for something on the terminal that nobody is to see; `otherwise` says what to use where there is none.
pub(crate) fn ask(prompt: &str, otherwise: &str, interrupt: &Interrupt) -> Result<Zeroizing<Vec<u8>>> {
    // Before the prompt is there, so that nothing shows of what is typed at once.
    let _guard = interrupt.guard_terminal();
    match rpassword::prompt_password(prompt) {
        Ok(typed) => Ok(Zeroizing::new(typed.into_bytes())),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Failure::said(Code::Interrupted)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Failure::usage("nothing was typed"))
        }
        Err(error) => {
            Err(Failure::usage(format_args!("there is no terminal to ask at ({error}); use {otherwise}")))
        }
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

/// Reads up to the first line break, which may be one of Windows, and not a byte further: more lines may be wanted.
fn first_line(mut from: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    // Never grows, so no copy is left behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LEN));
    let mut byte = Zeroizing::new([0]);
    loop {
        match from.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if *byte == [b'\n'] => break,
            Ok(_) if line.len() == MAX_LEN => {
                return Err(Failure::usage(format_args!(
                    "the passphrase in {name} is longer than {MAX_LEN} bytes"
                )));
            }
            Ok(_) => line.extend_from_slice(&*byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::usage(format_args!("cannot read the passphrase from {name}: {error}")));
            }
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
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

    #[test]
    fn what_follows_the_first_line_is_left_for_the_next() {
        let mut input = &b"old\r\nnew\n"[..];
        let lines = [(); 3].map(|()| first_line(&mut input, "test").unwrap().to_vec());
        assert_eq!(lines, [&b"old"[..], b"new", b""]);
    }
}
