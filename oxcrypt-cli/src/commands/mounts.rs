//! `oxcrypt mounts`: what is mounted.

use std::io;
use std::path::Path;
use std::time::Duration;

use oxcrypt_fuse::table::{self, Mounted};
use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::control::{About, Answer, Client, Question};
use crate::exit::{Failure, Result};
use crate::output::local_time_of;
use crate::printable::printable;
use crate::session::Session;

/// More than a process that lives takes to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// All mounts, in the order in which they were made.
pub(super) fn all() -> Result<Vec<Mounted>> {
    table::mounts()
        .map_err(|error| Failure::failed(format_args!("the table of mounts cannot be read: {error}")))
}

/// The mount that somebody means, by its place or by the vault's folder.
pub(super) fn find(meant: &Path) -> Result<Mounted> {
    let cannot = |error: io::Error| Failure::failed(format_args!("{}: {error}", meant.display()));
    let path = std::path::absolute(meant).map_err(cannot)?;
    let mounts = all()?;
    if let Some(found) = named(&mounts, &path, meant)? {
        return Ok(found);
    }
    // Only then are links followed: that looks at folders, and a vault's may hang.
    let found = path.canonicalize().ok().map(|path| named(&mounts, &path, meant)).transpose()?.flatten();
    found.ok_or_else(|| Failure::failed(format_args!("no vault is mounted at {}", meant.display())))
}

fn named(mounts: &[Mounted], path: &Path, meant: &Path) -> Result<Option<Mounted>> {
    // Others may lie above it.
    if let Some(mounted) = mounts.iter().rfind(|mounted| mounted.mountpoint == path) {
        return Ok(Some(mounted.clone()));
    }
    let mut of_vault = mounts.iter().filter(|mounted| Path::new(&mounted.source) == path);
    match (of_vault.next(), of_vault.next()) {
        (Some(one), Some(other)) => Err(Failure::usage(format_args!(
            "{} is mounted more than once, at {} and at {}; say which",
            meant.display(),
            one.mountpoint.display(),
            other.mountpoint.display()
        ))),
        (one, _) => Ok(one.cloned()),
    }
}

/// What is known of a mount's process.
enum State {
    Mounted(About),
    /// Nobody answers for it.
    Stale,
    /// It is another user's, whom we may not ask.
    Unknown,
}

impl State {
    fn of(mounted: &Mounted) -> Self {
        match reach(mounted).map(|mut client| client.ask(Question::About, PATIENCE)) {
            Some(Ok(Answer::About(about))) => Self::Mounted(about),
            _ if is_ours(mounted) => Self::Stale,
            _ => Self::Unknown,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "mounted",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether this user may ask its process, and end it.
pub(super) fn is_ours(mounted: &Mounted) -> bool {
    let user = geteuid();
    user.is_root() || mounted.owner.is_none_or(|owner| owner == user.as_raw())
}

/// Reaches the process behind a mount, where it listens and this user may ask it.
pub(super) fn reach(mounted: &Mounted) -> Option<Client> {
    Client::reach_of(&mounted.mountpoint, mounted.owner.unwrap_or_else(|| geteuid().as_raw()))
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let mounts = all()?;
    if mounts.is_empty() && !session.out.is_json() {
        session.console.note("no vault is mounted");
    }
    for mounted in &mounts {
        let state = State::of(mounted);
        if session.out.is_json() {
            session.out.object(as_json(mounted, &state))?;
        } else {
            let line = line(mounted, &state);
            session.out.line(line)?;
        }
    }
    Ok(())
}

fn as_json(mounted: &Mounted, state: &State) -> Value {
    let about = match state {
        State::Mounted(about) => Some(about),
        State::Stale | State::Unknown => None,
    };
    json!({
        "mountpoint": mounted.mountpoint.display().to_string(),
        "vault": mounted.source,
        "state": state.word(),
        "pid": about.map(|about| about.pid),
        "since": about.map(|about| &about.since),
        "readOnly": about.map(|about| about.read_only),
    })
}

fn line(mounted: &Mounted, state: &State) -> String {
    let place = mounted.mountpoint.display().to_string();
    let what = match state {
        State::Mounted(about) => {
            let how = if about.read_only { "read-only" } else { "read-write" };
            format!("{how}, process {}, since {}", about.pid, local_time_of(&about.since))
        }
        State::Stale => format!("stale: nobody answers for it; `oxcrypt unmount --force {place}` ends it"),
        State::Unknown => "another user's".to_owned(),
    };
    printable(&format!("{place}  {}  ({what})", mounted.source)).into_owned()
}
