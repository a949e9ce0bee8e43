//! Who mounts and looks: root, or an ordinary user, who mounts through `fusermount3`.

use std::ffi::OsStr;
use std::fs::symlink_metadata;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Command;

/// The ordinary user's number, and that of his group: nobody's.
const ORDINARY: u32 = 65_534;

/// A user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    Ordinary,
}

impl Who {
    /// A program to be run by this user. `home` is where he may leave what he has to.
    pub(crate) fn command(self, home: &Path, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self {
            Self::Root => Command::new(program),
            Self::Ordinary => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={ORDINARY}"), format!("--regid={ORDINARY}")]);
                command.arg("--clear-groups").arg(program);
                command
            }
        };
        command.env("HOME", home).env("XDG_RUNTIME_DIR", home).env_remove("XDG_STATE_HOME");
        command
    }

    /// Makes a folder or file his. One that is keeps the bits of its mode that a new owner would cost it.
    pub(crate) fn owns(self, path: &Path) {
        if self == Self::Ordinary && symlink_metadata(path).expect("a file of ours").uid() != ORDINARY {
            chown(path, Some(ORDINARY), Some(ORDINARY)).expect("root may");
        }
    }
}
