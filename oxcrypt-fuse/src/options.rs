//! How a vault is mounted.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How a vault is mounted. The default is a private mount of whoever runs the process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MountOptions {
    /// What the table of mounts calls it: the vault's folder, for people.
    pub source: String,
    /// Whether nothing can be changed.
    pub read_only: bool,
    /// Whether other users than the one who mounts may use it.
    pub allow_other: bool,
    /// Whom everything belongs to. By default to whom the storage says, and where it does not say, to the user who mounts.
    pub uid: Option<u32>,
    /// Which group everything belongs to; by default as for `uid`.
    pub gid: Option<u32>,
    /// Permission bits that nobody gets. By default none where the storage has permissions, and those of everybody but
    /// the owner where it has none.
    pub umask: Option<u32>,
    /// Threads that read requests from the kernel.
    pub session_threads: NonZeroUsize,
    /// Which files bypass the kernel's page cache.
    pub direct_io: DirectIo,
    /// How long the kernel may believe names and attributes; by default long on local storage and a second on storage
    /// that somebody else may change.
    pub attribute_lifetime: Option<Duration>,
    /// How many requests the kernel may queue in the background, of all files together; it may grant fewer.
    pub max_background: u16,
    /// Options for the kernel, as `mount -o` takes them: `noexec`, `nodev` and the like.
    pub kernel_options: Vec<String>,
}

/// Which files bypass the kernel's page cache. Reads of those hold no place in the queue that the kernel has for all
/// files of a mount together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectIo {
    /// Those that are not in memory when they are opened, on storage that may block.
    #[default]
    WhereItMayBlock,
    /// All.
    Always,
    /// None.
    Never,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            source: String::from("oxcrypt"),
            read_only: false,
            allow_other: false,
            uid: None,
            gid: None,
            umask: None,
            session_threads: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
            direct_io: DirectIo::default(),
            attribute_lifetime: None,
            max_background: 16_384,
            kernel_options: Vec::new(),
        }
    }
}
