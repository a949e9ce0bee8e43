//! A second look at a vault: walks the ciphertext with the key alone, past everything that an open vault knows or does.
//!
//! It says what is wrong in the words of the format's health checks, and what lies in each file, chunk by chunk.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use data_encoding::BASE64URL;
use oxcrypt_core::chunk::{ChunkIndex, Layout};
use oxcrypt_core::crypto::{CipherCombo, ContentCipher, FileHeader, MasterKey, NameCipher};
use oxcrypt_core::storage::{BlockStorage, EntryKind};
use oxcrypt_core::{CiphertextPath, DirId};
use sha1::{Digest, Sha1};

/// What a vault is made of, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Every entry by its path, `a/b`, without the root.
    pub(crate) tree: BTreeMap<String, Seen>,
    pub(crate) findings: Vec<Finding>,
}

/// What lies under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Directory,
    Link(String),
    File(Content),
}

/// The content of a file, as far as it authenticates.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// The payload of each chunk; `None` for one that does not authenticate, or is cut.
    pub(crate) chunks: Vec<Option<Vec<u8>>>,
    /// Bytes of the ciphertext.
    pub(crate) stored: u64,
    /// The header's bytes, as they are stored.
    pub(crate) header: Vec<u8>,
    /// The nonce of each chunk.
    pub(crate) nonces: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) what: What,
    /// The ciphertext that it is about.
    pub(crate) path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    // Harmless.
    MissingDirIdBackup,
    // What a kill may leave, and `check` may mend without losing anything.
    /// A file of no bytes: it reads as empty.
    EmptyFile,
    /// An entry's folder without a type file, with nothing in it or its name alone.
    EmptyNode,
    /// A content directory that no entry leads to, and that holds nothing but its own id.
    EmptyOrphan,
    // What may only be there while just that was done.
    /// A link whose target does not authenticate, or is not there yet.
    HalfLink,
    /// A directory's entry with an empty file for its id.
    EmptyDirFile,
    MissingContentDir,
    // What must never be.
    Header,
    Chunk,
    CutTail,
    TrailingEmptyChunk,
    UndecryptableName,
    NameNotNfc,
    SameNameTwice,
    WronglySpelled,
    LongName,
    UnknownType,
    AmbiguousType,
    ObeseDirFile,
    DirIdCollision,
    DirIdBackup,
    Orphan,
    Foreign,
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Harmless,
    Repairable,
    /// Repairable where an operation of its own kind was running, and bad anywhere else.
    Special,
    Bad,
}

impl What {
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::MissingDirIdBackup => Severity::Harmless,
            Self::EmptyFile | Self::EmptyNode | Self::EmptyOrphan => Severity::Repairable,
            Self::HalfLink | Self::EmptyDirFile | Self::MissingContentDir => Severity::Special,
            _ => Severity::Bad,
        }
    }
}

impl Report {
    /// What is worse than a kill may leave, apart from `also`.
    pub(crate) fn worse_than_repairable(&self, also: &[What]) -> Vec<&Finding> {
        let bad = |finding: &&Finding| {
            finding.what.severity() > Severity::Repairable && !also.contains(&finding.what)
        };
        self.findings.iter().filter(bad).collect()
    }

    /// Everything that is not harmless.
    pub(crate) fn faults(&self) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.what.severity() > Severity::Harmless).collect()
    }

    pub(crate) fn file(&self, path: &str) -> Option<&Content> {
        match self.tree.get(path) {
            Some(Seen::File(content)) => Some(content),
            _ => None,
        }
    }
}

impl Content {
    /// The whole content; `None` where a chunk is damaged.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        self.chunks
            .iter()
            .map(|chunk| chunk.as_deref())
            .collect::<Option<Vec<_>>>()
            .map(|chunks| chunks.concat())
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chunk = |chunk: &Option<Vec<u8>>| match chunk {
            Some(bytes) => format!("{} of {:?}", bytes.len(), bytes.first()),
            None => "damaged".to_owned(),
        };
        let chunks: Vec<_> = self.chunks.iter().map(chunk).collect();
        write!(f, "Content({} bytes: {})", self.stored, chunks.join(", "))
    }
}

