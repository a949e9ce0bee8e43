//! Bringing files into a vault: from the host, from standard input, or from elsewhere in the same vault.
//!
//! One thread walks what is to be brought, and makes directories and links; workers encrypt files. Each file is written
//! under a name of its own, and gets the one it is for when storage has all of it.

mod directory;
mod host;
mod job;
mod origin;
mod stopped;

pub(crate) use directory::{Directory, Filling};
pub(crate) use host::Host;
pub(crate) use job::{Job, Settings, Start, Target};
