//! The end of the process behind a mount.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::Client;
use super::{Answer, Question};

/// More than any question is long.
const MAX_QUESTION: u64 = 4 << 10;
/// Connections that are open at once; more are closed unheard.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection may say nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// A question that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    answer: oneshot::Sender<(Answer, oneshot::Sender<()>)>,
}

impl Asked {
    /// Answers it. What is returned is done when the answer has gone out, or when nobody wants it any more.
    pub(crate) fn answer(self, answer: Answer) -> oneshot::Receiver<()> {
        let (written, told) = oneshot::channel();
        drop(self.answer.send((answer, written)));
        told
    }
}

/// A socket that listens. It goes from the folder when this is dropped, and so do all connections.
#[derive(Debug)]
pub(crate) struct Server {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl Server {
    /// Listens at `path`, in a folder that only this user can enter. A socket that nobody listens at any more goes.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where another process listens there.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        if Client::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, identity: identity(path)?, path: path.to_owned() })
    }

    /// Answers whoever may ask, until the listening fails, or this is dropped.
    pub(crate) async fn serve(self, questions: mpsc::Sender<Asked>) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        let mut connections = JoinSet::new();
        loop {
            let accepted = listener.accept().await;
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) if may_ask(&stream) && connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(converse(stream, questions.clone()));
                }
                Ok(_) => {}
                // Too many open files, most likely: others go, and then there is room again.
                Err(error) => {
                    log::warn!("the control socket: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Another mount may have come to the same place meanwhile.
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Only the same user, and root.
fn may_ask(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}

async fn converse(mut stream: UnixStream, questions: mpsc::Sender<Asked>) -> io::Result<()> {
    let (from, mut to) = stream.split();
    let mut from = BufReader::new(from);
    let mut line = String::new();
    loop {
        line.clear();
        let mut limited = (&mut from).take(MAX_QUESTION);
        if timeout(PATIENCE, limited.read_line(&mut line)).await?? == 0 {
            return Ok(());
        }
        let (answer, written) = match serde_json::from_str(&line) {
            Ok(question) => {
                let (answer, answered) = oneshot::channel();
                let asked = questions.send(Asked { question, answer }).await.is_ok();
                match answered.await {
                    Ok((answer, written)) if asked => (answer, Some(written)),
                    // The process is about to end, and the connection tells that by ending with it.
                    _ => return std::future::pending().await,
                }
            }
            Err(error) => (Answer::Failed(format!("not a question: {error}")), None),
        };
        line = serde_json::to_string(&answer)?;
        line.push('\n');
        timeout(PATIENCE, to.write_all(line.as_bytes())).await??;
        drop(written);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::sync::mpsc as std_mpsc;
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    /// A process behind a mount that says it is busy until it is forced, and then ends.
    fn process() -> (TempDir, PathBuf, thread::JoinHandle<()>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        let (listens, told) = std_mpsc::channel();
        let socket = path.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let server = Server::bind(&socket).unwrap();
            listens.send(()).unwrap();
            runtime.block_on(async {
                let (ask, mut asked) = mpsc::channel::<Asked>(1);
                let answering = async {
                    while let Some(asked) = asked.recv().await {
                        let forced = asked.question == Question::Unmount { force: true };
                        let answer = if forced { Answer::Unmounted } else { Answer::Busy };
                        drop(asked.answer(answer).await);
                        if forced {
                            return;
                        }
                    }
                };
                tokio::select! { _ = server.serve(ask) => {}, () = answering => {} }
            });
        });
        told.recv().unwrap();
        (dir, path, thread)
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_question_gets_its_answer_and_the_end_is_seen() {
        let (_dir, path, thread) = process();
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.ask(Question::Unmount { force: false }, PATIENCE).unwrap(), Answer::Busy);
        assert_eq!(client.ask(Question::Unmount { force: true }, PATIENCE).unwrap(), Answer::Unmounted);
        assert!(client.wait_closed(PATIENCE));
        thread.join().unwrap();
        assert!(!path.exists(), "the socket goes with its process");
    }

    #[test]
    fn nonsense_is_answered_and_holds_nobody_up() {
        let (_dir, path, thread) = process();
        let mut silent = std::os::unix::net::UnixStream::connect(&path).unwrap();
        silent.write_all(b"{\"ask\":").unwrap();
        let mut rude = std::os::unix::net::UnixStream::connect(&path).unwrap();
        rude.write_all(b"GET / HTTP/1.1\n").unwrap();
        let mut line = String::new();
        BufReader::new(&rude).read_line(&mut line).unwrap();
        assert!(line.contains("not a question"), "{line}");
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.ask(Question::Unmount { force: true }, PATIENCE).unwrap(), Answer::Unmounted);
        thread.join().unwrap();
    }

    #[test]
    fn a_socket_that_nobody_listens_at_is_replaced_and_one_that_somebody_does_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let server = Server::bind(&path).unwrap();
        assert_eq!(Server::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Somebody else's from now on, so it stays.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(server);
        assert!(path.exists());
    }
}
