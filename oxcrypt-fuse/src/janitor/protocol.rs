//! What is said between the daemon and its janitor: frames of fields, with a handle beside the last one.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::table::Laziness;

/// The fields of a frame, and the handle that came with it.
pub(super) type Frame = (Vec<Vec<u8>>, Option<OwnedFd>);

/// No frame is longer: paths and options are not.
const MAX_LEN: usize = 64 << 10;

/// What the daemon wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Mount {
        at: Vec<u8>,
        source: Vec<u8>,
        options: Vec<Vec<u8>>,
    },
    Unmount(Laziness),
    /// The mount has ended.
    Forget,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Failed(Failed),
}

/// An error that has crossed a border between processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    kind: io::ErrorKind,
    text: String,
}

/// The kinds that somebody acts upon; the others are one.
const KINDS: [(io::ErrorKind, &[u8]); 5] = [
    (io::ErrorKind::ResourceBusy, b"busy"),
    (io::ErrorKind::NotFound, b"gone"),
    (io::ErrorKind::PermissionDenied, b"denied"),
    (io::ErrorKind::Unsupported, b"unsupported"),
    (io::ErrorKind::Other, b"other"),
];

impl Request {
    pub(super) fn fields(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Mount { at, source, options } => {
                let mut fields = vec![b"mount".to_vec(), at.clone(), source.clone()];
                fields.extend(options.iter().cloned());
                fields
            }
            Self::Unmount(Laziness::Busy) => vec![b"unmount".to_vec()],
            Self::Unmount(Laziness::Lazy) => vec![b"unmount".to_vec(), b"lazily".to_vec()],
            Self::Forget => vec![b"forget".to_vec()],
        }
    }

    pub(super) fn parse(fields: &[Vec<u8>]) -> io::Result<Self> {
        match fields {
            [what, at, source, options @ ..] if what == b"mount" => {
                Ok(Self::Mount { at: at.clone(), source: source.clone(), options: options.to_vec() })
            }
            [what] if what == b"unmount" => Ok(Self::Unmount(Laziness::Busy)),
            [what, how] if what == b"unmount" && how == b"lazily" => Ok(Self::Unmount(Laziness::Lazy)),
            [what] if what == b"forget" => Ok(Self::Forget),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Answer {
    pub(super) fn fields(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Done => vec![b"done".to_vec()],
            Self::Failed(Failed { kind, text }) => {
                let known = KINDS.iter().find(|(known, _)| known == kind);
                let word = known.map_or(&b"other"[..], |(_, word)| word);
                vec![b"failed".to_vec(), word.to_vec(), text.clone().into_bytes()]
            }
        }
    }

    pub(super) fn parse(fields: &[Vec<u8>]) -> io::Result<Self> {
        match fields {
            [what] if what == b"done" => Ok(Self::Done),
            [what, kind, text] if what == b"failed" => {
                let known = KINDS.iter().find(|(_, word)| word == kind);
                let kind = known.map_or(io::ErrorKind::Other, |(kind, _)| *kind);
                Ok(Self::Failed(Failed { kind, text: String::from_utf8_lossy(text).into_owned() }))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self { kind: error.kind(), text: error.to_string() }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        Self::new(failed.kind, failed.text)
    }
}

/// Sends a frame, and a handle with it.
pub(super) fn send(line: &UnixStream, fields: &[Vec<u8>], handle: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend(length(field.len())?);
        bytes.extend(field);
    }
    let head = length(bytes.len())?;
    let handles: Vec<_> = handle.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !handles.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&handles));
    }
    // The handle goes with the first bytes, and these are few enough to go at once.
    let sent = rustix::net::sendmsg(line, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent != head.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    (&*line).write_all(&bytes)
}

/// Receives a frame, and the handle that came with it. `None` where the other end is gone.
pub(super) fn receive(line: &UnixStream) -> io::Result<Option<Frame>> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let into = &mut [IoSliceMut::new(&mut head)];
        match rustix::net::recvmsg(line.as_fd(), into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let handle = taken(&mut ancillary);
    let mut from = line;
    from.read_exact(head.get_mut(received..).unwrap_or_default())?;
    let len = u32::from_le_bytes(head) as usize;
    if len > MAX_LEN {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(Some((split(&bytes).ok_or(io::ErrorKind::InvalidData)?, handle)))
}

/// Receives the handle that comes with a byte, as the helper sends it.
pub(super) fn handle(line: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(line.as_fd(), into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    Ok(taken(&mut ancillary))
}

fn taken(ancillary: &mut RecvAncillaryBuffer<'_>) -> Option<OwnedFd> {
    ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
        _ => None,
    })
}

fn split(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut fields = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk() {
        let len = u32::from_le_bytes(*head) as usize;
        fields.push(rest.get(..len)?.to_vec());
        bytes = rest.get(len..)?;
    }
    bytes.is_empty().then_some(fields)
}

fn length(len: usize) -> io::Result<[u8; 4]> {
    let len = u32::try_from(len).ok().filter(|_| len <= MAX_LEN).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(len.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_answers_and_handles_cross_the_line() {
        let (a, b) = UnixStream::pair().unwrap();
        let request = Request::Mount {
            at: b"/mnt/line\nbreak".to_vec(),
            source: b"vault, with a comma".to_vec(),
            options: vec![b"ro".to_vec(), Vec::new()],
        };
        send(&a, &request.fields(), None).unwrap();
        let (fields, handle) = receive(&b).unwrap().unwrap();
        assert_eq!((Request::parse(&fields).unwrap(), handle.is_none()), (request, true));

        let file = tempfile::tempfile().unwrap();
        (&file).write_all(b"the same file").unwrap();
        send(&b, &Answer::Done.fields(), Some(file.as_fd())).unwrap();
        let (fields, handle) = receive(&a).unwrap().unwrap();
        assert!(matches!(Answer::parse(&fields).unwrap(), Answer::Done));
        let mut bytes = [0; 13];
        std::os::unix::fs::FileExt::read_exact_at(&std::fs::File::from(handle.unwrap()), &mut bytes, 0)
            .unwrap();
        assert_eq!(&bytes, b"the same file");
        drop(b);
        assert!(receive(&a).unwrap().is_none());
    }

    #[test]
    fn an_error_keeps_what_somebody_acts_upon() {
        let error = io::Error::new(io::ErrorKind::ResourceBusy, "somebody is in it");
        let fields = Answer::Failed(error.into()).fields();
        let Answer::Failed(failed) = Answer::parse(&fields).unwrap() else { panic!() };
        let error = io::Error::from(failed);
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::ResourceBusy, "somebody is in it")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(split(&[1, 0, 0, 0]).is_none() && split(&[9]).is_none());
        assert!(Request::parse(&[b"umount".to_vec()]).is_err() && Answer::parse(&[]).is_err());
    }
}
