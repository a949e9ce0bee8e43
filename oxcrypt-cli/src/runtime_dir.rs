//! Where the sockets of mounts and the locks of writers lie: a folder that nobody but its user can enter.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::Mode;
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};

/// What it is called in a folder of the environment.
const DIR: &str = "oxcrypt";

/// The folder for new sockets, made if need be.
///
/// # Errors
///
/// `PermissionDenied` where it belongs to somebody else or others may enter it: whoever it is could sit on the sockets.
pub(crate) fn create() -> io::Result<PathBuf> {
    let user = geteuid().as_raw();
    first_of(candidates(user), user)
}

/// Every folder that some process of this user may take for it, made if need be: what must be seen by all of them lies in
/// each.
///
/// # Errors
///
/// Where none can be had, why not.
pub(crate) fn all() -> io::Result<Vec<PathBuf>> {
    let user = geteuid().as_raw();
    all_of(candidates(user), user)
}

/// The first folder of these that is there for `user` alone, or can be made.
fn first_of(dirs: Vec<PathBuf>, user: u32) -> io::Result<PathBuf> {
    let mut failed = io::ErrorKind::NotFound.into();
    for dir in dirs {
        match make(&dir, user) {
            Ok(()) => return Ok(dir),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn all_of(dirs: Vec<PathBuf>, user: u32) -> io::Result<Vec<PathBuf>> {
    let (mut made, mut known) = (Vec::new(), Vec::new());
    let mut failed = io::ErrorKind::NotFound.into();
    for dir in dirs {
        match make(&dir, user).and_then(|()| fs::metadata(&dir)) {
            // The variable of the environment may lead to one of the others, by whatever path.
            Ok(found) if known.contains(&(found.dev(), found.ino())) => {}
            Ok(found) => {
                known.push((found.dev(), found.ino()));
                made.push(dir);
            }
            Err(error) => failed = error,
        }
    }
    if made.is_empty() { Err(failed) } else { Ok(made) }
}

/// Makes a folder for `user` alone, or finds it there; its parent must be there already.
fn make(dir: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => check(dir, user),
    }
}

/// Every place where the socket of a mount of `owner` may be. Folders that cannot be trusted are left out.
pub(crate) fn sockets_of(mountpoint: &Path, owner: u32) -> Vec<PathBuf> {
    let name = socket_name(mountpoint);
    let mut dirs = candidates(owner);
    // The environment of its process may have named another folder.
    dirs.extend(dirs_of_sockets(&fs::read("/proc/net/unix").unwrap_or_default(), &name));
    let trusted = dirs.into_iter().filter(|dir| check(dir, owner).is_ok());
    trusted.map(|dir| dir.join(&name)).collect()
}

/// The folders for sockets in which there is one of this name, in the system's table of sockets.
fn dirs_of_sockets(table: &[u8], name: &str) -> Vec<PathBuf> {
    let path = |line: &[u8]| {
        // Numbers come first, and whatever else holds a path may hold blanks, too.
        let start = line.iter().position(|byte| *byte == b'/')?;
        Some(PathBuf::from(OsStr::from_bytes(line.get(start..)?)))
    };
    let sockets = table.split(|byte| *byte == b'\n').filter_map(path);
    let ours = sockets.filter(|socket| socket.ends_with(Path::new(DIR).join(name)));
    ours.filter_map(|socket| Some(socket.parent()?.to_owned())).collect()
}

/// What the socket of a mount is called. A socket's path must be short, a mountpoint's need not be.
pub(crate) fn socket_name(mountpoint: &Path) -> String {
    format!("{}.sock", tag(mountpoint))
}

/// A short name for a mountpoint that is the same every time.
pub(crate) fn tag(mountpoint: &Path) -> String {
    let hash = Sha256::digest(mountpoint.as_os_str().as_bytes());
    HEXLOWER.encode(hash.get(..8).unwrap_or_default())
}

/// The folders that may be it, the best first. The environment may differ from one command to the next, so all count.
fn candidates(user: u32) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if user == geteuid().as_raw() {
        let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        dirs.extend(told.filter(|dir| is_runtime_dir_of(dir, user)).map(|dir| dir.join(DIR)));
    }
    if user == 0 {
        dirs.push(PathBuf::from("/run/oxcrypt"));
    }
    dirs.push(PathBuf::from(format!("/run/user/{user}/oxcrypt")));
    dirs.push(PathBuf::from(format!("/tmp/oxcrypt-{user}")));
    dirs
}

/// Whether a folder may be the one that a user has for this. `su` and `sudo` leave the variable of whoever calls them: his
/// folder cannot be written to, or root's sockets in it would keep him from having any.
fn is_runtime_dir_of(dir: &Path, user: u32) -> bool {
    dir.is_absolute() && fs::metadata(dir).is_ok_and(|found| found.uid() == user)
}

fn check(dir: &Path, owner: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    let for_others = Mode::from_raw_mode(found.mode()) & (Mode::RWXG | Mode::RWXO);
    if found.is_dir() && found.uid() == owner && for_others.is_empty() {
        return Ok(());
    }
    let text = format!("{} is not a folder that belongs to this user alone", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_that_others_may_enter_or_a_link_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let (own, link) = (dir.path().join("own"), dir.path().join("link"));
        DirBuilder::new().mode(0o700).create(&own).unwrap();
        symlink(&own, &link).unwrap();
        let user = geteuid().as_raw();
        assert!(check(&own, user).is_ok());
        assert!(check(&own, user + 1).is_err());
        assert!(check(&link, user).is_err());
        fs::set_permissions(&own, fs::Permissions::from_mode(0o710)).unwrap();
        assert!(check(&own, user).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_had_is_no_reason_to_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let (taken, free) = (dir.path().join("taken"), dir.path().join("free"));
        fs::write(&taken, "").unwrap();
        let user = geteuid().as_raw();
        let nowhere = dir.path().join("not there/oxcrypt");
        assert_eq!(first_of(vec![nowhere, taken.clone(), free.clone()], user).unwrap(), free);
        assert_eq!(first_of(vec![taken], user).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn what_all_must_see_lies_in_every_folder_that_can_be_had_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, taken, other) =
            (dir.path().join("one"), dir.path().join("taken"), dir.path().join("other"));
        fs::write(&taken, "").unwrap();
        let user = geteuid().as_raw();
        let link = dir.path().join("link");
        symlink(dir.path(), &link).unwrap();
        let wanted = vec![
            one.clone(),
            dir.path().join("not there/x"),
            taken.clone(),
            other.clone(),
            one.clone(),
            link.join("other"),
        ];
        assert_eq!(all_of(wanted, user).unwrap(), [one, other]);
        assert!(all_of(vec![taken], user).is_err());
    }

    #[test]
    fn the_runtime_folder_of_another_user_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let user = geteuid().as_raw();
        assert!(is_runtime_dir_of(dir.path(), user));
        assert!(!is_runtime_dir_of(dir.path(), user + 1));
        assert!(!is_runtime_dir_of(Path::new("."), user));
    }

    #[test]
    fn a_socket_is_found_wherever_its_process_was_told_to_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let user = geteuid().as_raw();
        let own = dir.path().join("a blank").join(DIR);
        fs::create_dir(dir.path().join("a blank")).unwrap();
        make(&own, user).unwrap();
        let mountpoint = dir.path().join("mount");
        let socket = own.join(socket_name(&mountpoint));
        assert!(!sockets_of(&mountpoint, user).contains(&socket));
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(sockets_of(&mountpoint, user).contains(&socket));
        assert!(!sockets_of(&mountpoint, user + 1).contains(&socket), "it is not that user's");
    }

    #[test]
    fn every_mountpoint_has_a_socket_of_its_own() {
        let name = socket_name(Path::new("/mnt/vault"));
        assert_eq!(name, socket_name(Path::new("/mnt/vault")));
        assert_ne!(name, socket_name(Path::new("/mnt/vault2")));
        assert_eq!(name.len(), 21);
    }
}
