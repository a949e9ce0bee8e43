//! Random changes to one vault, and what everybody says of it afterwards.

use oxcrypt_core::VaultOptions;
use proptest::prelude::*;

use crate::few;
use crate::judge::Judge;
use crate::scene::{Scene, Turn};
use crate::suite::Suite;

/// With little memory everything is read again and stored early, with much of it everything has to be noticed.
fn options() -> impl Strategy<Value = VaultOptions> {
    let bytes = || prop_oneof![Just(0), Just(100_000), Just(64 << 20)];
    (bytes(), bytes(), bytes()).prop_map(|(chunks, tree, unsaved)| {
        VaultOptions::default()
            .chunk_cache_bytes(chunks)
            .tree_cache_bytes(tree)
            .unsaved_bytes(unsaved, 64 << 20)
    })
}

proptest! {
    #![proptest_config(few(24))]

    #[test]
    fn what_official_code_writes_we_read(suite in Suite::any(), turn in Turn::official(60)) {
        let Some(judge) = Judge::get() else { return Ok(()) };
        let mut scene = Scene::official(judge, suite, VaultOptions::default());
        scene.take(&turn)?;
    }

    #[test]
    fn what_we_write_others_read_and_find_in_perfect_health(
        suite in Suite::any(),
        options in options(),
        turns in prop::collection::vec(Turn::ours(40), 1..3),
    ) {
        let Some(judge) = Judge::get() else { return Ok(()) };
        let mut scene = Scene::ours(judge, suite, options);
        for turn in &turns {
            scene.take(turn)?;
        }
        scene.second_opinion()?;
    }

    #[test]
    fn who_changes_a_vault_by_turns_agrees(
        suite in Suite::any(),
        options in options(),
        turns in prop::collection::vec((Turn::official(12), Turn::ours(12)), 1..5),
    ) {
        let Some(judge) = Judge::get() else { return Ok(()) };
        let mut scene = Scene::official(judge, suite, options);
        for (official, ours) in &turns {
            scene.take(official)?;
            scene.take(ours)?;
        }
    }
}
