//! `oxcrypt mkdir`: new directories.

use oxcrypt_core::{ErrorKind, Follow, NodeKind, VaultOptions, VaultPath};
use oxcrypt_io::volume::Error;

use crate::args::MkdirArgs;
use crate::dest::Dest;
use crate::exit::{Failure, Result};
use crate::open;
use crate::outcomes::Outcomes;
use crate::session::Session;
use crate::source::Source;

pub(crate) fn run(args: &MkdirArgs, session: &mut Session) -> Result<()> {
    let paths = args.paths.iter().map(|text| open::parse_path(text)).collect::<Result<Vec<_>>>()?;
    let source = open::writable(&args.vault, &VaultOptions::default(), "mkdir", session)?;
    let mut outcomes = Outcomes::new("made", paths.len(), session);
    for path in paths {
        if outcomes.is_over() {
            break;
        }
        let shown = path.to_string();
        let made = if args.parents { Ok(with_parents(&source, &path)) } else { alone(&source, &path) };
        match made {
            Ok(Ok(())) => outcomes.done(&shown),
            Ok(Err(error)) => outcomes.failed(&shown, &error)?,
            Err(failure) => outcomes.missed(&shown, &failure)?,
        }
    }
    outcomes.conclude()
}

/// The outer error says that there is no place for it.
fn alone(source: &Source, path: &VaultPath) -> Result<Result<(), Error>> {
    let Dest { dir, name } = Dest::exactly(source, path)?;
    let name = name.ok_or_else(|| Failure::usage("a directory needs a name"))?;
    Ok(source.make_dir((&dir, &name)).map(drop))
}

fn with_parents(source: &Source, path: &VaultPath) -> Result<(), Error> {
    let (mut dir, mut way) = (source.vault().root(), VaultPath::root());
    for name in path.names() {
        way = way.join(name.clone());
        dir = match source.make_dir((&dir, name)) {
            // A link to a directory is as good as one.
            Err(error) if error.kind() == Some(ErrorKind::AlreadyExists) => {
                source.resolve(&way, Follow::Always)?
            }
            made => made?,
        };
        if dir.kind() != NodeKind::Directory {
            return Err(oxcrypt_core::Error::from(ErrorKind::NotADirectory).into());
        }
    }
    Ok(())
}
