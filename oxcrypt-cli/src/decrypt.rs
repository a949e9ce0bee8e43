//! Decrypting a vault to a folder.
//!
//! One thread walks the vault and makes folders and links; workers decrypt files, and parts of large files. Memory is
//! bounded by the number of workers and the length of the queue between them, whatever the vault holds.

mod copy;
mod destination;
mod folder;
mod host_name;
mod job;
mod unfinished;

pub(crate) use destination::Options;
pub(crate) use folder::Folder;
pub(crate) use job::{Job, Settings};