/// Looks at the whole vault.
pub(crate) fn check(
    storage: &dyn BlockStorage,
    key: &[u8; MasterKey::LEN],
    combo: CipherCombo,
    threshold: usize,
) -> Report {
    let key = MasterKey::from_raw(key);
    let mut walk = Walk {
        storage,
        names: NameCipher::new(&key),
        key,
        combo,
        threshold,
        report: Report { tree: BTreeMap::new(), findings: Vec::new() },
        entered: BTreeSet::new(),
    };
    walk.directory(&DirId::root(), "", None);
    walk.orphans();
    walk.report.findings.sort_unstable();
    walk.report
}

struct Walk<'s> {
    storage: &'s dyn BlockStorage,
    key: MasterKey,
    names: NameCipher,
    combo: CipherCombo,
    threshold: usize,
    report: Report,
    /// The content directories that an entry leads to.
    entered: BTreeSet<String>,
}

impl Walk<'_> {
    fn find(&mut self, what: What, path: &CiphertextPath) {
        self.report.findings.push(Finding { what, path: path.to_string() });
    }

    fn layout(&self) -> Layout {
        self.combo.layout()
    }

    fn list(&self, dir: &CiphertextPath) -> Option<Vec<(String, EntryKind)>> {
        let text = |name: OsString| name.to_string_lossy().into_owned();
        let listed = self.storage.list(dir).ok()?;
        let mut listed: Vec<_> = listed.into_iter().map(|entry| (text(entry.name), entry.kind)).collect();
        listed.sort_by(|a, b| a.0.cmp(&b.0));
        Some(listed)
    }

    fn read(&mut self, path: &CiphertextPath) -> Vec<u8> {
        self.storage.read(path, 1 << 30).unwrap_or_else(|_| {
            self.find(What::Unreadable, path);
            Vec::new()
        })
    }

    fn directory(&mut self, id: &DirId, shown: &str, entry: Option<&CiphertextPath>) {
        let hash = self.names.hash_dir_id(id);
        let path = CiphertextPath::parse(&format!("d/{}/{}", &hash[..2], &hash[2..])).unwrap();
        if !self.entered.insert(path.as_str().to_owned()) {
            return self.find(What::DirIdCollision, entry.unwrap_or(&path));
        }
        let Some(listed) = self.list(&path) else {
            return self.find(What::MissingContentDir, entry.unwrap_or(&path));
        };
        if !listed.iter().any(|(name, _)| name == "dirid.c9r") {
            self.find(What::MissingDirIdBackup, &path);
        }
        for (name, kind) in listed {
            let at = path.join(&name).unwrap();
            match (name.as_str(), kind) {
                ("dirid.c9r", EntryKind::File) => self.dir_id_backup(&at, id),
                (long, EntryKind::File | EntryKind::Directory) if ends_with(long, ".c9r") => {
                    if long.len() > self.threshold {
                        self.find(What::WronglySpelled, &at);
                    }
                    self.entry(id, shown, &at, long, kind, false);
                }
                (short, EntryKind::Directory) if ends_with(short, ".c9s") => self.shortened(id, shown, &at),
                _ => self.find(What::Foreign, &at),
            }
        }
    }

    fn dir_id_backup(&mut self, path: &CiphertextPath, id: &DirId) {
        let bytes = self.read(path);
        let content = self.decrypt(&bytes);
        match content.bytes() {
            Some(clear) if clear == id.as_bytes() && !bytes.is_empty() => {}
            // Optional, so half of one is as good as none.
            _ if bytes.is_empty() => self.find(What::MissingDirIdBackup, path),
            _ => self.find(What::DirIdBackup, path),
        }
    }

    fn shortened(&mut self, dir: &DirId, shown: &str, at: &CiphertextPath) {
        let listed = self.list(at).unwrap_or_default();
        let has_type = listed.iter().any(|(name, _)| name != "name.c9s");
        let long = if listed.iter().any(|(name, _)| name == "name.c9s") {
            self.read(&at.join("name.c9s").unwrap())
        } else {
            Vec::new()
        };
        let long = String::from_utf8(long).unwrap_or_default();
        let hash = BASE64URL.encode(&Sha1::digest(&long)) + ".c9s";
        if !has_type {
            return self.find(What::EmptyNode, at);
        }
        if at.file_name() != Some(&hash) || !ends_with(&long, ".c9r") {
            return self.find(What::LongName, at);
        }
        if long.len() <= self.threshold {
            self.find(What::WronglySpelled, at);
        }
        self.entry(dir, shown, at, &long, EntryKind::Directory, true);
    }

    fn entry(
        &mut self,
        dir: &DirId,
        shown: &str,
        at: &CiphertextPath,
        long: &str,
        kind: EntryKind,
        is_short: bool,
    ) {
        let Ok(name) = self.names.decrypt(long.strip_suffix(".c9r").unwrap(), dir) else {
            return self.find(What::UndecryptableName, at);
        };
        if oxcrypt_core::Name::new(&name).ok().is_none_or(|nfc| nfc.as_str() != name) {
            self.find(What::NameNotNfc, at);
        }
        let shown = if shown.is_empty() { name } else { format!("{shown}/{name}") };
        if kind == EntryKind::File {
            let seen = self.file(at);
            return self.put(shown, seen, at);
        }
        let listed = self.list(at).unwrap_or_default();
        let mut types = Vec::new();
        for (name, kind) in listed {
            match (name.as_str(), kind) {
                ("dir.c9r" | "symlink.c9r", EntryKind::File) => types.push(name),
                ("contents.c9r", EntryKind::File) if is_short => types.push(name),
                ("name.c9s", EntryKind::File) if is_short => {}
                _ => {
                    self.find(What::Foreign, &at.join(&name).unwrap());
                    types.push(name);
                }
            }
        }
        match types.as_slice() {
            [] => self.find(What::EmptyNode, at),
            [one] => {
                let path = at.join(one).unwrap();
                match one.as_str() {
                    "dir.c9r" => self.subdirectory(&shown, at, &path),
                    "symlink.c9r" => self.link(shown, at, &path),
                    "contents.c9r" => {
                        let seen = self.file(&path);
                        self.put(shown, seen, at);
                    }
                    _ => self.find(What::UnknownType, at),
                }
            }
            _ => self.find(What::AmbiguousType, at),
        }
    }

    fn put(&mut self, shown: String, seen: Seen, at: &CiphertextPath) {
        if self.report.tree.insert(shown, seen).is_some() {
            self.find(What::SameNameTwice, at);
        }
    }

    fn subdirectory(&mut self, shown: &str, at: &CiphertextPath, dir_file: &CiphertextPath) {
        let bytes = self.read(dir_file);
        if bytes.is_empty() {
            return self.find(What::EmptyDirFile, at);
        }
        if bytes.len() > 36 {
            self.find(What::ObeseDirFile, at);
        }
        let Ok(id) = DirId::from_dir_file(&bytes) else { return };
        self.put(shown.to_owned(), Seen::Directory, at);
        self.directory(&id, shown, Some(at));
    }

    fn link(&mut self, shown: String, at: &CiphertextPath, path: &CiphertextPath) {
        let bytes = self.read(path);
        let content = self.decrypt(&bytes);
        match content.bytes().and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(target) if !bytes.is_empty() => self.put(shown, Seen::Link(target), at),
            _ => self.find(What::HalfLink, at),
        }
    }

    fn file(&mut self, path: &CiphertextPath) -> Seen {
        let bytes = self.read(path);
        let (layout, len) = (self.layout(), bytes.len() as u64);
        if bytes.is_empty() {
            self.find(What::EmptyFile, path);
        } else if self.header(&bytes).is_none() {
            self.find(What::Header, path);
        } else {
            match (len - layout.header_len()) % layout.chunk_len() {
                0 => {}
                tail if tail < layout.overhead() => self.find(What::CutTail, path),
                tail if tail == layout.overhead() => self.find(What::TrailingEmptyChunk, path),
                _ => {}
            }
        }
        let content = self.decrypt(&bytes);
        if content.chunks.contains(&None) {
            self.find(What::Chunk, path);
        }
        Seen::File(content)
    }

    fn header(&self, bytes: &[u8]) -> Option<FileHeader> {
        let header = bytes.get(..usize::try_from(self.layout().header_len()).unwrap())?;
        FileHeader::decrypt(self.combo, &self.key, header).ok()
    }

    fn decrypt(&self, bytes: &[u8]) -> Content {
        let (header_len, chunk_len, nonce_len) = {
            let layout = self.layout();
            let lens = [layout.header_len(), layout.chunk_len(), layout.nonce_len()];
            let [header, chunk, nonce] = lens.map(|len| usize::try_from(len).unwrap());
            (header, chunk, nonce)
        };
        let (header, body) = bytes.split_at(bytes.len().min(header_len));
        let cipher = self.header(bytes).map(|header| ContentCipher::new(&header, &self.key));
        let decrypt = |(index, chunk): (u64, &[u8])| {
            let mut chunk = chunk.to_vec();
            let clear = cipher.as_ref()?.decrypt_in_place(ChunkIndex(index), &mut chunk).ok()?;
            Some(clear.to_vec())
        };
        let chunks = (0..).zip(body.chunks(chunk_len));
        Content {
            chunks: chunks.map(decrypt).collect(),
            stored: bytes.len() as u64,
            header: header.to_vec(),
            nonces: body
                .chunks(chunk_len)
                .map(|chunk| chunk[..chunk.len().min(nonce_len)].to_vec())
                .collect(),
        }
    }

    /// Looks for content directories that no entry leads to.
    fn orphans(&mut self) {
        let root = CiphertextPath::parse("d").unwrap();
        for (first, _) in self.list(&root).unwrap_or_default() {
            let first = root.join(&first).unwrap();
            for (rest, kind) in self.list(&first).unwrap_or_default() {
                let path = first.join(&rest).unwrap();
                if self.entered.contains(path.as_str()) {
                    continue;
                }
                let holds = self.list(&path).unwrap_or_default();
                let is_empty = holds.iter().all(|(name, _)| name == "dirid.c9r");
                let what = match kind {
                    EntryKind::Directory if is_empty => What::EmptyOrphan,
                    EntryKind::Directory => What::Orphan,
                    _ => What::Foreign,
                };
                self.find(what, &path);
            }
        }
    }
}

