//! The command line.

mod change;
mod keys;
mod mount;

pub(crate) use change::{CpArgs, MkdirArgs, MvArgs, PutArgs, RmArgs, ThereArgs};
pub(crate) use keys::{
    BackupsCommand, ChangeArgs, ConfigCommand, CreateArgs, PassphraseCommand, PruneArgs, RebuildArgs,
    RecoveryKeyCommand, ResetArgs, Suite, ValidateArgs,
};
pub(crate) use mount::{DiscardArgs, MountArgs, StatusArgs, UnmountArgs};

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use oxcrypt_core::VaultOptions;

use crate::key_source::KeyArgs;

const STYLES: Styles =
    Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold());

const EXIT_CODES: &str = "\
Exit codes:
  0    all well
  1    done, but some entries could not be, or a mount is in use; each is named on standard error
  2    wrong usage, or no passphrase to be had
  3    wrong passphrase, or a recovery key or raw key that is none or another vault's
  4    not a vault, or not one that can be opened
  5    the storage, the destination or the mount failed
  6    another oxcrypt writes to this vault
  7    refused, and nothing changed: something is in the way, or nobody said yes
  8    storage has not taken what was written to a mount; each file is named
  130  interrupted";

const UNLOCK_PATIENCE: &str =
    "How long to wait for storage that does not answer, until the vault is unlocked";

/// Cryptomator vaults: creates them and keeps their keys, mounts them, lists them, prints files, decrypts them to a folder,
/// and changes what is in them.
#[derive(Debug, Parser)]
#[command(name = "oxcrypt", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print data as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// The process behind a mount, started by the command that waits for it
    #[arg(long, hide = true)]
    pub(crate) as_daemon: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a vault says of itself, without its passphrase
    #[command(after_help = "Example:\n  oxcrypt info ~/Dropbox/vault")]
    Info {
        /// The vault's folder, where vault.cryptomator is
        vault: PathBuf,
    },
    /// List a directory
    #[command(after_help = "Example:\n  oxcrypt ls -l ~/Dropbox/vault photos/2024")]
    Ls(LsArgs),
    /// Show everything below a directory as a tree
    #[command(after_help = "Example:\n  oxcrypt tree ~/Dropbox/vault photos")]
    Tree(TreeArgs),
    /// Print files to standard output
    #[command(after_help = "Example:\n  oxcrypt cat ~/Dropbox/vault notes/todo.txt | less")]
    Cat(CatArgs),
    /// Decrypt a vault, or a part of it, to a folder
    #[command(after_help = "\
Examples:
  oxcrypt decrypt ~/Dropbox/vault ~/cleartext
  oxcrypt decrypt --resume ~/Dropbox/vault ~/cleartext photos/2024 letter.txt

A damaged or unreadable file does not stop the rest: it is named, counted, and leaves nothing behind. \
Names that the folder cannot hold are shortened, always in the same way, and each is told.")]
    Decrypt(DecryptArgs),
    /// Tell where an entry lies in the vault's folder, or the reverse
    #[command(after_help = "\
Examples:
  oxcrypt locate ~/Dropbox/vault photos/2024/beach.jpg
  oxcrypt locate --reverse ~/Dropbox/vault d/AB/CDEFGHIJKLMNOPQRSTUVWXYZ234567/x.c9r

