//! Users who run children of this program.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Role;
use crate::who::Who;

/// A user, and where he may leave what he has to.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    who: Who,
    home: PathBuf,
}

impl Caller {
    pub(crate) fn new(who: Who, home: &Path) -> Self {
        Self { who, home: home.to_owned() }
    }

    /// Whoever runs the bench.
    pub(crate) fn root() -> Self {
        Self::new(Who::Root, &std::env::temp_dir())
    }

    /// The command that starts this program in a role.
    pub(crate) fn command(&self, role: Role) -> Command {
        let program = std::env::current_exe().expect("this program's path");
        let mut command = self.who.command(&self.home, program);
        command.arg(role.word());
        command
    }
}
