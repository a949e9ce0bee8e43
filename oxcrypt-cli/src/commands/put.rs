//! `oxcrypt put`: files and folders of the host, or standard input, into a vault.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxcrypt_core::VaultOptions;
use oxcrypt_io::volume::Error;

use crate::args::{PutArgs, ThereArgs, VaultArgs};
use crate::dest::Dest;
use crate::drafts::Drafts;
use crate::exit::{Failure, Result};
use crate::file_limit;
use crate::lock::lock;
use crate::open;
use crate::patience;
use crate::progress::Words;
use crate::put::{Directory, Filling, Host, Job, Settings, Start, Target};
use crate::run::{Event, Fatal};
use crate::session::Session;
use crate::source::Source;
use crate::vault_folder::{self, FileId};

const WORDS: Words = Words { done: "encrypted", destination: "vault's storage" };

/// Files to encrypt at a time where storage may not answer for some of them.
const PATIENT_WORKERS: usize = 16;
/// Bytes of listings and the like to keep: those of the directories that the walk is in.
const TREE_CACHE: usize = 8 << 20;

pub(crate) fn run(args: &PutArgs, session: &mut Session) -> Result<()> {
    let is_stdin = args.sources.iter().any(|path| path == Path::new("-"));
    if is_stdin && args.sources.len() > 1 {
        return Err(Failure::usage("- stands for standard input, and nothing can be put beside it"));
    }
    if is_stdin && args.vault.key.is_standard_input() {
        return Err(Failure::usage(
            "standard input cannot be both what opens the vault and what is to be put",
        ));
    }
    let id = refuse_own_folder(args, is_stdin)?;
    let source = open_vault(&args.vault, "put", session)?;
    let dest = Dest::find(&source, &args.dest, args.sources.len())?;
    if is_stdin && dest.name.is_none() {
        return Err(Failure::usage("what comes from standard input needs a name in the vault"));
    }
    file_limit::raise();
    let host = Host::new(args.vault.patience(), id);
    bring(&source, &args.vault, &args.there, args.verify, WORDS, dest, session, |job| {
        if is_stdin {
            return vec![Start::StandardInput];
        }
        let find = |path: &PathBuf| {
            let found = host.find(path);
            let failed =
                |error| job.run.failed(&path.display().to_string(), &format!("cannot be read: {error}"));
            found.map_err(failed).ok().map(Start::Host)
        };
        args.sources.iter().filter_map(find).collect()
    })
}

/// Opens a vault that much is brought into.
pub(super) fn open_vault(args: &VaultArgs, what: &'static str, session: &Session) -> Result<Source> {
    // Everything is written once, so there is no point in keeping much of it.
    open::writable(args, &options(), what, session)
}

fn options() -> VaultOptions {
    VaultOptions::default().chunk_cache_bytes(0).tree_cache_bytes(TREE_CACHE)
}

/// Brings what `starts` finds to `dest`.
#[expect(clippy::too_many_arguments, reason = "it is all that the command line says")]
pub(super) fn bring(
    source: &Source,
    vault: &VaultArgs,
    there: &ThereArgs,
    verify: bool,
    words: Words,
    dest: Dest,
    session: &mut Session,
    starts: impl FnOnce(&Job<'_>) -> Vec<Start>,
) -> Result<()> {
    let fresh =
        verify.then(|| source.afresh(&options().max_age(Duration::ZERO).read_only(true))).transpose()?;
    let drafts = Drafts::new(source);
    let tidied = Arc::clone(&drafts);
    session.interrupt.on_end(move || tidied.remove_all());
    let filling = Filling::new(source, drafts, fresh);
    let failed = |error: Error| Failure::entry(&dest.dir.path(), &error);
    let directory = Directory::open(&filling, Arc::clone(&dest.dir)).map_err(failed)?;

    let Session { out, console, interrupt } = session;
    let is_json = out.is_json();
    let out = Mutex::new(out);
    let on_event = |event: Event<'_>| {
        if is_json {
            // What cannot be written comes up again when all is flushed.
            drop(lock(&out).object(event.as_json()));
        }
    };
    let workers = there.jobs.map_or_else(|| source.workers(PATIENT_WORKERS), usize::from);
    let settings = Settings { no_clobber: there.no_clobber, resume: there.resume, workers };
    let job = Job::new(filling, settings, words, console, interrupt, &on_event);
    let starts = starts(&job);
    let target = Target { directory, name: dest.name };
    let result = job.put(starts, target).and_then(|()| sync(&vault.vault, vault.patience()));
    if is_json {
        lock(&out).object(job.run.counts.as_json())?;
    }
    job.run.conclude(result, job.has_storage_failed())
}

/// A vault is not put into itself. Returns what tells its folder from others.
fn refuse_own_folder(args: &PutArgs, is_stdin: bool) -> Result<Option<FileId>> {
    let (vault, sources) = (args.vault.vault.clone(), args.sources.clone());
    open::within(args.vault.patience(), move || {
        for source in sources.iter().filter(|_| !is_stdin) {
            if vault_folder::is_inside(source, &vault).unwrap_or(false) {
                let source = source.display();
                return Err(Failure::usage(format_args!("{source} lies in the vault's own folder")));
            }
        }
        Ok(vault_folder::id_of(&vault))
    })
}

/// Makes everything durable, and hears of errors that come up only then.
fn sync(folder: &Path, patience: Duration) -> std::result::Result<(), Fatal<String>> {
    let folder = folder.to_owned();
    match patience::within(patience, move || vault_folder::sync(&folder)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fatal::Destination(error.to_string())),
        Err(none) => Err(Fatal::Destination(none.to_string())),
    }
}
