//! The command line of what is mounted.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::VaultArgs;
use crate::confirm::ConfirmArgs;

pub(super) const MOUNT_HELP: &str = "\
Examples:
  oxcrypt mount ~/Dropbox/vault ~/vault
  oxcrypt mount ~/Dropbox/vault ~/vault --auto-unmount-after 10m
  oxcrypt mount ~/Dropbox/vault ~/vault -o ro,noexec,cache_size=256
  oxcrypt mount --foreground --passphrase-file /run/secrets/vault /srv/vault /mnt/vault -o ro,allow_other

The command returns when the mount answers. What memory has is answered at once while the storage hangs, everything \
else by its deadline. What programs write is in memory at first, and in the storage about a second later; it surely is when a \
program has closed the file, or synced it, and got no error. What cannot be stored is kept and tried again, `oxcrypt \
status` names it, and `oxcrypt discard` gives it up.

`oxcrypt unmount` ends it; so do SIGTERM, SIGINT and SIGHUP, whoever uses it: they wait ten seconds for storage to take \
what was written, and a second one does not wait. After `umount` or `fusermount3 -u` the mount's process stores the rest by \
itself, for two minutes at most, and until then nobody else can write to the vault.

Unless it is read-only, no other oxcrypt of the same user writes to the vault while it is mounted: it is refused with \
code 6. Commands that read go on, and so do mounts that are read-only.

Options of -o: ro, rw, allow_other, nonempty, uid=, gid=, umask=, cache_size=, auto_unmount_after=, deadline.lookup=, \
deadline.attributes=, deadline.open=, deadline.list=, deadline.entries=, deadline.read=, deadline.change=, deadline.write= \
(\"none\" waits for ever), and for the kernel noexec, nodev, nosuid, noatime and their like.";

pub(super) const UNMOUNT_HELP: &str = "\
Examples:
  oxcrypt unmount ~/vault
  oxcrypt unmount --force ~/vault

Without --force a mount that somebody uses stays, and so does one with files that storage has not taken after ten \
seconds: they are named, and the code is 8. With it, it goes whoever uses it, also where its process is dead or does not \
answer; storage has half a second then, and what it has not taken is named and lost.";

pub(super) const DISCARD_HELP: &str = "\
Examples:
  oxcrypt discard ~/vault
  oxcrypt discard ~/vault ~/vault/notes/todo.txt
  oxcrypt discard ~/Dropbox/vault --all --yes

What a mount cannot store, because storage is full or fails, it keeps in memory and tries again; until then the file \
takes no more, and the mount is not unmounted without --force. This gives it up: the file is again what the storage has of \
it. Without FILE or --all it only says which files these are, and why. What storage has not refused is never given up.

Fields of --json, one object for each file: path (in the vault), ciphertext (in the vault's folder), bytes, written, \
error; and in the end discarded, the number of files.";

pub(super) const MOUNTS_HELP: &str = "\
Example:
  oxcrypt mounts --json

Fields of --json: mountpoint, vault, state (\"mounted\", \"stale\" where its process is gone, \"unknown\" where it is \
another user's), and of a mount that answers pid, since and readOnly.";

pub(super) const STATUS_HELP: &str = "\
Examples:
  oxcrypt status
  oxcrypt status ~/vault --json

It asks the mount's process and touches neither the mount nor the vault's storage.

Fields of --json, one object for each mount: mountpoint, vault, pid, since, readOnly, version, log; storage \
(\"answers\", \"stalled\" or \"down\"); requests (waiting for an answer), files (they are about), held (that take room in \
the kernel's queue), reserveLeft; oldest (class, ageMs, stalled, waiters, path in the vault's folder where it is \
known); classes, each with waiting, running, stalled, count, p50Us and p99Us; counters; kernel (waiting, \
maxBackground); unsaved (files, bytes, failed, oldest, errors with path, bytes and error); inodes, handles; damaged (path, reason); memory (residentBytes). What is not known is left out.";

/// What to mount, where, and how.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct MountArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// The folder to mount it on; it has to be there, and empty
    pub(crate) mountpoint: PathBuf,
    /// Mount it read-only
    #[arg(long, short)]
    pub(crate) read_only: bool,
    /// Stay in the foreground until the mount ends, with the log on standard error
    #[arg(long, short)]
    pub(crate) foreground: bool,
    /// Options in the manner of mount(8), separated by commas
    #[arg(short = 'o', value_name = "OPTION", value_delimiter = ',')]
    pub(crate) options: Vec<String>,
    /// Let other users use the mount, too
    #[arg(long)]
    pub(crate) allow_other: bool,
    /// Mount over files that are in the folder
    #[arg(long)]
    pub(crate) nonempty: bool,
    /// The user whom everything belongs to, by number [default: whom the storage says]
    #[arg(long)]
    pub(crate) uid: Option<u32>,
    /// The group that everything belongs to, by number [default: as for --uid]
    #[arg(long)]
    pub(crate) gid: Option<u32>,
    /// Permission bits that nobody gets, in octal [default: none where the storage keeps permissions, else 077]
    #[arg(long, value_name = "OCTAL")]
    pub(crate) umask: Option<String>,
    /// Memory for content, in MiB or with a unit as in 512K, 256M, 1G [default: 64]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) cache_size: Option<String>,
    /// When requests are answered at the latest, as "read=60s,lookup=10s"
    #[arg(long, value_name = "KIND=TIME", value_delimiter = ',', help_heading = "Limits")]
    pub(crate) deadline: Vec<String>,
    /// Unmount when nobody has used it for so long, as in 90s, 10m or 2h
    #[arg(long, value_name = "IDLE", help_heading = "Limits")]
    pub(crate) auto_unmount_after: Option<String>,
    /// Where the log goes [default: a file in the state directory, or standard error in the foreground]
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Threads that read requests from the kernel
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) session_threads: Option<NonZeroUsize>,
}

#[derive(Args, Debug)]
pub(crate) struct UnmountArgs {
    /// Where it is mounted, or the vault's folder if that is mounted once
    pub(crate) mountpoint: PathBuf,
    /// Whoever uses it, and whether its process answers or not
    #[arg(long, short)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DiscardArgs {
    /// Where it is mounted, or the vault's folder if that is mounted once
    pub(crate) mountpoint: PathBuf,
    /// The files, by their paths in the mount or in the vault
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// All files that could not be stored
    #[arg(long, conflicts_with = "files")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Where it is mounted, or the vault's folder; all mounts by default
    pub(crate) mountpoint: Option<PathBuf>,
}
