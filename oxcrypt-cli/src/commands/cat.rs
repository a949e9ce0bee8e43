//! `oxcrypt cat`: files to standard output.

use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::{Error, ErrorKind, Follow, Node, Vault, VaultOptions};
use zeroize::Zeroizing;

use crate::args::CatArgs;
use crate::exit::{Code, Failure, Result};
use crate::open;
use crate::session::Session;

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
    let vault = open::unlock(&args.vault, &VaultOptions::default().chunk_cache_bytes(0), session)?;
    let mut failures: Vec<Failure> = Vec::new();
    for path in &args.paths {
        let result = open::resolve(&vault, path, Follow::Always)
            .map_err(Outcome::Entry)
            .and_then(|node| print(&vault, &node, session));
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

fn print(vault: &Vault, node: &Arc<Node>, session: &mut Session) -> Result<(), Outcome> {
    let failed = |error: Error| Outcome::Entry(Failure::entry(&node.path(), &error));
    let file = vault.open(node, Instant::now()).map_err(failed)?;
    let mut block = Zeroizing::new(vec![0; BLOCK]);
    let (mut offset, mut step) = (0, BLOCK);
    loop {
        let want = block.get_mut(..step).unwrap_or_default();
        let len = match file.read_at(offset, want) {
            Ok(len) => len,
            // What is sound before the damage is printed, too.
            Err(error) if error.kind() == ErrorKind::Damaged && step > CHUNK => {
                step = CHUNK;
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        session.out.bytes(want.get(..len).unwrap_or_default()).map_err(Outcome::Output)?;
        if len < step {
            return Ok(());
        }
        offset += len as u64;
    }
}
