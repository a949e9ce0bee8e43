//! The process that was started: runs the worker in a process group of its own, and sees that nothing is left of it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

use super::Role;
use super::options::Options;
use crate::child::poll;
use crate::{mounts, slow_store};

/// How long a killed process may take to be gone, before the kernel is left to it.
const ENDING: Duration = Duration::from_secs(5);

/// How often the worker is looked after.
const BEAT: Duration = Duration::from_millis(50);

/// Runs a worker with these words for arguments, and cleans up after it.
pub(crate) fn main(options: &Options, words: &[&str]) -> ExitCode {
    // Not within the limit: the first time this takes minutes.
    let store = slow_store::exe();
    let (tell, interrupted) = channel();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).expect("signals that anybody may listen to");
    thread::spawn(move || {
        for _ in signals.forever() {
            let _ = tell.send(());
        }
    });
    let folder = tempfile::Builder::new().prefix("oxcrypt-storm-").tempdir().expect("a temporary folder");
    // Whoever is not root has to get there.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder of ours");
    let mut worker = Role::Worker.command();
    worker.args(words).env("TMPDIR", folder.path()).env("SLOW_STORE", store);
    // A pipe that ends with this process, even if that is killed.
    let worker = worker.stdin(Stdio::piped()).process_group(0).spawn().expect("this program starts");
    let limit = options.settled().limit;
    let end = watch(&worker, limit, &interrupted);
    let code = match end {
        End::Itself => None,
        End::Interrupted => Some(130),
        End::OutOfTime => {
            println!(
                "storm: ended after {limit:?} by its own limit; whatever it waited for should not have hung it"
            );
            Some(1)
        }
    };
    clean_up(worker, folder, code)
}

/// Why the worker is to end, or has.
enum End {
    Itself,
    Interrupted,
    OutOfTime,
}

fn watch(worker: &Child, limit: Duration, interrupted: &Receiver<()>) -> End {
    let started = Instant::now();
    let pid = pid_of(worker);
    loop {
        // It stays a zombie, so that its number and that of its group remain its own.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if rustix::process::waitid(WaitId::Pid(pid), look).is_ok_and(|status| status.is_some()) {
            return End::Itself;
        }
        if started.elapsed() > limit {
            return End::OutOfTime;
        }
        match interrupted.recv_timeout(BEAT) {
            Ok(()) => return End::Interrupted,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(BEAT),
        }
    }
}

/// Frees all that waits in a mount of the run, kills what is left of the worker's group, and removes the folder.
fn clean_up(mut worker: Child, folder: TempDir, code: Option<u8>) -> ExitCode {
    let group = pid_of(&worker);
    // Nobody may mount once more in between.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    mounts::undo_below(folder.path());
    let status = poll(ENDING, || worker.try_wait().ok().flatten());
    if mounts::Mount::below(folder.path()).is_empty() {
        if let Err(error) = folder.close() {
            eprintln!("storm: its temporary folder is still there: {error}");
        }
    } else {
        // Removing it would reach through the mount.
        eprintln!("storm: {} is left as it is", folder.keep().display());
    }
    let ended = status.and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    code.or(ended).unwrap_or(1).into()
}

fn pid_of(worker: &Child) -> Pid {
    i32::try_from(worker.id()).ok().and_then(Pid::from_raw).expect("a process id")
}

/// In the worker: if the supervisor is killed, nobody else will clean up.
pub(crate) fn end_with_it(folder: &Path) {
    let folder = folder.to_owned();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        // Whoever fails now, because things are taken from him, is not to end the process before this is through.
        std::panic::set_hook(Box::new(|_| {
            loop {
                thread::park();
            }
        }));
        poll(ENDING, || {
            mounts::undo_below(&folder);
            // Somebody may still write to it.
            let bare = mounts::Mount::below(&folder).is_empty() && fs::remove_dir_all(&folder).is_ok();
            bare.then_some(())
        });
        let _ = rustix::process::kill_current_process_group(Signal::KILL);
    });
}
