//! What is measured, and the child that does it: a line of standard input says how often, a line of standard output
//! is a sample.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::fs::Advice;

use super::vault;

/// The line that ends the samples of one order.
pub(crate) const DONE: &str = "done";

/// How much a reading probe reads.
const PAGE: usize = 4096;

/// Something that a user does to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Reads the first page of a hot file, which is opened anew, and dropped from the mount's page cache before. Only
    /// the read is timed.
    UncachedRead,
    /// Reads the first page of a hot file that was read before, by a handle that stays open.
    CachedRead,
    /// Looks at the attributes of files, one after the other, each seldom enough to be forgotten by the kernel.
    Stat,
    /// Looks for a name that is not there, a new one each time.
    Absent,
    /// Lists a folder of a hundred files.
    List,
    /// Opens a file that nobody reads.
    Open,
    /// Asks for free space, as `df` does.
    Statfs,
    /// Reads all of a hot file, which is opened anew, and dropped from the mount's page cache before.
    WholeRead,
    /// Makes a file, writes three pages, syncs it, and moves it over another.
    Work,
}

impl Probe {
    /// Those of the tables, which need no place to write.
    pub(crate) const TABLE: [Self; 7] = [
        Self::UncachedRead,
        Self::CachedRead,
        Self::Stat,
        Self::Absent,
        Self::List,
        Self::Open,
        Self::Statfs,
    ];
    /// The others.
    const GOALS: [Self; 2] = [Self::WholeRead, Self::Work];

    /// What the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UncachedRead => "read, uncached",
            Self::CachedRead => "read, page cache",
            Self::Stat => "stat",
            Self::Absent => "lookup, absent",
            Self::List => "list",
            Self::Open => "open",
            Self::Statfs => "statfs (df)",
            Self::WholeRead => "read, 128 KiB",
            Self::Work => "create to rename",
        }
    }
}

/// Runs a prober until its orders end.
pub(crate) fn main(probe: &str, root: &Path) -> ExitCode {
    let mut all = Probe::TABLE.into_iter().chain(Probe::GOALS);
    let Some(probe) = all.find(|known| known.name() == probe) else {
        return ExitCode::FAILURE;
    };
    let mut child = Prober { probe, root: root.to_owned(), number: 0, open: None };
    let mut out = io::stdout();
    for order in io::stdin().lines() {
        let count = order.ok().and_then(|order| order.parse().ok()).unwrap_or(0);
        for _ in 0..count {
            let line = match child.sample() {
                Ok(time) => time.as_nanos().to_string(),
                Err(error) => error.to_string(),
            };
            if writeln!(out, "{line}").is_err() {
                return ExitCode::FAILURE;
            }
        }
        if writeln!(out, "{DONE}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The child's state.
struct Prober {
    probe: Probe,
    root: PathBuf,
    /// How many samples there were.
    number: usize,
    /// The file whose pages stay in the page cache.
    open: Option<File>,
}

impl Prober {
    fn sample(&mut self) -> io::Result<Duration> {
        self.number += 1;
        match self.probe {
            Probe::UncachedRead => {
                let file = File::open(vault::hot_file(&self.root, self.number))?;
                rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
                timed(|| read_page(&file))
            }
            Probe::CachedRead => {
                let file = if let Some(file) = self.open.take() {
                    file
                } else {
                    // Not one that others open: that would empty its page cache.
                    let file = File::open(vault::kept_file(&self.root))?;
                    read_page(&file)?;
                    file
                };
                timed(|| read_page(self.open.insert(file)))
            }
            Probe::Stat => {
                let path = vault::seen_file(&self.root, self.number);
                timed(|| fs::symlink_metadata(path))
            }
            Probe::Absent => {
                let path = self.root.join(format!("absent {} {}", std::process::id(), self.number));
                timed(|| match fs::symlink_metadata(path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                    Ok(_) => Err(io::Error::other("an absent file is there")),
                })
            }
            Probe::List => {
                let folder = vault::listed_folder(&self.root);
                let mut count = 0;
                let time = timed(|| {
                    count = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?.len();
                    Ok(())
                })?;
                if count == vault::LISTED_FILES {
                    Ok(time)
                } else {
                    Err(io::Error::other("a listing is not whole"))
                }
            }
            Probe::Open => {
                let path = vault::opened_file(&self.root, self.number);
                timed(|| File::open(path))
            }
            Probe::WholeRead => {
                let file = File::open(vault::hot_file(&self.root, self.number))?;
                rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
                let mut content = vec![0; vault::HOT_LEN];
                timed(|| file.read_exact_at(&mut content, 0))
            }
            Probe::Work => {
                let folder = vault::work_folder(&self.root);
                let place = |name| folder.join(format!("{name} {}", std::process::id()));
                let (new, healthy) = (place("new"), place("healthy"));
                timed(|| {
                    let mut file = File::create(&new)?;
                    file.write_all(&[7; 3 * PAGE])?;
                    file.sync_all()?;
                    fs::rename(new, healthy)?;
                    Ok(file)
                })
            }
            Probe::Statfs => timed(|| Ok(rustix::fs::statvfs(&self.root)?)),
        }
    }
}

fn timed<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<Duration> {
    let started = Instant::now();
    let result = work()?;
    let time = started.elapsed();
    // Closing is not what is measured.
    drop(result);
    Ok(time)
}

fn read_page(file: &File) -> io::Result<()> {
    let mut page = [0; PAGE];
    file.read_exact_at(&mut page, 0)
}
