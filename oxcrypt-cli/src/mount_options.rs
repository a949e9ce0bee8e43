//! How somebody wants a vault to be mounted: what `-o` and the long options say, put together.

use std::time::Duration;

use oxcrypt_fuse::MountOptions;
use oxcrypt_io::volume::Deadlines;

use crate::args::MountArgs;
use crate::exit::{Failure, Result};

/// What `-o` takes, for the message about what it does not.
const KNOWN: &str = "ro, rw, allow_other, nonempty, uid=, gid=, umask=, cache_size=, auto_unmount_after=, \
                     deadline.lookup=, deadline.attributes=, deadline.open=, deadline.list=, deadline.entries=, deadline.read=, \
                     deadline.change=, deadline.write=, noexec, exec, nodev, nosuid, noatime, atime, dirsync, sync, async";

/// Flags that the kernel takes as they are.
const FOR_THE_KERNEL: [&str; 9] =
    ["noexec", "exec", "nodev", "nosuid", "noatime", "atime", "dirsync", "sync", "async"];

/// What mount(8) and the table of file systems say to each other, and to nobody else.
const FOR_OTHERS: [&str; 8] = ["defaults", "auto", "noauto", "user", "nouser", "users", "nofail", "_netdev"];

/// The space between the kernel's patience with us and ours with storage.
const BEFORE_THE_KERNEL: Duration = Duration::from_secs(10);

/// How a vault is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) mount: MountOptions,
    pub(crate) deadlines: Deadlines,
    /// Bytes of content to keep in memory, where that was said.
    pub(crate) cache_bytes: Option<usize>,
    pub(crate) nonempty: bool,
    /// How long nobody uses it before it ends by itself.
    pub(crate) idle: Option<Duration>,
}

impl Wishes {
    /// Reads what was asked for; where the same is said twice, the last counts, and a long option before `-o`.
    pub(crate) fn read(args: &MountArgs) -> Result<Self> {
        let (mount, deadlines) = (MountOptions::default(), Deadlines::default());
        let mut wishes = Self { mount, deadlines, cache_bytes: None, nonempty: false, idle: None };
        for option in args.options.iter().map(|option| option.trim()).filter(|option| !option.is_empty()) {
            wishes.apply(option)?;
        }
        wishes.apply_long(args)?;
        Ok(wishes)
    }

    /// Keeps every deadline before the moment the kernel gives up on the whole mount. Returns whether one was later.
    pub(crate) fn keep_before(&mut self, kernel: Duration) -> bool {
        let latest = kernel.saturating_sub(BEFORE_THE_KERNEL).max(Duration::from_secs(1));
        let Deadlines { lookup, attributes, open, list, entries, read, change, write } = &mut self.deadlines;
        let mut clamped = false;
        let write = write.get_or_insert(Duration::MAX);
        for deadline in [lookup, attributes, open, list, entries, read, change, write] {
            clamped |= *deadline > latest;
            *deadline = (*deadline).min(latest);
        }
        clamped
    }

    fn apply_long(&mut self, args: &MountArgs) -> Result<()> {
        self.mount.read_only |= args.read_only;
        self.nonempty |= args.nonempty;
        self.mount.allow_other |= args.allow_other;
        self.mount.uid = args.uid.or(self.mount.uid);
        self.mount.gid = args.gid.or(self.mount.gid);
        if let Some(umask) = &args.umask {
            self.mount.umask = Some(octal(umask)?);
        }
        if let Some(size) = &args.cache_size {
            self.cache_bytes = Some(bytes(size)?);
        }
        if let Some(time) = &args.auto_unmount_after {
            self.idle = Some(duration(time)?);
        }
        if let Some(threads) = args.session_threads {
            self.mount.session_threads = threads;
        }
        for deadline in &args.deadline {
            let (kind, time) = deadline.split_once('=').ok_or_else(|| {
                Failure::usage(format_args!("--deadline {deadline}: say it as in --deadline read=60s"))
            })?;
            self.set_deadline(kind, time)?;
        }
        Ok(())
    }

    /// Takes one option of `-o`.
    fn apply(&mut self, option: &str) -> Result<()> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "ro" => self.mount.read_only = true,
            "rw" => self.mount.read_only = false,
            "allow_other" => self.mount.allow_other = true,
            "nonempty" => self.nonempty = true,
            "uid" => self.mount.uid = Some(number(name, value)?),
            "gid" => self.mount.gid = Some(number(name, value)?),
            "umask" => self.mount.umask = Some(octal(value)?),
            "cache_size" => self.cache_bytes = Some(bytes(value)?),
            "auto_unmount_after" => self.idle = Some(duration(value)?),
            "dev" | "suid" => {
                return Err(Failure::usage(format_args!("-o {option}: a vault cannot be mounted with that")));
            }
            _ if FOR_THE_KERNEL.contains(&option) => self.mount.kernel_options.push(option.to_owned()),
            _ if FOR_OTHERS.contains(&option) || option.starts_with("x-") => {}
            _ => match name.strip_prefix("deadline.") {
                Some(kind) => self.set_deadline(kind, value)?,
                None => {
                    return Err(Failure::usage(format_args!(
                        "-o {option}: there is no such option; known are {KNOWN}"
                    )));
                }
            },
        }
        Ok(())
    }

    fn set_deadline(&mut self, kind: &str, time: &str) -> Result<()> {
        let Deadlines { lookup, attributes, open, list, entries, read, change, write } = &mut self.deadlines;
        let deadline = match kind {
            "write" if time == "none" => {
                *write = None;
                return Ok(());
            }
            "write" => write.get_or_insert_default(),
            "lookup" => lookup,
            "attributes" => attributes,
            "open" => open,
            "list" => list,
            "entries" => entries,
            "read" => read,
            "change" => change,
            _ => {
                return Err(Failure::usage(format_args!(
                    "there is no deadline for {kind:?}; there are lookup, attributes, open, list, entries, read, change and \
                     write"
                )));
            }
        };
        *deadline = duration(time)?;
        Ok(())
    }
}

