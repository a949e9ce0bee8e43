//! A process that mounts and unmounts, so that the one that holds the vault never has to start another.
//!
//! Whoever starts a process closes what it has inherited, and closing a file on a hanging store hangs. So the janitor is
//! started before the vault is opened. It mounts, hands the device over, unmounts when it is told to, and when the other
//! one dies, whatever way that comes, it removes what that one had mounted.
//!
//! ```text
//!  daemon ──── mount, unmount ────► janitor ──► kernel, as root; fusermount3 else
//!         ◄─── the device, done ───    │
//!         ───────── dies ─────────►    └──► unmounts, if it is still ours, and ends the connection
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::birthmark::{self, Birthmark};
use crate::options::MountOptions;
use crate::table::Laziness;

mod protocol;
mod serving;

use protocol::{Answer, Request};

/// How long mounting or unmounting may take. Neither waits for the store, but a machine may be busy.
const LIMIT: Duration = Duration::from_secs(20);

/// What no mount may be told to be: a way to become somebody else or to reach devices; writable only by what says so; and
/// what it is known by is ours to say.
const NEVER: [&str; 4] = ["rw", "suid", "dev", birthmark::OPTION];

/// The daemon's end of it. Dropping it ends the janitor, which removes what is mounted still.
#[derive(Clone, Debug)]
pub struct Janitor(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    socket: UnixStream,
    process: Child,
}

impl Janitor {
    /// Starts it: `program` is this or another program that calls [`serve`](Self::serve) first thing.
    ///
    /// To be called before the vault is opened, so that no handle of it is inherited, and on the thread that lives as
    /// long as the process: its end is what the janitor is told of.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[expect(clippy::disallowed_methods, reason = "there is no vault yet, and so no handle of one")]
    pub fn start(mut program: Command) -> io::Result<Self> {
        let (socket, other) = UnixStream::pair()?;
        let process =
            program.stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        Ok(Self(Arc::new(Mutex::new(Line { socket, process }))))
    }

    /// The whole life of the janitor's process. Its standard input is the line to the daemon.
    ///
    /// # Errors
    ///
    /// What the system says, before anything is mounted.
    pub fn serve() -> io::Result<()> {
        serving::serve()
    }

    /// Mounts, and gives the device of it. Blocks until that is done.
    pub(crate) fn mount(
        &self,
        at: &Path,
        options: &MountOptions,
        birthmark: Birthmark,
    ) -> io::Result<OwnedFd> {
        let request = Request::Mount {
            at: at.as_os_str().as_bytes().to_vec(),
            source: options.source.clone().into_bytes(),
            options: words(options, birthmark)?.into_iter().map(String::into_bytes).collect(),
        };
        match self.asked(&request)? {
            (Answer::Done, Some(device)) => Ok(device),
            (Answer::Done, None) => Err(io::Error::other("the janitor gave no device")),
            (Answer::Failed(error), _) => Err(error.into()),
        }
    }

    /// Unmounts. Blocks until that is done, which never waits for storage.
    pub(crate) fn unmount(&self, laziness: Laziness) -> io::Result<()> {
        match self.asked(&Request::Unmount(laziness))? {
            (Answer::Done, _) => Ok(()),
            (Answer::Failed(error), _) => Err(error.into()),
        }
    }

    /// Says that the mount has ended, and needs nobody to end it.
    pub(crate) fn forget(&self) -> io::Result<()> {
        match self.asked(&Request::Forget)? {
            (Answer::Done, _) => Ok(()),
            (Answer::Failed(error), _) => Err(error.into()),
        }
    }

    fn asked(&self, request: &Request) -> io::Result<(Answer, Option<OwnedFd>)> {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        protocol::send(&line.socket, &request.fields(), None)?;
        let (fields, device) = protocol::receive(&line.socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((Answer::parse(&fields)?, device))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Its end of the line tells the janitor, which has nothing to wait for.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// The options as the kernel and its helper take them.
fn words(options: &MountOptions, birthmark: Birthmark) -> io::Result<Vec<String>> {
    // Several may stand in one, and the last one counts, for the kernel and for its helper.
    let asked = options.kernel_options.iter().flat_map(|word| word.split(','));
    if let Some(word) = asked.into_iter().find(|word| is_forbidden(word)) {
        let text = format!("a vault cannot be mounted with the option {word}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let access = if options.read_only { "ro" } else { "rw" };
    let mut words: Vec<String> = [access, "nosuid", "nodev", "default_permissions"].map(str::to_owned).into();
    words.extend(options.allow_other.then(|| "allow_other".to_owned()));
    words.extend(options.kernel_options.iter().cloned());
    words.push(birthmark.word());
    Ok(words)
}

fn is_forbidden(word: &str) -> bool {
    NEVER.contains(&word.split_once('=').map_or(word, |(name, _)| name))
}

/// A path as bytes brought it.
fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
