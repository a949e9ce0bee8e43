//! A file of the destination that is not whole yet.

use std::fs::{File, FileTimes};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::OpenOptions;

use super::folder::Folder;

/// A file under a temporary name. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: Arc<Folder>,
    name: String,
    file: Option<File>,
}

impl Unfinished {
    /// Begins a file in `folder`. `mode` are the permissions to have, as far as the umask lets them.
    pub(crate) fn begin(folder: &Arc<Folder>, mode: Option<u32>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        #[cfg(unix)]
        if let Some(mode) = mode {
            use cap_std::fs::OpenOptionsExt as _;
            options.mode(mode & 0o777 | 0o600);
        }
        #[cfg(not(unix))]
        let _ = mode;
        loop {
            let name = folder.destination().temporary_name();
            match folder.dir().open_with(&name, &options) {
                Ok(file) => {
                    folder.destination().begun(&name, folder.dir());
                    return Ok(Self { folder: Arc::clone(folder), name, file: Some(file.into_std()) });
                }
                // A process of the same number left it behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes at an offset; any number of threads may.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_all_at(self.file()?, offset, bytes)
    }

    /// Extends it to `len` bytes, by zeros.
    pub(crate) fn extend(&self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)
    }

    /// Gives it its time and its name.
    pub(crate) fn finish(mut self, name: &str, modified: Option<SystemTime>) -> io::Result<()> {
        let file = self.file()?;
        if let Some(modified) = modified {
            file.set_times(FileTimes::new().set_modified(modified))?;
        }
        if self.folder.destination().syncs_files {
            file.sync_data()?;
        }
        // Some systems do not rename open files.
        self.file = None;
        self.folder.give_name(&self.name, name)?;
        self.folder.destination().ended(&self.name);
        self.name.clear();
        Ok(())
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.file = None;
            self.folder.remove(&self.name);
            self.folder.destination().ended(&self.name);
        }
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}
