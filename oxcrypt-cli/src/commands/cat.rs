//! `oxcrypt cat`: files to standard output.

use std::sync::Arc;

use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::{ErrorKind, Follow, Node, VaultOptions};
use oxcrypt_io::volume::Error;
use zeroize::Zeroizing;

use crate::args::CatArgs;
use crate::exit::{Code, Failure, Result};
use crate::open;
use crate::session::Session;
use crate::source::Source;

/// Bytes at a time: one read of the storage each.
const BLOCK: usize = 1 << 20;
/// Bytes that fail together: those of one chunk.
#[expect(clippy::cast_possible_truncation, reason = "32 KiB fit any machine's usize")]
const CHUNK: usize = PAYLOAD_LEN as usize;

pub(crate) fn run(args: &CatArgs, session: &mut Session) -> Result<()> {
    if session.out.is_json() {
        return Err(Failure::usage("cat prints files as they are, which is not JSON"));
    }
    // Everything is read once, so there is no point in keeping it.
    let source = open::source(&args.vault, &VaultOptions::default().chunk_cache_bytes(0), session)?;
    let mut failures: Vec<Failure> = Vec::new();
    for path in &args.paths {
        let result = open::resolve(&source, path, Follow::Always)
            .map_err(Outcome::Entry)
            .and_then(|node| print(&source, &node, session));
        match result {
            Ok(()) => {}
            // Nobody reads any more, or nothing more can be written.
            Err(Outcome::Output(failure)) => return Err(failure),
            Err(Outcome::Entry(failure)) => {
                session.out.flush()?;
                if let Some(text) = failure.text() {
                    session.console.error(text);
                }
                failures.push(failure);
            }
        }
    }
    match failures.as_slice() {
        [] => Ok(()),
        // The only thing asked for: its own code says more.
        [only] if args.paths.len() == 1 => Err(Failure::said(only.code())),
        _ => Err(Failure::said(Code::Partial)),
    }
}

/// Which side failed.
enum Outcome {
    Output(Failure),
    Entry(Failure),
}

fn print(source: &Source, node: &Arc<Node>, session: &mut Session) -> Result<(), Outcome> {
    let failed = |error: Error| Outcome::Entry(Failure::entry(&node.path(), &error));
    let file = source.open(node).map_err(failed)?;
    let mut block = Zeroizing::new(vec![0; BLOCK]);
    let (mut offset, mut step) = (0, BLOCK);
    loop {
        let len = match source.read_at(&file, offset, &mut block, step) {
            Ok(len) => len,
            // What is sound before the damage is printed, too.
            Err(error) if error.kind() == Some(ErrorKind::Damaged) && step > CHUNK => {
                step = CHUNK;
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        session.out.bytes(block.get(..len).unwrap_or_default()).map_err(Outcome::Output)?;
        if len < step {
            return Ok(());
        }
        offset += len as u64;
    }
}
