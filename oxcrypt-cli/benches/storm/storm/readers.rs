//! Cold readers: children that block, each on a file of its own, until the storm is over.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::Role;
use super::storage::Storage;
use super::subject::Served;
use super::vault;
use crate::child::{Child, poll};

/// How long the readers may take to be where they block.
const GATHERING: Duration = Duration::from_secs(15);

/// If nothing has changed for this long, they are taken to be there.
const SETTLED: Duration = Duration::from_millis(700);

/// How long they may take to end when storage is back.
const ENDING: Duration = Duration::from_secs(15);

/// A storm.
pub(crate) struct Readers<'a> {
    storage: &'a Storage,
    /// The rule that lets them hang, as long as it does.
    rule: Option<u64>,
    children: Vec<Child>,
}

impl<'a> Readers<'a> {
    /// Lets reads of cold files hang, and starts readers of these, numbered so that none was read before. Returns when
    /// they block.
    pub(crate) fn start(storage: &'a Storage, subject: &Served, files: std::ops::Range<usize>) -> Self {
        let rule = storage.freeze();
        let readers = files.len() as u64;
        let start = |number| {
            let path = vault::cold_file(subject.place(), number);
            Child::start(Role::Reader.command().arg(path))
        };
        let storm = Self { storage, rule: Some(rule), children: files.map(start).collect() };
        let controls = subject.controls();
        let mut seen = (0, Instant::now());
        poll(GATHERING, || {
            // Of most subjects the kernel tells how many wait; the others are there when no more reads come.
            let waiting = controls.as_ref().and_then(|controls| controls.waiting().ok());
            let held = storage.held();
            if seen.0 != held {
                seen = (held, Instant::now());
            }
            let settled = held > 0 && seen.1.elapsed() > SETTLED;
            (settled && waiting.is_none_or(|waiting| waiting >= readers)).then_some(())
        });
        storm
    }

    /// How many wait.
    pub(crate) fn blocked(&mut self) -> usize {
        self.children.iter_mut().filter_map(|child| child.is_running().then_some(())).count()
    }

    /// Ends the storm, and tells how many readers have got what they were waiting for, and how many errors they had
    /// before that.
    pub(crate) fn end(mut self) -> (usize, usize) {
        self.thaw();
        let end = Instant::now() + ENDING;
        let (mut done, mut errors) = (0, 0);
        for child in &mut self.children {
            if let Some(ended) = child.ended_within(end.saturating_duration_since(Instant::now())) {
                done += usize::from(ended.status.success());
                errors += String::from_utf8_lossy(&ended.output).lines().count();
            }
        }
        (done, errors)
    }

    fn thaw(&mut self) {
        if let Some(rule) = self.rule.take() {
            self.storage.thaw(rule);
        }
    }
}

impl Drop for Readers<'_> {
    fn drop(&mut self) {
        self.thaw();
        for child in &mut self.children {
            child.kill();
        }
    }
}

/// A child that reads the first page of a file, and asks again when that fails.
pub(crate) fn main(path: &Path) -> ExitCode {
    let read = || -> io::Result<()> {
        let mut page = [0; 4096];
        File::open(path)?.read_exact_at(&mut page, 0)
    };
    while let Err(error) = read() {
        println!("{error}");
        thread::sleep(Duration::from_millis(200));
    }
    ExitCode::SUCCESS
}
