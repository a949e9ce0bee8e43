//! `oxcrypt discard`: gives up what a mount could not store.

use std::path::Path;

use oxcrypt_core::VaultPath;
use oxcrypt_fuse::table::Mounted;
use serde_json::json;

use super::mounts::{PATIENCE, find, is_ours, reach};
use super::unmount::nobody_answers;
use crate::args::DiscardArgs;
use crate::control::{Answer, Client, Left, Question, in_words};
use crate::exit::{Failure, Result};
use crate::session::Session;

pub(crate) fn run(args: &DiscardArgs, session: &mut Session) -> Result<()> {
    let mounted = find(&args.mountpoint)?;
    let place = mounted.mountpoint.display();
    if !is_ours(&mounted) {
        return Err(Failure::failed(format_args!(
            "{place} was mounted by another user, whom alone it obeys"
        )));
    }
    let mut client = reach(&mounted).ok_or_else(|| nobody_answers(&mounted))?;
    let Ok(Answer::Unsaved(left)) = client.ask(Question::Unsaved, PATIENCE) else {
        return Err(nobody_answers(&mounted));
    };
    let meant = if args.files.is_empty() { failed(&left) } else { named(&args.files, &left, &mounted)? };
    for left in &meant {
        tell(left, session)?;
    }
    if meant.is_empty() {
        session.console.note(format_args!("there is nothing at {place} that could not be stored"));
        return Ok(());
    }
    if args.files.is_empty() && !args.all {
        session.console.note("nothing was given up; say which files, or --all");
        return Ok(());
    }
    args.confirm.ask(format_args!("Give up what was written to {} and not stored", in_words(&meant)))?;
    discard(&mut client, &meant, &mounted, session)
}

/// What there is to give up.
fn failed(left: &[Left]) -> Vec<Left> {
    left.iter().filter(|left| left.error.is_some()).cloned().collect()
}

/// Those that somebody named. If one of them is not to be given up, none is.
fn named(files: &[impl AsRef<Path>], left: &[Left], mounted: &Mounted) -> Result<Vec<Left>> {
    let mut meant: Vec<Left> = Vec::new();
    for file in files.iter().map(AsRef::as_ref) {
        let path = in_vault(file, &mounted.mountpoint)?;
        let shown = file.display();
        let is_it =
            |left: &&Left| left.path.as_deref() == Some(&*path) || Path::new(&left.ciphertext) == file;
        match left.iter().find(is_it) {
            None => {
                return Err(Failure::refused(format_args!(
                    "{shown}: all of it is in the storage; nothing was given up"
                )));
            }
            Some(left) if left.error.is_none() => {
                return Err(Failure::refused(format_args!(
                    "{shown}: storage has not refused it, and may take it yet; nothing was given up"
                )));
            }
            Some(left) if meant.contains(left) => {}
            Some(left) => meant.push(left.clone()),
        }
    }
    Ok(meant)
}

/// The path in the vault of a file that is named by that, or by its place in the mount. Asks neither.
fn in_vault(file: &Path, mountpoint: &Path) -> Result<String> {
    let cannot = |why: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {why}", file.display()));
    let absolute = std::path::absolute(file).map_err(|error| cannot(&error))?;
    let inner = absolute.strip_prefix(mountpoint).unwrap_or(file);
    let text = inner.to_str().ok_or_else(|| cannot(&"no name in a vault"))?;
    Ok(VaultPath::parse(text).map_err(|error| cannot(&error))?.to_string())
}

fn tell(left: &Left, session: &mut Session) -> Result<()> {
    if !session.out.is_json() {
        let line = left.to_string();
        return session.out.line(session.out.name(&line).into_owned());
    }
    session.out.object(json!({
        "path": left.path,
        "ciphertext": left.ciphertext,
        "bytes": left.bytes,
        "written": left.written,
        "error": left.error,
    }))
}

fn discard(client: &mut Client, meant: &[Left], mounted: &Mounted, session: &mut Session) -> Result<()> {
    let mut discarded = 0;
    for left in meant {
        match client.ask(Question::Discard { file: left.file }, PATIENCE) {
            Ok(Answer::Discarded(true)) => discarded += 1,
            // It may be stored yet, which is better.
            Ok(Answer::Discarded(false)) => {
                let path = left.path.as_deref().unwrap_or(&left.ciphertext);
                session.console.note(format_args!(
                    "{path}: storage has taken it meanwhile, or is being asked again at this moment; nothing was given up"
                ));
            }
            _ => return Err(nobody_answers(mounted)),
        }
    }
    if session.out.is_json() {
        session.out.object(json!({ "discarded": discarded }))?;
    } else {
        let files = if discarded == 1 { "file" } else { "files" };
        session.console.note(format_args!("gave up what was unsaved of {discarded} {files}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Code;

    fn left(path: &str, error: Option<&str>) -> Left {
        Left {
            file: 1,
            path: Some(path.to_owned()),
            ciphertext: format!("d/AA{path}.c9r"),
            bytes: 5,
            written: None,
            error: error.map(str::to_owned),
        }
    }

    fn mounted() -> std::path::PathBuf {
        "/mnt/vault".into()
    }

    #[test]
    fn a_file_is_named_by_its_path_in_the_mount_or_in_the_vault() {
        for (typed, path) in [("/mnt/vault/a/b", "/a/b"), ("/a/b", "/a/b"), ("a/b", "/a/b")] {
            assert_eq!(in_vault(Path::new(typed), &mounted()).unwrap(), path, "{typed}");
        }
        // A name that only begins like the mount's.
        assert_eq!(in_vault(Path::new("/mnt/vault2/a"), &mounted()).unwrap(), "/mnt/vault2/a");
    }

    #[test]
    fn only_what_has_failed_is_given_up_unasked() {
        let all = [left("/a", None), left("/b", Some("full"))];
        assert_eq!(failed(&all), [left("/b", Some("full"))]);
        assert_eq!(Failure::refused("").code(), Code::Refused);
    }
}
