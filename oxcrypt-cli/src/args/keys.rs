//! The command line of vaults as a whole: making one, and its key files.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::unlock::ScryptParams;

use super::VaultArgs;
use crate::confirm::ConfirmArgs;
use crate::key_source::RecoveryKeyArgs;
use crate::passphrase::{NewPassphraseArgs, PassphraseArgs};

pub(super) const CREATE_HELP: &str = "\
Examples:
  oxcrypt create ~/Dropbox/vault
  oxcrypt create /srv/vault --passphrase-file /run/secrets/vault --scrypt-cost 262144

The folder must be empty, or not there yet. What a run leaves that was killed is finished by the next one with the same \
passphrase. Note the words of `oxcrypt recovery-key show` afterwards: they open the vault when the passphrase is lost.

Fields of --json: vault, cipherCombo, shorteningThreshold, scryptCost.";

pub(super) const PASSPHRASE_HELP: &str = "\
Examples:
  oxcrypt passphrase change ~/Dropbox/vault
  printf 'old\\nnew\\n' | oxcrypt passphrase change ~/Dropbox/vault --passphrase-stdin --new-passphrase-stdin";

pub(super) const CHANGE_HELP: &str = "\
Example:
  oxcrypt passphrase change ~/Dropbox/vault

Nothing but masterkey.cryptomator changes, in one step: whatever happens, one of the two passphrases opens the vault. A \
copy of that file as it was is kept, and the old passphrase still opens that: `oxcrypt backups prune` removes it. \
Whoever knew the old passphrase may have noted the key, which stays the same.";

pub(super) const RECOVERY_KEY_HELP: &str = "\
Examples:
  oxcrypt recovery-key show ~/Dropbox/vault
  oxcrypt recovery-key validate ~/Dropbox/vault --recovery-key-file words.txt
  oxcrypt recovery-key reset-passphrase ~/Dropbox/vault";

pub(super) const SHOW_HELP: &str = "\
Example:
  oxcrypt recovery-key show ~/Dropbox/vault

Field of --json: recoveryKey.";

pub(super) const VALIDATE_HELP: &str = "\
Examples:
  oxcrypt recovery-key validate --recovery-key-file words.txt
  oxcrypt recovery-key validate ~/Dropbox/vault --recovery-key-file - < words.txt

Fields of --json: valid, vault if it is that vault's, error if it is not valid.";

pub(super) const RESET_HELP: &str = "\
Example:
  oxcrypt recovery-key reset-passphrase ~/Dropbox/vault --recovery-key-file words.txt

It writes a new masterkey.cryptomator, also where that is lost. What was there is kept as a backup. Where \
vault.cryptomator is lost as well, `oxcrypt config rebuild` comes first.";

pub(super) const CONFIG_HELP: &str = "\
Example:
  oxcrypt config rebuild ~/Dropbox/vault";

pub(super) const REBUILD_HELP: &str = "\
Examples:
  oxcrypt config rebuild ~/Dropbox/vault
  oxcrypt config rebuild ~/Dropbox/vault --recovery-key-file words.txt --suite siv-gcm

Suite and threshold are told from the vault's files, all of whose names are looked at. A backup of vault.cryptomator, if \
there is one, is better: `oxcrypt backups list` shows it.

Fields of --json: vault, cipherCombo, shorteningThreshold.";

pub(super) const BACKUPS_HELP: &str = "\
Examples:
  oxcrypt backups list ~/Dropbox/vault
  oxcrypt backups prune ~/Dropbox/vault --keep 2";

pub(super) const LIST_HELP: &str = "\
Example:
  oxcrypt backups list ~/Dropbox/vault

Fields of --json, one object for each: name, of, current, modified.";

pub(super) const PRUNE_HELP: &str = "\
Example:
  oxcrypt backups prune ~/Dropbox/vault --keep 0 --yes

Copies of what vault.cryptomator and masterkey.cryptomator are now are always kept. Others are only removed where the \
vault opens without them, so its passphrase is asked for.

Fields of --json, one object for each that was removed: name, of, modified.";

/// How contents are encrypted, as people spell it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Suite {
    /// AES-GCM, as Cryptomator makes vaults today
    SivGcm,
    /// AES-CTR with HMAC, as Cryptomator made vaults before 2022
    #[value(name = "siv-ctrmac")]
    SivCtrMac,
}

impl Suite {
    pub(crate) fn combo(self) -> CipherCombo {
        match self {
            Self::SivGcm => CipherCombo::SivGcm,
            Self::SivCtrMac => CipherCombo::SivCtrMac,
        }
    }
}

/// What one guess of a new passphrase costs.
#[derive(Args, Debug)]
pub(crate) struct CostArgs {
    /// What one guess of the passphrase costs: a power of two, as 32768 or 262144; 1 KiB of memory each
    #[arg(long, value_name = "N")]
    scrypt_cost: Option<u64>,
}

impl CostArgs {
    pub(crate) fn scrypt(&self) -> Option<ScryptParams> {
        self.scrypt_cost.map(|cost| ScryptParams { cost, ..ScryptParams::default() })
    }
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// The folder for the vault: empty, or not there yet
    pub(crate) vault: PathBuf,
    /// How contents are encrypted
    #[arg(long, default_value = "siv-gcm")]
    pub(crate) suite: Suite,
    /// Encrypted names longer than this are shortened: 36 to 220, for storage that takes no long names
    #[arg(long, value_name = "N", default_value_t = 220)]
    pub(crate) shortening_threshold: usize,
    #[command(flatten)]
    pub(crate) cost: CostArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PassphraseCommand {
    /// Change the passphrase
    #[command(after_help = CHANGE_HELP)]
    Change(ChangeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    #[command(flatten)]
    pub(crate) new: NewPassphraseArgs,
    #[command(flatten)]
    pub(crate) cost: CostArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryKeyCommand {
    /// Print the recovery key: 44 words that open the vault whatever its passphrase is
    #[command(after_help = SHOW_HELP)]
    Show(VaultArgs),
    /// Tell whether words are a recovery key, and whether they are this vault's
    #[command(after_help = VALIDATE_HELP)]
    Validate(ValidateArgs),
    /// Set a new passphrase by the recovery key
    #[command(after_help = RESET_HELP)]
    ResetPassphrase(ResetArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    /// The vault's folder
    pub(crate) vault: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) key: RecoveryKeyArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ResetArgs {
    /// The vault's folder, where vault.cryptomator is
    pub(crate) vault: PathBuf,
    #[command(flatten)]
    pub(crate) key: RecoveryKeyArgs,
    #[command(flatten)]
    pub(crate) new: NewPassphraseArgs,
    #[command(flatten)]
    pub(crate) cost: CostArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write vault.cryptomator anew, where it is lost
    #[command(after_help = REBUILD_HELP)]
    Rebuild(RebuildArgs),
}

#[derive(Args, Debug)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// How contents are encrypted [default: as its files are]
    #[arg(long)]
    pub(crate) suite: Option<Suite>,
    /// Encrypted names longer than this are shortened [default: what its names are in line with, 220 if they are]
    #[arg(long, value_name = "N")]
    pub(crate) shortening_threshold: Option<usize>,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupsCommand {
    /// List backups of key files, the newest first
    #[command(after_help = LIST_HELP)]
    List {
        /// The vault's folder
        vault: PathBuf,
    },
    /// Remove backups that nobody needs
    #[command(after_help = PRUNE_HELP)]
    Prune(PruneArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// The vault's folder, where vault.cryptomator is
    pub(crate) vault: PathBuf,
    /// How many backups of each key file to keep, the newest
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: usize,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}
