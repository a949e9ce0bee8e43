//! Cold readers: threads of children, each of which blocks in a read until the storm is over.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use super::Role;
use super::caller::Caller;
use super::vault;
use crate::child::{Child, poll};
use crate::controls::Controls;

/// How many threads a child has at most.
const THREADS: usize = 500;

/// As much as a thread needs that reads a page.
const STACK: usize = 64 << 10;

/// What is read together.
const BLOCK: u64 = 128 << 10;

/// A store that has two handles for each file should not need more of them than a process usually gets.
const OPEN: usize = 5_000;

/// How long the readers may take to be where they block.
const GATHERING: Duration = Duration::from_mins(1);

/// If nothing has changed for this long, they are taken to be there.
const SETTLED: Duration = Duration::from_millis(700);

/// What a reader does when its read fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It asks again.
    Again,
    /// It ends.
    Once,
}

/// A crowd of readers.
pub(crate) struct Readers {
    children: Vec<Child>,
    /// How many there are.
    count: usize,
}

/// How one read ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    /// The error's number, if it was one.
    pub(crate) error: Option<i32>,
}

impl Readers {
    /// Starts one reader for each of these cold files below a mount's root. Where that would be more than a store can
    /// have open, the first half of the files has two, each in a block of its own.
    pub(crate) fn start(caller: &Caller, root: &Path, files: Range<usize>, patience: Patience) -> Self {
        let (count, places) = (files.len(), if files.len() > OPEN { 2 } else { 1 });
        let files = files.start..files.start + count.div_ceil(places);
        let start = |from: usize| {
            let to = files.end.min(from + THREADS / places);
            Child::start(&mut reader(caller, root, patience, from..to, (places, 1)))
        };
        Self { children: files.clone().step_by(THREADS / places).map(start).collect(), count }
    }

    /// Starts so many readers for each of these cold files.
    pub(crate) fn of_same(caller: &Caller, root: &Path, files: Range<usize>, each: usize) -> Self {
        let start = |file| Child::start(&mut reader(caller, root, Patience::Once, file..file + 1, (1, each)));
        let count = files.len() * each;
        Self { children: files.map(start).collect(), count }
    }

    /// Returns when they block: when the kernel counts as many, where it is asked, and no more reads come to the store,
    /// which `held` counts.
    pub(crate) fn gather(&self, controls: Option<&Controls>, held: impl Fn() -> u64) {
        let mut seen = (0, Instant::now());
        poll(GATHERING, || {
            let waiting = controls.and_then(|controls| controls.waiting().ok());
            let held = held();
            if seen.0 != held {
                seen = (held, Instant::now());
            }
            let settled = held > 0 && seen.1.elapsed() > SETTLED;
            (settled && waiting.is_none_or(|waiting| waiting >= self.count as u64)).then_some(())
        });
    }

    /// How the reads ended that have, those that failed and were asked again for included.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let output: Vec<u8> = self.children.iter().flat_map(Child::output).collect();
        String::from_utf8_lossy(&output).lines().filter_map(Outcome::parse).collect()
    }

    /// How many wait.
    pub(crate) fn blocked(&self, patience: Patience) -> usize {
        let is_over = |outcome: &&Outcome| patience == Patience::Once || outcome.error.is_none();
        self.count - self.outcomes().iter().filter(is_over).count()
    }

    /// Whether all have ended within this time.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let left = || end.saturating_duration_since(Instant::now());
        self.children.iter_mut().all(|child| child.ended_within(left()).is_some())
    }

    /// Kills all of them.
    pub(crate) fn kill(&mut self) {
        self.children.iter_mut().for_each(Child::kill);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // All at once, and not each when it is dropped.
        self.kill();
    }
}

impl Patience {
    fn word(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Once => "once",
        }
    }
}

impl Outcome {
    fn parse(line: &str) -> Option<Self> {
        let (nanos, error) = line.split_once(' ')?;
        let error: i32 = error.parse().ok()?;
        Some(Self { took: Duration::from_nanos(nanos.parse().ok()?), error: (error != 0).then_some(error) })
    }
}

/// The child that reads so many places of each of these files so many times.
fn reader(
    caller: &Caller,
    root: &Path,
    patience: Patience,
    files: Range<usize>,
    (places, each): (usize, usize),
) -> Command {
    let mut command = caller.command(Role::Reader);
    command.arg(patience.word()).arg(root);
    command.args([files.start, files.end, places, each].map(|number| number.to_string()));
    command
}

/// A child with a thread for each reader: they read a page of their files, and say how that ended.
pub(crate) fn main(words: &[&str]) -> Option<ExitCode> {
    let [patience, root, from, to, places, each] = words else { return None };
    let patience = [Patience::Again, Patience::Once].into_iter().find(|known| known.word() == *patience)?;
    let number = |text: &str| text.parse::<usize>().ok();
    let (from, to, places, each) = (number(from)?, number(to)?, number(places)?, number(each)?);
    let files = (from..to).flat_map(|number| (0..places * each).map(move |place| (number, place % places)));
    let threads: Vec<_> = files
        .map(|(number, place)| {
            let path = vault::cold_file(Path::new(root), number);
            let read = move || read(&path, place as u64 * BLOCK, patience);
            thread::Builder::new().stack_size(STACK).spawn(read)
        })
        .collect();
    let all = threads.into_iter().all(|thread| thread.is_ok_and(|thread| thread.join().is_ok()));
    Some(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &PathBuf, offset: u64, patience: Patience) {
    loop {
        let mut started = Instant::now();
        let read = File::open(path).and_then(|file| {
            started = Instant::now();
            file.read_exact_at(&mut [0; 4096], offset)
        });
        let error = read.as_ref().err().map_or(0, |error: &io::Error| error.raw_os_error().unwrap_or(-1));
        println!("{} {error}", started.elapsed().as_nanos());
        if patience == Patience::Once || error == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(200));
    }
}
