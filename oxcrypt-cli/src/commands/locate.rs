//! `oxcrypt locate`: from an entry to its ciphertext, and back.

use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use oxcrypt_core::{CiphertextPath, ErrorKind, Follow, Located, NodeKind, Vault, VaultOptions};
use serde_json::json;

use crate::args::LocateArgs;
use crate::exit::{Code, Failure, Result};
use crate::open;
use crate::session::Session;
use crate::source::Source;

pub(crate) fn run(args: &LocateArgs, session: &mut Session) -> Result<()> {
    let text = args.path.to_str().ok_or_else(|| Failure::usage("the path is not UTF-8"))?;
    if args.reverse {
        let (folder, path) = (args.vault.vault.clone(), args.path.clone());
        let path = open::within(args.vault.patience(), move || Ok(in_vault(&folder, &path)))?
            .ok_or_else(|| Failure::usage(format_args!("{text} is no path in the vault's folder")))?;
        let source = open::source(&args.vault, &VaultOptions::default(), session)?;
        reverse(source.vault(), &path, session)
    } else {
        let source = open::source(&args.vault, &VaultOptions::default(), session)?;
        forward(&source, &args.vault.vault, text, session)
    }
}

fn forward(source: &Source, folder: &Path, text: &str, session: &mut Session) -> Result<()> {
    let node = open::resolve(source, text, Follow::NotLast)?;
    let (entry, content) = (node.ciphertext_path(), source.vault().content_path(&node));
    if session.out.is_json() {
        let (entry, content) = (entry.as_str(), content.as_str());
        let object = json!({ "path": node.path().to_string(), "ciphertext": entry, "content": content });
        return session.out.object(object);
    }
    session.out.line(folder.join(entry.as_str()).display())?;
    if node.kind() == NodeKind::Directory {
        session.out.line(folder.join(content.as_str()).display())?;
    }
    Ok(())
}

fn reverse(vault: &Vault, path: &CiphertextPath, session: &mut Session) -> Result<()> {
    let (node, is_damaged) = match vault.locate(path, Instant::now(), |_| true) {
        Ok(Located::Entry(node)) => (node, false),
        Ok(Located::Damaged(dir)) => (dir, true),
        // Nobody stops it: a signal ends the program.
        Ok(Located::Stopped) => return Err(Failure::said(Code::Interrupted)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            session.console.error(format_args!("{path}: nothing in the vault leads there"));
            return Err(Failure::said(Code::Partial));
        }
        Err(error) => return Err(Failure::search(&error)),
    };
    let found = node.path().to_string();
    if session.out.is_json() {
        let damaged = is_damaged.then_some("an entry of this directory whose name cannot be told");
        session.out.object(json!({ "path": found, "ciphertext": path.as_str(), "error": damaged }))?;
    }
    if is_damaged {
        session.console.error(format_args!("{path}: an entry of {found} whose name cannot be told"));
        return Err(Failure::said(Code::Partial));
    }
    if session.out.is_json() {
        return Ok(());
    }
    let shown = session.out.name(&found).into_owned();
    session.out.line(shown)
}

/// A path as somebody typed it, relative to the vault's folder: it may be that already, or lead there from here.
fn in_vault(folder: &Path, path: &Path) -> Option<CiphertextPath> {
    let relative: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let below = match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => path.strip_prefix(folder).map(Path::to_owned).ok(),
        _ => path.strip_prefix(folder).map(Path::to_owned).ok(),
    };
    let relative = below.unwrap_or(relative);
    let parts: Option<Vec<&str>> = relative
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    CiphertextPath::parse(&parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_vault_may_be_given_from_here_or_from_the_vault() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        std::fs::create_dir_all(vault.join("d/AB")).unwrap();
        let parsed = |path: &Path| in_vault(&vault, path).map(|path| path.as_str().to_owned());
        assert_eq!(parsed(&vault.join("d/AB")).as_deref(), Some("d/AB"));
        assert_eq!(parsed(&vault.join("d/gone")).as_deref(), Some("d/gone"));
        assert_eq!(parsed(Path::new("./d/AB")).as_deref(), Some("d/AB"));
        assert_eq!(parsed(Path::new("../d/AB")), None);
        assert_eq!(parsed(Path::new("/etc")), None);
    }
}
