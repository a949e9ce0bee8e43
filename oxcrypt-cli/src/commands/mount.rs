//! `oxcrypt mount`: a vault's files in a folder.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::args::MountArgs;
use crate::background::{self, Parent};
use crate::daemon::{Daemon, Plan};
use crate::exit::{Code, Failure, Result};
use crate::key_source::Secret;
use crate::log_file::{self, LogFile};
use crate::mount_options::Wishes;
use crate::open::{self, Reader};
use crate::output::Output;
use crate::places;
use crate::runtime_dir;
use crate::session::Session;
use crate::writer_lock::WriterLock;

pub(crate) fn run(args: &MountArgs, as_daemon: bool, session: &mut Session) -> Result<()> {
    if as_daemon {
        let ended = stay(args, session);
        log_file::finish();
        return ended;
    }
    let mut plan = plan(args)?;
    warn(&mut plan, session);
    if args.foreground { foreground(args, plan, session) } else { background(args, &plan, session) }
}

/// Stays until the mount ends.
fn foreground(args: &MountArgs, plan: Plan, session: &mut Session) -> Result<()> {
    let log = plan.log.as_deref().map(open_log).transpose()?;
    log_file::start(log, session.console.is_verbose());
    let said = Said::of(&plan);
    let daemon = Daemon::prepare(plan, args.vault.key.variable())?;
    let lock = become_writer(args, daemon.plan())?;
    let mut vault = open::unlock(&args.vault, &daemon.vault_options(), Reader::Daemon, session)?;
    if lock.is_some() {
        let warn = |text: &str| session.console.note(format_args!("warning: {text}"));
        vault = open::backed_up(vault, args.vault.patience(), warn)?;
    }
    let Session { out, interrupt, .. } = session;
    let ended = daemon.run(vault, lock, interrupt, || {
        said.print(out).map_err(|_| io::Error::other("standard output cannot be written to"))
    });
    log_file::finish();
    ended
}

