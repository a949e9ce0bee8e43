//! How far it is, for people: a bar on a terminal, else a line now and then.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::lock::lock;
use crate::output::Console;

/// How often there is a line where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What a run is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// What has become of a file that went well.
    pub(crate) done: &'static str,
    /// What everything goes to.
    pub(crate) destination: &'static str,
}

/// What has been done so far.
#[derive(Debug)]
pub(crate) struct Counts {
    words: Words,
    started: Instant,
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) folders: AtomicU64,
    pub(crate) links: AtomicU64,
    pub(crate) skipped: AtomicU64,
    /// What is of a kind that is not taken along.
    pub(crate) left_out: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Lengths of the files found so far, and whether these are all.
    found_bytes: AtomicU64,
    has_found_all: AtomicBool,
    /// Bytes of which nothing more is to be done, whatever has become of them.
    pub(crate) passed_bytes: AtomicU64,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counts {
    pub(crate) fn new(words: Words) -> Self {
        let zero = AtomicU64::default;
        Self {
            words,
            started: Instant::now(),
            files: zero(),
            bytes: zero(),
            folders: zero(),
            links: zero(),
            skipped: zero(),
            left_out: zero(),
            failed: zero(),
            found_bytes: zero(),
            has_found_all: AtomicBool::new(false),
            passed_bytes: zero(),
        }
    }

    /// What the run is called.
    pub(crate) fn words(&self) -> Words {
        self.words
    }

    /// A file of this length was found.
    pub(crate) fn found(&self, len: u64) {
        self.found_bytes.fetch_add(len, Ordering::Relaxed);
    }

    /// Nothing more will be found.
    pub(crate) fn found_all(&self) {
        self.has_found_all.store(true, Ordering::Relaxed);
    }

    /// Whether anything came out at all, or was there already.
    pub(crate) fn has_any(&self) -> bool {
        [&self.files, &self.folders, &self.links, &self.skipped].into_iter().any(|counter| get(counter) > 0)
    }

    /// Whether everything went well.
    pub(crate) fn is_complete(&self) -> bool {
        get(&self.failed) == 0
    }

    pub(crate) fn as_json(&self) -> Value {
        json!({
            "event": "done",
            "files": get(&self.files),
            "bytes": get(&self.bytes),
            "folders": get(&self.folders),
            "links": get(&self.links),
            "skipped": get(&self.skipped),
            "leftOut": Some(get(&self.left_out)).filter(|count| *count > 0),
            "failed": get(&self.failed),
            "seconds": self.started.elapsed().as_secs_f64(),
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = get(&self.bytes);
        let elapsed = self.started.elapsed();
        write!(
            f,
            "{} ({}), {}, {} in {:.1} s",
            counted(get(&self.files), "file"),
            HumanBytes(bytes),
            counted(get(&self.folders), "folder"),
            counted(get(&self.links), "link"),
            elapsed.as_secs_f64(),
        )?;
        for (count, not, what) in [
            (get(&self.skipped), "", "skipped"),
            (get(&self.left_out), "", "left out"),
            (get(&self.failed), "not ", self.words.done),
        ] {
            if count > 0 {
                write!(f, ", {} {not}{what}", HumanCount(count))?;
            }
        }
        Ok(())
    }
}

/// Shows [`Counts`] until it is dropped.
pub(crate) struct Progress<'p> {
    counts: &'p Counts,
    console: &'p Console,
    bar: Option<ProgressBar>,
    over: Mutex<bool>,
    changed: Condvar,
}

impl<'p> Progress<'p> {
    pub(crate) fn new(counts: &'p Counts, console: &'p Console) -> Self {
        let bar = console.is_watched().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            let done = counts.words.done;
            bar.set_style(style(&format!("{{spinner}} {{bytes}} {done}, {{msg}}, {{binary_bytes_per_sec}}")));
            bar.set_message(counted(0, "file"));
            bar.enable_steady_tick(Duration::from_millis(200));
            console.show(Some(bar.clone()));
        }
        Self { counts, console, bar, over: Mutex::new(false), changed: Condvar::new() }
    }

    /// Shows how far it is, until [`end`](Self::end).
    pub(crate) fn run(&self) {
        let every = if self.bar.is_some() { Duration::from_millis(200) } else { LINE_EVERY };
        let mut over = lock(&self.over);
        let mut knows_total = false;
        while !*over {
            (over, _) = self.changed.wait_timeout(over, every).unwrap_or_else(PoisonError::into_inner);
            if *over {
                return;
            }
            let (files, bytes) = (get(&self.counts.files), get(&self.counts.bytes));
            match &self.bar {
                Some(bar) => {
                    if !knows_total && self.counts.has_found_all.load(Ordering::Relaxed) {
                        knows_total = true;
                        bar.set_length(get(&self.counts.found_bytes));
                        bar.set_style(style(
                            "[{bar:30}] {bytes} of {total_bytes}, {msg}, {binary_bytes_per_sec}, {eta} left",
                        ));
                    }
                    bar.set_position(get(&self.counts.passed_bytes));
                    bar.set_message(counted(files, "file"));
                }
                None => self.console.note(format_args!(
                    "{}, {} so far ({})",
                    counted(files, "file"),
                    HumanBytes(bytes),
                    HumanDuration(self.counts.started.elapsed()),
                )),
            }
        }
    }

    /// Ends [`run`](Self::run) and takes the bar away.
    pub(crate) fn end(&self) {
        *lock(&self.over) = true;
        self.changed.notify_all();
        self.console.show(None);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A number of things of which one is called `one`.
fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_there_was_and_only_that() {
        let counts = Counts::new(Words { done: "decrypted", destination: "destination" });
        count(&counts.files);
        counts.bytes.store(2048, Ordering::Relaxed);
        let text = counts.to_string();
        assert!(text.starts_with("1 file (2.00 KiB), 0 folders, 0 links in "), "{text}");
        assert!(!text.contains("skipped") && counts.is_complete());
        count(&counts.failed);
        assert!(counts.to_string().ends_with(", 1 not decrypted") && !counts.is_complete());
    }
}
