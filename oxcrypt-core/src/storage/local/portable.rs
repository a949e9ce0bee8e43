//! The calls of any host, by paths: for hosts without directory handles in a safe library, of which Windows is one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::super::{
    Attributes, BlockFile, BlockStorage, EntryKind, Listed, Metadata, OpenMode, Replace, Space,
};
use crate::ciphertext_path::CiphertextPath;

/// A folder, by its path.
#[derive(Debug)]
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
            if components.peek().is_some() {
                only_a_folder(&host)?;
            }
        }
        Ok(host)
    }

    /// The same for an entry that is to be moved or removed, which the vault's own folder is not.
    fn resolve_entry(&self, path: &CiphertextPath) -> io::Result<PathBuf> {
        if path.as_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the vault's own folder"));
        }
        self.resolve(path)
    }
}

impl BlockStorage for Folder {
    fn open(&self, path: &CiphertextPath, mode: OpenMode) -> io::Result<(Box<dyn BlockFile>, Metadata)> {
        let host = self.resolve(path)?;
        let is_new = matches!(mode, OpenMode::CreateNew { .. });
        if !is_new {
            only_a_file(&host.symlink_metadata()?)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(is_new);
        let file = options.open(host)?;
        let metadata = file.metadata()?;
        only_a_file(&metadata)?;
        Ok((Box::new(LocalFile(file)), metadata_of(&metadata)))
    }

    fn metadata(&self, path: &CiphertextPath) -> io::Result<Metadata> {
        Ok(metadata_of(&self.resolve(path)?.symlink_metadata()?))
    }

    fn list(&self, dir: &CiphertextPath) -> io::Result<Vec<Listed>> {
        let host = self.resolve(dir)?;
        only_a_folder(&host)?;
        let listed = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok(Listed { name: entry.file_name(), kind: kind_of(entry.file_type()?), len: None })
        };
        fs::read_dir(host)?.map(listed).collect()
    }

