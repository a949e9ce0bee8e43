//! `oxcrypt decrypt`: a vault, or a part of it, to a folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oxcrypt_core::{Follow, Node, VaultOptions, VaultPath};

use crate::args::DecryptArgs;
use crate::decrypt::{Folder, Job, Options, Settings};
use crate::exit::{Failure, Result};
use crate::file_limit;
use crate::lock::lock;
use crate::open;
use crate::run::{Event, Fatal};
use crate::session::Session;
use crate::source::Source;
use crate::vault_folder;

/// Files to decrypt at a time where storage may not answer for some of them.
const PATIENT_WORKERS: usize = 32;
/// Bytes of listings and the like to keep: those of the directories that the walk is in.
const TREE_CACHE: usize = 8 << 20;

pub(crate) fn run(args: &DecryptArgs, session: &mut Session) -> Result<()> {
    let (dest, vault) = (args.dest.clone(), args.vault.vault.clone());
    let vault = open::within(args.vault.patience(), move || {
        refuse_inside(&dest, &vault)?;
        Ok(vault_folder::id_of(&vault))
    })?;
    // Everything is read once, so there is no point in keeping much of it.
    let options = VaultOptions::default().chunk_cache_bytes(0).tree_cache_bytes(TREE_CACHE);
    let source = open::source(&args.vault, &options, session)?;
    file_limit::raise();
    // From here on there is something to tidy up; opening the destination does so itself.
    session.interrupt.on_end(|| ());
    let options = Options { force: args.force, resume: args.resume, vault };
    let dest = Folder::open(&args.dest, options).map_err(|error| {
        Failure::failed(format_args!("cannot decrypt to {}: {error}", args.dest.display()))
    })?;
    let destination = Arc::clone(dest.destination());
    session.interrupt.on_end(move || destination.remove_unfinished());

    let Session { out, console, interrupt } = session;
    let is_json = out.is_json();
    let out = Mutex::new(out);
    let on_event = |event: Event<'_>| {
        if is_json {
            // What cannot be written comes up again when all is flushed.
            drop(lock(&out).object(event.as_json()));
        }
    };
    let job = Job::new(&source, settings(args, &source), console, interrupt, &on_event);
    let starts = starts(&job, &args.paths)?;
    let result = job.decrypt(&starts, &dest).and_then(|()| dest.sync().map_err(Fatal::Destination));
    if is_json {
        lock(&out).object(job.run.counts.as_json())?;
    }
    let is_whole_run = result.is_ok() && !interrupt.is_asked();
    let ended = job.run.conclude(result, job.has_storage_failed());
    if is_whole_run && job.could_keep_damaged() {
        console.note("--keep-damaged keeps what can be read of damaged files");
    }
    ended
}

fn settings(args: &DecryptArgs, source: &Source) -> Settings {
    let workers = args.jobs.map_or_else(|| source.workers(PATIENT_WORKERS), usize::from);
    Settings { force: args.force, resume: args.resume, keep_damaged: args.keep_damaged, workers }
}

/// Where to begin: what was asked for, without what lies in another part of it. What is not there is told.
fn starts(job: &Job<'_>, paths: &[String]) -> Result<Vec<Arc<Node>>> {
    if paths.is_empty() {
        return Ok(vec![job.source().vault().root()]);
    }
    let mut found: Vec<(VaultPath, Arc<Node>)> = Vec::new();
    for text in paths {
        let path = open::parse_path(text)?;
        match job.source().resolve(&path, Follow::NotLast) {
            Ok(node) => found.push((node.path(), node)),
            Err(error) => job.run.failed(&path.to_string(), &error.to_string()),
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|next, last| next.0.names().starts_with(last.0.names()));
    Ok(found.into_iter().map(|(_, node)| node).collect())
}

/// A vault is not decrypted into itself.
fn refuse_inside(dest: &Path, vault: &Path) -> Result<()> {
    let failed = |error| Failure::failed(format_args!("cannot decrypt to {}: {error}", dest.display()));
    if vault_folder::is_inside(dest, vault).map_err(failed)? {
        return Err(Failure::usage("the destination lies in the vault's own folder"));
    }
    let within = |dest: PathBuf| vault.canonicalize().is_ok_and(|vault| vault.starts_with(dest));
    if cfg!(not(unix)) && vault_folder::existing_part(dest).is_ok_and(within) {
        // There the vault's folder cannot be told from others while it is walked past.
        return Err(Failure::usage("the vault lies in the destination; choose a folder beside it"));
    }
    Ok(())
}
