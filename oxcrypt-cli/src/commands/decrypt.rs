//! `oxcrypt decrypt`: a vault, or a part of it, to a folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use oxcrypt_core::{Follow, Node, VaultOptions};
use serde_json::json;

use crate::args::DecryptArgs;
use crate::decrypt::{Counts, Destination, Job, Settings};
use crate::exit::{Code, Failure, Result};
use crate::lock::lock;
use crate::output::Console;
use crate::{Session, open};

pub(crate) fn run(args: &DecryptArgs, session: &mut Session) -> Result<()> {
    refuse_inside(&args.dest, &args.vault.vault)?;
    // Every chunk is read once, so there is no point in keeping any.
    let vault = open::unlock(&args.vault, &VaultOptions::default().chunk_cache_bytes(0), session)?;
    // From here on there is something to tidy up; opening the destination does so itself.
    session.interrupt.on_end(|| ());
    let dest = Destination::open(&args.dest, args.force, args.resume).map_err(|error| {
        Failure::failed(format_args!("cannot decrypt to {}: {error}", args.dest.display()))
    })?;
    let destination = Arc::clone(dest.destination());
    session.interrupt.on_end(move || destination.remove_unfinished());

    let Session { out, console, interrupt } = session;
    let is_json = out.is_json();
    let out = Mutex::new(out);
    let on_failed = |path: &str, why: &str| {
        if is_json {
            let object = json!({ "path": path, "error": why });
            // What cannot be written comes up again when all is flushed.
            drop(lock(&out).object(&object));
        }
    };
    let job = Job::new(&vault, settings(args), console, interrupt, &on_failed);
    let starts = starts(&job, &args.paths)?;
    let result = job.run(&starts, &dest);
    if is_json {
        lock(&out).object(&job.counts().as_json())?;
    }
    conclude(result, job.counts(), console, interrupt.is_asked())
}

fn settings(args: &DecryptArgs) -> Settings {
    // More than there are processors, so that one that waits for storage leaves another at work.
    let workers = args.jobs.map_or_else(
        || thread::available_parallelism().map_or(4, |cores| cores.get() + 1).clamp(3, 12),
        usize::from,
    );
    Settings { force: args.force, resume: args.resume, keep_damaged: args.keep_damaged, workers }
}

/// Where to begin: what was asked for, without what lies in another part of it. What is not there is told.
fn starts(job: &Job<'_>, paths: &[String]) -> Result<Vec<Arc<Node>>> {
    if paths.is_empty() {
        return Ok(vec![job.vault().root()]);
    }
    let mut found = Vec::new();
    for text in paths {
        let path = open::parse_path(text)?;
        match job.vault().resolve(&path, Follow::NotLast, Instant::now()) {
            Ok(node) => found.push((node.path(), node)),
            Err(error) => job.failed(&path.to_string(), &error.to_string()),
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let mut starts: Vec<(_, Arc<Node>)> = Vec::new();
    for (path, node) in found {
        if !starts
            .last()
            .is_some_and(|(last, _): &(oxcrypt_core::VaultPath, _)| path.names().starts_with(last.names()))
        {
            starts.push((path, node));
        }
    }
    Ok(starts.into_iter().map(|(_, node)| node).collect())
}

/// A vault is not decrypted into itself.
fn refuse_inside(dest: &Path, vault: &Path) -> Result<()> {
    let resolved = (existing_part(dest), vault.canonicalize());
    match resolved {
        (Ok(dest), Ok(vault)) if dest.starts_with(&vault) => {
            Err(Failure::usage("the destination lies in the vault's own folder"))
        }
        _ => Ok(()),
    }
}

/// The real path of what exists of `path`.
fn existing_part(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut known = absolute.ancestors().map(Path::canonicalize);
    known.find_map(io::Result::ok).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn conclude(result: io::Result<()>, counts: &Counts, console: &Console, interrupted: bool) -> Result<()> {
    if interrupted {
        console.note(format_args!("interrupted after {counts}; --resume goes on from here"));
        return Err(Failure::said(Code::Interrupted));
    }
    if let Err(error) = result {
        console.note(format_args!("stopped after {counts}; --resume goes on from here"));
        return Err(Failure::failed(format_args!("the destination failed: {error}")));
    }
    console.note(format_args!("decrypted {counts}"));
    if counts.is_complete() { Ok(()) } else { Err(Failure::said(Code::Partial)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_in_the_vault_is_refused_before_it_exists_too() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        std::fs::create_dir(&vault).unwrap();
        for inside in ["vault", "vault/out", "vault/a/b/c", "vault/../vault/out"] {
            assert!(refuse_inside(&dir.path().join(inside), &vault).is_err(), "{inside}");
        }
        for outside in ["out", "vault-out/a", "vault2"] {
            assert!(refuse_inside(&dir.path().join(outside), &vault).is_ok(), "{outside}");
        }
    }
}
