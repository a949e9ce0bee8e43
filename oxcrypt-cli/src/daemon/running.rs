//! A mount that answers: what is asked of its process, and what makes it end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use oxcrypt_fuse::FuseMount;
use oxcrypt_io::mount::{MountedVault as _, Unmount};
use oxcrypt_io::sched::plan::Class;
use oxcrypt_io::volume::Volume;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::control::{About, Answer, Asked, Question};
use crate::exit::Result;
use crate::notify::notify;

use super::idle::Idle;
use super::report::report;
use super::unsaved::all_left;

/// How long an answer may take to reach whoever asked, when the process is about to end.
const LAST_ANSWER: Duration = Duration::from_millis(200);

/// A mount that answers.
pub(super) struct Running {
    pub(super) about: About,
    pub(super) volume: Arc<Volume>,
    pub(super) mount: FuseMount,
    pub(super) asked: mpsc::Receiver<Asked>,
    pub(super) stop: Arc<Notify>,
    /// Who asked for the end, and is told when it has come.
    pub(super) enders: Vec<Asked>,
    idle: Idle,
}

impl Running {
    /// It ends by itself when nobody has used it for `idle`.
    pub(super) fn new(
        about: About,
        volume: Arc<Volume>,
        mount: FuseMount,
        asked: mpsc::Receiver<Asked>,
        stop: Arc<Notify>,
        idle: Option<Duration>,
    ) -> Self {
        Self { about, volume, mount, asked, stop, enders: Vec::new(), idle: Idle::begin(idle) }
    }

    /// Stays until the mount ends or somebody ends it.
    pub(super) async fn stay(&mut self) -> Result<()> {
        loop {
            tokio::select! {
                ended = self.mount.wait() => return self.ended_by_others(ended).await,
                () = self.stop.notified() => {
                    log::info!("a signal ends the mount");
                    return self.end().await;
                }
                Some(question) = self.asked.recv() => {
                    if let Some(ended) = self.answer(question).await {
                        return ended;
                    }
                }
                () = self.idle.wait() => {
                    if let Some(ended) = self.end_if_idle().await {
                        return ended;
                    }
                }
            }
        }
    }

    /// Whether storage may yet carry out a change that was asked of it.
    pub(super) fn is_changing(&self) -> bool {
        let classes = self.volume.snapshot().census.classes;
        [Class::Namespace, Class::WriteBack].into_iter().any(|class| classes[class].running > 0)
    }

    /// Answers a question. Something where that was the end.
    async fn answer(&mut self, asked: Asked) -> Option<Result<()>> {
        match asked.question {
            Question::Unmount { force: true } => {
                self.enders.push(asked);
                Some(self.end_at_once().await)
            }
            Question::Unmount { force: false } => {
                self.enders.push(asked);
                self.end_unless_used().await
            }
            _ => {
                self.tell(asked);
                None
            }
        }
    }

    /// Answers a question that ends nothing.
    pub(super) fn tell(&self, asked: Asked) {
        let answer = match asked.question {
            Question::About => Answer::About(self.about.clone()),
            Question::Status => Answer::Status(report(&self.about, &self.volume, &self.mount)),
            Question::Unsaved => Answer::Unsaved(all_left(&self.volume.unsaved())),
            Question::Discard { file } => Answer::Discarded(self.discard(file)),
            Question::Unmount { .. } => Answer::Busy,
        };
        drop(asked.answer(answer));
    }

    /// Tells all who asked for the end what became of it.
    pub(super) async fn tell_enders(&mut self, answer: &Answer) {
        for asked in std::mem::take(&mut self.enders) {
            drop(timeout(LAST_ANSWER, asked.answer(answer.clone())).await);
        }
    }

    /// Gives up what is unsaved of a file that could not be stored.
    fn discard(&self, file: u64) -> bool {
        let unsaved = self.volume.unsaved();
        let Some(meant) = unsaved.iter().find(|unsaved| unsaved.node.id().get() == file) else {
            return false;
        };
        let is_discarded = self.volume.discard(meant.node.id());
        if is_discarded {
            log::warn!("{} bytes of {} were given up, as somebody asked", meant.bytes, meant.path);
        }
        is_discarded
    }

    /// Unmounts if nobody has used it for long enough.
    async fn end_if_idle(&mut self) -> Option<Result<()>> {
        let figures = self.mount.status().figures;
        let is_needed = figures.handles > 0 || !figures.held.is_empty() || !self.volume.unsaved().is_empty();
        if !self.idle.is_over(figures.unused_for, is_needed) {
            return None;
        }
        match self.mount.unmount(Unmount::IfUnused).await {
            Ok(()) => {
                log::info!("nobody has used the mount for {} s", figures.unused_for.as_secs());
                notify("STOPPING=1");
                Some(self.ended().await)
            }
            Err(error) => {
                // Somebody works there, most likely, without asking for anything.
                if error.kind() != io::ErrorKind::ResourceBusy {
                    log::warn!("it is unused and stays: {error}");
                }
                None
            }
        }
    }

    /// Unmounts if nobody uses it and everything is in storage. Where that cannot be, all goes on.
    async fn end_unless_used(&mut self) -> Option<Result<()>> {
        let left = self.save().await;
        let is_failed = left.iter().any(|left| left.error.is_some());
        // What programs write just now is no reason to say so: they use it.
        if is_failed || (!left.is_empty() && self.mount.status().figures.handles == 0) {
            self.tell_enders(&Answer::Unsaved(all_left(&left))).await;
            return None;
        }
        let answer = match self.mount.unmount(Unmount::IfUnused).await {
            Ok(()) => {
                notify("STOPPING=1");
                return Some(self.ended().await);
            }
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Answer::Busy,
            Err(error) => Answer::Failed(format!("{} stays: {error}", self.about.mountpoint)),
        };
        self.tell_enders(&answer).await;
        None
    }
}
