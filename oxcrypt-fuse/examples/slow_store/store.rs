//! The store as a running program: it comes up, serves until told to end, and always ends.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use backing::Backing;
use control::Control;
use controls::Controls;
use counters::Counters;
use filesystem::SlowStore;
use gate::Gate;
use mount::Mount;
use options::Options;

mod attributes;
mod backing;
mod control;
#[expect(dead_code, reason = "the storm bench needs more of it")]
mod controls;
mod counters;
mod filesystem;
mod gate;
mod held;
mod mount;
mod nodes;
mod op;
mod options;
mod pattern;
mod reply;
mod rule;
mod units;

/// How long the end may take to answer what is held: ten thousand requests are a second's work on a busy machine.
const ANSWERS: Duration = Duration::from_secs(2);

/// How long the end may take to unmount.
const UNMOUNT: Duration = Duration::from_secs(1);

/// How long the kernel may take to let go of a session that nobody uses.
const LETTING_GO: Duration = Duration::from_millis(250);

/// Why the store ends.
pub(crate) enum Event {
    /// Somebody said so.
    Quit,
    /// It is mounted no longer.
    SessionEnded,
}

/// Runs a store, or the client of one.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> =
        match std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect() {
            Ok(arguments) => arguments,
            Err(argument) => return complain(&format!("{} is not UTF-8", argument.display())),
        };
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--help" | "-h"] => {
            print!("{}", options::HELP);
            ExitCode::SUCCESS
        }
        ["ctl", socket, command @ ..] => command_store(Path::new(socket), &command.join(" ")),
        _ => match Options::parse(arguments)
            .and_then(|options| run(&options).map_err(|error| error.to_string()))
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error),
        },
    }
}

fn command_store(socket: &Path, command: &str) -> ExitCode {
    match control::send(socket, command) {
        Ok(answer) => {
            println!("{answer}");
            if answer.get("ok") == Some(&true.into()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => complain(&format!("{}: {error}", socket.display())),
    }
}

fn complain(error: &str) -> ExitCode {
    eprintln!("slow_store: {error}");
    ExitCode::FAILURE
}

fn run(options: &Options) -> io::Result<()> {
    let (events, ended) = channel();
    listen_for_signals(events.clone())?;
    if options.end_with_stdin {
        listen_to_stdin(events.clone());
    }
    prepare_process()?;
    let counters = Arc::new(Counters::default());
    let gate = Arc::new(Gate::new(Arc::clone(&counters)));
    for rule in &options.rules {
        gate.add(rule.clone());
    }
    let timer = Arc::clone(&gate);
    thread::Builder::new().name("timer".to_owned()).spawn(move || timer.run_timer())?;
    refuse_loop(options)?;
    let backing = Backing::new(&options.folder)?;
    let listener = options.socket.as_deref().map(control::listen).transpose()?;

    let (mount, device) = Mount::new(&options.mountpoint, &options.kind, options.allow_other)?;
    let kernel = Controls::of(mount.connection()).ok().map(Arc::new);
    let mut config = Config::default();
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(options.threads);
    let store = SlowStore::new(backing, Arc::clone(&gate), Arc::clone(&counters), options.clone());
    let session = match Session::from_fd(store, device, config.acl, config) {
        Ok(session) => session,
        Err(error) => {
            mount.unmount()?;
            return Err(error);
        }
    };
    let session_ended = events.clone();
    thread::spawn(move || {
        // An abort, ours or somebody else's, is no error of the session.
        if let Err(error) = session.run()
            && error.kind() != io::ErrorKind::ConnectionAborted
        {
            eprintln!("slow_store: the session ended with {error}");
        }
        let _ = session_ended.send(Event::SessionEnded);
    });
    if let Some(listener) = listener {
        let (gate, kernel, connection) = (Arc::clone(&gate), kernel.clone(), mount.connection());
        Control { gate, counters, kernel, connection, events }.serve(listener);
    }
    let mut out = io::stdout();
    writeln!(out, "ready").and_then(|()| out.flush())?;

    let cause = ended.recv();
    let done = end(&gate, mount, kernel.as_deref(), &ended, matches!(cause, Ok(Event::Quit)));
    if let Some(socket) = &options.socket {
        let _ = std::fs::remove_file(socket);
    }
    done
}

/// Refuses a place to mount inside the folder: the store would meet itself there, and wait for itself. The folder's own
/// place will do, for it is looked at by a handle from before.
fn refuse_loop(options: &Options) -> io::Result<()> {
    let (folder, mountpoint) = (options.folder.canonicalize()?, options.mountpoint.canonicalize()?);
    if mountpoint != folder && mountpoint.starts_with(&folder) {
        return Err(io::Error::other("the place to mount lies in the folder"));
    }
    Ok(())
}

/// Answers what is held, unmounts, and sees that nobody is left waiting. Every step has its limit; what the process
/// then leaves to the kernel by ending, above all the device, is closed like that of any dead process.
fn end(
    gate: &Gate,
    mount: Mount,
    kernel: Option<&Controls>,
    ended: &Receiver<Event>,
    mounted: bool,
) -> io::Result<()> {
    if !gate.end(ANSWERS) {
        eprintln!("slow_store: not all that was held could be answered");
    }
    // On a thread of its own: unmounting writes back what is dirty, which may find us slow.
    let (tell, told) = channel();
    let path = mount.path().to_owned();
    thread::spawn(move || tell.send(mount.unmount()));
    let unmounted = told.recv_timeout(UNMOUNT).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    if mounted && !session_over(ended) {
        // Somebody still has a file open, or waits for an answer that was lost.
        if let Some(Err(error)) = kernel.map(Controls::abort) {
            eprintln!("slow_store: the connection could not be aborted: {error}");
        }
    }
    unmounted.map_err(|error| io::Error::new(error.kind(), format!("unmounting {}: {error}", path.display())))
}

/// Whether the kernel has let go of the session, within the moment that this takes where nobody is there.
fn session_over(ended: &Receiver<Event>) -> bool {
    while let Ok(event) = ended.recv_timeout(LETTING_GO) {
        if matches!(event, Event::SessionEnded) {
            return true;
        }
    }
    false
}

fn listen_for_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            let _ = events.send(Event::Quit);
        }
    });
    Ok(())
}

fn listen_to_stdin(events: Sender<Event>) {
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = events.send(Event::Quit);
    });
}

/// Lets callers' modes through as they are, and lets the store hold as many handles as it may.
fn prepare_process() -> io::Result<()> {
    rustix::process::umask(Mode::empty());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    Ok(rustix::process::setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
