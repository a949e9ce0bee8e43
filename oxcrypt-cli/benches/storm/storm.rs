//! Who does what: the process that was started, the worker, and the children that look at mounts.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use options::Options;

mod bench;
mod caller;
mod goals;
mod options;
mod picture;
mod probe;
mod prober;
mod readers;
mod report;
mod samples;
mod served;
mod storage;
mod subject;
mod supervisor;
mod vault;

/// The first argument of a process that this bench starts of itself.
#[derive(Clone, Copy)]
enum Role {
    /// Runs the bench.
    Worker,
    /// Measures what it is told to.
    Prober,
    /// Reads files, each on a thread of its own, however long that takes.
    Reader,
    /// Writes the vault's content.
    Filler,
}

impl Role {
    const ALL: [Self; 4] = [Self::Worker, Self::Prober, Self::Reader, Self::Filler];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Worker => "storm-worker",
            Self::Prober => "storm-prober",
            Self::Reader => "storm-reader",
            Self::Filler => "storm-filler",
        }
    }

    /// The command that starts this program in a role.
    fn command(self) -> std::process::Command {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this program's path"));
        command.arg(self.word());
        command
    }
}

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let role = words.first().and_then(|word| Role::ALL.into_iter().find(|role| role.word() == *word));
    match (role, words.get(1..).unwrap_or_default()) {
        (Some(Role::Worker), options) => {
            let program = arguments.first().map_or("storm", String::as_str);
            bench::main(&Options::parse_from([program].iter().chain(options)))
        }
        (Some(Role::Prober), [kind, root]) => probe::main(kind, Path::new(root)),
        (Some(Role::Reader), words) => readers::main(words).unwrap_or(ExitCode::FAILURE),
        (Some(Role::Filler), [root, cold]) => vault::main(Path::new(root), cold),
        (Some(_), _) => ExitCode::FAILURE,
        (None, _) => supervisor::main(&Options::parse(), &words),
    }
}