/// Starts a process that stays, and returns when the mount answers.
fn background(args: &MountArgs, plan: &Plan, session: &mut Session) -> Result<()> {
    let said = Said::of(plan);
    let mut tries = if args.vault.key.is_asked_for() { open::TRIES } else { 1 };
    loop {
        // What is no vault is told before anybody types.
        drop(open::find_for(&args.vault.key, &plan.vault, Reader::Daemon, args.vault.patience())?);
        // So is another writer, and while somebody types nobody becomes one.
        let lock = become_writer(args, plan)?;
        let secret = args.vault.key.get(&session.interrupt)?;
        tries -= 1;
        // The daemon takes it.
        drop(lock);
        match background::start(&secret, args.vault.key.variable()) {
            Ok(()) => return said.print(&mut session.out),
            Err(failure) if failure.code() == Code::WrongPassphrase && tries > 0 => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// The process that stays. It speaks to whoever waits for the command until the mount answers, and to its log then.
fn stay(args: &MountArgs, session: &Session) -> Result<()> {
    // Relative paths mean what they meant where the command was started.
    let plan = plan(args);
    let (mut parent, secret) = Parent::meet()
        .map_err(|error| Failure::failed(format_args!("the command that started this is gone: {error}")))?;
    let ended = plan.and_then(|plan| serve(args, plan, secret, &mut parent, session));
    if let Err(failure) = &ended {
        if let Some(text) = failure.text() {
            parent.say(format_args!("oxcrypt: {text}"));
            log::error!("{text}");
        }
        parent.failed(failure.code());
        return Err(Failure::said(failure.code()));
    }
    Ok(())
}

fn serve(args: &MountArgs, plan: Plan, secret: Secret, parent: &mut Parent, session: &Session) -> Result<()> {
    let cannot = |error: io::Error| Failure::failed(format_args!("cannot go to the background: {error}"));
    if let Some(path) = &plan.log {
        let log = open_log(path)?;
        Parent::leave_streams(&log).map_err(cannot)?;
        log_file::start(Some(log), session.console.is_verbose());
    }
    parent.watch(&session.interrupt).map_err(cannot)?;
    let folder = plan.vault.clone();
    let daemon = Daemon::prepare(plan, args.vault.key.variable())?;
    let lock = become_writer(args, daemon.plan())?;
    let options = daemon.vault_options().max_scrypt_memory(args.vault.max_scrypt_bytes());
    let locked = open::find_for(&args.vault.key, &folder, Reader::Daemon, args.vault.patience())?;
    let mut vault = open::unlock_found(locked, secret, &options, args.vault.patience())??;
    let mut warn = |warning: &str| {
        log::warn!("{warning}");
        if !session.console.is_quiet() {
            parent.say(format_args!("warning: {warning}"));
        }
    };
    for warning in vault.warnings() {
        warn(&warning.to_string());
    }
    if lock.is_some() {
        vault = open::backed_up(vault, args.vault.patience(), warn)?;
    }
    daemon.run(vault, lock, &session.interrupt, || parent.ready())
}

/// Becomes the vault's writer, unless the mount is to be read-only.
fn become_writer(args: &MountArgs, plan: &Plan) -> Result<Option<WriterLock>> {
    if plan.wishes.mount.read_only {
        return Ok(None);
    }
    let what = format!("mount at {}", plan.mountpoint.display());
    open::become_writer(&plan.vault, &what, args.vault.patience()).map(Some)
}

/// Puts together what the command line says, and refuses what cannot be.
fn plan(args: &MountArgs) -> Result<Plan> {
    let mut wishes = Wishes::read(args)?;
    let mountpoint = places::absolute(&args.mountpoint)?;
    let (folder, at, nonempty) = (args.vault.vault.clone(), mountpoint.clone(), wishes.nonempty);
    let vault = open::within(args.vault.patience(), move || {
        // What is no vault has messages of its own, from whoever opens it.
        let vault = folder.canonicalize().unwrap_or(folder);
        places::check(&vault, &at, nonempty)?;
        Ok(vault)
    })?;
    wishes.mount.source = vault.display().to_string();

    let no_dir = |error: io::Error| Failure::failed(format_args!("no place for the control socket: {error}"));
    let sockets = runtime_dir::create().map_err(no_dir)?;
    places::keep_out("the control socket", &sockets, &mountpoint)?;
    for locks in runtime_dir::all().map_err(no_dir)? {
        places::keep_out("the lock of the vault's writer", &locks, &mountpoint)?;
    }
    let log = match &args.log {
        Some(log) => Some(std::path::absolute(log).map_err(|error| no_log(log, &error))?),
        None if args.foreground => None,
        None => Some(log_file::path_for(&mountpoint).map_err(|error| no_log(Path::new("log"), &error))?),
    };
    if let Some(log) = &log {
        let real = places::real(log).map_err(|error| no_log(log, &error))?;
        places::keep_out("the log", &real, &mountpoint)?;
    }
    let socket = sockets.join(runtime_dir::socket_name(&mountpoint));
    Ok(Plan { vault, mountpoint, socket, log, wishes })
}

/// What somebody who mounts should know before.
fn warn(plan: &mut Plan, session: &Session) {
    if let Some(limit) = oxcrypt_fuse::request_timeout()
        && plan.wishes.keep_before(limit)
    {
        session.console.note(format_args!(
            "warning: the kernel ends a mount on which a request takes {} s (fs.fuse.*_request_timeout); deadlines were \
             set 10 s below that",
            limit.as_secs()
        ));
    }
}

fn open_log(path: &Path) -> Result<LogFile> {
    LogFile::open(path).map_err(|error| no_log(path, &error))
}

fn no_log(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("{}: no log can be written there: {error}", path.display()))
}

/// What is said when the mount answers.
struct Said {
    vault: PathBuf,
    mountpoint: PathBuf,
    read_only: bool,
}

impl Said {
    fn of(plan: &Plan) -> Self {
        Self {
            vault: plan.vault.clone(),
            mountpoint: plan.mountpoint.clone(),
            read_only: plan.wishes.mount.read_only,
        }
    }

    fn print(&self, out: &mut Output) -> Result<()> {
        let (vault, mountpoint) = (self.vault.display().to_string(), self.mountpoint.display().to_string());
        if out.is_json() {
            out.object(json!({ "vault": vault, "mountpoint": mountpoint, "readOnly": self.read_only }))?;
        } else {
            let (vault, mountpoint) = (out.name(&vault), out.name(&mountpoint));
            let how = if self.read_only { " read-only" } else { "" };
            let line =
                format!("mounted {vault} at {mountpoint}{how}; `oxcrypt unmount {mountpoint}` ends it");
            out.line(line)?;
        }
        out.flush()
    }
}
