//! `oxcrypt ls`: the entries of a directory, or everything below it.

use std::sync::Arc;

use oxcrypt_core::{Entry, Follow, LinkTarget, Node, NodeAttributes, NodeKind, VaultOptions};
use oxcrypt_io::volume::Error;
use serde_json::{Value, json};

use crate::args::LsArgs;
use crate::exit::{Code, Failure, Result};
use crate::looks::{Look, Looks, Wanted};
use crate::open;
use crate::output::{Output, exact_time, local_time};
use crate::printable::printable;
use crate::problem::Problem;
use crate::session::Session;
use crate::source::Source;
use crate::walk::{Walk, is_conflict, join, kind_name};

pub(crate) fn run(args: &LsArgs, session: &mut Session) -> Result<()> {
    let source = open::source(&args.vault, &VaultOptions::default(), session)?;
    let start = start(&source, args, session)?;
    let mut list = List { source: &source, long: args.long, session, failed: 0 };
    if start.kind() != NodeKind::Directory {
        list.itself(start)?;
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
    attributes: Option<NodeAttributes>,
    target: Option<LinkTarget>,
    problem: Option<String>,
}

impl Row {
    fn of(path: String, name: String, look: Look) -> Self {
        let mut problem = look.problem().map(|problem| problem.to_string());
        let mut told = |problem_of: Problem| problem = Some(problem_of.to_string());
        let attributes = look.attributes.and_then(|known| known.map_err(&mut told).ok());
        let target = look.target.and_then(|known| known.map_err(&mut told).ok());
        let is_conflict = is_conflict(&look.entry);
        Self { path, name, is_conflict, node: look.node.ok(), attributes, target, problem }
    }
}

impl List<'_> {
    /// What is to be known of each entry.
    fn wanted(&self) -> Wanted {
        let wants_more = self.long || self.session.out.is_json();
        Wanted { attributes: wants_more, target: wants_more, listing: false }
    }

    /// The start itself, which is no directory.
    fn itself(&mut self, node: Arc<Node>) -> Result<()> {
        let path = node.path().to_string();
        let name = node.name().map_or_else(|| "/".to_owned(), |name| name.as_str().to_owned());
        let (mut attributes, mut target, mut problem) = (None, None, None);
        if self.wanted().attributes {
            let mut told = |error: Error| problem = Some(error.to_string());
            attributes = self.source.attributes(&node).map_err(&mut told).ok();
            if node.kind() == NodeKind::Symlink {
                target = self.source.read_link(&node).map_err(&mut told).ok();
            }
        }
        self.row(&Row { path, name, is_conflict: false, node: Some(node), attributes, target, problem })
    }

    fn entries(&mut self, dir: &Arc<Node>) -> Result<()> {
        let listing = self.source.list(dir).map_err(|error| Failure::entry(&dir.path(), &error))?;
        let place = dir.path().to_string();
        if self.wanted().attributes {
            for look in Looks::at(self.source, dir, &listing, self.wanted()) {
                let name = look.entry.shown().to_owned();
                self.row(&Row::of(join(&place, &name), name, look))?;
                self.session.out.show()?;
            }
            return Ok(());
        }
        for entry in listing.entries() {
            let name = entry.shown().to_owned();
            // What it is would cost a question for each directory, and nobody wants to know.
            let problem = match entry {
                Entry::Sound(_) => None,
                Entry::Damaged(_) => self.source.node(dir, entry).err().map(|problem| problem.to_string()),
            };
            let path = join(&place, &name);
            let (node, attributes, target) = (None, None, None);
            self.row(&Row { path, name, is_conflict: false, node, attributes, target, problem })?;
        }
        Ok(())
    }

    fn below(&mut self, dir: &Arc<Node>) -> Result<()> {
        let start = dir.path().to_string();
        let walk = Walk::below(self.source, dir, self.wanted())
            .map_err(|error| Failure::entry(&dir.path(), &error))?;
        for item in walk {
            let path = item.path();
            let name = path.strip_prefix(&start).unwrap_or(&path).trim_start_matches('/').to_owned();
            let problem = item.problem.as_ref().map(ToString::to_string);
            let row = Row::of(path, name, item.look);
            self.row(&Row { problem: problem.or(row.problem), ..row })?;
            // Storage may be slow: what is known is shown.
            self.session.out.show()?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        if let Some(problem) = &row.problem {
            self.failed += 1;
            self.session.console.error(format_args!("{}: {problem}", printable(&row.path)));
        }
        let kind = row.node.as_ref().map(|node| node.kind());
        let out = &mut self.session.out;
        if out.is_json() {
            out.object(as_json(row, kind))
        } else if self.long {
            long_line(out, row, kind)
        } else {
            let name = out.name(&row.name).into_owned();
            out.line(name)
        }
    }
}

fn as_json(row: &Row, kind: Option<NodeKind>) -> Value {
    let attributes = row.attributes.as_ref();
    json!({
        "path": row.path,
        "type": kind_name(kind),
        "size": attributes.map(|known| known.len),
        "modified": exact_time(attributes.and_then(|known| known.modified)),
        "target": row.target.as_deref(),
        "conflict": row.is_conflict.then_some(true),
        "cutOff": attributes.and_then(|known| known.torn).map(|_| true),
        "error": row.problem,
    })
}

fn long_line(out: &mut Output, row: &Row, kind: Option<NodeKind>) -> Result<()> {
    let attributes = row.attributes.as_ref();
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
    if let Some(target) = row.target.as_deref() {
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
