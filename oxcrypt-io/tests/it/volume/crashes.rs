//! What a volume has acknowledged and synced survives the end of its process and of its machine, whatever it stores in the
//! background meanwhile.

use std::sync::Arc;

use oxcrypt_core::storage::{Attributes, Crash, FaultyStorage, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{ErrorKind, VaultOptions};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::volume::{OpenFile, Volume};
use proptest::prelude::*;

use super::histories::{bytes, cases, combos, memories, near_a_border};
use super::house::{name, small_volume, unlock};

const CHUNK: usize = 32_768;

#[derive(Clone, Debug)]
enum Step {
    Write { offset: usize, len: usize },
    SetLen(usize),
    Flush,
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![near_a_border(4).prop_map(|len| len.max(1)), 1..300_usize];
    prop_oneof![
        8 => (near_a_border(5), len).prop_map(|(offset, len)| Step::Write { offset, len }),
        3 => prop_oneof![3 => near_a_border(5), 1 => Just(0)].prop_map(Step::SetLen),
        2 => Just(Step::Flush),
        2 => Just(Step::Sync),
    ]
}

/// A file that is written to, and all that it has been.
struct Watched {
    storage: Arc<FaultyStorage>,
    volume: Volume,
    file: Arc<OpenFile>,
    /// Each content, with the number of mutations before there was any of it.
    versions: Vec<(usize, Vec<u8>)>,
    /// Which of them was synced, and the number of mutations after that.
    syncs: Vec<(usize, usize)>,
}

impl Watched {
    fn new(recipe: Recipe<'_>, options: &VaultOptions) -> Self {
        let memory = MemoryStorage::default();
        VaultBuilder::create(&memory, recipe).unwrap();
        let storage = Arc::new(FaultyStorage::new(&memory));
        let vault = unlock(Arc::clone(&storage) as _, options);
        let volume = small_volume(vault, Arc::new(SystemClock::new()));
        let root = volume.vault().root();
        let file = volume.create(&root, &name("file"), Attributes::default()).wait().unwrap();
        let mut watched = Self { storage, volume, file, versions: vec![(0, Vec::new())], syncs: Vec::new() };
        watched.step(&Step::Sync);
        watched
    }

    fn step(&mut self, step: &Step) {
        let before = self.storage.mutations();
        let mut content = self.versions.last().unwrap().1.clone();
        match *step {
            Step::Write { offset, len } => {
                let bytes = bytes(self.versions.len(), len);
                // What is written may be on its way before that is known.
                content.resize(content.len().max(offset + len), 0);
                content[offset..offset + len].copy_from_slice(&bytes);
                assert_eq!(self.volume.write(&self.file, offset as u64, &bytes).wait().unwrap(), len);
                self.versions.push((before, content));
            }
            Step::SetLen(len) => {
                content.resize(len, 0);
                self.volume.set_len(&self.file, len as u64).wait().unwrap();
                self.versions.push((before, content));
            }
            Step::Flush => self.volume.flush(&self.file).wait().unwrap(),
            Step::Sync => {
                self.volume.sync(&self.file).wait().unwrap();
                self.syncs.push((self.versions.len() - 1, self.storage.mutations()));
            }
        }
    }

    /// What the file may be after a crash at mutation `at`: what was synced last, and all that came later and had begun.
    fn possible(&self, at: usize) -> Option<Vec<&[u8]>> {
        let (synced, _) = self.syncs.iter().rev().find(|(_, done)| *done <= at)?;
        let later = &self.versions[synced + 1..];
        let begun = later.iter().take_while(|(before, _)| *before <= at);
        Some(std::iter::once(&self.versions[*synced]).chain(begun).map(|(_, content)| &content[..]).collect())
    }

    fn check(&self, at: usize, crash: Crash) {
        let Some(possible) = self.possible(at) else { return };
        let place = format!("{crash:?} at {at}, of {} contents", possible.len());
        let image = Arc::new(self.storage.crash_image(at, crash));
        let vault = unlock(image, &VaultOptions::default());
        let now = std::time::Instant::now();
        let node = vault.lookup(&vault.root(), &name("file"), now).unwrap();
        let file = vault.open(&node, now).unwrap();
        let longest = possible.iter().map(|content| content.len()).max().unwrap_or_default();
        for start in (0..longest).step_by(CHUNK) {
            let chunk = |content: &&[u8]| {
                content[start.min(content.len())..(start + CHUNK).min(content.len())].to_vec()
            };
            let chunks: Vec<Vec<u8>> = possible.iter().map(chunk).collect();
            let mut found = vec![0; CHUNK];
            let read = file.read_at(start as u64, &mut found);
            let is_settled = chunks.iter().all(|chunk| *chunk == chunks[0]);
            match read {
                Ok(len) => {
                    let shortest = chunks.iter().map(Vec::len).min().unwrap_or_default();
                    assert!(len >= shortest, "{place}: {len} bytes at {start}, and not {shortest}");
                    for (at, byte) in found[..len].iter().enumerate() {
                        let is_known = chunks.iter().any(|chunk| chunk.get(at) == Some(byte));
                        assert!(is_known, "{place}: {byte} at {} was never there", start + at);
                    }
                }
                // A chunk that was being written over may be torn, and one that was being cut is stored anew after it.
                Err(error) => {
                    assert!(!is_settled, "{place}, at {start}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{place}, at {start}");
                    let is_cut = chunks.iter().any(|chunk| chunk.len() != chunks[0].len());
                    assert!(is_cut || crash != Crash::Kill { pages: 0 }, "{place}, at {start}: {error}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn what_was_synced_survives_a_crash_at_any_moment(
        combo in combos(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let mut watched = Watched::new(Recipe { combo, ..Recipe::default() }, &memory);
        for step in &steps {
            watched.step(step);
        }
        for at in 0..=watched.storage.mutations() {
            watched.check(at, Crash::Kill { pages: 0 });
            watched.check(at, Crash::Kill { pages: 3 });
            watched.check(at, Crash::PowerLoss { seed: at as u64 });
        }
    }
}
