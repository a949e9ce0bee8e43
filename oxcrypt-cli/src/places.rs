//! Which places a mount may lie at: nothing that it needs may come to lie below itself.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use oxcrypt_fuse::table;
use rustix::fs::Access;
use rustix::process::geteuid;

use crate::exit::{Failure, Result};

/// As many links as the system itself follows on one way.
const LINKS: usize = 40;

/// The name of a folder without links in it, so that it means the same in any process. Does not ask the folder itself,
/// so it returns where that is a mount that hangs.
pub(crate) fn absolute(folder: &Path) -> Result<PathBuf> {
    let name = folder.display();
    folder.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(format_args!(
            "{name}: there is no such folder to mount at; make one first, as by `mkdir -p {name}`"
        )),
        _ => Failure::usage(format_args!("{name}: {error}")),
    })
}

/// Whether a vault can be mounted at `mountpoint`.
pub(crate) fn check(vault: &Path, mountpoint: &Path, nonempty: bool) -> Result<()> {
    let name = mountpoint.display();
    let failed = |error: io::Error| Failure::failed(format_args!("{name}: {error}"));
    // Before anything asks the folder: a mount that hangs would not answer.
    if let Some(mounted) = table::find(mountpoint).map_err(failed)? {
        return Err(taken(&mounted));
    }
    let folder = match fs::metadata(mountpoint) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error()) => {
            return Err(Failure::failed(format_args!(
                "{name}: a mount whose process is gone is in the way; `fusermount3 -uz {name}` ends it"
            )));
        }
        folder => folder.map_err(failed)?,
    };
    if !folder.is_dir() {
        return Err(Failure::usage(format_args!("{name} is no folder; a vault is mounted at an empty one")));
    }
    if lies_in(mountpoint, vault) {
        return Err(Failure::usage(format_args!("{name} lies in the vault's own folder")));
    }
    keep_out("the vault", vault, mountpoint)?;
    // Root may, wherever that is; fusermount3 lets nobody else.
    if !geteuid().is_root() && rustix::fs::access(mountpoint, Access::WRITE_OK).is_err() {
        return Err(Failure::usage(format_args!(
            "{name}: nobody can mount at a folder that he may not write to; take one of your own"
        )));
    }
    if !nonempty && fs::read_dir(mountpoint).map_err(failed)?.next().is_some() {
        return Err(Failure::usage(format_args!(
            "{name} is not empty; with --nonempty the mount hides what is in it"
        )));
    }
    Ok(())
}

/// Where a file that may not be there yet really lies, whatever links lead there.
pub(crate) fn real(file: &Path) -> io::Result<PathBuf> {
    let mut file = file.to_owned();
    for _ in 0..LINKS {
        match file.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let parent = file.parent().unwrap_or(Path::new("/"));
        match fs::read_link(&file) {
            // A link to what is not there yet: to write there makes it.
            Ok(target) => file = parent.join(target),
            Err(_) => return Ok(parent.canonicalize()?.join(file.file_name().unwrap_or_default())),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Refuses to mount over `place`, which the mount needs.
pub(crate) fn keep_out(what: &str, place: &Path, mountpoint: &Path) -> Result<()> {
    if lies_in(place, mountpoint) {
        return Err(Failure::usage(format_args!(
            "{what} ({}) would lie below the mount at {}",
            place.display(),
            mountpoint.display()
        )));
    }
    Ok(())
}

fn taken(mounted: &table::Mounted) -> Failure {
    let name = mounted.mountpoint.display();
    match crate::control::Client::reach(&mounted.mountpoint) {
        Some(_) => Failure::failed(format_args!(
            "{} is mounted at {name} already; `oxcrypt unmount {name}` ends that",
            mounted.source
        )),
        None => Failure::failed(format_args!(
            "a mount is at {name} whose process does not answer; `oxcrypt unmount --force {name}` ends it"
        )),
    }
}

/// Whether `inner` is `outer` or lies below it, by its name or by the folders on the way, which a bind mount may show
/// under other names.
fn lies_in(inner: &Path, outer: &Path) -> bool {
    if inner.starts_with(outer) {
        return true;
    }
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let Ok(outer) = identity(outer) else { return false };
    inner.ancestors().any(|above| identity(above).is_ok_and(|above| above == outer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_what_is_not_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        std::os::unix::fs::symlink("two", root.join("one")).unwrap();
        std::os::unix::fs::symlink("folder/new", root.join("two")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        assert_eq!(real(&root.join("one")).unwrap(), root.join("folder/new"));
        assert_eq!(real(&root.join("plain")).unwrap(), root.join("plain"));
        assert!(real(&root.join("loop")).is_err());
        assert!(real(&root.join("nowhere/log")).is_err());
    }

    #[test]
    fn nothing_may_lie_in_itself_under_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("outer"), dir.path().join("outer/inner/deep"));
        fs::create_dir_all(&inner).unwrap();
        std::os::unix::fs::symlink(&outer, dir.path().join("alias")).unwrap();
        assert!(lies_in(&inner, &outer) && lies_in(&outer, &outer));
        assert!(!lies_in(&outer, &inner));
        // As a bind mount would show it, too.
        assert!(lies_in(&dir.path().join("alias/inner"), &outer));
        assert!(lies_in(&outer.join("not there yet"), &outer));
        assert!(!lies_in(&dir.path().join("outer two"), &outer));
    }
}
