//! What a vault holds, read from a manifest or from the vault itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use oxcrypt_core::{Entry, Node, NodeKind, Vault, Visit, Visits};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// One entry, with all that a manifest tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Directory,
    File { len: u64, sha256: String },
    Symlink(String),
    Damaged(String),
}

pub(crate) type Manifest = BTreeMap<String, Item>;

/// What others listed. What they could not read is damaged.
pub(crate) fn listed(entries: &Value) -> Manifest {
    entries.as_array().unwrap().iter().map(item).collect()
}

fn item(entry: &Value) -> (String, Item) {
    let text = |field: &str| entry[field].as_str().unwrap().to_owned();
    if entry.get("error").is_some() {
        return (text("path"), Item::Damaged(text("error")));
    }
    let item = match entry["type"].as_str().unwrap() {
        "dir" => Item::Directory,
        "file" => Item::File { len: entry["size"].as_u64().unwrap(), sha256: text("sha256") },
        "symlink" => Item::Symlink(text("target")),
        other => panic!("a type that no manifest has: {other}"),
    };
    (text("path"), item)
}

/// Reads the whole vault.
pub(crate) fn actual(vault: &Vault) -> Manifest {
    actual_at(vault, Instant::now())
}

/// Reads the whole vault, at a time of one's own.
pub(crate) fn actual_at(vault: &Vault, now: Instant) -> Manifest {
    let mut manifest = Manifest::from([("/".to_owned(), Item::Directory)]);
    walk(vault, &vault.root(), "", now, &mut Visits::default(), &mut manifest);
    manifest
}

fn walk(
    vault: &Vault,
    dir: &Arc<Node>,
    path: &str,
    now: Instant,
    visits: &mut Visits,
    manifest: &mut Manifest,
) {
    assert_ne!(visits.enter(dir), Visit::Refused);
    let listing = match vault.list(dir, now) {
        Ok(listing) => listing,
        Err(error) => {
            manifest.insert(path.to_owned(), Item::Damaged(error.to_string()));
            return;
        }
    };
    for entry in listing.entries() {
        let path = format!("{path}/{}", entry.shown());
        let node = match entry {
            Entry::Damaged(damaged) => Err(damaged.damage().to_string()),
            Entry::Sound(found) => vault.node(dir, found, now).map_err(|error| error.to_string()),
        };
        let item = match &node {
            Err(damage) => Item::Damaged(damage.clone()),
            Ok(node) => match node.kind() {
                NodeKind::Directory => Item::Directory,
                NodeKind::Symlink => Item::Symlink(vault.read_link(node, now).unwrap().to_string()),
                NodeKind::File => read(vault, node, now),
            },
        };
        let is_new = manifest.insert(path.clone(), item.clone()).is_none();
        assert!(is_new, "two entries are shown as {path}");
        if let (Item::Directory, Ok(node)) = (item, &node) {
            walk(vault, node, &path, now, visits, manifest);
        }
    }
}

fn read(vault: &Vault, node: &Arc<Node>, now: Instant) -> Item {
    let file = vault.open(node, now).unwrap();
    assert_eq!(vault.attributes(node, now).unwrap().len, file.len());
    let mut content = vec![0; usize::try_from(file.len()).unwrap() + 10];
    match file.read_at(0, &mut content) {
        Ok(len) => {
            assert_eq!(len as u64, file.len());
            Item::File { len: file.len(), sha256: sha256(&content[..len]) }
        }
        Err(error) => Item::Damaged(error.to_string()),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}
