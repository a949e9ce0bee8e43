//! `oxcrypt cp`: copies within a vault, each with a key of its own.

use std::sync::Arc;

use oxcrypt_core::{Follow, Node, NodeKind};

use super::put::{bring, open_vault};
use crate::args::CpArgs;
use crate::dest::Dest;
use crate::exit::Result;
use crate::open;
use crate::progress::Words;
use crate::put::{Job, Start};
use crate::session::Session;

const WORDS: Words = Words { done: "copied", destination: "vault's storage" };

pub(crate) fn run(args: &CpArgs, session: &mut Session) -> Result<()> {
    let paths = args.sources.iter().map(|text| open::parse_path(text)).collect::<Result<Vec<_>>>()?;
    let source = open_vault(&args.vault, "cp", session)?;
    let dest = Dest::find(&source, &args.dest, paths.len())?;
    let within = Arc::clone(&dest.dir);
    bring(&source, &args.vault, &args.there, false, WORDS, dest, session, |job| {
        let start = |path| {
            let follow = if args.recursive { Follow::NotLast } else { Follow::Always };
            match source.resolve(&path, follow) {
                Ok(node) => is_fit(args, job, &node, &within).then_some(Start::Entry(node)),
                Err(error) => {
                    job.run.failed(&path.to_string(), &error.to_string());
                    None
                }
            }
        };
        paths.into_iter().filter_map(start).collect()
    })
}

/// Whether an entry can be copied there.
fn is_fit(args: &CpArgs, job: &Job<'_>, node: &Arc<Node>, within: &Arc<Node>) -> bool {
    if node.kind() != NodeKind::Directory {
        return true;
    }
    let path = node.path();
    let why = if !args.recursive {
        "this is a directory; --recursive copies it with all that is in it"
    } else if within.path().names().starts_with(path.names()) {
        "it cannot be copied into itself"
    } else {
        return true;
    };
    job.run.failed(&path.to_string(), why);
    false
}
