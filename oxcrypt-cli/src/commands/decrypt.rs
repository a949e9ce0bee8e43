//! `oxcrypt decrypt`: a vault, or a part of it, to a folder.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use oxcrypt_core::{Follow, Node, VaultOptions, VaultPath};
use serde_json::json;

use crate::args::DecryptArgs;
use crate::decrypt::{Event, Fatal, FileId, Folder, Job, Options, Settings};
use crate::exit::{Code, Failure, Result};
use crate::lock::lock;
use crate::open;
use crate::output::Console;
use crate::session::Session;

/// Files to decrypt at a time where storage may not answer for some of them.
const PATIENT_WORKERS: usize = 32;
/// Bytes of listings and the like to keep: those of the directories that the walk is in.
const TREE_CACHE: usize = 8 << 20;

pub(crate) fn run(args: &DecryptArgs, session: &mut Session) -> Result<()> {
    let (dest, vault) = (args.dest.clone(), args.vault.vault.clone());
    let vault = open::within(args.vault.patience(), move || {
        refuse_inside(&dest, &vault)?;
        Ok(id_of(&vault))
    })?;
    // Everything is read once, so there is no point in keeping much of it.
    let options = VaultOptions::default().chunk_cache_bytes(0).tree_cache_bytes(TREE_CACHE);
    let source = open::source(&args.vault, &options, session)?;
    raise_file_limit();
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
            let object = match event {
                Event::Failed { path, why } => json!({ "event": "failed", "path": path, "error": why }),
                Event::Alias { path, name } => json!({ "event": "alias", "path": path, "name": name }),
            };
            // What cannot be written comes up again when all is flushed.
            drop(lock(&out).object(object));
        }
    };
    let job = Job::new(&source, settings(args, source.may_block()), console, interrupt, &on_event);
    let starts = starts(&job, &args.paths)?;
    let result = job.run(&starts, &dest).and_then(|()| dest.sync().map_err(Fatal::Destination));
    if is_json {
        lock(&out).object(job.counts().as_json())?;
    }
    conclude(result, &job, console, interrupt.is_asked())
}

fn settings(args: &DecryptArgs, may_block: bool) -> Settings {
    // More than there are processors, so that one that waits for storage leaves another at work; and far more where some
    // may wait for long.
    let usual = || {
        let processors = thread::available_parallelism().map_or(3, std::num::NonZero::get);
        if may_block { PATIENT_WORKERS } else { (processors + 1).clamp(3, 12) }
    };
    let workers = args.jobs.map_or_else(usual, usize::from);
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
            Err(error) => job.failed(&path.to_string(), &error.to_string()),
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|next, last| next.0.names().starts_with(last.0.names()));
    Ok(found.into_iter().map(|(_, node)| node).collect())
}

/// A vault is not decrypted into itself.
fn refuse_inside(dest: &Path, vault: &Path) -> Result<()> {
    let Ok(vault) = vault.canonicalize() else { return Ok(()) };
    let real = existing_part(dest)
        .map_err(|error| Failure::failed(format_args!("cannot decrypt to {}: {error}", dest.display())))?;
    if real.starts_with(&vault) {
        return Err(Failure::usage("the destination lies in the vault's own folder"));
    }
    if cfg!(not(unix)) && vault.starts_with(&real) {
        // There the vault's folder cannot be told from others while it is walked past.
        return Err(Failure::usage("the vault lies in the destination; choose a folder beside it"));
    }
    Ok(())
}

/// The real path of what exists of `path`. What does not exist yet must not climb.
fn existing_part(path: &Path) -> io::Result<PathBuf> {
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

/// What tells the vault's folder from others, where the system has that.
fn id_of(folder: &Path) -> Option<FileId> {
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

/// As many files may be open as the system allows, because each folder on the way down holds one.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // macOS refuses more, and takes "no limit" for an error.
        let current =
            if cfg!(target_os = "macos") { Some(maximum.unwrap_or(u64::MAX).min(10_240)) } else { maximum };
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

fn conclude(
    result: std::result::Result<(), Fatal>,
    job: &Job<'_>,
    console: &Console,
    interrupted: bool,
) -> Result<()> {
    let counts = job.counts();
    if interrupted {
        console.note(format_args!("interrupted after {counts}; --resume goes on from here"));
        return Err(Failure::said(Code::Interrupted));
    }
    if let Err(fatal) = result {
        console.note(format_args!("stopped after {counts}; --resume goes on from here"));
        return Err(match fatal {
            Fatal::Destination(error) => Failure::failed(format_args!("the destination failed: {error}")),
            Fatal::Panic => {
                Failure::failed("this program has failed, which is a mistake in it; please report it")
            }
        });
    }
    console.note(format_args!("decrypted {counts}"));
    if job.could_keep_damaged() {
        console.note("--keep-damaged keeps what can be read of damaged files");
    }
    if counts.is_complete() {
        Ok(())
    } else if job.has_storage_failed() && !counts.has_any() {
        Err(Failure::said(Code::Failed))
    } else {
        Err(Failure::said(Code::Partial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_in_the_vault_is_refused_before_it_exists_too() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        std::fs::create_dir(&vault).unwrap();
        for inside in ["vault", "vault/out", "vault/a/b/c", "vault/../vault/out", "missing/../vault/out"] {
            assert!(refuse_inside(&dir.path().join(inside), &vault).is_err(), "{inside}");
        }
        for outside in ["out", "vault-out/a", "vault2", "vault/../out"] {
            assert!(refuse_inside(&dir.path().join(outside), &vault).is_ok(), "{outside}");
        }
    }
}
