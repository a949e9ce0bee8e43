//! A mount's own process: how it is started, and what it and the command that waits for it say to each other.
//!
//! ```text
//!  command                                        daemon (this program again, with --as-daemon)
//!    │ passphrase or key, as standard input ───────► starts its janitor, unlocks, mounts
//!    │ ◄────────────────── "ready", or "failed 3" ── as standard output
//!    │ "keep" ─────────────────────────────────────► stays
//! ```
//!
//! Neither is in an argument or the environment. Where the command ends before it says "keep", by Ctrl-C or
//! worse, the pipe ends with it, and the daemon unmounts.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;
use crate::key_source::Secret;
use crate::log_file::LogFile;

/// The byte that lets a daemon stay.
const KEEP: u8 = b'k';
/// More than any passphrase is long.
const LONGEST: usize = 64 << 10;
/// How long a daemon that said nothing may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts the daemon with this command's own arguments and waits until it mounts. It says itself what goes wrong.
/// Its environment is this command's, but for the variable `without`.
pub(crate) fn start(secret: &Secret, without: Option<&OsStr>) -> Result<()> {
    let failed =
        |error: io::Error| Failure::failed(format_args!("cannot start the mount's process: {error}"));
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut daemon = Command::new(std::env::current_exe().map_err(failed)?);
    if let Some(variable) = without {
        daemon.env_remove(variable);
    }
    daemon.arg("--as-daemon").args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut daemon = daemon.spawn().map_err(failed)?;
    let (Some(mut to), Some(from)) = (daemon.stdin.take(), daemon.stdout.take()) else {
        return Err(failed(io::ErrorKind::BrokenPipe.into()));
    };
    // Where it has ended already, its last words tell more than a broken pipe.
    let (what, bytes) = secret.parts();
    let [a, b, c, d] = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sent = to.write_all(&[what, a, b, c, d]);
    drop(sent.and_then(|()| to.write_all(bytes)));
    let mut word = String::new();
    BufReader::new(from).read_line(&mut word).map_err(failed)?;
    match word.trim_end().split_once(' ') {
        Some(("failed", code)) => Err(Failure::said(Code::read(code))),
        None if word == "ready\n" => to.write_all(&[KEEP]).map_err(failed),
        _ => Err(ended(&mut daemon)),
    }
}

/// What became of a daemon that ended without a word. Its threads may hang in storage, so nobody waits for that.
fn ended(daemon: &mut Child) -> Failure {
    let patience = Instant::now() + LAST_WORDS;
    loop {
        match daemon.try_wait() {
            Ok(Some(status)) if status.code() == Some(Code::Interrupted as i32) => {
                return Failure::said(Code::Interrupted);
            }
            Ok(Some(status)) => {
                return Failure::failed(format_args!("the mount's process ended too soon ({status})"));
            }
            Ok(None) if Instant::now() < patience => thread::sleep(Duration::from_millis(10)),
            _ => return Failure::failed("the mount's process ended too soon"),
        }
    }
}

/// The daemon's end.
#[derive(Debug)]
pub(crate) struct Parent {
    from: File,
    to: File,
    errors: File,
}

impl Parent {
    /// Leaves the terminal and the folder that the command was started in, and gets what opens the vault.
    pub(crate) fn meet() -> io::Result<(Self, Secret)> {
        rustix::process::setsid()?;
        std::env::set_current_dir("/")?;
        let mut from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let errors = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let [what, len @ ..] = head;
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        let mut bytes = Zeroizing::new(vec![0; len.min(LONGEST)]);
        from.read_exact(&mut bytes)?;
        let secret = Secret::from_parts(what, bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok((Self { from, to, errors }, secret))
    }

    /// Puts the log in the place of the command's streams, so that no process started from here on keeps them open and
    /// makes whoever reads them wait.
    pub(crate) fn leave_streams(log: &LogFile) -> io::Result<()> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(rustix::stdio::dup2_stderr(log)?)
    }

    /// From now on the command's end is this process's, until it is told to stay.
    pub(crate) fn watch(&self, interrupt: &Arc<Interrupt>) -> io::Result<()> {
        let (mut from, interrupt) = (self.from.try_clone()?, Arc::clone(interrupt));
        thread::Builder::new().name("parent".to_owned()).spawn(move || {
            if from.read_exact(&mut [0]).is_err() {
                interrupt.end();
            }
        })?;
        Ok(())
    }

    /// Says something to whoever waits for the command.
    pub(crate) fn say(&mut self, text: impl fmt::Display) {
        drop(writeln!(self.errors, "{text}"));
    }

    /// Says that the mount answers, and lets go of the command.
    pub(crate) fn ready(&mut self) -> io::Result<()> {
        self.to.write_all(b"ready\n")?;
        let null = File::options().write(true).open("/dev/null")?;
        (self.to, self.errors) = (null.try_clone()?, null);
        Ok(())
    }

    /// Says that nothing is mounted. Why has been said.
    pub(crate) fn failed(&mut self, code: Code) {
        drop(writeln!(self.to, "failed {}", code as i32));
    }
}