The first line is the entry; for a directory a second one is the folder that its entries lie in.")]
    Locate(LocateArgs),
    /// Create a vault
    #[command(after_help = keys::CREATE_HELP)]
    Create(CreateArgs),
    /// Change the passphrase
    #[command(subcommand, after_help = keys::PASSPHRASE_HELP)]
    Passphrase(PassphraseCommand),
    /// Show the recovery key, and what it is good for
    #[command(subcommand, after_help = keys::RECOVERY_KEY_HELP)]
    RecoveryKey(RecoveryKeyCommand),
    /// Rebuild a vault's config where it is lost
    #[command(subcommand, after_help = keys::CONFIG_HELP)]
    Config(ConfigCommand),
    /// List backups of key files, and remove old ones
    #[command(subcommand, after_help = keys::BACKUPS_HELP)]
    Backups(BackupsCommand),
    /// Encrypt files and folders into a vault
    #[command(after_help = change::PUT_HELP)]
    Put(PutArgs),
    /// Make directories
    #[command(after_help = change::MKDIR_HELP)]
    Mkdir(MkdirArgs),
    /// Move or rename entries of a vault
    #[command(after_help = change::MV_HELP)]
    Mv(MvArgs),
    /// Remove entries of a vault
    #[command(after_help = change::RM_HELP)]
    Rm(RmArgs),
    /// Copy entries within a vault
    #[command(after_help = change::CP_HELP)]
    Cp(CpArgs),
    /// Mount a vault: its files in a folder, for every program
    #[command(after_help = mount::MOUNT_HELP, mut_arg("give_up_after", |arg| arg.help(UNLOCK_PATIENCE)))]
    Mount(Box<MountArgs>),
    /// Unmount a vault
    #[command(after_help = mount::UNMOUNT_HELP)]
    Unmount(UnmountArgs),
    /// Give up what a mount could not store
    #[command(after_help = mount::DISCARD_HELP)]
    Discard(DiscardArgs),
    /// List mounted vaults
    #[command(after_help = mount::MOUNTS_HELP)]
    Mounts,
    /// Show what a mount is doing, also while its storage hangs
    #[command(after_help = mount::STATUS_HELP)]
    Status(StatusArgs),
    /// Mounts and unmounts for another process of oxcrypt
    #[command(hide = true)]
    Janitor,
}

/// Which vault, and what opens it.
#[derive(Args, Debug)]
pub(crate) struct VaultArgs {
    /// The vault's folder, where vault.cryptomator is
    pub(crate) vault: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Memory that a vault may ask for to derive its key, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, help_heading = "Limits")]
    pub(crate) max_scrypt_memory: u32,
    /// How long to wait for storage that does not answer, for each thing that is asked of it
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) give_up_after: u32,
}

impl VaultArgs {
    /// How long to wait for each thing that is asked of storage.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.give_up_after))
    }

    /// Memory that deriving the key may take.
    pub(crate) fn max_scrypt_bytes(&self) -> u64 {
        u64::from(self.max_scrypt_memory) << 20
    }

    /// How to open the vault for its key alone.
    pub(crate) fn options(&self) -> VaultOptions {
        VaultOptions::default().max_scrypt_memory(self.max_scrypt_bytes())
    }
}

#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// What to list
    #[arg(default_value = "/")]
    pub(crate) path: String,
    /// Show type, length, time and link targets
    #[arg(short, long)]
    pub(crate) long: bool,
    /// List everything below, too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// Where to begin
    #[arg(default_value = "/")]
    pub(crate) path: String,
}

#[derive(Args, Debug)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// The files
    #[arg(required = true)]
    pub(crate) paths: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct DecryptArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// The folder to decrypt to, created if need be; the vault's entries come to lie in it directly
    pub(crate) dest: PathBuf,
    /// What to decrypt, each to the place it has in the vault; everything by default
    pub(crate) paths: Vec<String>,
    /// Replace files that are there already
    #[arg(long, short)]
    pub(crate) force: bool,
    /// Skip files that are there already with the right length and time
    #[arg(long, short)]
    pub(crate) resume: bool,
    /// Keep what can be read of damaged files, with zeros for what cannot
    #[arg(long)]
    pub(crate) keep_damaged: bool,
    /// How many files, or parts of large files, to decrypt at a time
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: Option<u8>,
}

#[derive(Args, Debug)]
pub(crate) struct LocateArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// A path in the vault; with --reverse one in the vault's folder
    pub(crate) path: PathBuf,
    /// Tell which entry a file or folder of the vault's folder belongs to; where storage does not answer, the search
    /// waits for it without a limit
    #[arg(long, short)]
    pub(crate) reverse: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
