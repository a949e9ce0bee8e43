//! A vault of arbitrary structure: forged names, circles, half of everything. The walk ends, no name and no path leads
//! out of the vault, and nothing is changed.
#![no_main]

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Instant;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oxcrypt_core::storage::{BlockStorage, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{
    CiphertextPath, DirId, Entry, Follow, NodeKind, Vault, VaultOptions, VaultPath, Visit, Visits,
};

#[derive(Arbitrary, Debug)]
struct Case {
    threshold: u8,
    pieces: Vec<Piece>,
    paths: Vec<String>,
}

/// Parents are picked among the directories made so far.
#[derive(Arbitrary, Debug)]
enum Piece {
    Directory {
        parent: u8,
        name: String,
    },
    DirectoryAgain {
        parent: u8,
        name: String,
        id: u8,
    },
    DirectoryWithAnyId {
        parent: u8,
        name: String,
        id: Vec<u8>,
    },
    File {
        parent: u8,
        name: String,
        ciphertext: Vec<u8>,
    },
    Symlink {
        parent: u8,
        name: String,
        target: String,
    },
    /// What an entry's folder is made of, one by one: also what makes no sense together.
    Part {
        parent: u8,
        name: String,
        file: Part,
        content: Content,
        as_folder: bool,
    },
    /// Any file beside the entries.
    Beside {
        parent: u8,
        file: String,
        content: Vec<u8>,
    },
}

/// The files that mean something in an entry's folder, and any other.
#[derive(Arbitrary, Debug)]
enum Part {
    Directory,
    Symlink,
    Contents,
    Name,
    Other(String),
}

impl Part {
    fn file_name(&self) -> &str {
        match self {
            Self::Directory => "dir.c9r",
            Self::Symlink => "symlink.c9r",
            Self::Contents => "contents.c9r",
            Self::Name => "name.c9s",
            Self::Other(name) => name,
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Content {
    /// The id of a directory made before.
    Id(u8),
    /// The encrypted name of any entry of this directory.
    Name(String),
    /// A text, encrypted as files and link targets are.
    Encrypted(String),
    Any(Vec<u8>),
}

fuzz_target!(|case: Case| {
    let storage = MemoryStorage::default();
    let recipe = Recipe { threshold: usize::from(36 + case.threshold % 220), ..Recipe::default() };
    let builder = VaultBuilder::create(&storage, recipe).unwrap();
    let mut dirs = vec![DirId::root()];
    for piece in case.pieces.iter().take(60) {
        // What cannot be made, because something is there, is left out.
        let _made_or_not = make(&storage, &builder, &mut dirs, piece);
    }
    drop(builder);
    let passphrase = Passphrase::new(Recipe::default().passphrase);
    let vault =
        Locked::read(Arc::new(storage)).unwrap().unlock(&passphrase, &VaultOptions::default()).unwrap();
    walk(&vault);
    for path in case.paths.iter().take(5).filter_map(|path| VaultPath::parse(path).ok()) {
        let _found_or_not = vault.resolve(&path, Follow::Always, Instant::now());
    }
});

fn make(
    storage: &MemoryStorage,
    builder: &VaultBuilder<'_>,
    dirs: &mut Vec<DirId>,
    piece: &Piece,
) -> io::Result<()> {
    let pick = |parent: &u8| dirs[usize::from(*parent) % dirs.len()].clone();
    match piece {
        Piece::Directory { parent, name } => {
            let id = builder.directory(&pick(parent), name)?;
            dirs.push(id);
        }
        Piece::DirectoryAgain { parent, name, id } => {
            builder.directory_with_id(&pick(parent), name, &pick(id))?
        }
        Piece::DirectoryWithAnyId { parent, name, id } => {
            if let Ok(id) = DirId::from_dir_file(id) {
                builder.directory_with_id(&pick(parent), name, &id)?;
            }
        }
        Piece::File { parent, name, ciphertext } => {
            builder.ciphertext_file(&pick(parent), name, ciphertext)?;
        }
        Piece::Symlink { parent, name, target } => builder.symlink(&pick(parent), name, target)?,
        Piece::Part { parent, name, file, content, as_folder } => {
            let dir = pick(parent);
            let (folder, long) = builder.spell(&dir, name);
            match storage.create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let content = match content {
                Content::Id(id) => pick(id).as_bytes().to_vec(),
                Content::Name(other) if other.is_empty() => long.unwrap_or_default().into_bytes(),
                Content::Name(other) => {
                    let (path, long) = builder.spell(&dir, other);
                    long.unwrap_or_else(|| path.file_name().unwrap().to_owned()).into_bytes()
                }
                Content::Encrypted(text) => builder.encrypt(text.as_bytes()),
                Content::Any(bytes) => bytes.clone(),
            };
            match folder.join(file.file_name()) {
                Some(path) if *as_folder => storage.create_dir(&path)?,
                Some(path) => storage.write_new(&path, &content)?,
                None => {}
            }
        }
        Piece::Beside { parent, file, content } => {
            if let Some(path) = builder.content_dir(&pick(parent))?.join(file) {
                storage.write_new(&path, content)?;
            }
        }
    }
    Ok(())
}

fn walk(vault: &Vault) {
    let now = Instant::now();
    let (mut visits, mut open, mut lists) = (Visits::default(), vec![vault.root()], 0);
    while let Some(dir) = open.pop() {
        if matches!(visits.enter(&dir), Visit::Refused | Visit::TooDeep) {
            continue;
        }
        lists += 1;
        assert!(lists <= 1_000, "the walk does not end");
        let Ok(listing) = vault.list(&dir, now) else { continue };
        for entry in listing.entries() {
            let Entry::Sound(found) = entry else { continue };
            let mut components = Path::new(found.name().as_str()).components();
            assert!(matches!(components.next(), Some(Component::Normal(_))) && components.next().is_none());
            inside(found.path());
            let Ok(node) = vault.node(&dir, found, now) else { continue };
            inside(&vault.content_path(&node));
            match node.kind() {
                NodeKind::Directory => open.push(node),
                NodeKind::Symlink => drop(vault.read_link(&node, now)),
                NodeKind::File => {
                    if let Ok(file) = vault.open(&node, now) {
                        let _content_or_damage = file.read_at(0, &mut [0; 100]);
                    }
                }
            }
        }
    }
}

fn inside(path: &CiphertextPath) {
    assert!(path.as_str().starts_with("d/") && path.components().all(|part| !matches!(part, "." | "..")));
}
