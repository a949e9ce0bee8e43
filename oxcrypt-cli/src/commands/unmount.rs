//! `oxcrypt unmount`: the end of a mount, by its own process where that answers.

use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_fuse::table::{self, Mounted};

use super::mounts::{find, is_ours, reach};
use crate::args::UnmountArgs;
use crate::control::{Answer, Client, Left, Question, in_words};
use crate::exit::{Failure, Result};
use crate::session::Session;

/// More than a process takes to end its mount by force, whatever hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same where storage is to take what is unsaved first, before it is taken out of the tree and after.
const STORING: Duration = Duration::from_secs(30);
/// How long one that was told to end may take to let go of everything.
const LETTING_GO: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &UnmountArgs, session: &mut Session) -> Result<()> {
    let mounted = find(&args.mountpoint)?;
    let place = mounted.mountpoint.display();
    if !is_ours(&mounted) {
        return Err(Failure::failed(format_args!("{place} was mounted by another user, who can unmount it")));
    }
    match reach(&mounted) {
        None if is_gone(&mounted, Duration::ZERO) => {}
        Some(mut client) => {
            if !args.force {
                tell_unsaved(&mut client, session);
            }
            ask(client, &mounted, args.force, session)?;
        }
        None if args.force => by_force(&mounted)?,
        None => return Err(nobody_answers(&mounted)),
    }
    if !is_gone(&mounted, PATIENCE) {
        return Err(Failure::failed(format_args!("{place} is still mounted")));
    }
    session.console.note(format_args!("unmounted {place}"));
    Ok(())
}

/// Has its process end it, or ends it over that process's head.
fn ask(mut client: Client, mounted: &Mounted, force: bool, session: &Session) -> Result<()> {
    let place = mounted.mountpoint.display();
    match client.ask(Question::Unmount { force }, if force { PATIENCE } else { STORING }) {
        Ok(Answer::Unmounted) => {
            // What it had open is free again, for whoever mounts next.
            client.wait_closed(LETTING_GO);
            Ok(())
        }
        Ok(Answer::Unsaved(left)) => {
            name(&left, session);
            Err(Failure::unsaved(format_args!(
                "{place} stays mounted: storage has not taken {}. Try again when it does; `oxcrypt discard {place}` gives \
                 up what cannot be stored, and `oxcrypt unmount --force {place}` all of it",
                in_words(&left)
            )))
        }
        Ok(Answer::Lost(left)) => {
            client.wait_closed(LETTING_GO);
            name(&left, session);
            Err(Failure::unsaved(format_args!(
                "{place} is unmounted, and what storage has not taken of {} is lost",
                in_words(&left)
            )))
        }
        Ok(Answer::Busy) => Err(Failure::busy(format_args!(
            "{place} is in use: a program has a file open there or works there; end it, or \
             `oxcrypt unmount --force {place}`"
        ))),
        Ok(Answer::Failed(text)) if !force => Err(Failure::failed(text)),
        // It may be about to end, because somebody else asked for that.
        Err(_) if is_gone(mounted, LETTING_GO) => Ok(()),
        _ if force => by_force(mounted),
        _ => Err(nobody_answers(mounted)),
    }
}

/// Says why it may take a while.
fn tell_unsaved(client: &mut Client, session: &Session) {
    if let Ok(Answer::Unsaved(left)) = client.ask(Question::Unsaved, PATIENCE)
        && !left.is_empty()
    {
        session.console.note(format_args!("storing what was written: {}", in_words(&left)));
    }
}

fn name(left: &[Left], session: &Session) {
    for left in left {
        session.console.error(left);
    }
}

fn by_force(mounted: &Mounted) -> Result<()> {
    table::unmount_by_force(mounted).map_err(|error| {
        Failure::failed(format_args!("{} cannot be unmounted: {error}", mounted.mountpoint.display()))
    })
}

pub(super) fn nobody_answers(mounted: &Mounted) -> Failure {
    let place = mounted.mountpoint.display();
    Failure::failed(format_args!(
        "the process behind {place} does not answer; `oxcrypt unmount --force {place}` does without it"
    ))
}

/// Waits until the table of mounts has it no longer, at most as long as `patience`. Returns whether that is so.
fn is_gone(mounted: &Mounted, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    // Where nobody can tell, nobody says that it is gone.
    let is_there = || table::mounts().map_or(true, |mounts| mounts.contains(mounted));
    while is_there() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}
