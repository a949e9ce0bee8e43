//! The folder of the host that a vault lies in, told from all others.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Tells a file or folder from all others.
pub(crate) type FileId = (u64, u64);

/// What tells a folder from others, where the system has that.
pub(crate) fn id_of(folder: &Path) -> Option<FileId> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        folder.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Makes everything durable on the file system that a folder lies on, and tells of errors that came up only after a file
/// was closed, where the system can.
#[cfg_attr(not(target_os = "linux"), expect(clippy::unnecessary_wraps, reason = "Linux can"))]
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(std::fs::File::open(folder)?)?;
    #[cfg(not(target_os = "linux"))]
    let _ = folder;
    Ok(())
}

/// Whether `path` lies in the folder of a vault, or is that. It need not exist yet.
///
/// # Errors
///
/// What the system says of `path`, and if it climbs from a folder that is not there.
pub(crate) fn is_inside(path: &Path, vault: &Path) -> io::Result<bool> {
    let Ok(vault) = vault.canonicalize() else { return Ok(false) };
    Ok(existing_part(path)?.starts_with(&vault))
}

/// The real path of what exists of `path`. What does not exist yet must not climb.
pub(crate) fn existing_part(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = absolute.strip_prefix(ancestor).unwrap_or(&absolute);
            if rest.components().any(|part| part == Component::ParentDir) {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "its path climbs from a folder that is not there",
                ));
            }
            return Ok(real);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_vault_is_known_before_it_exists_too() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        std::fs::create_dir(&vault).unwrap();
        for inside in ["vault", "vault/out", "vault/a/b/c", "vault/../vault/out"] {
            assert!(is_inside(&dir.path().join(inside), &vault).unwrap(), "{inside}");
        }
        assert!(is_inside(&dir.path().join("missing/../vault/out"), &vault).is_err());
        for outside in ["out", "vault-out/a", "vault2", "vault/../out"] {
            assert!(!is_inside(&dir.path().join(outside), &vault).unwrap(), "{outside}");
        }
    }
}
