//! The end of a mount: what waits is answered, what is unsaved is stored, and what cannot be is named.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use oxcrypt_io::mount::{MountedVault as _, Unmount};
use oxcrypt_io::volume::{Unsaved, Volume};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::control::{Answer, Question, in_words};
use crate::exit::{Failure, Result};
use crate::notify::notify;

use super::running::Running;
use super::unsaved::all_left;

/// How long the end waits for storage to take what is unsaved.
const STORING: Duration = Duration::from_secs(10);
/// The same where somebody insists.
const STORING_FORCED: Duration = Duration::from_millis(500);
/// The same where the mount was taken out of the tree by others, and nobody waits.
const STORING_ALONE: Duration = Duration::from_mins(2);
/// How long ending a mount may take before the process goes and leaves the rest to its janitor.
const ENDING: Duration = Duration::from_millis(1_800);

impl Running {
    /// Ends it, whoever uses it, after storage has taken what is unsaved.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.end_within(STORING).await
    }

    /// Ends it, whoever uses it, and waits for storage for a moment at most.
    pub(super) async fn end_at_once(&mut self) -> Result<()> {
        self.end_within(STORING_FORCED).await
    }

    /// All who wait for an answer get one first, and whoever asks later finds nothing that storage would have to be asked
    /// for.
    async fn end_within(&mut self, patience: Duration) -> Result<()> {
        notify("STOPPING=1");
        let left = self.store(patience, Volume::finish).await;
        let unmounted = match timeout(ENDING, self.mount.unmount(Unmount::Force)).await {
            Ok(unmounted) => unmounted.map_err(|error| self.failed(&error)),
            Err(_) => Err(self.failed(&io::ErrorKind::TimedOut.into())),
        };
        self.conclude(&left, unmounted).await
    }

    /// It is mounted no longer, and we have seen to that.
    pub(super) async fn ended(&mut self) -> Result<()> {
        let left = self.store(STORING, Volume::finish).await;
        self.conclude(&left, Ok(())).await
    }

    /// Others have unmounted it.
    pub(super) async fn ended_by_others(&mut self, ended: io::Result<()>) -> Result<()> {
        notify("STOPPING=1");
        let left = self.store(STORING_ALONE, Volume::finish).await;
        let ended = ended.map_err(|error| self.failed(&error)).and_then(|()| self.check_gone());
        self.conclude(&left, ended).await
    }

    /// Has storage take what is unsaved, while the mount goes on. Returns what it has not taken.
    pub(super) async fn save(&mut self) -> Vec<Unsaved> {
        self.store(STORING, Volume::save).await
    }

    /// Has `how` store what is unsaved, on a thread of its own, and answers questions meanwhile. A signal, or somebody who
    /// insists, makes the wait shorter. Returns what is left.
    async fn store(
        &mut self,
        patience: Duration,
        how: fn(&Volume, Duration) -> Vec<Unsaved>,
    ) -> Vec<Unsaved> {
        let (tell, mut told) = oneshot::channel();
        let volume = Arc::clone(&self.volume);
        let storing = thread::Builder::new().name("oxcrypt-finish".to_owned());
        if let Err(error) = storing.spawn(move || drop(tell.send(how(&volume, patience)))) {
            log::error!("no thread to store with: {error}");
            return self.volume.unsaved();
        }
        // It ends by itself at about that time.
        let mut end = Instant::now() + patience + STORING_FORCED;
        let mut is_stopped = false;
        let told = loop {
            tokio::select! {
                left = &mut told => break left.ok(),
                () = sleep_until(end) => break None,
                () = self.stop.notified(), if !is_stopped => {
                    is_stopped = true;
                    end = end.min(Instant::now() + STORING);
                }
                Some(asked) = self.asked.recv() => match asked.question {
                    Question::Unmount { force } => {
                        if force {
                            end = end.min(Instant::now() + STORING_FORCED);
                        }
                        self.enders.push(asked);
                    }
                    _ => self.tell(asked),
                },
            }
        };
        if is_stopped {
            // Where the mount stays after this, it is to hear of it.
            self.stop.notify_one();
        }
        told.unwrap_or_else(|| self.volume.unsaved())
    }

    /// Names what is lost, and tells whoever asked for the end.
    async fn conclude(&mut self, left: &[Unsaved], ended: Result<()>) -> Result<()> {
        for lost in left {
            let why = lost.error.as_deref().unwrap_or("the storage did not answer in time");
            log::error!("lost: {} bytes of {} were never stored: {why}", lost.bytes, lost.path);
        }
        let ended = if left.is_empty() {
            ended
        } else {
            let at = &self.about.mountpoint;
            let lost = in_words(&all_left(left));
            let lost = format!("{at} is unmounted, and what storage has not taken of {lost} is lost");
            let lost = Failure::unsaved(lost);
            ended.and(Err(lost))
        };
        let answer = match &ended {
            Ok(()) => Answer::Unmounted,
            Err(_) if !left.is_empty() => Answer::Lost(all_left(left)),
            Err(failure) => Answer::Failed(failure.text().unwrap_or_default().to_owned()),
        };
        self.tell_enders(&answer).await;
        ended
    }

    /// A mount that others ended may be dead and in the tree still: somebody ended its connection.
    fn check_gone(&self) -> Result<()> {
        if !self.mount.is_seen().map_err(|error| self.failed(&error))? {
            return Ok(());
        }
        let at = &self.about.mountpoint;
        Err(Failure::failed(format_args!(
            "somebody ended the connection of {at} to the kernel; `oxcrypt unmount --force {at}` removes what is left"
        )))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::failed(format_args!("the mount at {} did not end well: {error}", self.about.mountpoint))
    }
}
