//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::vault::Kind;

/// More readers than this are a large storm.
pub(crate) const LARGE: usize = 64;

/// What a mount still answers while many wait for storage that does not.
#[derive(Clone, Debug, Parser)]
#[command(name = "storm", max_term_width = 110)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Options {
    /// A smoke test of a minute at most: one round, 11 and 12 readers, gocryptfs alone
    #[arg(long)]
    pub(crate) quick: bool,
    /// All goals instead, one after the other, with a figure and a verdict for each: an hour or two
    #[arg(long)]
    pub(crate) long: bool,
    /// Of the goals those whose names have one of these in them, as "G1,G16"
    #[arg(long, value_delimiter = ',', requires = "long")]
    pub(crate) only: Vec<String>,
    /// How long the goals' soak takes
    #[arg(long, default_value = "3600", value_name = "SECONDS", value_parser = seconds, requires = "long")]
    pub(crate) soak: Duration,
    /// How long the original failure lasts
    #[arg(long, default_value = "600", value_name = "SECONDS", value_parser = seconds, requires = "long")]
    pub(crate) original: Duration,
    /// How many cold readers block, one storm for each number
    #[arg(long, value_delimiter = ',', default_values_t = [8, 11, 12, 16, 64, 600, 10_000])]
    pub(crate) readers: Vec<usize>,
    /// Pairs of an idle phase and a storm
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Measurements of each probe in a phase
    #[arg(long, default_value_t = 100)]
    pub(crate) samples: usize,
    /// How long a probe may take before it counts as blocked
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) probe_limit: Duration,
    /// After this long everything is ended, come what may
    #[arg(long, default_value = "14400", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) limit: Duration,
    /// What the vault lies on
    #[arg(long, value_enum, default_value_t = Store::Slow)]
    pub(crate) store: Store,
    /// How many background requests the kernel may have under way at the slow store (rclone has its own limit: 12)
    #[arg(long, default_value_t = 12)]
    pub(crate) max_background: u16,
    /// The slow store has direct reads share its queue (`FUSE_ASYNC_DIO`)
    #[arg(long)]
    pub(crate) async_dio: bool,
    /// A rule that the slow store has all the time, such as 'delay 20ms lookup,list,open,read **'
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Vec<String>,
    /// Draws what hot reads take beside so many readers
    #[arg(long, value_name = "SVG")]
    pub(crate) picture: Option<PathBuf>,
    /// Who mounts the vault; may be given several times [default: oxcrypt and gocryptfs]
    #[arg(long, value_enum)]
    pub(crate) subject: Vec<Name>,
    /// One more subject: a shell command that mounts and stays in the foreground, with {vault}, {mountpoint} and
    /// {passfile} in it; the passphrase is also in `$OXCRYPT_STORM_PASSPHRASE`
    #[arg(long, value_name = "COMMAND")]
    pub(crate) mount: Vec<String>,
    /// What kind of vault those commands want
    #[arg(long, value_enum, default_value_t = Kind::Cryptomator)]
    pub(crate) vault: Kind,
    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The example of oxcrypt-fuse
    Slow,
    /// `rclone mount` of `rclone serve webdav`, which serves the slow store
    Rclone,
}

/// A subject that the bench knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// This program, as far as it can mount
    Oxcrypt,
    /// The negative control
    Gocryptfs,
}

impl Options {
    /// The options with what `--quick` stands for put in.
    pub(crate) fn settled(&self) -> Self {
        let mut options = self.clone();
        if options.quick {
            options.readers = vec![11, 12];
            options.rounds = 1;
            options.samples = options.samples.min(30);
            options.limit = options.limit.min(Duration::from_mins(1));
            options.subject = vec![Name::Gocryptfs];
            options.mount.clear();
        } else if options.subject.is_empty() && options.mount.is_empty() {
            options.subject = vec![Name::Oxcrypt, Name::Gocryptfs];
        }
        options
    }

    /// How many cold files the small storms of a subject need, for each is cold but once.
    pub(crate) fn small_files(&self) -> usize {
        self.readers.iter().filter(|readers| **readers <= LARGE).sum::<usize>() * self.rounds
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is no number of seconds"))
}
