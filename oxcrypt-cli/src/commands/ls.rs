//! `oxcrypt ls`: the entries of a directory, or everything below it.

use std::sync::Arc;

use oxcrypt_core::{Entry, Follow, Node, NodeAttributes, NodeKind, VaultOptions};
use serde_json::{Value, json};

use crate::args::LsArgs;
use crate::exit::{Code, Failure, Result};
use crate::open;
use crate::output::{Output, exact_time, local_time};
use crate::printable::printable;
use crate::session::Session;
use crate::source::Source;
use crate::walk::{Walk, is_conflict, join, kind_name};

pub(crate) fn run(args: &LsArgs, session: &mut Session) -> Result<()> {
    let source = open::source(&args.vault, &VaultOptions::default(), session)?;
    let start = start(&source, args, session)?;
    let mut list = List { source: &source, long: args.long, session, failed: 0 };
    if start.kind() != NodeKind::Directory {
        let name = start.name().map_or("/", |name| name.as_str()).to_owned();
        list.row(&Row {
            path: start.path().to_string(),
            name,
            is_conflict: false,
            node: Some(start),
            problem: None,
        })?;
    } else if args.recursive {
        list.below(&start)?;
    } else {
        list.entries(&start)?;
    }
    match list.failed {
        0 => Ok(()),
        _ => Err(Failure::said(Code::Partial)),
    }
}

/// What to list. Where it is shown itself, and not what is in it, a link is shown as a link; a broken one always.
fn start(source: &Source, args: &LsArgs, session: &Session) -> Result<Arc<Node>> {
    let itself = open::resolve(source, &args.path, Follow::NotLast)?;
    if itself.kind() != NodeKind::Symlink || args.long || session.out.is_json() {
        return Ok(itself);
    }
    Ok(open::resolve(source, &args.path, Follow::Always).unwrap_or(itself))
}

struct List<'l> {
    source: &'l Source,
    long: bool,
    session: &'l mut Session,
    failed: u64,
}

/// One line to be.
struct Row {
    /// Where it is in the vault.
    path: String,
    /// What it is called here.
    name: String,
    is_conflict: bool,
    node: Option<Arc<Node>>,
    problem: Option<String>,
}

impl List<'_> {
    fn entries(&mut self, dir: &Arc<Node>) -> Result<()> {
        let listing = self.source.list(dir).map_err(|error| Failure::entry(&dir.path(), &error))?;
        let place = dir.path().to_string();
        for entry in listing.entries() {
            let path = join(&place, entry.shown());
            if !self.long
                && !self.session.out.is_json()
                && let Entry::Sound(found) = entry
            {
                // What it is would cost a question for each directory, and nobody wants to know.
                let name = self.session.out.name(found.name().as_str()).into_owned();
                self.session.out.line(name)?;
                continue;
            }
            let (node, problem) = match self.source.node(dir, entry) {
                Ok(node) => (Some(node), None),
                Err(problem) => (None, Some(problem)),
            };
            let name = entry.shown().to_owned();
            self.row(&Row { path, name, is_conflict: is_conflict(entry), node, problem })?;
        }
        Ok(())
    }

    fn below(&mut self, dir: &Arc<Node>) -> Result<()> {
        let start = dir.path().to_string();
        let walk = Walk::below(self.source, dir).map_err(|error| Failure::entry(&dir.path(), &error))?;
        for item in walk {
            let path = item.path();
            let name = path.strip_prefix(&start).unwrap_or(&path).trim_start_matches('/').to_owned();
            self.row(&Row {
                path,
                name,
                is_conflict: item.is_conflict,
                node: item.node,
                problem: item.problem,
            })?;
            // Storage may be slow: what is known is shown.
            self.session.out.show()?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        let mut problem = row.problem.clone();
        let wants_more = self.long || self.session.out.is_json();
        let (mut attributes, mut target) = (None, None);
        if let Some(node) = row.node.as_ref().filter(|_| wants_more && problem.is_none()) {
            match self.source.attributes(node) {
                Ok(known) => attributes = Some(known),
                Err(error) => problem = Some(error.to_string()),
            }
            if node.kind() == NodeKind::Symlink {
                match self.source.read_link(node) {
                    Ok(text) => target = Some(text),
                    Err(error) => problem = Some(error.to_string()),
                }
            }
        }
        if let Some(problem) = &problem {
            self.failed += 1;
            self.session.console.error(format_args!("{}: {problem}", printable(&row.path)));
        }
        let kind = row.node.as_ref().map(|node| node.kind());
        let out = &mut self.session.out;
        if out.is_json() {
            out.object(as_json(row, kind, attributes.as_ref(), target.as_deref(), problem.as_deref()))
        } else if self.long {
            long_line(out, row, kind, attributes.as_ref(), target.as_deref())
        } else {
            let name = out.name(&row.name).into_owned();
            out.line(name)
        }
    }
}

fn as_json(
    row: &Row,
    kind: Option<NodeKind>,
    attributes: Option<&NodeAttributes>,
    target: Option<&str>,
    problem: Option<&str>,
) -> Value {
    json!({
        "path": row.path,
        "type": kind_name(kind),
        "size": attributes.map(|known| known.len),
        "modified": exact_time(attributes.and_then(|known| known.modified)),
        "target": target,
        "conflict": row.is_conflict.then_some(true),
        "cutOff": attributes.and_then(|known| known.torn).map(|_| true),
        "error": problem,
    })
}

fn long_line(
    out: &mut Output,
    row: &Row,
    kind: Option<NodeKind>,
    attributes: Option<&NodeAttributes>,
    target: Option<&str>,
) -> Result<()> {
    let letter = match kind {
        Some(NodeKind::File) => '-',
        Some(NodeKind::Directory) => 'd',
        Some(NodeKind::Symlink) => 'l',
        None => '?',
    };
    let len = attributes.filter(|known| known.kind != NodeKind::Directory).map(|known| known.len.to_string());
    let len = len.as_deref().unwrap_or("-");
    let time = local_time(attributes.and_then(|known| known.modified));
    let mut line = format!("{letter} {len:>14}  {time:<16}  {}", out.name(&row.name));
    if let Some(target) = target {
        line.extend([" -> ", &out.name(target)]);
    }
    if attributes.is_some_and(|known| known.torn.is_some()) {
        line.push_str("  [cut off]");
    }
    if row.is_conflict {
        line.push_str("  [stored as a copy]");
    }
    out.line(line)
}
