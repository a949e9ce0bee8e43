//! The janitor's process.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::mount::MountFlags;
use rustix::process::{Signal, geteuid, getgid, getppid, getuid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::path;
use super::protocol::{self, Answer, Request};
use crate::birthmark::Birthmark;
use crate::connection::{AbortHandle, Connection};
use crate::table::{self, HELPER, KIND, Laziness, Mounted};

/// What is mounted, if anything is.
type Charge = Arc<Mutex<Option<Charged>>>;

/// A mount, and what ends its connection wherever it is by then.
struct Charged {
    mounted: Mounted,
    abort: Option<AbortHandle>,
}

/// Serves the daemon until that ends, and cleans up after it.
pub(super) fn serve() -> io::Result<()> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // In a session of its own, and deaf to what ends others: Ctrl-C is for the daemon, which says what is to be done.
    let _alone_already = rustix::process::setsid();
    let mut signals = Signals::new([SIGUSR1, SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    // A folder that somebody wants to unmount or remove is not to be in use because of us.
    std::env::set_current_dir("/")?;
    let charge = Charge::default();
    let left = Arc::clone(&charge);
    thread::spawn(move || {
        if signals.forever().any(|signal| signal == SIGUSR1) {
            clean_up(&left);
            std::process::exit(0);
        }
    });
    // A daemon that is killed keeps all its files open as long as one of its threads hangs in the kernel, and so does
    // not hang up. But the thread that started us is gone, and we are told.
    let daemon = getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::USR1))?;
    if getppid() != daemon {
        return Ok(());
    }
    while let Ok(Some((fields, _))) = protocol::receive(&line) {
        let done = Request::parse(&fields).and_then(|request| carry_out(&request, &charge));
        let (answer, device) = match done {
            Ok(device) => (Answer::Done, device),
            Err(error) => (Answer::Failed(error.into()), None),
        };
        // The device is the daemon's alone from then on: the mount ends when that is closed.
        if protocol::send(&line, &answer.fields(), device.as_ref().map(OwnedFd::as_fd)).is_err() {
            break;
        }
    }
    clean_up(&charge);
    Ok(())
}

fn carry_out(request: &Request, charge: &Charge) -> io::Result<Option<OwnedFd>> {
    let mut charge = charge.lock().unwrap_or_else(PoisonError::into_inner);
    match request {
        Request::Mount { at, source, options } => {
            let (at, options) = (path(at), texts(options)?);
            let birthmark = options.iter().find_map(|word| Birthmark::of_word(word));
            let birthmark = birthmark.ok_or(io::ErrorKind::InvalidInput)?;
            let device = mount(at, path(source), &options)?;
            // It may be out of sight already.
            *charge = table::born_as(birthmark)?.map(Charged::new);
            Ok(Some(device))
        }
        Request::Unmount(laziness) => {
            if let Some(charged) = &*charge {
                charged.unmount(*laziness)?;
            }
            Ok(None)
        }
        Request::Forget => {
            *charge = None;
            Ok(None)
        }
    }
}

/// Takes what is mounted still out of the tree, and lets go of those who wait for it.
fn clean_up(charge: &Charge) {
    // Held to the end: a dead daemon is noticed twice, and who comes second ends the process.
    let mut charge = charge.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(charged) = charge.take() else { return };
    let unmounted = charged.unmount(Laziness::Lazy);
    // Whatever came of that: somebody may wait for a mount that was taken out of the tree, or is out of sight.
    if let Some(abort) = charged.abort {
        abort.abort();
    }
    if let Err(error) = unmounted {
        eprintln!("oxcrypt: {} is still mounted: {error}", charged.mounted.mountpoint.display());
    }
}

impl Charged {
    fn new(mounted: Mounted) -> Self {
        Self { abort: Connection(mounted.connection).abort_handle().ok(), mounted }
    }

    /// Takes it out of the tree, unless somebody else was quicker, which is as well.
    fn unmount(&self, laziness: Laziness) -> io::Result<()> {
        match table::unmount(&self.mounted, laziness) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

fn mount(at: &Path, source: &Path, options: &[&str]) -> io::Result<OwnedFd> {
    if geteuid().is_root() {
        match mount_as_root(at, source, options) {
            // Root of a container, which may not; the helper may still.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {}
            done => return done,
        }
    }
    mount_by_helper(at, source, options)
}

fn mount_as_root(at: &Path, source: &Path, options: &[&str]) -> io::Result<OwnedFd> {
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let mut flags = MountFlags::empty();
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        getuid().as_raw(),
        getgid().as_raw()
    );
    for option in options {
        if let Some((_, flag, is_set)) = FLAGS.iter().find(|(name, ..)| name == option) {
            flags.set(*flag, *is_set);
        } else {
            data.push(',');
            data.push_str(option);
        }
    }
    let data = CString::new(data)?;
    rustix::mount::mount(source.as_os_str(), at, KIND, flags, data.as_c_str())?;
    Ok(device)
}

/// Options that are flags of the system call: what each is called, and whether it sets or clears.
const FLAGS: [(&str, MountFlags, bool); 11] = [
    ("ro", MountFlags::RDONLY, true),
    ("nosuid", MountFlags::NOSUID, true),
    ("nodev", MountFlags::NODEV, true),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("relatime", MountFlags::RELATIME, true),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("dirsync", MountFlags::DIRSYNC, true),
];

/// Has the helper mount, which may do so for users, and gives the device over a socket.
fn mount_by_helper(at: &Path, source: &Path, options: &[&str]) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    // The one thread that starts processes here is this.
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
    let mut words = options.join(",").into_bytes();
    words.extend(b",subtype=oxcrypt,fsname=");
    for byte in source.as_os_str().as_bytes() {
        if matches!(byte, b',' | b'\\') {
            words.push(b'\\');
        }
        words.push(*byte);
    }
    let mut helper = Command::new(HELPER);
    helper.env("_FUSE_COMMFD", theirs.as_raw_fd().to_string());
    helper.arg("-o").arg(std::ffi::OsStr::from_bytes(&words)).arg("--").arg(at);
    let ran = table::ran(&mut helper);
    drop(theirs);
    ran.map_err(explained)?;
    protocol::handle(&ours)?.ok_or_else(|| io::Error::other(format!("{HELPER} gave no device")))
}

/// Adds what a person can do about it.
fn explained(error: io::Error) -> io::Error {
    let text = error.to_string();
    if text.contains("user_allow_other") {
        return io::Error::new(
            error.kind(),
            format!("{text} (put a line \"user_allow_other\" into /etc/fuse.conf, which takes root)"),
        );
    }
    error
}

fn texts(words: &[Vec<u8>]) -> io::Result<Vec<&str>> {
    let text = |word| std::str::from_utf8(word).map_err(|_| io::ErrorKind::InvalidInput.into());
    words.iter().map(|word| text(word)).collect()
}
