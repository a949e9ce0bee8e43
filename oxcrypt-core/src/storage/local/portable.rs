//! The calls of any host, by paths: for hosts without directory handles in a safe library.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::{Attributes, BlockFile, EntryKind, Listed, Metadata, OpenMode, Replace, Space};
use crate::ciphertext_path::CiphertextPath;

/// A folder, by its path.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if path.is_dir() { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// The host's path, once no folder on its way is a link.
    fn resolve(&self, path: &CiphertextPath) -> io::Result<PathBuf> {
        let mut host = self.0.clone();
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            host.push(component);
            if components.peek().is_some() && !host.symlink_metadata()?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(host)
    }

    pub(super) fn open_file(
        &self,
        path: &CiphertextPath,
        mode: OpenMode,
    ) -> io::Result<(LocalFile, Metadata)> {
        let host = self.resolve(path)?;
        if mode != OpenMode::CreateNew {
            match metadata_of(&host.symlink_metadata()?).kind {
                EntryKind::File => {}
                EntryKind::Directory => return Err(io::ErrorKind::IsADirectory.into()),
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            }
        }
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        let file = options.open(host)?;
        let metadata = metadata_of(&file.metadata()?);
        Ok((LocalFile(Mutex::new(file)), metadata))
    }

    pub(super) fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        Ok(metadata_of(&self.resolve(path)?.symlink_metadata()?))
    }

    pub(super) fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        let host = self.resolve(dir)?;
        if !host.symlink_metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let listed = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok(Listed { name: entry.file_name(), kind: kind_of(entry.file_type()?), len: None })
        };
        fs::read_dir(host)?.map(listed).collect()
    }

    pub(super) fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        fs::create_dir(self.resolve(dir)?)
    }

    pub(super) fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        let host = self.resolve(path)?;
        match (kind, host.symlink_metadata()?.is_dir()) {
            (EntryKind::Directory, true) => fs::remove_dir(host),
            (EntryKind::Directory, false) => Err(io::ErrorKind::NotADirectory.into()),
            (_, true) => Err(io::ErrorKind::IsADirectory.into()),
            (_, false) => fs::remove_file(host),
        }
    }

    pub(super) fn rename(
        &self,
        from: &CiphertextPath,
        to: &CiphertextPath,
        replace: Replace,
    ) -> io::Result<()> {
        match replace {
            Replace::Always => fs::rename(self.resolve(from)?, self.resolve(to)?),
            Replace::Never | Replace::Exchange => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// These hosts make the entries of folders durable by themselves, or not at all.
    pub(super) fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        self.resolve(dir).map(|_| ())
    }

    pub(super) fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<()> {
        if change.mode.is_some() || change.uid.is_some() || change.gid.is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut times = fs::FileTimes::new();
        if let Some(modified) = change.modified {
            times = times.set_modified(modified);
        }
        if let Some(accessed) = change.accessed {
            times = times.set_accessed(accessed);
        }
        OpenOptions::new().write(true).open(self.resolve(path)?)?.set_times(times)
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn kind_of(file_type: fs::FileType) -> EntryKind {
    if file_type.is_symlink() {
        EntryKind::Symlink
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else if file_type.is_file() {
        EntryKind::File
    } else {
        EntryKind::Other
    }
}

fn metadata_of(metadata: &fs::Metadata) -> Metadata {
    let mut told = Metadata::new(kind_of(metadata.file_type()), metadata.len());
    told.modified = metadata.modified().ok();
    told
}

/// An open file. Its position is shared, so one call at a time moves it.
#[derive(Debug)]
pub(super) struct LocalFile(Mutex<File>);

impl LocalFile {
    fn at(&self, offset: u64) -> io::Result<MutexGuard<'_, File>> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    }
}

impl BlockFile for LocalFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut file = self.at(offset)?;
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.at(offset)?.write_all(buf)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.at(0)?.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.at(0)?.sync_all()
    }
}
