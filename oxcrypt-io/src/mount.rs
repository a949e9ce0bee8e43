//! What makes a volume part of the host's tree of files: the backends of a mount, and what is mounted.
//!
//! Lifecycle only. How a backend asks the volume, and how it takes the answers to the kernel, is its own affair. It gets
//! an open volume and never a passphrase, so no backend can lose one.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::volume::Volume;

/// A way to mount volumes on this host.
#[async_trait]
pub trait MountBackend: Debug + Send + Sync {
    /// What people call it: `fuse`, for example.
    fn name(&self) -> &'static str;

    /// Whether it can mount anything here, and what is missing if not. Looks at the host only, never at a vault.
    fn availability(&self) -> Availability;

    /// Mounts `volume` at the folder `at`. What it returns answers: whoever looks at `at` from then on sees the volume.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the backend is not available; else what the host says. Nothing is mounted then.
    async fn mount(&self, volume: Arc<Volume>, at: &Path) -> io::Result<Box<dyn MountedVault>>;
}

/// A volume that is mounted.
///
/// Dropping it unmounts nothing: who wants to know how that ended calls [`unmount`](Self::unmount).
#[async_trait]
pub trait MountedVault: Debug + Send {
    /// Where.
    fn mountpoint(&self) -> PathBuf;

    /// Waits until it is mounted no longer, whoever ended that. May be given up and called again.
    ///
    /// # Errors
    ///
    /// Why it ended, if it did not end as somebody wanted.
    async fn wait(&mut self) -> io::Result<()>;

    /// Ends it. Every request that the kernel still waits for is answered before.
    ///
    /// Never waits for storage.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` with [`Unmount::IfUnused`] while somebody uses it; it goes on then. Else what the host says.
    async fn unmount(&mut self, how: Unmount) -> io::Result<()>;
}

/// Whether a backend can mount anything on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Ready,
    /// It lacks something.
    Missing {
        /// What is missing, in a few words.
        what: String,
        /// What a person can do about it: the package to install, and how.
        install: String,
    },
}

/// How a mount ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmount {
    /// Only if nobody uses it.
    IfUnused,
    /// Whoever uses it: they get errors from then on.
    Force,
}