    fn create_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        fs::create_dir(self.resolve(dir)?)
    }

    fn remove(&self, path: &CiphertextPath, kind: EntryKind) -> io::Result<()> {
        let host = self.resolve_entry(path)?;
        let found = host.symlink_metadata()?;
        match (kind, found.is_dir()) {
            (EntryKind::Directory, true) if !is_empty(&host)? => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (EntryKind::Directory, true) => fs::remove_dir(host),
            (EntryKind::Directory, false) => Err(io::ErrorKind::NotADirectory.into()),
            (_, true) => Err(io::ErrorKind::IsADirectory.into()),
            (_, false) => remove_no_folder(&host, &found),
        }
    }

    /// One step but for a folder that takes the place of an empty one, where the host cannot do that: then the empty
    /// one is removed before.
    fn rename(&self, from: &CiphertextPath, to: &CiphertextPath, replace: Replace) -> io::Result<()> {
        if replace != Replace::Always {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (source, target) = (self.resolve_entry(from)?, self.resolve_entry(to)?);
        let is_folder = source.symlink_metadata()?.is_dir();
        if super::is_below(to, from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let over_folder = match target.symlink_metadata() {
            Ok(found) => found.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return fs::rename(source, target),
            Err(error) => return Err(error),
        };
        match (is_folder, over_folder) {
            (true, false) => Err(io::ErrorKind::NotADirectory.into()),
            (false, true) => Err(io::ErrorKind::IsADirectory.into()),
            (true, true) if from != to => rename_over_folder(&source, &target),
            _ => fs::rename(source, target),
        }
    }

    /// These hosts make the entries of folders durable by themselves, or not at all.
    fn sync_dir(&self, dir: &CiphertextPath) -> io::Result<()> {
        only_a_folder(&self.resolve(dir)?)
    }

    fn set_attributes(&self, path: &CiphertextPath, change: &Attributes) -> io::Result<Metadata> {
        let host = self.resolve(path)?;
        only_file_or_folder(&host.symlink_metadata()?)?;
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
        let opened = open_to_change(&host)?;
        only_file_or_folder(&opened.metadata()?)?;
        opened.set_times(times)?;
        Ok(metadata_of(&opened.metadata()?))
    }

    /// Always `Unsupported`: the standard library does not tell, nor does a safe library that this crate depends on.
    fn space(&self) -> io::Result<Space> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn rename_over_folder(source: &Path, target: &Path) -> io::Result<()> {
    if !is_empty(target)? {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    let Err(error) = fs::rename(source, target) else { return Ok(()) };
    // Some hosts replace no folder, whatever they say about it.
    if fs::remove_dir(target).is_err() {
        return Err(error);
    }
    fs::rename(source, target).inspect_err(|_| {
        let _put_back_or_not = fs::create_dir(target);
    })
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    fs::read_dir(folder)?.next().transpose().map(|first| first.is_none())
}

/// Windows removes a link to a folder as a folder.
#[cfg(windows)]
fn remove_no_folder(path: &Path, found: &fs::Metadata) -> io::Result<()> {
    use std::os::windows::fs::FileTypeExt;
    if found.file_type().is_symlink_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
}

#[cfg(not(windows))]
fn remove_no_folder(path: &Path, _: &fs::Metadata) -> io::Result<()> {
    fs::remove_file(path)
}

/// Opens a file or a folder for no more than its times, and a link as such.
#[cfg(windows)]
fn open_to_change(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
    const FILE_READ_ATTRIBUTES: u32 = 0x80;
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
}

#[cfg(not(windows))]
fn open_to_change(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn only_a_folder(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

fn only_a_file(found: &fs::Metadata) -> io::Result<()> {
    match kind_of(found.file_type()) {
        EntryKind::File => Ok(()),
        EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn only_file_or_folder(found: &fs::Metadata) -> io::Result<()> {
    match kind_of(found.file_type()) {
        EntryKind::File | EntryKind::Directory => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a folder")),
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
    told.accessed = metadata.accessed().ok();
    told
}

/// An open file. Each call says where, so none moves a position that another relies on.
#[derive(Debug)]
struct LocalFile(File);

impl BlockFile for LocalFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if is_beyond_any_file(at, rest.len()) {
                break;
            }
            match read_some(&self.0, rest, at) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if is_beyond_any_file(at, rest.len()) {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            match write_some(&self.0, rest, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// No file reaches beyond what a host can count.
fn is_beyond_any_file(offset: u64, len: usize) -> bool {
    i64::try_from(offset.saturating_add(len as u64)).is_err()
}

#[cfg(windows)]
fn read_some(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

#[cfg(windows)]
fn write_some(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, buf, offset)
}

#[cfg(unix)]
fn read_some(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(unix)]
fn write_some(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, buf, offset)
}

#[cfg(not(any(unix, windows)))]
fn read_some(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(unix, windows)))]
fn write_some(_: &File, _: &[u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::storage::conformance;

    fn path(text: &str) -> CiphertextPath {
        CiphertextPath::parse(text).unwrap()
    }

    #[test]
    fn conforms() {
        let dirs = tempfile::tempdir().unwrap();
        conformance::check(&|| {
            let dir = tempfile::tempdir_in(&dirs).unwrap().keep();
            Arc::new(Folder::open(&dir).unwrap())
        });
    }

    #[test]
    fn what_is_no_folder_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        assert_eq!(Folder::open(&dir.path().join("file")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_nowhere() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (vault, outside) = (dir.path().join("vault"), dir.path().join("outside"));
        for folder in [&vault, &outside] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(outside.join("file"), b"outside").unwrap();
        symlink("../outside/file", vault.join("link")).unwrap();
        symlink("../outside", vault.join("folder")).unwrap();
        let before = outside.join("file").metadata().unwrap().modified().unwrap();
        let folder = Folder::open(&vault).unwrap();
        let change = Attributes { modified: Some(SystemTime::UNIX_EPOCH), ..Attributes::default() };
        for (through, kind) in
            [("link", io::ErrorKind::InvalidInput), ("folder/file", io::ErrorKind::NotADirectory)]
        {
            assert_eq!(folder.set_attributes(&path(through), &change).unwrap_err().kind(), kind);
            assert_eq!(folder.open(&path(through), OpenMode::ReadWrite).unwrap_err().kind(), kind);
        }
        assert_eq!(folder.list(&path("folder")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(outside.join("file").metadata().unwrap().modified().unwrap(), before);
        folder.remove(&path("folder"), EntryKind::Other).unwrap();
        assert!(outside.join("file").exists());
    }
}
