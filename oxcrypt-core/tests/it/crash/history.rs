//! Random histories, interrupted anywhere: what was synced is there, and nothing is there that nobody wrote.

use std::collections::BTreeSet;

use oxcrypt_core::VaultOptions;
use oxcrypt_core::storage::Crash;
use proptest::prelude::*;

use crate::checker::{Content, Finding, What};
use crate::lab::{self, Lab, at, bytes, flush, sync};

const P: usize = 32_768;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write { offset: usize, len: usize },
    SetLen(usize),
    StoreSome,
    Flush,
    Sync,
}

fn near_a_border(chunks: usize) -> impl Strategy<Value = usize> {
    (0..chunks, 0..5_usize).prop_map(|(chunks, near)| (chunks * P + near).saturating_sub(2))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (near_a_border(6), prop_oneof![1..300_usize, near_a_border(3)])
            .prop_map(|(offset, len)| Step::Write { offset, len }),
        3 => prop_oneof![4 => near_a_border(7), 1 => Just(0)].prop_map(Step::SetLen),
        3 => Just(Step::StoreSome),
        2 => Just(Step::Flush),
        2 => Just(Step::Sync),
    ]
}

/// What a file was at some moments, from the last sync on.
struct History {
    /// The content as it was synced, and as it was after each step since.
    versions: Vec<Vec<u8>>,
    /// Chunks that any of these steps has changed, made or cut.
    touched: BTreeSet<usize>,
}

impl History {
    fn begin(content: Vec<u8>) -> Self {
        Self { versions: vec![content], touched: BTreeSet::new() }
    }

    fn note(&mut self, content: &[u8]) {
        let before = self.versions.last().unwrap();
        let most = before.len().max(content.len());
        let chunk = |content: &[u8], index: usize| {
            content.get(index * P..).map(|rest| rest[..rest.len().min(P)].to_vec())
        };
        let changed = (0..most.div_ceil(P)).filter(|index| chunk(before, *index) != chunk(content, *index));
        self.touched.extend(changed);
        // A file that is begun anew has another header, and no chunk of before.
        if content.is_empty() {
            self.touched.extend(0..1_000);
        }
        self.versions.push(content.to_vec());
    }

    /// Whether this may be left of the file.
    fn check(&self, seen: &Content) -> Result<(), String> {
        let synced = &self.versions[0];
        for index in 0..synced.len().div_ceil(P) {
            let old = &synced[index * P..synced.len().min((index + 1) * P)];
            match seen.chunks.get(index) {
                _ if self.touched.contains(&index) => {}
                Some(Some(chunk)) if chunk == old => {}
                seen => return Err(format!("synced chunk {index} is {:?}", seen.map(Option::is_some))),
            }
        }
        for (index, chunk) in seen.chunks.iter().enumerate() {
            let Some(chunk) = chunk else { continue };
            for (offset, byte) in (index * P..).zip(chunk) {
                let is_known = |version: &Vec<u8>| *byte == version.get(offset).copied().unwrap_or(0);
                if !self.versions.iter().any(is_known) {
                    return Err(format!("byte {offset} was never written"));
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(lab::cases(12))]

    #[test]
    fn what_was_synced_is_left_wherever_everything_stops(
        lab in prop::sample::select(vec![Lab::GCM, Lab::CTRMAC]),
        cache in prop::sample::select(vec![0, P + 200, 64 << 20]),
        unsaved in prop::sample::select(vec![2 * P, 16 << 20]),
        first in near_a_border(4),
        steps in prop::collection::vec(step(), 1..16),
        seed: u64,
    ) {
        let content = bytes(first, 0);
        let storage = lab.filled(|vault| drop(lab::put(vault, "file", &content)));
        let options = VaultOptions::default().chunk_cache_bytes(cache).unsaved_bytes(unsaved, 2 * unsaved);
        let vault = lab::open_with(&storage, &options);
        let file = lab::open_for_writing(&vault, "file").unwrap();
        let mut model = content;
        let mut history = History::begin(model.clone());
        let mut seed = seed;
        for (number, step) in (1..).zip(&steps) {
            let from = storage.mutations();
            match *step {
                Step::Write { offset, len } => {
                    let data = bytes(len, number);
                    lab::write(&file, offset as u64, &data).unwrap();
                    if len > 0 {
                        model.resize(model.len().max(offset + len), 0);
                        model[offset..offset + len].copy_from_slice(&data);
                    }
                    history.note(&model);
                }
                Step::SetLen(len) => {
                    file.set_len(len as u64, at(1)).unwrap();
                    model.resize(len, 0);
                    history.note(&model);
                }
                Step::StoreSome => drop(file.store_some().unwrap()),
                Step::Flush => flush(&file).unwrap(),
                Step::Sync => sync(&file).unwrap(),
            }
            for call in from..=storage.mutations() {
                let kills = [0, 1, 3, 8].map(|pages| Crash::Kill { pages });
                let losses = [0, 1, 2].map(|more| Crash::PowerLoss { seed: seed.wrapping_add(more) });
                seed = seed.wrapping_add(3);
                for crash in kills.into_iter().chain(losses) {
                    let report = lab.check(&storage.crash_image(call, crash));
                    let seen = report.file("file");
                    prop_assert!(seen.is_some(), "{crash:?} at {call} in {step:?}: {report:?}");
                    if let Err(wrong) = history.check(seen.unwrap()) {
                        prop_assert!(false, "{crash:?} at {call} in {step:?}: {wrong}");
                    }
                    if matches!(crash, Crash::Kill { .. }) {
                        let also = [What::Chunk, What::CutTail, What::Header];
                        prop_assert_eq!(report.worse_than_repairable(&also), Vec::<&Finding>::new());
                    }
                }
            }
            if matches!(step, Step::Sync) {
                // All of it is there, whatever is lost from now on.
                history = History::begin(model.clone());
                let image = storage.crash_image(usize::MAX, Crash::PowerLoss { seed });
                let report = lab.check(&image);
                prop_assert!(report.file("file").unwrap().bytes().as_ref() == Some(&model));
            }
        }
    }
}
