//! `oxcrypt mv`: moves and renames entries.

use oxcrypt_core::storage::Replace;
use oxcrypt_core::{ErrorKind, VaultOptions};
use oxcrypt_io::volume::Error;

use crate::args::MvArgs;
use crate::dest::Dest;
use crate::exit::{Failure, Result};
use crate::open;
use crate::outcomes::Outcomes;
use crate::session::Session;
use crate::source::Source;

pub(crate) fn run(args: &MvArgs, session: &mut Session) -> Result<()> {
    if args.exchange && args.sources.len() > 1 {
        return Err(Failure::usage("--exchange has two entries change places, and no more"));
    }
    let paths = args.sources.iter().map(|text| open::parse_path(text)).collect::<Result<Vec<_>>>()?;
    if paths.iter().any(|path| path.names().is_empty()) {
        return Err(Failure::usage("the vault's root cannot be moved"));
    }
    let source = open::writable(&args.vault, &VaultOptions::default(), "mv", session)?;
    let dest = if args.exchange {
        Dest::exactly(&source, &open::parse_path(&args.dest)?)?
    } else {
        Dest::find(&source, &args.dest, paths.len())?
    };
    let replace = match (args.exchange, args.no_clobber) {
        (true, _) => Replace::Exchange,
        (_, true) => Replace::Never,
        _ => Replace::Always,
    };
    let mut outcomes = Outcomes::new("moved", paths.len(), session);
    for path in paths {
        if outcomes.is_over() {
            break;
        }
        let shown = path.to_string();
        let from = match Dest::exactly(&source, &path) {
            Ok(from) => from,
            Err(failure) => {
                outcomes.missed(&shown, &failure)?;
                continue;
            }
        };
        match move_one(&source, &from, &dest, replace) {
            Ok(()) => outcomes.done(&shown),
            Err(error) if args.no_clobber && error.kind() == Some(ErrorKind::AlreadyExists) => {
                outcomes.skipped();
            }
            Err(error) => outcomes.failed(&shown, &error)?,
        }
    }
    outcomes.conclude()
}

fn move_one(source: &Source, from: &Dest, to: &Dest, replace: Replace) -> Result<(), Error> {
    let missing = || oxcrypt_core::Error::from(ErrorKind::NotFound);
    let name = from.name.as_ref().ok_or_else(missing)?;
    source.rename((&from.dir, name), (&to.dir, to.name.as_ref().unwrap_or(name)), replace)
}
