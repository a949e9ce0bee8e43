//! The arguments of commands that change a vault.

use std::path::PathBuf;

use clap::Args;

use super::VaultArgs;
use crate::confirm::ConfirmArgs;

pub(super) const PUT_HELP: &str = "\
Examples:
  oxcrypt put ~/Dropbox/vault beach.jpg letter.txt /photos/2024
  oxcrypt put --resume --verify ~/Dropbox/vault ~/photos /
  pg_dump db | oxcrypt put ~/Dropbox/vault - /backup/db.sql

DEST is a directory of the vault that takes everything in, or the name that the one source is to have. A file or link \
that is there is replaced, in one step and only when the new one is whole: whoever looks sees the old one or the new \
one, also if this is interrupted or the disk is full. A directory is never replaced: what is put into one that is there \
already is added to it. Links are kept as links and never followed; devices, pipes and sockets are left out. Times are \
kept, permissions are not.";

pub(super) const MKDIR_HELP: &str = "Example:\n  oxcrypt mkdir -p ~/Dropbox/vault photos/2024/summer";

pub(super) const MV_HELP: &str = "\
Examples:
  oxcrypt mv ~/Dropbox/vault /letter.txt /letters/to-anna.txt
  oxcrypt mv ~/Dropbox/vault a.jpg b.jpg /photos

DEST is a directory that takes everything in, or the name that the one source is to have. A file or link that is there \
is replaced, and so is an empty directory by a directory.";

pub(super) const RM_HELP: &str = "\
Examples:
  oxcrypt rm ~/Dropbox/vault /letter.txt
  oxcrypt rm -r ~/Dropbox/vault /photos/2019

A link is removed, and never what it leads to. What cannot be removed does not stop the rest: it is named and counted.";

pub(super) const CP_HELP: &str = "\
Examples:
  oxcrypt cp ~/Dropbox/vault /letter.txt /letters
  oxcrypt cp -r ~/Dropbox/vault /photos/2024 /photos/2024-edited

Copies share no key with what they are copies of. DEST and what is there are treated as by \"put\".";

#[derive(Args, Debug)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// Files and folders, these with all that is in them; or - for standard input
    #[arg(required = true, num_args = 1.., value_name = "SRC")]
    pub(crate) sources: Vec<PathBuf>,
    /// A directory of the vault, or the name to have there
    pub(crate) dest: String,
    #[command(flatten)]
    pub(crate) there: ThereArgs,
    /// Read back what storage has, and compare it with what was read, before a file gets its name
    #[arg(long)]
    pub(crate) verify: bool,
}

/// What to do with what is there already.
#[derive(Args, Debug)]
pub(crate) struct ThereArgs {
    /// Leave what is there already alone
    #[arg(long, short, conflicts_with = "resume")]
    pub(crate) no_clobber: bool,
    /// Skip files that are there already with the right length and time
    #[arg(long)]
    pub(crate) resume: bool,
    /// How many files to encrypt at a time
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: Option<u8>,
}

#[derive(Args, Debug)]
pub(crate) struct MkdirArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// The directories to make
    #[arg(required = true)]
    pub(crate) paths: Vec<String>,
    /// Make those on the way, too, and take one that is there already for made
    #[arg(long, short)]
    pub(crate) parents: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MvArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// What to move or rename
    #[arg(required = true, num_args = 1.., value_name = "SRC")]
    pub(crate) sources: Vec<String>,
    /// Where to
    pub(crate) dest: String,
    /// Leave what is there already alone
    #[arg(long, short, conflicts_with = "exchange")]
    pub(crate) no_clobber: bool,
    /// Have the two change places, in one step
    #[arg(long)]
    pub(crate) exchange: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// What to remove
    #[arg(required = true)]
    pub(crate) paths: Vec<String>,
    /// Remove directories, too, with all that is in them
    #[arg(long, short)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CpArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// What to copy
    #[arg(required = true, num_args = 1.., value_name = "SRC")]
    pub(crate) sources: Vec<String>,
    /// Where to
    pub(crate) dest: String,
    /// Copy directories, too, with all that is in them
    #[arg(long, short)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) there: ThereArgs,
}
