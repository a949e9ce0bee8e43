//! What the kernel knows of the folder: one node for each file it has looked up, until it forgets it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{Errno, INodeNo};
use rustix::fs::Stat;

/// How deep a path may be before something must be wrong with the table.
const MAX_DEPTH: usize = 4096;

/// Nodes by inode number. The numbers are those of the folder's file system, but for the folder itself, which is 1.
///
/// Each node holds a handle that names its file whatever becomes of its path; no number can be used again by another
/// file for as long. Paths are kept for rules and counters alone.
pub(crate) struct Nodes {
    device: u64,
    root: u64,
    known: Mutex<HashMap<u64, Node>>,
}

struct Node {
    handle: Arc<OwnedFd>,
    /// How many answers have told the kernel of it, less what it forgot.
    lookups: u64,
    parent: u64,
    name: OsString,
}

impl Nodes {
    /// Starts with the folder alone.
    pub(crate) fn new(folder: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&folder)?;
        let root = Node { handle: Arc::new(folder), lookups: 1, parent: 1, name: OsString::new() };
        let known = Mutex::new(HashMap::from([(INodeNo::ROOT.0, root)]));
        Ok(Self { device: stat.st_dev, root: stat.st_ino, known })
    }

    /// The inode number that the kernel is told for a number of the folder's file system.
    pub(crate) fn ino(&self, ino: u64) -> INodeNo {
        if ino == self.root { INodeNo::ROOT } else { INodeNo(ino) }
    }

    /// The handle of a node. It is good for no more than naming the file (`O_PATH`).
    pub(crate) fn handle(&self, ino: INodeNo) -> io::Result<Arc<OwnedFd>> {
        let nodes = self.lock();
        let node = nodes.get(&ino.0).ok_or_else(|| io::Error::from_raw_os_error(Errno::ESTALE.code()))?;
        Ok(Arc::clone(&node.handle))
    }

    /// Notes that the kernel is about to be told of the file `name`, on which `handle` is; before the answer leaves,
    /// because the kernel may forget it again at once.
    ///
    /// A file of another file system, mounted somewhere below the folder, is refused: its number may be taken.
    pub(crate) fn adopt(
        &self,
        parent: INodeNo,
        name: &OsStr,
        handle: OwnedFd,
        stat: &Stat,
    ) -> io::Result<()> {
        if stat.st_dev != self.device {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let ino = self.ino(stat.st_ino).0;
        let mut nodes = self.lock();
        let node = nodes.entry(ino).or_insert_with(|| Node {
            handle: Arc::new(handle),
            lookups: 0,
            parent: parent.0,
            name: name.to_owned(),
        });
        node.lookups += 1;
        if ino != INodeNo::ROOT.0 {
            (node.parent, node.name) = (parent.0, name.to_owned());
        }
        Ok(())
    }

    /// Notes that the kernel forgot as many answers.
    pub(crate) fn forget(&self, ino: INodeNo, lookups: u64) {
        let mut nodes = self.lock();
        let Some(node) = nodes.get_mut(&ino.0) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        if node.lookups == 0 && ino != INodeNo::ROOT {
            let node = nodes.remove(&ino.0);
            // Closing the handle of a removed file frees its content, which is not to be waited for by others.
            drop(nodes);
            drop(node);
        }
    }

    /// Notes that a file has another name now.
    pub(crate) fn moved(&self, ino: INodeNo, parent: INodeNo, name: &OsStr) {
        if let Some(node) = self.lock().get_mut(&ino.0) {
            (node.parent, node.name) = (parent.0, name.to_owned());
        }
    }

    /// The path of a node relative to the folder, as last heard of.
    pub(crate) fn path(&self, ino: INodeNo) -> Vec<u8> {
        self.path_of(ino, None)
    }

    /// The path of what is called `name` in the folder `parent`.
    pub(crate) fn child_path(&self, parent: INodeNo, name: &OsStr) -> Vec<u8> {
        self.path_of(parent, Some(name))
    }

    fn path_of(&self, ino: INodeNo, child: Option<&OsStr>) -> Vec<u8> {
        let nodes = self.lock();
        let mut names: Vec<&[u8]> = child.into_iter().map(OsStr::as_bytes).collect();
        let mut at = ino.0;
        while at != INodeNo::ROOT.0 && names.len() < MAX_DEPTH {
            // What the kernel has forgotten has a name no longer; what is below it keeps its own.
            let Some(node) = nodes.get(&at) else { break };
            names.push(node.name.as_bytes());
            at = node.parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Node>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

    use super::*;

    fn open(path: &std::path::Path) -> OwnedFd {
        openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn adopt(nodes: &Nodes, parent: INodeNo, path: &std::path::Path) -> INodeNo {
        let handle = open(path);
        let stat = fstat(&handle).unwrap();
        nodes.adopt(parent, path.file_name().unwrap(), handle, &stat).unwrap();
        nodes.ino(stat.st_ino)
    }

    #[test]
    fn paths_follow_moves_and_nodes_live_until_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, file) = (folder.path().join("dir"), folder.path().join("dir/file"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(&file, "x").unwrap();
        let nodes = Nodes::new(open(folder.path())).unwrap();
        let dir = adopt(&nodes, INodeNo::ROOT, &dir);
        let file = adopt(&nodes, dir, &file);
        assert_eq!(nodes.path(INodeNo::ROOT), b"");
        assert_eq!(nodes.path(file), b"dir/file");
        assert_eq!(nodes.child_path(dir, OsStr::new("new")), b"dir/new");
        nodes.moved(file, INodeNo::ROOT, OsStr::new("moved"));
        assert_eq!(nodes.path(file), b"moved");
        nodes.forget(file, 1);
        assert_eq!(nodes.handle(file).unwrap_err().raw_os_error(), Some(Errno::ESTALE.code()));
        nodes.forget(INodeNo::ROOT, 9);
        assert!(nodes.handle(INodeNo::ROOT).is_ok());
    }
}
