//! What is measured, and the child that does it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use super::measured::Meter;
use super::subject::{FOLDERS, LARGE_LEN, MEDIUM_LEN, SMALL_FILES, SMALL_LEN, content};

/// The first argument of the child.
pub(crate) const ROLE: &str = "speed-child";

/// How many random reads each job does.
const READS: u64 = 2_000;
/// How many files are renamed.
const RENAMES: usize = 1_000;
/// What a random read reads.
const PAGE: usize = 4 << 10;

/// Something that a user does to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Write,
    Sequential,
    Random,
    RandomByFour,
    Create,
    Small,
    Stat,
    StatWarm,
    ListLong,
    Rename,
    Remove,
    SlowSequential,
    SlowMapped,
}

impl Task {
    pub(crate) const ALL: [Self; 13] = [
        Self::Write,
        Self::Sequential,
        Self::Random,
        Self::RandomByFour,
        Self::Create,
        Self::Small,
        Self::Stat,
        Self::StatWarm,
        Self::ListLong,
        Self::Rename,
        Self::Remove,
        Self::SlowSequential,
        Self::SlowMapped,
    ];

    /// What the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write 1 GiB in order",
            Self::Sequential => "read 1 GiB in order",
            Self::Random => "read 2,000 x 4 KiB at random",
            Self::RandomByFour => "read 4 x 2,000 x 4 KiB at random, by 4 jobs",
            Self::Create => "create 5,000 files of 4 KiB",
            Self::Small => "read 5,000 files of 4 KiB",
            Self::ListLong => "ls -lR, 5,000 files",
            Self::Stat => "stat of 5,000 files, cold",
            Self::StatWarm => "stat of 5,000 files, warm",
            Self::Rename => "rename 1,000 files",
            Self::Remove => "rm -rf, 5,000 files",
            Self::SlowSequential => "slow store: read 32 MiB again, 4 KiB at a time",
            Self::SlowMapped => "slow store: map 32 MiB that were read before",
        }
    }

    /// Whether its vault lies on storage that might block.
    pub(crate) fn is_on_the_slow_store(self) -> bool {
        matches!(self, Self::SlowSequential | Self::SlowMapped)
    }

    /// The child that does it to a place, which a process serves or none, and prints what that took.
    pub(crate) fn command(self, place: &Path, server: Option<u32>) -> Command {
        if self == Self::SlowMapped {
            // Mapping is unsafe in Rust, and no coreutil does it.
            let mut python = Command::new("python3");
            python.arg("-c").arg(MAPPED).arg(place.join("medium"));
            return python;
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(ROLE).arg(self.name()).arg(place).args(server.map(|pid| pid.to_string()));
        command
    }

    /// What has to be there before the clock runs.
    fn prepare(self, root: &Path) -> io::Result<()> {
        match self {
            Self::StatWarm => self.run(root),
            Self::Rename => make_files(&root.join("new"), RENAMES / SMALL_FILES),
            Self::Remove => make_files(&root.join("new"), FOLDERS),
            Self::SlowSequential => in_order(&root.join("medium"), 1 << 20, MEDIUM_LEN),
            _ => Ok(()),
        }
    }

    /// Takes away what is new, so that the next one finds what this one found.
    fn tidy_up(self, root: &Path) -> io::Result<()> {
        match self {
            Self::Write => fs::remove_file(root.join("new")),
            Self::Create | Self::Rename => fs::remove_dir_all(root.join("new")),
            _ => Ok(()),
        }
    }

    fn run(self, root: &Path) -> io::Result<()> {
        match self {
            Self::Write => write_in_order(&root.join("new")),
            Self::Create => make_files(&root.join("new"), FOLDERS),
            Self::Rename => files(&root.join("new"), RENAMES / SMALL_FILES)
                .try_for_each(|path| fs::rename(&path, path.with_extension("renamed"))),
            Self::Remove => fs::remove_dir_all(root.join("new")),
            Self::Sequential => in_order(&root.join("large"), 1 << 20, LARGE_LEN),
            Self::Random => at_random(&root.join("large"), 1),
            Self::RandomByFour => thread::scope(|scope| {
                let jobs: Vec<_> =
                    (1..=4).map(|job| scope.spawn(move || at_random(&root.join("large"), job))).collect();
                jobs.into_iter().try_for_each(|job| job.join().expect("a job that does not panic"))
            }),
            Self::Small => files(root, FOLDERS).try_for_each(|path| fs::read(path).map(drop)),
            Self::ListLong => list_below(root),
            Self::Stat | Self::StatWarm => {
                files(root, FOLDERS).try_for_each(|path| fs::symlink_metadata(path).map(drop))
            }
            Self::SlowSequential => in_order(&root.join("medium"), PAGE, MEDIUM_LEN),
            Self::SlowMapped => unreachable!("another program does this"),
        }
    }
}

const MAPPED: &str = "
import mmap, sys, time
with open(sys.argv[1], 'rb') as file:
    while file.read(1 << 20):
        pass
with open(sys.argv[1], 'rb') as file:
    start = time.perf_counter()
    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        total = 0
        for at in range(0, len(pages), 4096):
            total += pages[at]
    print(time.perf_counter() - start)
";

/// The child.
pub(crate) fn child(words: &[String]) -> ExitCode {
    let (name, root, server) = match words {
        [name, root] => (name, Path::new(root), None),
        [name, root, server] => (name, Path::new(root), server.parse().ok()),
        _ => return ExitCode::FAILURE,
    };
    let Some(task) = Task::ALL.into_iter().find(|task| task.name() == name) else { return ExitCode::FAILURE };
    let done = task.prepare(root).and_then(|()| {
        let meter = Meter::start(server);
        task.run(root)?;
        let measured = meter.stop();
        task.tidy_up(root)?;
        Ok(measured)
    });
    match done {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write_in_order(path: &Path) -> io::Result<()> {
    let (mut file, piece) = (File::create_new(path)?, content(1 << 20));
    (0..LARGE_LEN / piece.len()).try_for_each(|_| file.write_all(&piece))
}

fn make_files(root: &Path, folders: usize) -> io::Result<()> {
    let content = content(SMALL_LEN);
    fs::create_dir(root)?;
    (0..folders).try_for_each(|folder| fs::create_dir(root.join(format!("folder {folder}"))))?;
    files(root, folders).try_for_each(|path| fs::write(path, &content))
}

fn in_order(path: &Path, step: usize, len: usize) -> io::Result<()> {
    let (mut file, mut buffer, mut total) = (File::open(path)?, vec![0; step], 0);
    loop {
        match file.read(&mut buffer)? {
            0 if total == len => return Ok(()),
            0 => return Err(io::Error::other("the file is too short")),
            read => total += read,
        }
    }
}

fn at_random(path: &Path, seed: u64) -> io::Result<()> {
    let (file, mut page, mut state) = (File::open(path)?, [0; PAGE], seed);
    for _ in 0..READS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) % (LARGE_LEN / PAGE) as u64;
        file.read_exact_at(&mut page, at * PAGE as u64)?;
    }
    Ok(())
}

fn files(root: &Path, folders: usize) -> impl Iterator<Item = PathBuf> {
    (0..folders * SMALL_FILES).map(move |number| {
        let (folder, file) = (number / SMALL_FILES, number % SMALL_FILES);
        root.join(format!("folder {folder}")).join(format!("small {file}"))
    })
}

fn list_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            list_below(&entry.path())?;
        }
    }
    Ok(())
}