fn number(name: &str, value: &str) -> Result<u32> {
    value.parse().map_err(|_| Failure::usage(format_args!("-o {name}={value}: a number is wanted")))
}

fn octal(value: &str) -> Result<u32> {
    u32::from_str_radix(value, 8)
        .ok()
        .filter(|bits| *bits <= 0o777)
        .ok_or_else(|| Failure::usage(format_args!("umask {value:?}: octal digits are wanted, as in 022")))
}

/// A size; without a unit it is in MiB.
fn bytes(text: &str) -> Result<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "k" => 10,
        "" | "m" => 20,
        "g" => 30,
        _ => 64,
    };
    let bytes = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(1usize.checked_shl(shift)?));
    bytes.ok_or_else(|| Failure::usage(format_args!("size {text:?}: say it as in 512K, 256M or 1G")))
}

/// A time; without a unit it is in seconds.
fn duration(text: &str) -> Result<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let time = digits.parse().ok().and_then(|count: u64| match unit {
        "ms" => Some(Duration::from_millis(count)),
        "" | "s" => Some(Duration::from_secs(count)),
        "m" | "min" => count.checked_mul(60).map(Duration::from_secs),
        "h" => count.checked_mul(60 * 60).map(Duration::from_secs),
        _ => None,
    });
    // A mount that lets nobody wait serves nothing but what is in memory.
    time.filter(|time| !time.is_zero())
        .ok_or_else(|| Failure::usage(format_args!("time {text:?}: say it as in 500ms, 60s or 2m")))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn read(args: &[&str]) -> Result<Wishes> {
        let line = [&["oxcrypt", "mount", "/v", "/m"], args].concat();
        match Cli::try_parse_from(line).unwrap().command {
            Command::Mount(args) => Wishes::read(&args),
            _ => unreachable!("it is a mount"),
        }
    }

    #[test]
    fn options_are_those_of_mount_and_the_long_ones_say_the_same() {
        let short = "ro,allow_other,nonempty,uid=7,gid=8,umask=022,cache_size=256,deadline.read=60s,noexec,auto_unmount_after=2h";
        let short = read(&["-o", short, "-o", "deadline.lookup=500ms,defaults,x-systemd.automount"]).unwrap();
        let long =
            ["--read-only", "--allow-other", "--nonempty", "--uid", "7", "--gid", "8", "--umask", "022"];
        let rest =
            ["--cache-size=256M", "--deadline=read=1m,lookup=500ms", "-onoexec", "--auto-unmount-after=120m"];
        assert_eq!(short, read(&[&long[..], &rest].concat()).unwrap());
        assert_eq!(short.mount.umask, Some(0o022));
        assert_eq!(short.cache_bytes, Some(256 << 20));
        assert_eq!(short.deadlines.read, Duration::from_mins(1));
        assert_eq!(short.mount.kernel_options, ["noexec"]);
    }

    #[test]
    fn the_last_word_counts() {
        assert!(!read(&[]).unwrap().mount.read_only);
        assert!(!read(&["-o", "ro,rw"]).unwrap().mount.read_only);
        assert!(read(&["-o", "rw,ro"]).unwrap().mount.read_only);
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error_that_says_what_would() {
        for (args, hint) in [
            (["-o", "tachyon"], "known are ro"),
            (["-o", "dev"], "cannot be mounted"),
            (["-o", "ro,suid,nosuid"], "cannot be mounted"),
            (["-o", "uid=root"], "number"),
            (["-o", "noexec=1"], "known are ro"),
            (["--umask", "9"], "octal"),
            (["--cache-size", "much"], "512K"),
            (["--cache-size", "99999999999999G"], "512K"),
            (["--deadline", "read"], "read=60s"),
            (["--deadline", "truth=3s"], "lookup"),
            (["--deadline", "read=none"], "500ms"),
            (["--deadline", "read=0"], "500ms"),
            (["--deadline", "read=3 fortnights"], "500ms"),
        ] {
            let failure = read(&args).unwrap_err();
            assert!(failure.text().unwrap().contains(hint), "{args:?}: {failure:?}");
        }
    }

    #[test]
    fn deadlines_stay_before_the_kernels() {
        let mut wishes = read(&[]).unwrap();
        assert!(wishes.keep_before(Duration::from_mins(1)));
        assert_eq!(wishes.deadlines.read, Duration::from_secs(50));
        assert_eq!(wishes.deadlines.write, Some(Duration::from_secs(50)));
        assert_eq!(wishes.deadlines.lookup, Deadlines::default().lookup);
        assert!(!wishes.keep_before(Duration::from_mins(1)));
        assert!(wishes.keep_before(Duration::from_secs(5)));
        assert_eq!(wishes.deadlines.read, Duration::from_secs(1));
        // Who wants to wait for ever cannot where the kernel does not.
        let mut patient = read(&["--deadline", "write=none"]).unwrap();
        assert_eq!(patient.deadlines.write, None);
        assert!(patient.keep_before(Duration::from_hours(1)));
        assert_eq!(patient.deadlines.write, Some(Duration::from_secs(3_590)));
    }
}
