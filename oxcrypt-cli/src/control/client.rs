//! The end of a command that asks.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;

use super::{Answer, Question};
use crate::runtime_dir;

/// More than any answer is long.
const MAX_ANSWER: u64 = 16 << 20;

/// A connection to the process behind a mount.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Reaches the process behind a mount of this user. `None` where there is none that listens.
    pub(crate) fn reach(mountpoint: &Path) -> Option<Self> {
        Self::reach_of(mountpoint, geteuid().as_raw())
    }

    /// Reaches the process behind a mount of `owner`, which only that user and root can.
    pub(crate) fn reach_of(mountpoint: &Path, owner: u32) -> Option<Self> {
        let sockets = runtime_dir::sockets_of(mountpoint, owner);
        let clients = sockets.iter().filter_map(|socket| Self::connect(socket).ok());
        clients.into_iter().find(|client| client.speaks_to(owner))
    }

    /// Whether it is this user who listens, whoever may have put the socket there.
    fn speaks_to(&self, user: u32) -> bool {
        rustix::net::sockopt::socket_peercred(self.stream.get_ref())
            .is_ok_and(|peer| peer.uid.as_raw() == user)
    }

    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = connect_at_once(socket)?;
        if is_dead(&stream)? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer at most as long as `patience`.
    pub(crate) fn ask(&mut self, question: Question, patience: Duration) -> io::Result<Answer> {
        let mut line = serde_json::to_string(&question)?;
        line.push('\n');
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(patience))?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(line.as_bytes())?;
        line.clear();
        (&mut self.stream).take(MAX_ANSWER).read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits until the other end has let go, at most as long as `patience`. Returns whether it has.
    pub(crate) fn wait_closed(mut self, patience: Duration) -> bool {
        let limited = self.stream.get_ref().set_read_timeout(Some(patience)).is_ok();
        limited
            && match self.stream.read(&mut [0]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            }
    }
}

/// Connects, or fails: where a process accepts nobody any more, and as many wait already as may, the kernel would have the
/// next one wait for ever.
fn connect_at_once(socket: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    let stream = UnixStream::from(stream);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether the process at the other end has ended. The kernel keeps its sockets open as long as one of its threads hangs
/// in storage, and then they take connections that nobody will ever answer.
fn is_dead(stream: &UnixStream) -> io::Result<bool> {
    let process = rustix::net::sockopt::socket_peercred(stream)?.pid;
    match fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())) {
        Ok(stat) => {
            // The name, in brackets, may hold anything; the letter behind it is the state.
            let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
            Ok(matches!(state, Some('Z' | 'X') | None))
        }
        // `hidepid` hides processes that guard their memory even from their own user, and ours do.
        Err(_) => Ok(rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_accepts_nobody_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        let flags = SocketFlags::CLOEXEC;
        let full = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&full, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let waiting: Vec<_> = std::iter::from_fn(|| Client::connect(&path).ok()).take(10).collect();
            tell.send(waiting.len()).unwrap();
        });
        let accepted = told.recv_timeout(Duration::from_secs(20)).expect("an answer");
        assert!((1..10).contains(&accepted), "{accepted}");
    }
}
