//! Random histories: a volume that is changed holds what a map of bytes does, in memory and, once it is stored, in
//! storage, whatever fails on the way.

use oxcrypt_core::VaultOptions;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::Replace;
use proptest::prelude::*;

mod plain;
mod world;

use world::World;
pub(super) use world::bytes;

/// A directory and a name in it, both by number.
type Place = (usize, usize);

/// The root and two directories in it that stay.
const DIRS: [&str; 3] = ["", "one", "two"];
const NAMES: usize = 4;
/// The name that is shortened.
const LONG: usize = 3;

const CHUNK: usize = 32_768;

fn long(name: usize) -> String {
    if name == LONG { "l".repeat(200) } else { name.to_string() }
}

#[derive(Clone, Debug)]
enum Step {
    Create(Place),
    MakeDir(Place),
    MakeLink(Place),
    Remove(Place),
    RemoveDir(Place),
    Rename(Place, Place, Replace),
    Open(Place),
    Close(usize),
    Write {
        handle: usize,
        offset: usize,
        len: usize,
    },
    Read {
        handle: usize,
        offset: usize,
        len: usize,
    },
    SetLen {
        handle: usize,
        len: usize,
    },
    Truncate(Place, usize),
    Flush(usize),
    Sync(usize),
    SyncDir(usize),
    /// So many seconds pass.
    Wait(u64),
    Fail(Fault),
    /// Everything is stored, and the volume opened anew.
    Reopen,
    /// Nothing is stored on purpose, and the volume opened anew.
    Lose,
}

/// Some calls about contents fail, after some that do not.
#[derive(Clone, Copy, Debug)]
struct Fault {
    after: u64,
    calls: u64,
    /// Of writes so much is stored all the same.
    part: Option<usize>,
}

/// Offsets and lengths where every error by one lives.
pub(super) fn near_a_border(chunks: usize) -> impl Strategy<Value = usize> {
    (0..chunks, 0..5_usize).prop_map(|(chunks, near)| (chunks * CHUNK + near).saturating_sub(2))
}

fn place() -> impl Strategy<Value = Place> {
    (0..DIRS.len(), 0..NAMES)
}

fn change_of_the_tree() -> impl Strategy<Value = Step> {
    let replace =
        prop::sample::select(vec![Replace::Always, Replace::Always, Replace::Never, Replace::Exchange]);
    prop_oneof![
        4 => place().prop_map(Step::Create),
        1 => place().prop_map(Step::MakeDir),
        1 => place().prop_map(Step::MakeLink),
        2 => place().prop_map(Step::Remove),
        1 => place().prop_map(Step::RemoveDir),
        5 => (place(), place(), replace).prop_map(|(from, to, replace)| Step::Rename(from, to, replace)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let handle = 0..4_usize;
    let len = prop_oneof![near_a_border(4).prop_map(|len| len.max(1)), 1..300_usize];
    prop_oneof![
        14 => change_of_the_tree(),
        3 => place().prop_map(Step::Open),
        2 => handle.clone().prop_map(Step::Close),
        16 => (handle.clone(), near_a_border(5), len)
            .prop_map(|(handle, offset, len)| Step::Write { handle, offset, len }),
        8 => (handle.clone(), near_a_border(6), near_a_border(4))
            .prop_map(|(handle, offset, len)| Step::Read { handle, offset, len }),
        5 => (handle.clone(), prop_oneof![4 => near_a_border(5), 1 => Just(0), 1 => near_a_border(24)])
            .prop_map(|(handle, len)| Step::SetLen { handle, len }),
        1 => (place(), near_a_border(4)).prop_map(|(place, len)| Step::Truncate(place, len)),
        4 => handle.clone().prop_map(Step::Flush),
        2 => handle.prop_map(Step::Sync),
        1 => (0..DIRS.len()).prop_map(Step::SyncDir),
        3 => (0..3_u64).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
        1 => Just(Step::Lose),
    ]
}

fn fault() -> impl Strategy<Value = Step> {
    (0..4_u64, 1..4_u64, prop::option::of(near_a_border(2)))
        .prop_map(|(after, calls, part)| Step::Fail(Fault { after, calls, part }))
}

pub(super) fn combos() -> impl Strategy<Value = CipherCombo> {
    prop::sample::select(vec![CipherCombo::SivGcm, CipherCombo::SivCtrMac])
}

/// What memory may keep: no chunk, one or all, and what it may hold unsaved: next to nothing, or all.
pub(super) fn memories() -> impl Strategy<Value = VaultOptions> {
    let caches = prop::sample::select(vec![0, CHUNK + 200, 64 << 20]);
    (caches, any::<bool>()).prop_map(|(cache, is_small)| {
        let options = VaultOptions::default().chunk_cache_bytes(cache);
        if is_small { options.unsaved_bytes(2 * CHUNK, 3 * CHUNK) } else { options }
    })
}

pub(super) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig::with_cases(cases)
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_volume_that_is_changed_is_a_map_of_bytes(
        combo in combos(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(combo, memory);
        for step in &steps {
            world.step(step);
        }
        world.reopen();
    }

    #[test]
    fn what_fails_is_told_and_stays_until_it_is_stored(
        combo in combos(),
        memory in memories(),
        steps in prop::collection::vec(prop_oneof![9 => step(), 1 => fault()], 1..60),
    ) {
        let mut world = World::new(combo, memory);
        for step in &steps {
            world.step(step);
        }
        world.reopen();
    }
}
