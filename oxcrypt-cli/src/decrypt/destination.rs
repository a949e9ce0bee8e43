//! What all folders of a destination share: what its file system makes of names, and what is not finished in it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::host_name::Rules;
use crate::file_limit;
use crate::lock::lock;
use crate::vault_folder::FileId;

/// What a file is called until it is whole, around two numbers.
const UNFINISHED: (&str, &str) = (".oxcrypt-", ".part");

/// How long to wait for the file system's clock to tick. Coarser ones tell less, which is no harm.
const TICK: Duration = Duration::from_millis(40);

/// What a destination is opened for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Replace what is there.
    pub(crate) force: bool,
    /// Clear away what an earlier run left unfinished.
    pub(crate) resume: bool,
    /// The folder of the vault, which nothing is ever written to.
    pub(crate) vault: Option<FileId>,
}

/// What all folders of a destination share.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(super) rules: Rules,
    pub(super) options: Options,
    /// Each file is made durable on its own, because only then does its file system tell of every error.
    pub(super) syncs_files: bool,
    /// What was changed last at this time or later was so by this run, or meanwhile.
    started: Option<(i64, i64)>,
    /// Tells the temporary names of two runs apart.
    process: u32,
    next: AtomicU64,
    /// Files that are not whole yet, and the folders they are in.
    unfinished: Mutex<HashMap<String, Arc<Dir>>>,
    pub(super) open_folders: AtomicUsize,
    max_folders: usize,
}

impl Destination {
    /// What there is to know of the destination at `dir`, which is asked with a file that is gone afterwards.
    pub(super) fn of(dir: &Dir, is_new: bool, options: Options) -> io::Result<Self> {
        let mut destination = Self {
            rules: Rules { max_len: max_name_len(dir), folds_case: false, is_windows: cfg!(windows) },
            options,
            syncs_files: !is_local(dir),
            started: None,
            process: std::process::id(),
            next: AtomicU64::new(0),
            unfinished: Mutex::default(),
            open_folders: AtomicUsize::new(0),
            max_folders: file_limit::of_folders(),
        };
        destination.refuse_vault(dir)?;
        destination.probe(dir, is_new)?;
        Ok(destination)
    }

    /// Whether no more folders should be open at a time.
    pub(crate) fn has_many_folders(&self) -> bool {
        self.open_folders.load(Ordering::Relaxed) >= self.max_folders
    }

    /// Removes what is not finished. For the end of a run that cannot wait for its workers.
    pub(crate) fn remove_unfinished(&self) {
        for (name, dir) in std::mem::take(&mut *lock(&self.unfinished)) {
            // Where that fails, it stays, and nobody is worse off.
            drop(dir.remove_file(name));
        }
    }

    /// Whether an entry was made or changed since this run began: most likely by this run itself, for another entry of
    /// the vault that has the same name as far as this file system is concerned.
    pub(super) fn is_of_this_run(&self, metadata: &Metadata) -> bool {
        self.started.is_some_and(|started| changed(metadata).is_some_and(|changed| changed >= started))
    }

    pub(super) fn temporary_name(&self) -> String {
        let (start, end) = UNFINISHED;
        format!("{start}{:x}-{:x}{end}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn begun(&self, name: &str, dir: &Arc<Dir>) {
        lock(&self.unfinished).insert(name.to_owned(), Arc::clone(dir));
    }

    pub(super) fn ended(&self, name: &str) {
        let dir = lock(&self.unfinished).remove(name);
        drop(dir);
    }

    /// A vault may hold a folder of the name that its own folder has, and be decrypted beside itself.
    pub(super) fn refuse_vault(&self, dir: &Dir) -> io::Result<()> {
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt as _;
            let metadata = dir.dir_metadata()?;
            if self.options.vault == Some((metadata.dev(), metadata.ino())) {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "this is the vault's own folder",
                ));
            }
        }
        #[cfg(not(unix))]
        let _ = (dir, self.options.vault);
        Ok(())
    }

    /// Asks the file system whether it takes `A` and `a` for one name, and what
    /// time it is there.
    fn probe(&mut self, dir: &Dir, is_new: bool) -> io::Result<()> {
        let (name, file) = loop {
            let name = self.temporary_name();
            match dir.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
                Ok(file) => break (name, file.into_std()),
                // A process of the same number left it behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        self.rules.folds_case = dir.symlink_metadata(name.to_uppercase()).is_ok();
        let before = changed(&dir.symlink_metadata(&name)?);
        self.started = before;
        // What was there before must be older than what this run makes.
        let mut waited = Duration::ZERO;
        while !is_new && self.started == before && waited < TICK {
            let step = Duration::from_millis(2);
            thread::sleep(step);
            waited += step;
            file.set_modified(std::time::SystemTime::now())?;
            self.started = changed(&dir.symlink_metadata(&name)?);
        }
        drop(file);
        dir.remove_file(&name)
    }
}

/// Whether a file of this name is what a run that was killed left behind.
pub(super) fn is_leftover(name: &OsStr) -> bool {
    let (start, end) = UNFINISHED;
    let numbers = name.to_str().and_then(|name| name.strip_prefix(start)?.strip_suffix(end)?.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems do not always tell")]
fn changed(metadata: &Metadata) -> Option<(i64, i64)> {
    use cap_std::fs::MetadataExt as _;
    Some((metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn changed(metadata: &Metadata) -> Option<(i64, i64)> {
    let created =
        metadata.created().ok()?.into_std().duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    Some((i64::try_from(created.as_secs()).ok()?, i64::from(created.subsec_nanos())))
}

#[cfg(unix)]
fn max_name_len(dir: &Dir) -> usize {
    let known = rustix::fs::fstatvfs(dir).ok().and_then(|stat| usize::try_from(stat.f_namemax).ok());
    known.filter(|len| *len > 32).unwrap_or(255)
}

#[cfg(not(unix))]
fn max_name_len(_: &Dir) -> usize {
    255
}

/// Whether the file system is one that tells of all errors when everything is synced at the end.
#[cfg(target_os = "linux")]
fn is_local(dir: &Dir) -> bool {
    // ext2 to 4, xfs, btrfs, f2fs, tmpfs, overlayfs, zfs, bcachefs.
    const LOCAL: [u64; 8] =
        [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xca45_1a4e];
    rustix::fs::fstatfs(dir)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| LOCAL.contains(&kind)))
}

#[cfg(not(target_os = "linux"))]
fn is_local(_: &Dir) -> bool {
    // Nobody says, and a sync of each file costs too much where most destinations are local.
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_could_have_left_is_taken_for_a_leftover() {
        for name in [".oxcrypt-1f-0.part", ".oxcrypt-0-ffff.part"] {
            assert!(is_leftover(OsStr::new(name)), "{name}");
        }
        for name in [
            ".oxcrypt-notes.part",
            ".oxcrypt--.part",
            ".oxcrypt-1-2.partial",
            "oxcrypt-1-2.part",
            ".oxcrypt-1.part",
        ] {
            assert!(!is_leftover(OsStr::new(name)), "{name}");
        }
    }
}
