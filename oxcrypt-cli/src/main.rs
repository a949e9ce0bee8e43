//! The `oxcrypt` command: Cryptomator vaults on the command line.

mod args;
mod commands;
mod decrypt;
mod exit;
mod interrupt;
mod lock;
mod open;
mod output;
mod passphrase;
mod printable;
mod walk;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Console, Output};

/// What every command works with.
struct Session {
    out: Output,
    console: Arc<Console>,
    interrupt: Arc<Interrupt>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    prepare_process();
    let mut session = Session {
        out: Output::new(cli.json),
        console: Arc::new(Console::new(cli.quiet, cli.verbose)),
        interrupt: Interrupt::install(),
    };
    let result = match &cli.command {
        Command::Info { vault } => commands::info::run(vault, &mut session),
        Command::Ls(args) => commands::ls::run(args, &mut session),
        Command::Tree(args) => commands::tree::run(args, &mut session),
        Command::Cat(args) => commands::cat::run(args, &mut session),
        Command::Decrypt(args) => commands::decrypt::run(args, &mut session),
        Command::Locate(args) => commands::locate::run(args, &mut session),
    };
    let code = match result.and_then(|()| session.out.flush()) {
        Ok(()) => Code::Done,
        Err(failure) => report(&failure, &session.console),
    };
    code.into()
}

fn report(failure: &Failure, console: &Console) -> Code {
    if let Some(text) = failure.text() {
        console.error(text);
    }
    failure.code()
}

/// No core dump, and no other process of the same user, gets to see keys and cleartext; and as many files may be open as
/// the system allows, because each folder on the way down holds one.
fn prepare_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // Where the system refuses, the command is still worth running.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}
