//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use super::reply::Ttl;
use super::rule::Rule;
use super::units;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
slow_store: mounts a folder as it is, and delays, holds back or refuses its answers on demand

  slow_store [OPTIONS] FOLDER MOUNTPOINT
  slow_store ctl SOCKET COMMAND...

Options:
  --socket PATH          unix socket for commands
  --rule RULE            start with this rule; may be given several times
  --max-background N     background requests the kernel may have under way [12]
  --threads N            session threads [4]
  --async-dio            negotiate FUSE_ASYNC_DIO: direct reads are background requests too
  --direct-io            open every file with FOPEN_DIRECT_IO, past the page cache
  --keep-cache           keep a file's page cache when it is opened again
  --serial-dirops        do not negotiate FUSE_PARALLEL_DIROPS: one lookup at a time in each folder
  --attr-timeout TIME    how long the kernel may believe attributes [1s]
  --entry-timeout TIME   how long the kernel may believe names [1s]
  --type NAME            pose as another program's mounts: fuse.NAME in the mount table [slow_store]
  --allow-other          other users may look, too
  --end-with-stdin       end when standard input does: whoever started this is gone

Commands, each one line with one line of JSON for an answer:
  pass|freeze OPERATIONS PATTERN [CONDITION...]               add a rule; the newest that matches decides
  delay TIME OPERATIONS PATTERN [CONDITION...]
  fail ERRNO OPERATIONS PATTERN [after=TIME] [CONDITION...]
                         OPERATIONS: names with commas between, all, list, change
                         PATTERN: * ? ** on the last name of a path, or with a slash on all of it
                         CONDITION: offset=FROM..TO, min-size=BYTES of the file, times=N
  thaw [RULE]            remove one rule, or all, and carry out what is held by it
  remove [RULE]          remove one rule, or all; what is held stays so
  release [RULE]         carry out what is held; the rules stay
  answer ERRNO [RULE]    answer what is held with an error; the rules stay
  await held N TIME      wait until N requests are held
  await OPERATION N TIME wait until N such requests have arrived
  counters [files]       what reached the store, and for each file
  reset                  counters to zero
  rules | held | status  what is in force, what waits, how all is
  quit                   answer everything, unmount, end
";

/// How a store is to run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Options {
    pub(crate) folder: PathBuf,
    pub(crate) mountpoint: PathBuf,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) max_background: u16,
    pub(crate) threads: usize,
    pub(crate) async_dio: bool,
    pub(crate) direct_io: bool,
    pub(crate) keep_cache: bool,
    pub(crate) serial_dirops: bool,
    pub(crate) kind: String,
    pub(crate) allow_other: bool,
    pub(crate) end_with_stdin: bool,
    pub(crate) ttl: Ttl,
}

impl Options {
    /// Reads what follows the program's name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let second = Duration::from_secs(1);
        let mut options = Self {
            folder: PathBuf::new(),
            mountpoint: PathBuf::new(),
            socket: None,
            rules: Vec::new(),
            max_background: 12,
            threads: 4,
            async_dio: false,
            direct_io: false,
            keep_cache: false,
            serial_dirops: false,
            kind: "slow_store".to_owned(),
            allow_other: false,
            end_with_stdin: false,
            ttl: Ttl { attributes: second, entries: second },
        };
        let (mut arguments, mut places) = (arguments.into_iter(), Vec::new());
        while let Some(word) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--socket" => options.socket = Some(value()?.into()),
                "--rule" => options.rules.push(value()?.parse()?),
                "--max-background" => options.max_background = positive(&value()?)?,
                "--threads" => options.threads = positive::<u16>(&value()?)?.into(),
                "--async-dio" => options.async_dio = true,
                "--direct-io" => options.direct_io = true,
                "--keep-cache" => options.keep_cache = true,
                "--serial-dirops" => options.serial_dirops = true,
                "--attr-timeout" => options.ttl.attributes = units::duration(&value()?)?,
                "--entry-timeout" => options.ttl.entries = units::duration(&value()?)?,
                "--type" => options.kind = value()?,
                "--allow-other" => options.allow_other = true,
                "--end-with-stdin" => options.end_with_stdin = true,
                option if option.starts_with("--") => return Err(format!("no option is called {option}")),
                _ => places.push(PathBuf::from(word)),
            }
        }
        match <[PathBuf; 2]>::try_from(places) {
            Ok([folder, mountpoint]) => Ok(Self { folder, mountpoint, ..options }),
            Err(_) => Err("a folder and a place to mount it are needed".to_owned()),
        }
    }
}

/// Reads a number of at least 1.
fn positive<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| *number > 0).and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("{text:?} is too small, too large, or no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, String> {
        Options::parse(line.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn options_may_stand_anywhere() {
        let options = parse(&[
            "--socket",
            "/run/s",
            "/folder",
            "--max-background",
            "4096",
            "--rule",
            "freeze read *",
            "/mnt",
            "--attr-timeout",
            "0s",
            "--async-dio",
        ]);
        let options = options.unwrap();
        assert_eq!((options.folder.to_str(), options.mountpoint.to_str()), (Some("/folder"), Some("/mnt")));
        assert_eq!((options.max_background, options.threads, options.rules.len()), (4096, 4, 1));
        assert_eq!(options.ttl, Ttl { attributes: Duration::ZERO, entries: Duration::from_secs(1) });
        assert!(options.async_dio && !options.direct_io);
    }

    #[test]
    fn what_is_not_a_command_line_is_refused() {
        for line in [
            &["/folder"][..],
            &["/folder", "/mnt", "/more"],
            &["/folder", "/mnt", "--socket"],
            &["/folder", "/mnt", "--sockets", "x"],
            &["/folder", "/mnt", "--max-background", "0"],
            &["/folder", "/mnt", "--max-background", "65536"],
            &["/folder", "/mnt", "--threads", "many"],
            &["/folder", "/mnt", "--rule", "melt"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
