//! The `oxcrypt` command: Cryptomator vaults on the command line.

mod args;
#[cfg(target_os = "linux")]
mod background;
mod commands;
mod confirm;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod daemon;
mod decrypt;
mod dest;
mod drafts;
mod exit;
mod file_limit;
mod interrupt;
mod key_source;
mod lock;
#[cfg(target_os = "linux")]
mod log_file;
mod looks;
#[cfg(target_os = "linux")]
mod mount_options;
#[cfg(target_os = "linux")]
mod notify;
mod open;
mod outcomes;
mod output;
mod passphrase;
mod patience;
#[cfg(target_os = "linux")]
mod places;
mod printable;
mod problem;
mod progress;
mod put;
mod queue;
mod run;
#[cfg(target_os = "linux")]
mod runtime_dir;
mod same_time;
mod session;
mod source;
mod vault_folder;
mod walk;
mod writer_lock;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Console, Output};
use crate::session::Session;

fn main() -> ExitCode {
    let cli = Cli::parse();
    keep_memory_private();
    #[cfg(target_os = "linux")]
    if matches!(cli.command, Command::Janitor) {
        // It knows no vault, and takes signals in its own way.
        return oxcrypt_fuse::Janitor::serve().map_or(Code::Failed, |()| Code::Done).into();
    }
    let mut session = Session {
        out: Output::new(cli.json),
        console: Console::new(cli.quiet, cli.verbose),
        interrupt: Interrupt::install(),
    };
    let result = match &cli.command {
        Command::Info { vault } => commands::info::run(vault, &mut session),
        Command::Ls(args) => commands::ls::run(args, &mut session),
        Command::Tree(args) => commands::tree::run(args, &mut session),
        Command::Cat(args) => commands::cat::run(args, &mut session),
        Command::Decrypt(args) => commands::decrypt::run(args, &mut session),
        Command::Locate(args) => commands::locate::run(args, &mut session),
        Command::Create(args) => commands::create::run(args, &mut session),
        Command::Passphrase(command) => commands::passphrase::run(command, &mut session),
        Command::RecoveryKey(command) => commands::recovery_key::run(command, &mut session),
        Command::Config(command) => commands::config::run(command, &mut session),
        Command::Backups(command) => commands::backups::run(command, &mut session),
        Command::Put(args) => commands::put::run(args, &mut session),
        Command::Mkdir(args) => commands::mkdir::run(args, &mut session),
        Command::Mv(args) => commands::mv::run(args, &mut session),
        Command::Rm(args) => commands::rm::run(args, &mut session),
        Command::Cp(args) => commands::cp::run(args, &mut session),
        command => of_mounts(command, cli.as_daemon, &mut session),
    };
    let code = match result.and_then(|()| session.out.flush()) {
        Ok(()) => Code::Done,
        Err(failure) => report(&failure, &session.console),
    };
    code.into()
}

#[cfg(target_os = "linux")]
fn of_mounts(command: &Command, as_daemon: bool, session: &mut Session) -> exit::Result<()> {
    match command {
        Command::Mount(args) => commands::mount::run(args, as_daemon, session),
        Command::Unmount(args) => commands::unmount::run(args, session),
        Command::Discard(args) => commands::discard::run(args, session),
        Command::Status(args) => commands::status::run(args, session),
        _ => commands::mounts::run(session),
    }
}

#[cfg(not(target_os = "linux"))]
fn of_mounts(_: &Command, _: bool, _: &mut Session) -> exit::Result<()> {
    Err(Failure::no_backend())
}

fn report(failure: &Failure, console: &Console) -> Code {
    if let Some(text) = failure.text() {
        console.error(text);
    }
    failure.code()
}

/// No core dump, and no other process of the same user, gets to see keys and cleartext.
fn keep_memory_private() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // Where the system refuses, the command is still worth running.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}
