//! `oxcrypt tree`: everything below a directory, as a picture.

use oxcrypt_core::{Follow, NodeKind, VaultOptions};
use serde_json::json;

use crate::args::TreeArgs;
use crate::exit::{Code, Failure, Result};
use crate::looks::Wanted;
use crate::open;
use crate::printable::printable;
use crate::session::Session;
use crate::walk::{Item, Walk, kind_name};

/// How many of each there were.
#[derive(Default)]
struct Counts {
    directories: u64,
    files: u64,
    links: u64,
    failed: u64,
}

pub(crate) fn run(args: &TreeArgs, session: &mut Session) -> Result<()> {
    let source = open::source(&args.vault, &VaultOptions::default(), session)?;
    let start = open::resolve(&source, &args.path, Follow::Always)?;
    let wanted = Wanted { target: true, ..Wanted::default() };
    let walk = Walk::below(&source, &start, wanted).map_err(|error| Failure::entry(&start.path(), &error))?;
    let mut counts = Counts::default();
    // For each level whether more follows there.
    let mut open_levels: Vec<bool> = Vec::new();
    if !session.out.is_json() {
        let name = session.out.name(&start.path().to_string()).into_owned();
        session.out.line(name)?;
    }
    for item in walk {
        let kind = item.node().map(|node| node.kind());
        let (target, broken) = match &item.look.target {
            Some(Ok(target)) => (Some(target.to_string()), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let problem = broken.or(item.problem.as_ref()).map(ToString::to_string);
        counts.add(&item, problem.is_some());
        if let Some(problem) = &problem {
            session.console.error(format_args!("{}: {problem}", printable(&item.path())));
        }
        if session.out.is_json() {
            let object = json!({
                "path": item.path(),
                "depth": item.depth,
                "type": kind_name(kind),
                "target": target,
                "conflict": item.is_conflict().then_some(true),
                "error": problem,
            });
            session.out.object(object)?;
        } else {
            open_levels.truncate(item.depth);
            let mut line: String =
                open_levels.iter().map(|more| if *more { "\u{2502}   " } else { "    " }).collect();
            line.push_str(if item.is_last {
                "\u{2514}\u{2500}\u{2500} "
            } else {
                "\u{251c}\u{2500}\u{2500} "
            });
            line.push_str(&session.out.name(item.name()));
            match (&target, &problem) {
                (Some(target), _) => line.extend([" -> ", &session.out.name(target)]),
                (None, Some(_)) => line.push_str("  [damaged or unreadable]"),
                (None, None) if kind == Some(NodeKind::Directory) => line.push('/'),
                (None, None) => {}
            }
            session.out.line(line)?;
            open_levels.push(!item.is_last);
        }
        session.out.show()?;
    }
    if !session.out.is_json() {
        let Counts { directories, files, links, failed } = counts;
        let unreadable = if failed > 0 { format!(", {failed} unreadable") } else { String::new() };
        session
            .out
            .line(format_args!("\n{directories} directories, {files} files, {links} links{unreadable}"))?;
    }
    if counts.failed == 0 { Ok(()) } else { Err(Failure::said(Code::Partial)) }
}

impl Counts {
    fn add(&mut self, item: &Item, failed: bool) {
        self.failed += u64::from(failed);
        match item.node().map(|node| node.kind()) {
            Some(NodeKind::Directory) => self.directories += 1,
            Some(NodeKind::File) => self.files += 1,
            Some(NodeKind::Symlink) => self.links += 1,
            None => {}
        }
    }
}