/// Suffixes are written in small letters, always.
fn ends_with(name: &str, suffix: &str) -> bool {
    name.ends_with(suffix)
}

#[test]
fn what_official_code_wrote_has_no_faults_and_what_it_broke_has_them() {
    use oxcrypt_core::storage::LocalStorage;
    use serde_json::Value;

    use crate::fixtures::{Fixtures, source};
    use crate::manifest::{Item, listed};

    let fixtures = Fixtures::unpack();
    let report = |vault: &str, combo, threshold| {
        let manifest = std::fs::read(source(&format!("{vault}.json"))).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let raw = data_encoding::HEXLOWER.decode(manifest["masterkeyHex"].as_str().unwrap().as_bytes());
        let storage = LocalStorage::open(fixtures.path(vault)).unwrap();
        check(&storage, &raw.unwrap().try_into().unwrap(), combo, threshold)
    };
    for (vault, combo, threshold) in [
        ("full_gcm", CipherCombo::SivGcm, 220),
        ("full_ctrmac", CipherCombo::SivCtrMac, 220),
        ("threshold36_gcm", CipherCombo::SivGcm, 36),
    ] {
        let report = report(vault, combo, threshold);
        assert_eq!(report.faults(), Vec::<&Finding>::new(), "{vault}");
        let manifest = std::fs::read(source(&format!("{vault}.json"))).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let mut official = listed(&manifest["asListedByOfficialCryptofs"]);
        official.remove("/");
        assert_eq!(report.tree.len(), official.len());
        for (path, item) in official {
            match (item, &report.tree[&path[1..]]) {
                (Item::Directory, Seen::Directory) => {}
                (Item::Symlink(target), Seen::Link(seen)) => assert_eq!(target, *seen),
                (Item::File { len, sha256 }, Seen::File(content)) => {
                    let bytes = content.bytes().unwrap();
                    assert_eq!(
                        (bytes.len() as u64, crate::manifest::sha256(&bytes)),
                        (len, sha256),
                        "{vault}{path}"
                    );
                }
                (item, seen) => panic!("{vault}{path}: {seen:?} where official code has {item:?}"),
            }
        }
    }
    let kinds = |report: Report| report.faults().iter().map(|finding| finding.what).collect::<BTreeSet<_>>();
    let damaged = kinds(report("damaged_gcm", CipherCombo::SivGcm, 220));
    assert_eq!(damaged, BTreeSet::from([What::EmptyFile, What::Header, What::Chunk, What::CutTail]));
    let broken = kinds(report("broken_structure_gcm", CipherCombo::SivGcm, 220));
    let expected = [
        What::EmptyDirFile,
        // Its empty node has a name that nothing decrypts.
        What::UndecryptableName,
        What::LongName,
        What::AmbiguousType,
        What::DirIdCollision,
        What::Orphan,
    ];
    assert_eq!(broken, BTreeSet::from(expected));
}
